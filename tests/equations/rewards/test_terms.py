"""r = Σ w · r, each term logged apart, weights swept under vmap."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.errors import SpecError
from operant.rewards import Clip, Normalise, Program, Task, Terms

SPEC = EnvSpec(Box((2,), names=("x", "v")), Box((1,)), 10, num_envs=2)
KEY = jax.random.key(0)
OBS = jnp.arange(12.0).reshape(3, 2, 2)
NO = jnp.zeros((3, 2), bool)
BATCH = Transition(OBS, jnp.ones((3, 2, 1)), jnp.full((3, 2), 2.0), NO, NO, OBS, {})
TERMS = {"task": Task(), "still": Program(lambda v: -v), "effort": Program(lambda action: jnp.sum(action**2))}


def test_weighted_sum_by_hand():
    reward = Terms(TERMS, {"still": 0.5, "effort": -3.0})
    value = reward(reward.init(SPEC, key=KEY), BATCH)
    assert jnp.array_equal(value, 2.0 - 0.5 * OBS[..., 1] - 3.0)


def test_each_term_is_logged_apart_and_they_add_up():
    reward = Terms(TERMS, {"still": 0.5, "effort": -3.0})
    state = reward.init(SPEC, key=KEY)
    state, metrics = reward.update(state, BATCH, key=KEY)
    assert float(metrics["reward/task"]) == 2.0
    assert float(metrics["reward/still_raw"]) == -6.0  # v = 1, 3, … 11
    assert float(metrics["reward/still"]) == -3.0
    assert float(metrics["reward/effort"]) == -3.0
    parts = sum(float(metrics[f"reward/{name}"]) for name in TERMS)
    assert parts == pytest.approx(float(reward(state, BATCH).mean()))


def test_stateful_terms_learn_and_log_under_their_names():
    reward = Terms({"scaled": Normalise(Task()), "clipped": Clip(Task())})
    old = reward.init(SPEC, key=KEY)
    new, metrics = reward.update(old, BATCH, key=KEY)
    alone = Normalise(Task())
    expected, _ = alone.update(alone.init(SPEC, key=KEY), BATCH, key=KEY)
    assert eqx.tree_equal(new["scaled"], expected) and not eqx.tree_equal(new["scaled"], old["scaled"])
    assert float(metrics["clip/clipped/share"]) == 1.0 and "normalise/scaled/scale" in metrics
    # the mean contribution is that of the updated term, which is what the learner will be given
    assert float(metrics["reward/scaled"]) == pytest.approx(float(alone(expected, BATCH).mean()))


def test_an_array_of_weights_is_a_sweep():
    reward = Terms(TERMS, {"still": jnp.array([0.0, 1.0, 2.0])})
    state = reward.init(SPEC, key=KEY)
    axes = jax.tree.map(lambda leaf: 0 if eqx.is_array(leaf) else None, reward)
    swept = eqx.filter_vmap(lambda r: r(state, BATCH), in_axes=(axes,))(reward)
    for weight, value in zip([0.0, 1.0, 2.0], swept, strict=True):
        assert jnp.array_equal(value, Terms(TERMS, {"still": weight})(state, BATCH))
    with pytest.raises(SpecError, match=r"weight of term 'still' as one number, shape \(\); got shape \(3,\)"):
        reward(state, BATCH)


def test_order_of_terms_does_not_matter():
    backwards = dict(reversed(TERMS.items()))
    a, b = Terms(TERMS), Terms(backwards)
    assert jnp.array_equal(a(a.init(SPEC, key=KEY), BATCH), b(b.init(SPEC, key=KEY), BATCH))
