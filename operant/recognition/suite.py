"""Problems of goal recognition on random grids, the same for every recogniser: maps, walks, candidates, what is seen.

    walk: with probability 1 − p a step that brings the goal nearer, uniformly among those there are; else any free one

>>> maps = random_maps(np.random.default_rng(0), 3, side=6)
>>> problems = random_problems(np.random.default_rng(1), maps, 20, candidates=4)
>>> half = observed(problems.traces, 0.5)
>>> problems.candidates.shape, bool((half.mask.sum(1) < problems.traces.mask.sum(1)).all())
((20, 4, 2), True)
"""

import functools
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from operant.errors import SpecError
from operant.recognition import STEPS, Traces
from operant.recognition.cost_based import costs

NONE = np.zeros((0, 2), int), np.zeros(0, int)


class Problems(NamedTuple):
    """n walks, seen whole, and what each might be for."""

    traces: Traces
    candidates: Int[np.ndarray, "n k 2"]
    goal: Int[np.ndarray, " n"]
    """Which candidate it was for."""

    @property
    def goals(self) -> Int[np.ndarray, "n 2"]:
        """Its cell."""
        return self.candidates[np.arange(len(self.goal)), self.goal]


def random_maps(rng: np.random.Generator, n: int, *, side: int = 8, walls: float = 0.2) -> Bool[np.ndarray, "n H W"]:
    """`n` maps of side × side cells, each a wall with probability `walls`; at least half of a map hangs together."""
    if side < 2 or not 0.0 <= walls <= 0.5:
        raise SpecError(f"expected side ≥ 2 and walls in [0, 0.5]; got {side} and {walls:g}. Use 8 and 0.2.")
    found: list[np.ndarray] = []
    while len(found) < n:
        walled = rng.random((side, side)) < walls
        if len(_component(walled)) >= side * side / 2:
            found.append(walled)
    return np.stack(found)


def random_problems(
    rng: np.random.Generator,
    maps: Bool[np.ndarray, "m H W"],
    n: int,
    *,
    candidates: int = 5,
    noise: float = 0.1,
    near: int = 3,
) -> Problems:
    """`n` walks on maps drawn from these. Start and candidates are drawn from the largest connected part of a map, no
    candidate within `near` steps of the start, and one of them is the goal.

    Args:
        noise: p, the probability of a step that has nothing to do with the goal.

    Raises:
        SpecError: a map where no start has so many candidates so far away.
    """
    which = rng.integers(len(maps), size=n)
    parts = [_component(m) for m in maps]
    away = functools.cache(lambda m, row, column: costs(maps[m], np.array([row, column]), *NONE)[0])
    longest = 4 * maps.shape[1]
    start, goals, walks = np.zeros((n, 2), int), np.zeros((n, candidates, 2), int), []
    right = rng.integers(candidates, size=n)
    for i, m in enumerate(which):
        while True:
            start[i] = rng.choice(parts[m])
            steps = away(m, *start[i])
            far = np.argwhere(np.isfinite(steps) & (steps > near))
            if len(far) >= candidates:
                break
            most = max(int((np.isfinite(x) & (x > near)).sum()) for x in (away(m, *cell) for cell in parts[m]))
            if most < candidates:
                raise SpecError(
                    f"expected maps with {candidates} candidates more than {near} steps from some start; map {m} has "
                    f"{most} at most. Ask for fewer candidates, a smaller near, or larger maps."
                )
        goals[i] = rng.choice(far, candidates, replace=False)
        walks.append(_walk(rng, away(m, *goals[i, right[i]]), start[i], goals[i, right[i]], noise, longest))
    T = max(len(actions) for _, actions in walks)
    cells, actions, mask = np.zeros((n, T, 2), int), np.zeros((n, T), int), np.zeros((n, T), bool)
    for i, (at, did) in enumerate(walks):
        cells[i, : len(did)], actions[i, : len(did)], mask[i, : len(did)] = at, did, True
    return Problems(Traces(maps[which], start, cells, actions, mask), goals, right)


def observed(
    traces: Traces,
    share: float,
    *,
    which: Literal["first", "any"] = "first",
    rng: np.random.Generator | None = None,
) -> Traces:
    """The same walks, of which ⌈share · length⌉ actions are seen: the first of them, or any, drawn with `rng`.

    Raises:
        SpecError: a share outside (0, 1], or "any" without `rng`.
    """
    if not 0.0 < share <= 1.0 or (which == "any" and rng is None):
        raise SpecError(f'expected 0 < share ≤ 1, and rng with which="any"; got {share:g} and {which!r}.')
    order = np.where(traces.mask, 0.0, 2.0) + (
        np.arange(traces.mask.shape[1])[None] / traces.mask.shape[1]
        if rng is None or which == "first"
        else rng.random(traces.mask.shape)
    )
    place = order.argsort(1).argsort(1)
    seen = np.ceil(share * traces.mask.sum(1) - 1e-9)
    return traces._replace(mask=traces.mask & (place < seen[:, None]))


def accuracy(posterior: Float[np.ndarray, "n k"], goal: Int[np.ndarray, " n"]) -> float:
    """How often the goal ranks first; where several do, one in so many.

    >>> accuracy(np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([0, 1]))
    0.75
    """
    first = posterior >= posterior.max(1, keepdims=True) - 1e-9
    return float((first[np.arange(len(goal)), goal] / first.sum(1)).mean())


def _component(walls: np.ndarray) -> np.ndarray:
    """The cells (c, 2) of the largest connected part."""
    best, left = np.zeros((0, 2), int), ~walls
    while left.any():
        cell = np.argwhere(left)[0]
        part = np.isfinite(costs(walls, cell, *NONE)[0])
        left = left & ~part
        if part.sum() > len(best):
            best = np.argwhere(part)
    return best


def _walk(
    rng: np.random.Generator, away: np.ndarray, start: np.ndarray, goal: np.ndarray, noise: float, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cells and actions until the goal is reached, or `longest` steps are taken; `away` (H, W): steps from the goal."""
    away = np.pad(away, 1, constant_values=np.inf)
    cells, actions, at = [], [], start
    while tuple(at) != tuple(goal) and len(actions) < longest:
        ahead = away[tuple((at + STEPS + 1).T)]
        fits = ahead == ahead.min() if rng.random() >= noise else np.isfinite(ahead)
        action = int(rng.choice(np.flatnonzero(fits)))
        cells, actions = [*cells, at], [*actions, action]
        at = at + STEPS[action]
    return np.stack(cells), np.array(actions)
