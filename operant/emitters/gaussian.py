"""Variation of elites by Gaussian noise: MAP-Elites' emitter, with or without the line between two elites.

With x_i, x_j drawn uniformly from the archive,

    x' = clip(x_i + σ_iso N(0, I) + σ_line (x_j − x_i) N(0, 1), low, high)

Before `initial` solutions were asked for: x' = clip(start + σ_start N(0, I), low, high).

Reference: Mouret and Clune 2015, Illuminating Search Spaces by Mapping Elites, 1504.04909 (σ_line = 0); Vassiliades and
Mouret 2018, Discovering the Elite Hypervolume by Leveraging Interspecies Correlation, 1804.03906 (the line; its σ).
Deviations from the paper: the first solutions are normal around `start`, not uniform in a cube, so that networks can
start from a good initialisation; batches instead of one solution at a time.

>>> from operant.archives import Grid
>>> emitter = Gaussian(jnp.zeros(3), batch=4)
>>> solutions, state = emitter.ask(emitter.init(key=jax.random.key(0)), Grid((2,), (0.0,), (1.0,)).init(jnp.zeros(3)),
...                                key=jax.random.key(1))
>>> solutions.shape, int(state)
((4, 3), 4)
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from operant.archives import Added, Elites
from operant.core import Card
from operant.emitters import AbstractEmitter
from operant.errors import SpecError


class Gaussian(AbstractEmitter):
    """Isotropic and directional Gaussian variation (see the module's docstring)."""

    start: PyTree[Array]
    """A solution around which the first ones are drawn: any pytree of float arrays."""
    start_scale: float = 1.0
    """σ_start: standard deviation of the first solutions around it (solution units)."""
    iso: float = 0.01
    """σ_iso: standard deviation of the noise on every number (solution units)."""
    line: float = 0.2
    """σ_line: standard deviation of the step along the line to another elite (shares of its length)."""
    batch: int = 256
    """B: solutions asked for at a time."""
    initial: int = 256
    """Solutions drawn around `start` before variation begins; rounded up to whole batches."""
    low: float = -math.inf
    """Least value of every number of a solution."""
    high: float = math.inf
    """Largest value of every number of a solution."""

    card: ClassVar[Card] = Card(
        "Vassiliades and Mouret 2018, Discovering the Elite Hypervolume by Leveraging Interspecies Correlation",
        "1804.03906",
        "quality-diversity",
    )

    def __check_init__(self) -> None:
        for name in ("batch", "initial"):
            if getattr(self, name) < 1:
                raise SpecError(f"expected Gaussian.{name} ≥ 1; got {getattr(self, name)}. Raise it.")
        if self.low >= self.high:
            raise SpecError(f"expected Gaussian.low < high; got {self.low} and {self.high}. Swap or widen them.")
        leaves = jax.tree.leaves(self.start)
        kinds = {getattr(getattr(x, "dtype", None), "kind", type(x).__name__) for x in leaves}
        if not leaves or kinds != {"f"}:
            raise SpecError(
                f"expected Gaussian.start to be a pytree of float arrays; got leaves of {sorted(kinds)}. Keep the "
                "arrays of a network with eqx.filter(network, eqx.is_inexact_array)."
            )

    def init(self, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """How many solutions were asked for so far."""
        return jnp.zeros((), jnp.int32)

    def ask(self, state: Int[Array, ""], elites: Elites, *, key: PRNGKeyArray) -> tuple[PyTree[Array], Array]:
        noise_key, line_key, first, second = jax.random.split(key, 4)
        one, other = elites.sample(first, self.batch), elites.sample(second, self.batch)
        step = self.line * jax.random.normal(line_key, (self.batch,))
        leaves, structure = jax.tree_util.tree_flatten(self.start)
        keys = jax.tree_util.tree_unflatten(structure, list(jax.random.split(noise_key, len(leaves))))
        begin = (state < self.initial) | ~elites.occupied.any()

        def vary(start: Array, x: Array, y: Array, k: PRNGKeyArray) -> Array:
            noise = jax.random.normal(k, x.shape, x.dtype)
            along = step.reshape(-1, *(1,) * start.ndim).astype(x.dtype)
            varied = x + self.iso * noise + along * (y - x)
            return jnp.clip(jnp.where(begin, start[None] + self.start_scale * noise, varied), self.low, self.high)

        return jax.tree.map(vary, self.start, one, other, keys), state + self.batch

    def tell(
        self, state: Array, solutions: Any, fitness: Float[Array, " B"], descriptor: Float[Array, "B D"], added: Added
    ) -> Array:
        return state

    def example(self) -> PyTree[Array]:
        return self.start
