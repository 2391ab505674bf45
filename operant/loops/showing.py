"""Short shots of what a policy does, with frames: what a person is shown to compare.

The policy acts as it does in training, by chance. On a JAX environment every step is kept and only shots that are shown
are drawn; a Gymnasium environment draws while it is played, so only the stretch of each episode that becomes a shot is.

>>> from operant.envs.toy import Pendulum
>>> from operant.learners.ppo import PPO
>>> learner, env = PPO(hidden=(8,)), Pendulum(max_steps=20)
>>> policy = learner.policy(learner.init(env.spec, key=jax.random.key(0)))
>>> shots = show(policy, env, n=2, length=5, key=jax.random.key(1))
>>> shots.segments.mask.shape, shots.frames(0).dtype, len(shots.frames(0))
((2, 5), dtype('uint8'), 6)
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.core import AbstractEnv, AbstractHostEnv, AbstractPolicy, Transition
from operant.data.segments import Segments
from operant.io.clips import Frames, shrink
from operant.loops.spread import compiler_options

LIMIT = 1000
"""Steps after which an episode without a limit of its own is left."""


class Shots(NamedTuple):
    """n shots: their steps, NumPy (n, L), and a function that gives the frames (T ≤ L + 1, H, W, 3) of one."""

    segments: Segments
    frames: Callable[[int], Frames]


def show(
    policy: AbstractPolicy, env: AbstractEnv | AbstractHostEnv, *, n: int, length: int, key: PRNGKeyArray
) -> Shots:
    """`n` shots of `length` steps, each from an episode of its own, from anywhere in it.

    One that ends as the agent falls, or arrives, may be half as long, so that this is seen as often as it happens; of
    an episode shorter than a shot all is shown.
    """
    if isinstance(env, AbstractEnv):
        return _compiled_show(policy, env, n, length, key)
    return _played_show(policy, env, n, length, key)


def _least(length: int) -> int:
    """Steps of the shortest shot of an end, where the episode has so many."""
    return (length + 1) // 2


# --- JAX environments -----------------------------------------------------------------------------------------------


@functools.cache
def _episodes() -> Callable:
    return eqx.filter_jit(_episodes_of, compiler_options=compiler_options(seldom=True))


def _episodes_of(policy: AbstractPolicy, env: AbstractEnv, keys: PRNGKeyArray, limit: int) -> Any:
    """Inner states (n, limit + 1, …) and transitions (n, limit) of one episode a key; what follows its end is void."""

    def step(state: Any, key: PRNGKeyArray) -> Any:
        inner, carry = state
        act_key, env_key = jax.random.split(key)
        obs = env.observe(inner)
        action, _, carry = policy(obs, carry, key=act_key)
        inner, reward, terminated = env.advance(inner, action, key=env_key)
        no = jnp.zeros((), bool)
        t = Transition(obs, action, jnp.asarray(reward, jnp.float32), terminated, no, env.observe(inner), {})
        return (inner, carry), (inner, t)

    def episode(key: PRNGKeyArray) -> Any:
        initial_key, run_key = jax.random.split(key)
        first = env.initial(key=initial_key)
        _, (inner, t) = jax.lax.scan(step, (first, policy.init_carry()), jax.random.split(run_key, limit))
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, inner), t

    return jax.vmap(episode)(keys)


def _compiled_show(policy: AbstractPolicy, env: AbstractEnv, n: int, length: int, key: PRNGKeyArray) -> Shots:
    limit = env.spec.max_steps or LIMIT
    play_key, cut_key = jax.random.split(key)
    inner, ts = jax.device_get(_episodes()(policy, env, jax.random.split(play_key, n), limit))
    ended = ts.terminated.any(axis=1)
    lengths = np.where(ended, ts.terminated.argmax(axis=1) + 1, limit)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(cut_key)))
    starts = rng.integers(np.maximum(lengths - np.where(ended, _least(length), length), 0) + 1)
    times = np.minimum(starts[:, None] + np.arange(length), limit - 1)
    mask = starts[:, None] + np.arange(length) < lengths[:, None]
    rows = np.arange(n)[:, None]
    segments = Segments(jax.tree.map(lambda x: x[rows, times], ts), mask)

    def frames(i: int) -> Frames:
        shown = range(int(starts[i]), int(starts[i] + mask[i].sum()) + 1)
        return shrink(np.stack([env.render(jax.tree.map(lambda x, t=t: x[i, t], inner)) for t in shown]))

    return Shots(segments, frames)


# --- host environments ----------------------------------------------------------------------------------------------


def _played_show(policy: AbstractPolicy, env: AbstractHostEnv, n: int, length: int, key: PRNGKeyArray) -> Shots:
    limit = env.spec.max_steps or LIMIT
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    host, expected = env.open(1, render=True), limit  # how long an episode is thought to last
    shots: list[tuple[list[Transition], list[np.ndarray]]] = []
    try:
        while len(shots) < n:
            start = int(rng.integers(max(expected - (length if expected == limit else _least(length)), 0) + 1))
            obs, carry, t = host.reset(seed=int(rng.integers(2**31 - 1))), None, 0
            steps: list[Transition] = []
            drawn: list[np.ndarray] = []
            over = False
            while not over and len(steps) < length and t < limit:
                if t == start:
                    drawn.append(np.asarray(host.render()[0]))
                now = jax.random.fold_in(key, len(shots) * limit + t)
                action, carry = policy.predict(obs, carry, deterministic=False, key=now)
                s = host.step(action)
                over = bool(s.terminated[0] | s.truncated[0])
                if t >= start:
                    steps.append(Transition(obs, action, s.reward, s.terminated, s.truncated, s.final_obs, {}))
                    if not over:  # what could be drawn after the end is the next episode
                        drawn.append(np.asarray(host.render()[0]))
                obs, t = s.obs, t + 1
            # one that ended was so long; of one left in its midst it is known only that it is longer
            expected = max(t, expected // 2) if over else min(limit, max(expected, t + length))
            if len(steps) >= min(_least(length), t):  # else the episode ended before the stretch wished for: another
                shots.append((steps, drawn))
    finally:
        host.close()

    def pad(*x: np.ndarray) -> np.ndarray:
        whole = np.concatenate(x)
        return np.concatenate([whole, np.repeat(whole[-1:], length - len(whole), axis=0)])

    each = [jax.tree.map(pad, *steps) for steps, _ in shots]
    mask = np.arange(length)[None] < np.array([len(steps) for steps, _ in shots])[:, None]
    segments = Segments(jax.tree.map(lambda *x: np.stack(x), *each), mask)
    return Shots(segments, lambda i: shrink(np.stack(shots[i][1])))
