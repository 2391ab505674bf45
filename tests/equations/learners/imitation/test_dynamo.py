"""DynaMo: its loss by hand, no action read while the view learns, and a view that does not collapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.imitation.dynamo import DynaMo, cosine, off_diagonal, standardised

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((5,)), Box((2,), -1.0, 1.0), 10)
LEARNER = DynaMo(pretraining_steps=200, features=4, latent=2, encoder=(16,), hidden=(16,), lr=0.01)


def batch(poison):
    rng = np.random.default_rng(1)
    obs = rng.standard_normal((1, 64, 5)).astype(np.float32)
    own = np.tanh(-obs[..., :2])
    after = np.concatenate([obs[..., :2] + 0.5 * own, rng.standard_normal((1, 64, 3))], -1).astype(np.float32)
    labelled = np.arange(64)[None] < 32
    no = jnp.zeros((1, 64), bool)
    action = np.where(labelled[..., None], own, poison).astype(np.float32)
    steps = Transition(obs, action, jnp.full((1, 64), jnp.nan), no, no, after, {"labelled": labelled})
    return steps, own


def unread(_):
    raise AssertionError("asked for a reward")


STEPS, OWN = batch(np.nan)
START = LEARNER.init(SPEC, key=KEY)


@jax.jit
def many(state, steps):
    return jax.lax.scan(lambda s, _: LEARNER.update(s, steps, unread, key=KEY), state, None, length=200)


PRETRAINED, FIRST = many(START, STEPS)
CLONED, THEN = many(PRETRAINED, STEPS)


def mlp(net, x):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(net)]
    return np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


def test_the_loss_by_hand():
    obs, after = np.asarray(STEPS.obs[0], np.float64), np.asarray(STEPS.next_obs[0], np.float64)
    mean, scale = obs.mean(0), obs.std(0)
    phi, (q, g) = START.parts
    both = mlp(phi.body, (np.concatenate([obs, after]) - mean) / scale)
    both = (both - both.mean(0)) / both.std(0)
    s, t = both[:64], both[64:]
    p = mlp(g, np.concatenate([s, mlp(q, np.concatenate([s, t], 1))], 1))
    cos = (p * t).sum(1) / np.linalg.norm(p, axis=1) / np.linalg.norm(t, axis=1)
    np.testing.assert_allclose(FIRST["loss/forward"][0], 1 - cos.mean(), rtol=1e-3)
    covariance = np.cov(both.T)
    expected = np.square(covariance[~np.eye(4, dtype=bool)]).mean()
    np.testing.assert_allclose(FIRST["loss/covariance"][0], expected, rtol=1e-3)


def test_pieces():
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    np.testing.assert_allclose(off_diagonal(x), np.square(np.cov(x.T)[~np.eye(3, dtype=bool)]).mean(), rtol=1e-5)
    np.testing.assert_allclose(standardised(x), (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cosine(jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 1.0]])), [np.sqrt(0.5)], rtol=1e-6)


def test_the_target_has_no_gradient_and_the_view_does_not_collapse():
    assert FIRST["loss/forward"][-1] < FIRST["loss/forward"][0] / 2
    seen = np.asarray(jax.vmap(PRETRAINED.parts[0])(jax.vmap(PRETRAINED.normaliser)(STEPS.obs[0])))
    spectrum = np.linalg.svd((seen - seen.mean(0)) / seen.std(0), compute_uv=False)
    assert spectrum[1] > 0.2 * spectrum[0]  # it says more than one thing
    assert THEN["loss/policy"][-1] < THEN["loss/policy"][0] - 1.0


def test_no_action_is_read_while_the_view_learns():
    changed = STEPS.action * 0.0 + 0.5
    other = Transition(
        STEPS.obs, changed, STEPS.reward, STEPS.terminated, STEPS.truncated, STEPS.next_obs, STEPS.extras
    )
    again, _ = many(START, other)
    for a, b in zip(jax.tree.leaves(PRETRAINED), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    policy = LEARNER.policy(CLONED)
    greedy = np.asarray(jax.vmap(lambda o: policy(o, (), key=None)[0])(STEPS.obs[0]))
    assert np.isfinite(greedy).all() and np.abs(greedy - OWN[0])[:32].mean() < 0.2


def test_refusals():
    with pytest.raises(SpecError, match=r"expected DynaMo.latent ≥ 1; got 0"):
        DynaMo(latent=0)
    with pytest.raises(SpecError, match=r"expected DynaMo.features ≥ 2; got 1"):
        DynaMo(features=1)
    with pytest.raises(SpecError, match=r"expected DynaMo.covariance ≥ 0; got -1"):
        DynaMo(covariance=-1.0)
