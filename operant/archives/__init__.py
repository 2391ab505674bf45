"""Archives: what quality-diversity keeps, the best solution found for each kind of behaviour.

The space of descriptors (what a solution does, in D numbers) is cut into C cells, and each cell keeps its best:

    cell c ← argmax of fitness over all solutions whose descriptor lies in c

An archive is a description (its fields are its configuration); what it holds is an `Elites`, a pytree of arrays. A
final class says only how many cells there are and in which one a descriptor lies.

Reference: Mouret and Clune 2015, Illuminating Search Spaces by Mapping Elites, 1504.04909; what a batch reports of each
solution (status, gain): Fontaine et al. 2020, Covariance Matrix Adaptation for the Rapid Illumination of Behavior
Space, 1912.02400.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from operant.core import Metrics
from operant.math.pick import pick


class Elites(eqx.Module):
    """The best solution of each of C cells; a cell is empty where its fitness is −inf."""

    solutions: PyTree[Array]
    """Every leaf (C, …); zeros where empty."""
    fitness: Float[Array, " C"]
    """Fitness units; −inf where empty."""
    descriptor: Float[Array, "C D"]
    """Descriptor units; zeros where empty."""

    @property
    def occupied(self) -> Bool[Array, " C"]:
        return self.fitness > -jnp.inf

    def sample(self, key: PRNGKeyArray, n: int) -> PyTree[Array]:
        """`n` solutions (n, …), uniformly over occupied cells and with replacement; cell 0's zeros if none is."""
        index = pick(key, self.occupied, n)
        return jax.tree.map(lambda x: x[index], self.solutions)

    def best(self) -> PyTree[Array]:
        """The solution of the highest fitness."""
        return jax.tree.map(lambda x: x[jnp.argmax(self.fitness)], self.solutions)


class Added(eqx.Module):
    """What became of each of B solutions offered to an archive."""

    status: Int[Array, " B"]
    """0: not better than its cell's, or not finite; 1: improves its cell; 2: finds a cell that was empty.
    Judged against the archive before the batch: of several in one cell, only the best is kept."""
    gain: Float[Array, " B"]
    """Fitness minus that of the cell before (negative for a worse one); fitness itself where the cell was empty; 0 for
    numbers that are not finite."""


class AbstractArchive(eqx.Module):
    """Which cell a descriptor lies in; keeping the best of each is written here once."""

    worst: eqx.AbstractVar[float]

    @property
    @abc.abstractmethod
    def cells(self) -> int:
        """C."""

    @property
    @abc.abstractmethod
    def dims(self) -> int:
        """D: numbers in a descriptor."""

    @abc.abstractmethod
    def cell(self, descriptor: Float[Array, " D"]) -> Int[Array, ""]:
        """The cell, 0 … C − 1, of a finite descriptor."""

    def init(self, solution: PyTree[Any]) -> Elites:
        """Empty, for solutions shaped like this one (arrays or their shapes)."""
        room = jax.tree.map(lambda x: jax.device_put(np.zeros((self.cells, *x.shape), x.dtype)), solution)
        fitness = jax.device_put(np.full(self.cells, -np.inf, np.float32))
        return Elites(room, fitness, jax.device_put(np.zeros((self.cells, self.dims), np.float32)))

    def insert(
        self,
        elites: Elites,
        solutions: PyTree[Array],
        fitness: Float[Array, " B"],
        descriptor: Float[Array, "B D"],
    ) -> tuple[Elites, Added]:
        """Offer B solutions: each cell keeps the best of its own and those offered; ties go to what was there, then to
        the first offered. Solutions whose fitness or descriptor is not finite are refused."""
        b = fitness.shape[0]
        sound = jnp.isfinite(fitness) & jnp.isfinite(descriptor).all(-1)
        cell = jax.vmap(self.cell)(jnp.where(sound[:, None], descriptor, 0.0))
        cell = jnp.where(sound, cell, self.cells)  # beyond the last cell: dropped by every scatter below
        fitness = jnp.where(sound, fitness, -jnp.inf)
        before = elites.fitness.at[cell].get(mode="fill", fill_value=jnp.inf)
        better = fitness > before
        best = jnp.full(self.cells, -jnp.inf).at[cell].max(fitness, mode="drop")
        leads = better & (fitness == best.at[cell].get(mode="fill", fill_value=jnp.inf))
        order = jnp.arange(b, dtype=jnp.int32)
        first = jnp.full(self.cells, b, jnp.int32).at[cell].min(jnp.where(leads, order, b), mode="drop")
        wins = leads & (first.at[cell].get(mode="fill", fill_value=-1) == order)
        at = jnp.where(wins, cell, self.cells)
        write = lambda old, new: old.at[at].set(new.astype(old.dtype), mode="drop")
        kept = Elites(
            jax.tree.map(write, elites.solutions, solutions),
            write(elites.fitness, fitness),
            write(elites.descriptor, descriptor),
        )
        new = sound & (before == -jnp.inf)
        gain = jnp.where(sound, fitness - jnp.where(new | ~sound, 0.0, before), 0.0)
        return kept, Added(jnp.where(better, jnp.where(new, 2, 1), 0).astype(jnp.int32), gain)

    def metrics(self, elites: Elites) -> Metrics:
        """Coverage (share of cells occupied), QD score (Σ fitness − `worst` over occupied cells), best fitness."""
        score = jnp.where(elites.occupied, elites.fitness - self.worst, 0.0).sum()
        return {
            "archive/coverage": elites.occupied.mean(),
            "archive/qd_score": score,
            "archive/best": elites.fitness.max(),
        }


from operant.archives.grid import Grid  # noqa: E402  (it derives from what stands above)

__all__ = ["AbstractArchive", "Added", "Elites", "Grid"]
