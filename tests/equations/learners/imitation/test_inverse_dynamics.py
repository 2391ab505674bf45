"""Inverse-dynamics pretraining: its loss, what is frozen when, and which rows count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.core import Box, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.imitation.inverse_dynamics import InverseDynamics

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((5,)), Box((2,), -1.0, 1.0), 10)
LEARNER = InverseDynamics(pretraining_steps=300, features=3, encoder=(16,), hidden=(16,), lr=0.01)
RNG = np.random.default_rng(0)
PRIOR, LABELLED = RNG.random((1, 64)) < 0.5, RNG.random((1, 64)) < 0.8


def batch(labelled=LABELLED, poison=np.nan):
    """Two numbers are moved by the action, three wander; the prior's actions are of other tasks."""
    rng = np.random.default_rng(1)
    obs = rng.standard_normal((1, 64, 5)).astype(np.float32)
    own = np.tanh(-obs[..., :2])
    action = np.where(PRIOR[..., None], rng.uniform(-1, 1, own.shape), own).astype(np.float32)
    after = np.concatenate([obs[..., :2] + 0.5 * action, rng.standard_normal((1, 64, 3))], -1).astype(np.float32)
    shown = np.where(labelled[..., None], action, poison).astype(np.float32)
    no = jnp.zeros((1, 64), bool)
    extras = {"prior": PRIOR, "labelled": labelled}
    return Transition(obs, jnp.asarray(shown), jnp.full((1, 64), jnp.nan), no, no, after, extras), own


def unread(_):
    raise AssertionError("asked for a reward")


STEPS, OWN = batch()
START = LEARNER.init(SPEC, key=KEY)


@jax.jit
def many(state, steps):
    return jax.lax.scan(lambda s, _: LEARNER.update(s, steps, unread, key=KEY), state, None, length=300)


PRETRAINED, FIRST = many(START, STEPS)
CLONED, THEN = many(PRETRAINED, STEPS)


def mlp(net, x):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(net)]
    return np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


def test_the_loss_is_the_likelihood_of_the_action_between_two_views():
    obs, after = np.asarray(STEPS.obs[0], np.float64), np.asarray(STEPS.next_obs[0], np.float64)
    mean, scale = obs.mean(0), obs.std(0)
    phi = lambda x: mlp(START.parts[0].body, (x - mean) / scale)
    said = mlp(START.parts[1].head, np.concatenate([phi(obs), phi(after)], 1))
    found = scipy.stats.norm(said, 1.0).logpdf(np.nan_to_num(np.asarray(STEPS.action[0]))).sum(1)
    np.testing.assert_allclose(FIRST["loss/inverse"][0], -found[LABELLED[0]].mean(), rtol=1e-4)


def test_first_the_view_learns_and_then_only_the_policy():
    same = lambda a, b: all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
    assert same(START.policy, PRETRAINED.policy) and not same(START.parts, PRETRAINED.parts)
    assert same(PRETRAINED.parts, CLONED.parts) and not same(PRETRAINED.policy, CLONED.policy)
    assert FIRST["loss/inverse"][-1] < FIRST["loss/inverse"][0] - 1.0
    assert THEN["loss/policy"][-1] < THEN["loss/policy"][0] - 1.0


def test_only_labelled_demonstrations_are_cloned():
    policy, mine = LEARNER.policy(CLONED), (LABELLED & ~PRIOR)[0]
    greedy = np.asarray(jax.vmap(lambda o: policy(o, (), key=None)[0])(STEPS.obs[0]))
    assert np.abs(greedy - OWN[0])[mine].mean() < 0.1
    again, _ = many(START, batch(poison=1e6)[0])
    for a, b in zip(jax.tree.leaves(PRETRAINED), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_are_standardised_over_what_is_cloned():
    mine = (LABELLED & ~PRIOR)[0]
    seen = np.asarray(jax.vmap(CLONED.parts[0])(jax.vmap(CLONED.normaliser)(STEPS.obs[0])))[mine]
    np.testing.assert_allclose(CLONED.features.mean, seen.mean(0), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(CLONED.features.variance, seen.var(0), rtol=1e-2)


def test_refusals():
    with pytest.raises(SpecError, match=r"expected InverseDynamics.features ≥ 1; got 0"):
        InverseDynamics(features=0)
