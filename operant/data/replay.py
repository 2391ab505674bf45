"""A ring of past transitions as a pytree: part of a learner's state, written in place, read uniformly.

Leaves are (rows, N, …), one column an environment, so that what followed a transition stands in the row below it and
windows of n steps need no copies. Observations are kept raw (bytes stay bytes); `extras` are not kept.

Reference: Lin 1992, Self-Improving Reactive Agents Based on Reinforcement Learning, Planning and Teaching; Mnih et al.
2015, Human-level control through deep reinforcement learning, 10.1038/nature14236.

>>> from operant.core import Box, Discrete, EnvSpec
>>> replay = Replay.init(EnvSpec(Box((3,)), Discrete(2), 100, num_envs=4), capacity=100)
>>> replay.rows, replay.data.obs.shape, int(replay.size)
(25, (25, 4, 3), 0)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from operant.core import EnvSpec, Transition
from operant.errors import SpecError
from operant.math import random


class Replay(eqx.Module):
    """Transitions in a ring; the loop knows it by its class and never copies it."""

    data: Transition
    """(rows, N); `extras` is empty."""
    cursor: Int[Array, ""]
    """The row written next."""
    filled: Int[Array, ""]
    """Rows that hold something."""
    member: Int[Array, ""] | None = None
    """Where `data` is (seeds, rows, N), several rings side by side: which of them this is. None: `data` is one ring."""

    @classmethod
    def init(cls, spec: EnvSpec, capacity: int) -> "Replay":
        """Room for at least `capacity` transitions of `spec.num_envs` environments, all zero: runs outside jit.

        Raises:
            SpecError: capacity < 1.
        """
        if capacity < 1:
            raise SpecError(f"expected a replay capacity ≥ 1 transition; got {capacity}. Raise it.")
        rows, n = -(-capacity // spec.num_envs), spec.num_envs
        room = lambda zero: jax.tree.map(lambda x: np.zeros((rows, n, *np.shape(x)), np.asarray(x).dtype), zero)
        flags = lambda: np.zeros((rows, n), bool)
        obs, next_obs = room(spec.obs.zero()), room(spec.obs.zero())
        reward = np.zeros((rows, n), np.float32)
        data = Transition(obs, room(spec.action.zero()), reward, flags(), flags(), next_obs, {})
        return cls(jax.tree.map(jax.device_put, data), jax.device_put(np.int32(0)), jax.device_put(np.int32(0)))

    @property
    def rows(self) -> int:
        return self.data.terminated.shape[-2]

    @property
    def columns(self) -> int:
        """N: environments side by side."""
        return self.data.terminated.shape[-1]

    @property
    def size(self) -> Int[Array, ""]:
        """Transitions held."""
        return self.filled * self.columns

    def insert(self, batch: Transition) -> "Replay":
        """With a rollout (T, N) written over the oldest rows; T ≤ rows. In place where the buffers are donated."""
        steps = batch.terminated.shape[0]
        if steps > self.rows:
            raise SpecError(
                f"expected a rollout of at most {self.rows} rows (capacity/num_envs); got {steps}. Raise "
                "`capacity` (a reward's `memory` or `pool`), or roll out less."
            )
        rows = (self.cursor + jnp.arange(steps)) % self.rows
        kept = Transition(
            batch.obs, batch.action, batch.reward, batch.terminated, batch.truncated, batch.next_obs, {}
        )  # fmt: skip
        write = lambda ring, new: ring.at[self._at(rows)].set(new.astype(ring.dtype), mode="promise_in_bounds")
        data = jax.tree.map(write, self.data, kept)
        cursor = (self.cursor + steps) % self.rows
        return Replay(data, cursor, jnp.minimum(self.filled + steps, self.rows), self.member)

    def _at(self, *index: Array) -> tuple[Array, ...]:
        """An index into `data`; of one ring among several, where there are several."""
        return index if self.member is None else (jnp.broadcast_to(self.member, index[0].shape), *index)

    def places(self, key: PRNGKeyArray, shape: tuple[int, ...], steps: int = 1) -> tuple[Array, Array]:
        """`(age, environment)` of uniformly drawn transitions; age 0 is the oldest.

        The newest `steps` − 1 rows are left out where more than that is held: their windows are not yet complete.
        """
        row_key, column_key = jax.random.split(key)
        age = random.integers(row_key, shape, jnp.maximum(self.filled - (steps - 1), 1))
        return age, random.integers(column_key, shape, self.columns)

    def windows(self, age: Int[Array, "*B"], column: Int[Array, "*B"], steps: int) -> tuple[Transition, Array]:
        """The `steps` transitions from each place on: (*B, steps), and which of them belong to its episode.

        The first always does; what follows an episode's end, or lies beyond the newest row, never does.
        """
        ages = age[..., None] + jnp.broadcast_to(jnp.arange(steps), (*age.shape, steps))
        row = (self.cursor - self.filled + ages) % self.rows
        columns = jnp.broadcast_to(column[..., None], row.shape)
        place = self._at(row, columns)
        window = jax.tree.map(lambda x: x.at[place].get(mode="promise_in_bounds"), self.data)
        goes_on = (~window.done[..., :-1] & (ages[..., 1:] < self.filled)).astype(jnp.int32)
        within: Bool[Array, "*B steps"] = jnp.concatenate(
            [jnp.ones((*age.shape, 1), bool), jnp.cumprod(goes_on, axis=-1).astype(bool)], axis=-1
        )
        return window, within

    def at(self, age: Int[Array, " B"], column: Int[Array, " B"]) -> Transition:
        """The transitions at these places: (B,)."""
        window, _ = self.windows(age, column, 1)
        return jax.tree.map(lambda x: x[:, 0], window)

    def sample(self, key: PRNGKeyArray, n: int) -> Transition:
        """`n` transitions, uniformly and with replacement. What an empty ring gives is all zero."""
        return self.at(*self.places(key, (n,)))

    def sample_windows(self, key: PRNGKeyArray, n: int, steps: int) -> tuple[Transition, Bool[Array, "n steps"]]:
        """`n` windows of `steps` transitions, and which of these belong to the window's episode."""
        return self.windows(*self.places(key, (n,), steps), steps)
