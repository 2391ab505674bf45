"""Stretches of behaviour to be judged: segments, pairs of them, and what was answered about pairs.

A segment is `length` consecutive steps; where its episode ended early, `mask` says which steps are its own. Answers
are kept in arrays of fixed capacity, so that nothing is compiled anew as they come in.

>>> from operant.core import Box, Discrete, EnvSpec
>>> comparisons = Comparisons.init(EnvSpec(Box((3,)), Discrete(2), 100), capacity=8, length=5)
>>> comparisons.pairs.left.steps.obs.shape, int(comparisons.count)
((8, 5, 3), 0)
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import EnvSpec, Transition
from operant.data.replay import Replay
from operant.errors import SpecError


class Segments(eqx.Module):
    """n segments of L steps."""

    steps: Transition
    """(n, L); `extras` is empty."""
    mask: Bool[Array, "*n L"]
    """Which steps belong: all, unless the episode ended."""

    def sum(self, values: Float[Array, "*n L"]) -> Float[Array, "*n"]:
        """Sum over each segment's own steps."""
        return jnp.where(self.mask, values, 0.0).sum(-1)


class Pairs(eqx.Module):
    """n pairs of segments, to be compared."""

    left: Segments
    right: Segments


class Answers(eqx.Module):
    """What was answered about n pairs."""

    pairs: Pairs
    """(n, L)."""
    id: Int[Array, " n"]
    """Number of each pair; a second answer with the same number takes the place of the first."""
    target: Float[Array, " n"]
    """Probability that the right one is better: 0, ½ or 1."""
    given: Bool[Array, " n"]
    """Which pairs were answered; the others are padding."""
    known: Bool[Array, " n"]
    """Which answers say something: not "cannot tell", not withdrawn."""


class Comparisons(eqx.Module):
    """Pairs and what was answered about them, in a ring."""

    pairs: Pairs
    """(C, L)."""
    id: Int[Array, " C"]
    """Number of each pair; −1: room."""
    target: Float[Array, " C"]
    """Probability that the right one is better: 0, ½ or 1."""
    known: Bool[Array, " C"]
    """Which rows hold an answer that says something."""
    count: Int[Array, ""]
    """Pairs taken in so far, overwritten ones among them."""

    @classmethod
    def init(cls, spec: EnvSpec, capacity: int, length: int) -> "Comparisons":
        """Room for `capacity` answers about segments of `length` steps; runs outside jit.

        Raises:
            SpecError: capacity or length < 1.
        """
        for name, value in (("capacity", capacity), ("length", length)):
            if value < 1:
                raise SpecError(f"expected {name} ≥ 1; got {value}. Raise it.")
        zeros = lambda zero: jax.tree.map(
            lambda x: jax.device_put(np.zeros((capacity, length, *np.shape(x)), np.asarray(x).dtype)), zero
        )

        def segments() -> Segments:
            number, flag = np.zeros((), np.float32), np.zeros((), bool)
            steps = Transition(
                zeros(spec.obs.zero()), zeros(spec.action.zero()), zeros(number), zeros(flag), zeros(flag),
                zeros(spec.obs.zero()), {},
            )  # fmt: skip
            return Segments(steps, zeros(flag))

        put = lambda shape, dtype: jax.device_put(np.zeros(shape, dtype))
        nobody = jax.device_put(np.full(capacity, -1, np.int32))
        both = Pairs(segments(), segments())
        return cls(both, nobody, put(capacity, np.float32), put(capacity, bool), put((), np.int32))

    @property
    def capacity(self) -> int:
        return self.target.shape[0]

    def insert(self, answers: Answers) -> "Comparisons":
        """With these answers: over those about the same pairs, else over the oldest."""
        same = (answers.id[:, None] == self.id[None]) & answers.given[:, None]
        again = same.any(axis=1)
        new = answers.given & ~again
        place = jnp.where(again, same.argmax(axis=1), (self.count + jnp.cumsum(new) - 1) % self.capacity)
        place = jnp.where(answers.given, place, self.capacity)  # out of bounds: dropped
        write = lambda ring, rows: ring.at[place].set(rows.astype(ring.dtype), mode="drop")
        return Comparisons(
            jax.tree.map(write, self.pairs, answers.pairs),
            write(self.id, answers.id),
            write(self.target, answers.target),
            write(self.known, answers.known),
            self.count + new.sum(dtype=jnp.int32),
        )


def draw(pool: Replay, key: PRNGKeyArray, n: int, length: int) -> Segments:
    """`n` segments from a pool of transitions, uniformly; last those that a time limit or the pool's end cut short.

    A segment that ends because the agent fell, or arrived, is as good as a whole one: without such, nobody could say
    that to fall is bad.
    """
    window, within = pool.windows(*pool.places(key, (4 * n,), length), length)
    fair = within.all(-1) | (window.terminated & within).any(-1)
    first = jnp.argsort(~fair, stable=True)[:n]
    take = lambda tree: jax.tree.map(lambda x: x[first], tree)
    return Segments(take(window), take(within))


def rows(tree: Any, index: Any) -> Any:
    """Some of the pairs, segments or comparisons, by index."""
    return jax.tree.map(lambda x: x[index], tree)
