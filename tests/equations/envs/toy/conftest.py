"""Gymnasium's environment and ours, fed the same states and actions."""

from collections.abc import Callable

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractEnv


@pytest.fixture(scope="session")
def record() -> Callable:
    """`record(id, states, actions, prepare)`: what Gymnasium answers, one step from each state: arrays, leading M."""

    def record(name: str, states: np.ndarray, actions: np.ndarray) -> dict[str, np.ndarray]:
        env = gymnasium.make(name).unwrapped
        env.reset(seed=0)
        rows = []
        for state, action in zip(states, actions, strict=True):
            if hasattr(env, "steps_beyond_terminated"):
                env.steps_beyond_terminated = None  # else CartPole warns, and pays 0, after its first fall
            env.state = np.array(state, np.float64)
            obs, reward, terminated, truncated, _ = env.step(action)
            assert not truncated
            rows.append((np.array(env.state, np.float64), obs, reward, terminated))
        env.close()
        return dict(zip(("state", "obs", "reward", "terminated"), map(np.array, zip(*rows, strict=True)), strict=True))

    return record


@pytest.fixture(scope="session")
def answer() -> Callable:
    """`answer(env, states, actions)`: what ours answers to the same, batched: arrays, leading M."""

    def answer(env: AbstractEnv, states: np.ndarray, actions: np.ndarray) -> dict[str, np.ndarray]:
        @jax.jit
        @jax.vmap
        def step(state, action):
            inner, reward, terminated = env.advance(state, action, key=jax.random.key(0))
            return {"state": inner, "obs": env.observe(inner), "reward": reward, "terminated": terminated}

        return jax.tree.map(np.asarray, step(jnp.asarray(states), jnp.asarray(actions)))

    return answer


@pytest.fixture(scope="session")
def same(record: Callable, answer: Callable) -> Callable:
    """`same(env, states, actions, atol)`: both answer alike, and ours in its declared space and dtypes.

    States are float32 numbers, so both start from exactly the same; Gymnasium then computes in float64 and ours in
    float32, whose rounding (6e-8 relative) times the largest number in the step is what `atol` leaves room for.
    """

    def same(env: AbstractEnv, states: np.ndarray, actions: np.ndarray, atol: float) -> dict[str, np.ndarray]:
        states = states.astype(np.float32)
        theirs, ours = record(env.spec.name, states, actions), answer(env, states, actions)
        for name in ("state", "obs", "reward"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=atol, err_msg=name)
        np.testing.assert_array_equal(ours["terminated"], theirs["terminated"])
        assert ours["reward"].dtype == np.float32 and ours["terminated"].dtype == bool
        assert all(env.spec.obs.contains(o) for o, end in zip(ours["obs"], ours["terminated"], strict=True) if not end)
        return theirs

    return same


@pytest.fixture(scope="session")
def walk(answer: Callable) -> Callable:
    """`walk(env, actions, seed, atol)`: both walk from one start without being set right in between; how far they got.

    Ends where the episode does. Rounding grows along the way, at the rate of the dynamics.
    """

    def walk(env: AbstractEnv, actions: np.ndarray, seed: int, atol: float) -> int:
        theirs = gymnasium.make(env.spec.name)
        theirs.reset(seed=seed)
        start = np.asarray(theirs.unwrapped.state, np.float32)
        theirs.unwrapped.state = start.astype(np.float64)

        def step(inner, action):
            inner, reward, terminated = env.advance(inner, action, key=jax.random.key(0))
            return inner, (env.observe(inner), reward, terminated)

        _, ours = jax.jit(lambda s, a: jax.lax.scan(step, s, a))(jnp.asarray(start), jnp.asarray(actions))
        rows = []
        for action in actions:
            obs, reward, terminated, truncated, _ = theirs.step(action)
            rows.append((obs, reward, terminated))
            if terminated or truncated:
                break
        theirs.close()
        for mine, wanted in zip(ours, map(np.array, zip(*rows, strict=True)), strict=True):
            np.testing.assert_allclose(np.asarray(mine)[: len(rows)], wanted, atol=atol)
        return len(rows)

    return walk


@pytest.fixture(scope="session")
def starts() -> Callable:
    """`starts(env)`: 4000 initial states."""

    def starts(env: AbstractEnv) -> np.ndarray:
        return np.asarray(jax.vmap(lambda key: env.initial(key=key))(jax.random.split(jax.random.key(7), 4000)))

    return starts


@pytest.fixture(scope="session")
def modes_of():
    """The mode of each episode of a dataset, by the environment's own rule, all in one compiled call."""

    def modes(env, data):
        path, ends = np.asarray(data.data.next_obs), np.flatnonzero(np.asarray(data.data.terminated))
        starts, step = np.r_[0, ends[:-1] + 1], np.arange(data.longest)
        walk = jnp.asarray(path[np.minimum(starts[:, None] + step, len(path) - 1)])
        return jax.jit(jax.vmap(env.mode))(walk, jnp.asarray(step <= (ends - starts)[:, None])).tolist()

    return modes
