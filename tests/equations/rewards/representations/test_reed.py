"""REED: its contrast by hand, what it needs to predict, and its place in a lesson."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers, Pairs, Segments
from operant.errors import SpecError
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.representations import REED
from operant.rewards.representations.reed import contrast
from operant.testing import check_reward, small_spec

SPEC = EnvSpec(Box((3,)), Discrete(2), 100, num_envs=4)
SMALL = REED(state=6, action=3, hidden=(16, 12), projection=5, batch=32, steps=60)
same = lambda obs: obs


def test_the_contrast_is_nt_xent():
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=(2, 4, 3))
    x = np.concatenate([p, q])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    total = 0.0
    for i in range(8):
        others = [np.exp(x[i] @ x[j] / 0.3) for j in range(8) if j != i]
        total -= np.log(np.exp(x[i] @ x[(i + 4) % 8] / 0.3) / sum(others))
    np.testing.assert_allclose(contrast(jnp.asarray(p), jnp.asarray(q), 0.3), total / 8, rtol=1e-5)


def draw(key, n):
    """s' = s + 1 in the entry that the action names."""
    a, b = jax.random.split(key)
    obs, action = jax.random.normal(a, (n, 3)), jax.random.bernoulli(b, 0.5, (n,)).astype(jnp.int32)
    after = obs + 2.0 * jax.nn.one_hot(action, 3)
    no = jnp.zeros(n, bool)
    return Transition(obs, action, no.astype(float), no, no, after, {})


def test_it_learns_to_tell_the_next_state_from_others():
    view, rest = SMALL.init(np.random.default_rng(0), SPEC)
    learn = jax.jit(lambda v, r, k: SMALL.learn(v, r, draw, same, key=k))
    losses = []
    for i in range(6):
        view, rest, metrics = learn(view, rest, jax.random.key(i))
        losses.append(float(metrics["representation/loss"]))
    assert losses[-1] < losses[0] - 0.3

    def told(actions_matter):
        batch = draw(jax.random.key(99), 64)
        action = batch.action if actions_matter else 1 - batch.action
        z = jax.vmap(lambda o, a: view(o, a, same))(batch.obs, action)
        p = jax.vmap(lambda x: rest[0].project(rest[0].predict(x)))(z)
        q = jax.vmap(lambda o: rest[0].project(view.embed(o, same)))(batch.next_obs)
        return float(contrast(p, q, SMALL.temperature))

    assert told(True) < told(False)  # z knows the action


def test_no_gradient_reaches_the_embedding_of_what_came_next():
    """The state embedding moves by the prediction's side alone: with the prediction cut off, it does not move."""
    view, rest = SMALL.init(np.random.default_rng(0), SPEC)
    cut = eqx.tree_at(lambda r: r[0].predict.weight, rest, jnp.zeros_like(rest[0].predict.weight))
    one = eqx.tree_at(lambda r: r.steps, SMALL, 1)
    moved, _, _ = one.learn(view, cut, draw, same, key=jax.random.key(0))
    np.testing.assert_array_equal(moved.state.layers[0].weight, view.state.layers[0].weight)
    moved, _, _ = one.learn(view, rest, draw, same, key=jax.random.key(0))
    assert float(jnp.abs(moved.state.layers[0].weight - view.state.layers[0].weight).max()) > 0


def lesson(seed: int, n: int = 6) -> Answers:
    rng = np.random.default_rng(seed)

    def side() -> Segments:
        obs = jnp.asarray(rng.normal(size=(n, 2, 3)), jnp.float32)
        no = jnp.zeros((n, 2), bool)
        return Segments(Transition(obs, no.astype(int), no.astype(float), no, no, obs + 1.0, {}), ~no)

    yes = jnp.ones(n, bool)
    return Answers(Pairs(side(), side()), jnp.arange(n), jnp.asarray(rng.integers(2, size=n), jnp.float32), yes, yes)


def test_a_lesson_moves_view_and_head_and_says_how_the_view_learned():
    reward = BradleyTerry(members=2, hidden=(), segment=2, capacity=8, pool=32, steps=3, representation=SMALL)
    check_reward(reward, small_spec())
    state = reward.init(SPEC, key=jax.random.key(0))
    teach = jax.jit(lambda s, a, k: reward.teach(s, a, key=k))
    new, metrics = teach(state, lesson(0), jax.random.key(1))
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)
    assert 0.0 < float(metrics["representation/loss"]) < 5.0  # from what was compared: the pool is empty
    for x, y in zip(jax.tree.leaves(new.networks), jax.tree.leaves(state.networks), strict=True):
        assert float(jnp.abs(x - y).max()) > 0
    assert set(new.found) == set(state.found) == set(metrics)


def test_impossible_settings_are_refused():
    with pytest.raises(SpecError, match=r"expected REED\.temperature > 0; got 0"):
        REED(temperature=0.0)
    with pytest.raises(SpecError, match=r"expected REED\.batch ≥ 2, steps ≥ 1 and a hidden layer; got 1, 100"):
        REED(batch=1)
