"""Scripted demonstrators on toy environments: whole episodes, one of each way of doing it in turn, as a dataset."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from operant.core import AbstractEnv
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.math.random import unrolled

Script = Callable[[Any, Array, Array], tuple[Array, Array]]
"""`script(inner, mode, memory) -> (action, memory)`, unbatched; `memory` is a whole number that starts at 0."""


def recorded(env: Any, script: Script, n: int, key: PRNGKeyArray, noise: float, origin: str) -> Dataset:
    """`n` episodes, mode i mod `env.modes` the i-th, with the actions as they were carried out, noise included.

    Raises:
        SpecError: n < 1.
        DataError: an episode did not do what it was to show.
    """
    if n < 1:
        raise SpecError(f"expected n ≥ 1 demonstrations; got {n}. Ask for at least one.")
    modes = jnp.arange(n, dtype=jnp.int32) % env.modes
    run = lambda mode, key: _episode(env, script, mode, key, noise)
    (obs, action, reward, terminated, after), shown = jax.device_get(
        jax.vmap(run)(modes, jax.random.split(unrolled(key), n))
    )
    if (failed := shown != np.asarray(modes)).any():
        raise DataError(
            f"expected every episode to show its mode; {failed.sum()} of {n} did not (the first is number "
            f"{int(failed.argmax())}). Use less noise, or the default settings of {type(env).__name__}."
        )
    last = terminated.argmax(1)
    mask = np.arange(terminated.shape[1])[None] <= last[:, None]
    return Dataset.from_numpy(
        env.spec, obs=obs[mask], action=action[mask], reward=reward[mask], terminated=terminated[mask],
        next_obs=after[mask], episode=np.nonzero(mask)[0], origin=origin, licence="CC0",
    )  # fmt: skip


def _episode(env: AbstractEnv, script: Script, mode: Array, key: PRNGKeyArray, noise: float) -> Any:
    """Columns (T, …) of one episode, which goes on unread after its end, and the mode it showed."""
    start, noisy, moves = jax.random.split(key, 3)
    limit, size = env.spec.max_steps or 0, env.spec.action.zero().shape
    added = noise * jax.random.normal(noisy, (limit, *size))

    def step(state: Any, now: Any) -> Any:
        inner, memory = state
        extra, key = now
        action, memory = script(inner, mode, memory)
        action = jnp.clip(action + extra, -1.0, 1.0)
        after, reward, terminated = env.advance(inner, action, key=key)
        return (after, memory), (env.observe(inner), action, reward, terminated, env.observe(after))

    begin = (env.initial(key=start), jnp.zeros((), jnp.int32))
    _, columns = jax.lax.scan(step, begin, (added, jax.random.split(moves, limit)))
    done = columns[3]
    mask = jnp.arange(limit) <= jnp.where(done.any(), jnp.argmax(done), limit)
    shown: Any = env
    return columns, jnp.where(done.any(), shown.mode(columns[4], mask), -1)
