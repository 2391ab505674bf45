"""What every toy environment shares: spaces, truncation, and long batched scans."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box
from operant.envs import toy
from operant.envs.toy import GYMNASIUM_IDS

NAMES = [n for n in toy.__all__ if n != "GYMNASIUM_IDS"]


@pytest.mark.parametrize("name", GYMNASIUM_IDS)
def test_spaces_are_gymnasiums(name):
    spec, theirs = GYMNASIUM_IDS[name]().spec, gymnasium.make(name)
    assert spec.name == name and spec.max_steps == gymnasium.spec(name).max_episode_steps
    pairs = [(spec.obs, theirs.observation_space), (spec.action, theirs.action_space)]
    for ours, box in pairs:
        if isinstance(ours, Box):
            assert ours.shape == box.shape and ours.dtype == str(box.dtype) and len(ours.names) == ours.size
            np.testing.assert_array_equal(ours.bounds(), (box.low, box.high))
        else:
            assert ours.n == box.n
    theirs.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_batched_steps(name):
    """Under jit, scan and vmap, with rank promotion an error: shapes, dtypes, finiteness, and truncation on time."""
    env = getattr(toy, name)(max_steps=30)

    def one(key):
        first, rest = jax.random.split(key)
        state, obs = env.reset(key=first)

        def step(state, key):
            choose, go = jax.random.split(key)
            after, step = env.step(state, env.spec.action.sample(choose), key=go)
            return after, (state.t, after.t, step)

        return obs, jax.lax.scan(step, state, jax.random.split(rest, 1000))[1]

    with jax.numpy_rank_promotion("raise"):
        obs, (before, after, steps) = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 4))
    assert env.spec.obs.contains(obs[0]) and steps.obs.shape == (4, 1000, *env.spec.obs.shape)
    assert steps.obs.dtype == jnp.float32 and steps.reward.dtype == jnp.float32
    assert steps.terminated.dtype == bool and steps.truncated.dtype == bool
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(steps))
    np.testing.assert_array_equal(steps.truncated, before == 29)  # on the thirtieth step, whatever else happened
    done = steps.terminated | steps.truncated
    np.testing.assert_array_equal(after, np.where(done, 0, before + 1))
    assert steps.truncated.any() and all(env.spec.obs.contains(o) for o in np.asarray(steps.obs[0]))
    same = (np.asarray(steps.obs) == np.asarray(steps.final_obs)).all(-1)
    assert same[~done].all()
    assert hash(env.spec) == hash(getattr(toy, name)(max_steps=30).spec)
