"""VPT: the inverse model sees labels only where they are real, and the policy is cloned from what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.imitation.vpt import VPT, moved, wrong

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ARM = EnvSpec(Box((2,)), Box((2,), -2.0, 2.0), 10)
LABELLED = RNG.random((1, 32)) < 0.3


def batch(poison=np.nan, spec=ARM):
    """What follows is what was, plus a tenth of the action."""
    rng = np.random.default_rng(1)
    obs = rng.standard_normal((1, 32, 2)).astype(np.float32)
    if isinstance(spec.action, Discrete):
        action = rng.integers(2, size=(1, 32))
        after = obs + np.where(action == 1, 0.1, -0.1)[..., None].astype(np.float32)
        shown = np.where(LABELLED, action, 0)
    else:
        action = np.clip(-obs, -2, 2)
        after = obs + np.float32(0.1) * action
        shown = np.where(LABELLED[..., None], action, poison).astype(np.float32)
    no = jnp.zeros((1, 32), bool)
    steps = Transition(obs, jnp.asarray(shown), jnp.full((1, 32), jnp.nan), no, no, after, {"labelled": LABELLED})
    return steps, action


def unread(_):
    raise AssertionError("VPT asked for a reward")


LEARNER = VPT(inverse_steps=200, hidden=(16,), lr=0.01)


@jax.jit
def many(state, steps):
    return jax.lax.scan(lambda s, _: LEARNER.update(s, steps, unread, key=KEY), state, None, length=200)


def test_the_inverse_loss_is_the_likelihood_of_real_labels():
    steps, action = batch()
    state = LEARNER.init(ARM, key=KEY)
    _, metrics = jax.jit(lambda s: LEARNER.update(s, steps, unread, key=KEY))(state)
    obs, after = np.asarray(steps.obs[0], np.float64), np.asarray(steps.next_obs[0], np.float64)
    mean, scale = obs.mean(0), obs.std(0)
    change = (after - obs) / scale
    change = (change - change.mean(0)) / change.std(0)
    x = np.concatenate([(obs - mean) / scale, change], 1)
    w, b, v, c = (np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state.inverse.head))
    found = scipy.stats.norm(np.maximum(x @ w + b, 0) @ v + c, 1.0).logpdf(action[0] / 2).sum(1)
    np.testing.assert_allclose(metrics["loss/inverse"], -found[LABELLED[0]].mean(), rtol=1e-4)
    assert float(metrics["loss/policy"]) == 0.0


def test_labels_are_found_and_cloned_and_placeholders_never_read():
    steps, action = batch()
    start = LEARNER.init(ARM, key=KEY)
    half, first = many(start, steps)
    state, then = many(half, steps)
    state, then = many(state, steps)
    np.testing.assert_array_equal(first["loss/policy"], 0.0)
    np.testing.assert_array_equal(then["loss/inverse"], first["loss/inverse"][-1])
    assert float(then["inverse/wrong"][-1]) < 0.05
    policy = LEARNER.policy(state)
    greedy = jax.vmap(lambda o: policy(o, (), key=None)[0])(steps.obs[0])
    off = np.abs(np.asarray(greedy) - action[0]).mean(1)
    assert off[~LABELLED[0]].mean() < 0.2 and np.isfinite(off).all()
    other = batch(poison=1e6)[0]
    same = many(many(many(start, other)[0], other)[0], other)[0]
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(jax.tree.leaves(start.policy), jax.tree.leaves(half.policy), strict=True):
        np.testing.assert_array_equal(a, b)  # the policy waits


def test_discrete_actions():
    spec = EnvSpec(Box((2,)), Discrete(2), 10)
    steps, action = batch(spec=spec)
    half, first = many(LEARNER.init(spec, key=KEY), steps)
    state, then = many(half, steps)
    assert float(then["inverse/wrong"][-1]) == 0.0 and then["loss/policy"][-1] < then["loss/policy"][0]
    norm = jax.vmap(state.normaliser)
    look = moved(state.inverse, norm(steps.obs[0]), norm(steps.next_obs[0]))
    said = jax.vmap(state.inverse.distribution)(
        norm(steps.obs[0]), steps.obs[0], jax.vmap(state.change.normalise)(look)
    )
    assert (np.asarray(said.mode()) == action[0]).mean() > 0.9
    assert state.policy.log_std is None and first["loss/inverse"][-1] < first["loss/inverse"][0]


def test_how_wrong_labels_are():
    assert wrong(jnp.array([[0.0, 1.0]]), jnp.array([[1.0, 1.0]])).tolist() == [0.5]
    assert wrong(jnp.array([0, 1]), jnp.array([0, 0])).tolist() == [0.0, 1.0]


def test_refusals():
    with pytest.raises(SpecError, match=r"expected VPT.batch ≥ 1; got 0"):
        VPT(batch=0)
    with pytest.raises(SpecError, match="expected actions Discrete, or a Box of float32"):
        VPT().init(EnvSpec(Box((3,)), Box((2,), 0, 3, "int32"), None), key=KEY)
