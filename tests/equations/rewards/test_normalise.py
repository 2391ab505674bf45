"""Scaling by returns, against Gymnasium's wrapper and against the vectorised recursion in NumPy."""

import re

import equinox as eqx
import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.errors import DataError
from operant.rewards import Normalise, Task

KEY = jax.random.key(0)


def rollout(reward, terminated=None, truncated=None):
    reward = jnp.asarray(reward, jnp.float32)
    no, obs = jnp.zeros(reward.shape, bool), jnp.zeros((*reward.shape, 1))
    given = [no if x is None else jnp.asarray(x) for x in (terminated, truncated)]
    return Transition(obs, obs, reward, *given, obs, {})


def started(reward, num_envs):
    return reward.init(EnvSpec(Box((1,)), Box((1,)), None, num_envs), key=KEY)


class Stream(gym.Env):
    """Pays what it is told to, and never ends."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Box(-10.0, 10.0, (1,), np.float64)

    def step(self, action):
        return np.zeros(1, np.float32), float(action), False, False, {}


def test_equals_gymnasiums_wrapper_step_by_step():
    rewards = np.random.default_rng(0).normal(1.0, 3.0, 200)
    env = gym.wrappers.NormalizeReward(Stream(), gamma=0.9)
    theirs = [env.step(r)[1] for r in rewards]

    method = Normalise(Task(), discount=0.9, clip=float("inf"))

    @jax.jit
    def ours_of(state, r):
        batch = rollout(r[None, None])
        state, _ = method.update(state, batch, key=KEY)
        return state, method(state, batch)[0, 0]

    _, ours = jax.lax.scan(ours_of, started(method, 1), jnp.asarray(rewards, jnp.float32))
    # The wrapper starts from a variance of 1 with the weight of 1e-4 samples: all of its first variance, 1e-4/n of the
    # variance after n steps. Ours starts from nothing, where one sample varies by 0 (clipping is off here).
    np.testing.assert_allclose(ours[1:10], theirs[1:10], rtol=2e-3)
    np.testing.assert_allclose(ours[10:], theirs[10:], rtol=2e-5)


def test_one_rollout_holds_the_same_statistics_as_its_steps():
    rewards = np.random.default_rng(1).normal(0.0, 2.0, (64, 1))
    method = Normalise(Task(), discount=0.9)
    state, _ = method.update(started(method, 1), rollout(rewards), key=KEY)
    whole = state.returns
    env = gym.wrappers.NormalizeReward(Stream(), gamma=0.9)
    for r in rewards[:, 0]:
        env.step(r)
    assert float(whole.moments.variance) == pytest.approx(float(env.return_rms.var), rel=1e-4)
    assert float(whole.moments.mean) == pytest.approx(float(env.return_rms.mean), rel=1e-4)
    assert float(whole.returns[0]) == pytest.approx(float(env.discounted_reward[0]), rel=1e-5)


@pytest.mark.parametrize("kind", ["terminated", "truncated"])
def test_returns_restart_after_every_end(kind):
    """The recursion of Stable-Baselines3's VecNormalize, in NumPy, over two rollouts of three environments."""
    rng = np.random.default_rng(2)
    reward, done = rng.normal(0.5, 1.0, (2, 40, 3)), rng.random((2, 40, 3)) < 0.1
    method = Normalise(Task(), discount=0.95, clip=0.5)
    state = started(method, 3)
    carried, seen = np.zeros(3), []
    for r, ended in zip(reward, done, strict=True):
        batch = rollout(r, **{kind: ended})
        state, metrics = method.update(state, batch, key=KEY)
        for now, end in zip(r, ended, strict=True):
            carried = 0.95 * carried + now
            seen.append(carried.copy())
            carried[end] = 0.0
    variance = np.var(seen)
    np.testing.assert_allclose(state.returns.returns, carried, rtol=1e-5)
    assert float(np.sqrt(state.returns.moments.variance)) == pytest.approx(np.sqrt(variance), rel=1e-4)
    assert float(metrics["normalise/scale"]) == pytest.approx(np.sqrt(variance), rel=1e-4)
    expected = np.clip(reward[1] / np.sqrt(variance), -0.5, 0.5)
    assert (np.abs(expected) == 0.5).any()
    np.testing.assert_allclose(method(state, batch), expected, rtol=1e-4)


def test_state_keeps_its_shapes_and_types():
    method = Normalise(Task())
    state = started(method, 2)
    new, _ = jax.eval_shape(lambda s: method.update(s, rollout(jnp.ones((4, 2))), key=KEY), state)
    like = jax.eval_shape(lambda: state)
    assert eqx.tree_equal(like, new)


def test_what_is_no_rollout_of_its_environments_is_refused():
    method = Normalise(Task())
    for shape in ((4, 3), (4,)):
        with pytest.raises(DataError, match=rf"rollout \(T, N\) with N = 2 .* got shape {re.escape(str(shape))}"):
            method.update(started(method, 2), rollout(np.ones(shape)), key=KEY)
