"""A grid over descriptor space: every dimension cut into equal cells, as MAP-Elites has it.

    c_d = clip(⌊n_d (x_d − low_d)/(high_d − low_d)⌋, 0, n_d − 1);   cell = c in row-major order

Reference: Mouret and Clune 2015, Illuminating Search Spaces by Mapping Elites, 1504.04909; the QD score: Pugh, Soros
and Stanley 2016, Quality Diversity: A New Frontier for Evolutionary Computation, 10.3389/frobt.2016.00040.
Deviations from the paper: a descriptor outside the bounds lies in the nearest cell.

>>> grid = Grid((4, 2), low=(-1.0, 0.0), high=(1.0, 1.0))
>>> grid.cells, int(grid.cell(jnp.array([0.1, 0.9]))), int(grid.cell(jnp.array([9.0, -9.0])))
(8, 5, 6)
"""

import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from operant.archives import AbstractArchive
from operant.core import Card
from operant.errors import SpecError


class Grid(AbstractArchive):
    """Equal cells between bounds (see the module's docstring)."""

    shape: tuple[int, ...]
    """Cells along each of the D dimensions of the descriptor."""
    low: tuple[float, ...]
    """Least value of each dimension (descriptor units)."""
    high: tuple[float, ...]
    """Largest value of each dimension (descriptor units)."""
    worst: float = 0.0
    """Fitness that adds nothing to the QD score (fitness units)."""

    card: ClassVar[Card] = Card(
        "Mouret and Clune 2015, Illuminating Search Spaces by Mapping Elites", "1504.04909", "quality-diversity"
    )

    def __check_init__(self) -> None:
        d = len(self.shape)
        if d == 0 or any(n < 1 for n in self.shape):
            raise SpecError(f"expected Grid.shape to hold cells ≥ 1, one number a dimension; got {self.shape}.")
        if len(self.low) != d or len(self.high) != d:
            raise SpecError(
                f"expected Grid.low and Grid.high to have {d} numbers, as shape = {self.shape} has; got "
                f"{len(self.low)} and {len(self.high)}. Give one bound a dimension."
            )
        for i, (a, b) in enumerate(zip(self.low, self.high, strict=True)):
            if not (math.isfinite(a) and math.isfinite(b) and a < b):
                raise SpecError(
                    f"expected finite low < high in dimension {i} of Grid; got {a} and {b}. Mend the bounds."
                )

    @property
    def cells(self) -> int:
        return math.prod(self.shape)

    @property
    def dims(self) -> int:
        return len(self.shape)

    def cell(self, descriptor: Float[Array, " D"]) -> Int[Array, ""]:
        low, high = np.asarray(self.low, np.float32), np.asarray(self.high, np.float32)
        counts = np.asarray(self.shape, np.float32)
        index = jnp.clip(jnp.floor(counts * ((descriptor - low) / (high - low))), 0, counts - 1).astype(jnp.int32)
        strides = np.append(np.cumprod(self.shape[:0:-1])[::-1], 1).astype(np.int32)
        return (index * strides).sum()
