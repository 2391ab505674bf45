"""CartPole against Gymnasium's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from operant.core import EnvState
from operant.envs.toy import CartPole

HIGH = np.array([2.6, 3.0, 0.23, 3.0])
rng = np.random.default_rng(0)
STATES = rng.uniform(-HIGH, HIGH, (400, 4)).astype(np.float32)
ACTIONS = rng.integers(0, 2, 400).astype(np.int32)


def test_steps_as_gymnasium(same):
    theirs = same(CartPole(), STATES, ACTIONS, 1e-6)
    assert 20 < theirs["terminated"].sum() < 380  # both kinds of step were compared


def test_walks_as_gymnasium(walk):
    lengths = [walk(CartPole(), rng.integers(0, 2, 500).astype(np.int32), seed, 1e-5) for seed in range(4)]
    assert sum(lengths) > 40


def test_starts_uniform_in_a_twentieth(starts):
    inner = starts(CartPole())
    assert all(stats.kstest(column, stats.uniform(-0.05, 0.1).cdf).pvalue > 1e-3 for column in inner.T)


def test_fixed_horizon_never_terminates_and_pays_inside_the_limits(answer):
    free, fixed = answer(CartPole(), STATES, ACTIONS), answer(CartPole(fixed_horizon=True), STATES, ACTIONS)
    np.testing.assert_allclose(fixed["state"], free["state"], atol=1e-6)
    np.testing.assert_array_equal(fixed["reward"], 1.0 - free["terminated"])
    assert not fixed["terminated"].any()
    env = CartPole(fixed_horizon=True)
    state, _ = env.reset(key=jax.random.key(0))
    step = lambda s, key: env.step(s, jnp.int32(1), key=key)  # pushed right until far beyond the limits
    _, steps = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(1), 500)))(state)
    assert np.flatnonzero(steps.truncated).tolist() == [499]
    assert steps.final_obs[-1, 0] > 10 and (np.abs(steps.obs[:, 2]) <= math.pi).all()
    assert 0 < steps.reward.sum() < 100


def test_gravity_and_length_are_read(answer):
    plain, moon = answer(CartPole(), STATES, ACTIONS), answer(CartPole(gravity=1.6, length=1.0), STATES, ACTIONS)
    assert np.abs(plain["state"][:, 3] - moon["state"][:, 3]).max() > 0.01


def test_falling_resets_and_keeps_the_true_successor():
    env = CartPole()
    fallen = EnvState(jnp.array([2.39, 3.0, 0.0, 0.0]), jnp.int32(17))
    state, step = env.step(fallen, jnp.int32(1), key=jax.random.key(0))
    assert bool(step.terminated) and not bool(step.truncated)
    assert float(step.final_obs[0]) > 2.4 and float(jnp.abs(step.obs).max()) <= 0.05 and int(state.t) == 0
