"""Moment matching, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.rewards.imitation.moments import Moments

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Box((1,), -1.0, 1.0), 5, num_envs=2, fixed_horizon=True)


def shown():
    rng = np.random.default_rng(0)
    obs, ends = rng.standard_normal((10, 2)).astype(np.float32), np.arange(10) % 5 == 4
    action = rng.uniform(-1, 1, (10, 1))
    return Dataset.from_numpy(
        SPEC, obs=obs, action=action, reward=np.zeros(10), terminated=ends & False, truncated=ends, next_obs=obs
    )


def rollout():
    rng = np.random.default_rng(1)
    draw = lambda *s: jnp.asarray(2.0 + 0.3 * rng.standard_normal((3, 2, *s)), jnp.float32)
    no = jnp.zeros((3, 2), bool)
    return Transition(draw(2), draw(1) - 2.0, draw(), no, no, draw(2), {})


def scores(state, demos, batch):
    obs = np.asarray(demos.data.obs)
    flat = lambda x: np.asarray(x).reshape(-1, x.shape[-1])
    x = np.concatenate([(flat(batch.obs) - obs.mean(0)) / obs.std(0), flat(batch.action)], 1)
    (w1, b1), (w2, b2) = ((np.asarray(layer.weight), np.asarray(layer.bias)) for layer in state.network.body.layers)
    return (np.tanh(x @ w1 + b1) @ w2 + b2)[:, 0]


def test_loss_is_the_gap_of_means_and_the_reward_its_witness():
    demos, ours = shown(), jax.tree.map(lambda x: x.reshape(6, *x.shape[2:]), rollout())
    theirs = jax.tree.map(lambda x: x[:6], demos.data)
    for bound in (None, 0.5):
        by = Moments(hidden=(5,), bound=bound, penalty=0.0 if bound else 1e-9)
        state = by.init(SPEC, demos, key=KEY)
        squash = (lambda x: x) if bound is None else (lambda x: 0.5 * np.tanh(x / 0.5))
        expert, agent = (squash(scores(state, demos, b)) for b in (theirs, ours))
        loss, found = by._loss(state.network, state.normaliser, theirs, ours, jnp.full(6, 0.5))
        np.testing.assert_allclose(loss, agent.mean() - expert.mean(), rtol=1e-4)
        np.testing.assert_allclose(found["imitation/expert"], (expert > 0).mean())
        np.testing.assert_allclose(by(state, ours), agent, rtol=1e-4, atol=1e-5)


def test_the_penalty_keeps_the_witness_lipschitz():
    demos = shown()
    by = Moments(hidden=(16,), lr=1e-2, steps=50, batch=16)
    state = by.init(SPEC, demos, key=KEY)
    update = jax.jit(lambda s, k: by.update(s, rollout(), key=k))
    for i in range(6):
        state, metrics = update(state, jax.random.key(i))
    assert 0.6 < float(metrics["imitation/gradient"]) < 1.4
    gap = float(by(state, demos.data).mean() - by(state, rollout()).mean())
    assert -1.3 * float(metrics["imitation/loss"]) > gap > -0.7 * float(metrics["imitation/loss"])
    assert 1.0 < gap < 5.0  # a few standard deviations apart: Wasserstein's distance, roughly


def test_refusals():
    with pytest.raises(SpecError, match=r"expected Moments.penalty > 0 or a bound; got neither"):
        Moments(penalty=0.0)
    with pytest.raises(SpecError, match=r"expected Moments.steps ≥ 1; got 0"):
        Moments(steps=0)
    with pytest.raises(SpecError, match=r"expected for Moments episodes of one length"):
        Moments().init(EnvSpec(SPEC.obs, SPEC.action, 5), shown(), key=KEY)
