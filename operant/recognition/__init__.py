"""What is someone up to? Recognising goals on grids: from part of what was done, which of some candidates it is for.

A recogniser ranks: `rank(traces, candidates) -> (n, k)`, the posterior of each candidate, whose rows sum to 1.
Everything is NumPy; cells are (row, column), actions 0 up, 1 right, 2 down, 3 left, as in `envs.toy.gridworld`.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from operant.envs.toy.gridworld import MOVES
from operant.errors import DataError

STEPS = np.array(MOVES)
"""(4, 2): what each action adds to (row, column)."""


class Traces(NamedTuple):
    """What was seen of n walks: some of the actions taken, in order, each with the cell it was taken in."""

    walls: Bool[np.ndarray, "n H W"]
    """The maps."""
    start: Int[np.ndarray, "n 2"]
    """Where each walk began."""
    cells: Int[np.ndarray, "n T 2"]
    actions: Int[np.ndarray, "n T"]
    mask: Bool[np.ndarray, "n T"]
    """What was observed; the rest is not read."""


class AbstractRecogniser(eqx.Module):
    """Which of the candidates a walk is for."""

    @abc.abstractmethod
    def rank(self, traces: Traces, candidates: Int[np.ndarray, "n k 2"]) -> Float[np.ndarray, "n k"]:
        """The posterior of each candidate; all are as likely before anything is seen.

        Raises:
            DataError: no candidates, or some off the map; a walk of which nothing was seen, or that leaves the map.
        """


def checked(traces: Traces, candidates: np.ndarray) -> tuple[Traces, np.ndarray]:
    """The same as arrays, or a DataError."""
    traces, candidates = Traces(*map(np.asarray, traces)), np.asarray(candidates)
    # Zeros and ones of whole numbers would be taken for indices.
    traces = traces._replace(walls=traces.walls.astype(bool), mask=traces.mask.astype(bool))
    n, height, width = traces.walls.shape
    T = traces.mask.shape[-1]
    shapes = [x.shape for x in traces[1:]]
    if shapes != [(n, 2), (n, T, 2), (n, T), (n, T)]:
        raise DataError(
            f"expected start (n, 2), cells (n, T, 2), actions and mask (n, T) with n = {n}; got {shapes}. Pad walks to "
            "one length and leave the padding out of the mask."
        )
    if candidates.ndim != 3 or candidates.shape[0] != n or candidates.shape[2] != 2 or candidates.shape[1] == 0:
        raise DataError(
            f"expected candidates (n, k, 2) = ({n}, k ≥ 1, 2); got {candidates.shape}. Give each walk at least one "
            "candidate (row, column)."
        )
    which = np.arange(n)
    free = lambda i, cell: _inside(cell, height, width) & ~traces.walls[
        i, np.clip(cell[..., 0], 0, height - 1), np.clip(cell[..., 1], 0, width - 1)
    ]  # fmt: skip
    for name, fits in (
        ("start", free(which, traces.start)),
        ("candidates", free(which[:, None], candidates).all(1)),
    ):
        if not fits.all():
            raise DataError(
                f"expected {name} on free cells of maps of {height} × {width}; walk {int(fits.argmin())} has one off "
                "the map or on a wall. Cells are (row, column), from 0."
            )
    if not traces.mask.any(1).all():
        raise DataError(
            f"expected at least one observed action a walk; walk {int((~traces.mask.any(1)).argmax())} has none. Leave "
            "it out: nothing seen, every candidate is as likely."
        )
    known = np.isin(traces.actions, range(4))
    after = traces.cells + STEPS[np.where(known, traces.actions, 0)]
    stays = known & free(which[:, None], traces.cells) & free(which[:, None], after)
    off = traces.mask & ~stays
    if off.any():
        i, t = (int(x) for x in np.argwhere(off)[0])
        raise DataError(
            f"expected actions 0 … 3 from free cells to free cells; walk {i} leaves the map at its action {t}: "
            f"{int(traces.actions[i, t])} in {tuple(traces.cells[i, t].tolist())}. Mend it, or its map."
        )
    return traces, candidates


def _inside(cell: np.ndarray, height: int, width: int) -> np.ndarray:
    return (cell >= 0).all(-1) & (cell[..., 0] < height) & (cell[..., 1] < width)


from operant.recognition.cost_based import CostBased  # noqa: E402
from operant.recognition.learned import Learned  # noqa: E402

__all__ = ["AbstractRecogniser", "CostBased", "Learned", "Traces", "checked"]
