"""Cost-based goal recognition: a goal is likely if doing what was seen costs little more than not doing it.

    P(G | O) ∝ P(O | G) P(G),   P(O | G) = 1/(1 + exp(β Δ)),   Δ = c(G, O) − c(G, Ō)
    or, against the best plan,  P(O | G) ∝ exp(−β Δ),           Δ = c(G, O) − c(G)

c(G, O) is the cost of the cheapest plan to G in which the observed actions occur in their order, c(G, Ō) of the
cheapest in which they do not, c(G) of the cheapest. All are exact: breadth-first search over (how much of O has
occurred, cell).

Reference: Ramírez and Geffner 2010, Probabilistic Plan Recognition Using Off-the-Shelf Classical Planners, AAAI (the
first form); Masters and Sardina 2017, Cost-Based Goal Recognition for Path-Planning, AAMAS (the second); both compared
with networks by Maynard, Duhamel and Kabanza 2019, Cost-Based Goal Recognition Meets Deep Learning, 1911.10074.
Deviations from the paper: no planner. Every move costs 1, and costs are those of the grid itself.

>>> walls = np.zeros((1, 3, 5), bool)
>>> traces = Traces(walls, np.array([[1, 2]]), np.array([[[1, 2]]]), np.array([[3]]), np.ones((1, 1), bool))
>>> CostBased().rank(traces, np.array([[[1, 0], [1, 4]]])).round(2).tolist()  # one step to the left
[[0.88, 0.12]]
"""

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from operant.core import Card
from operant.errors import DataError, SpecError
from operant.recognition import STEPS, AbstractRecogniser, Traces, checked


class CostBased(AbstractRecogniser):
    """Cost-based goal recognition (see the module's docstring)."""

    beta: float = 1.0
    """β ≥ 0: how rational the walker is taken to be (1 a step of cost)."""
    against: Literal["not", "best"] = "not"
    """What complying plans are compared with: plans that do not comply ("not"), or the best one ("best")."""

    card: ClassVar[Card] = Card(
        "Maynard, Duhamel and Kabanza 2019, Cost-Based Goal Recognition Meets Deep Learning",
        "1911.10074",
        "goal-recognition",
        ("model", "discrete"),
    )

    def __check_init__(self) -> None:
        if not self.beta >= 0.0 or self.against not in ("not", "best"):
            raise SpecError(
                'expected CostBased.beta ≥ 0 and against "not" or "best"; got '
                f'{self.beta:g} and {self.against!r}. Use 1.0 and "not".'
            )

    def rank(self, traces: Traces, candidates: Int[np.ndarray, "n k 2"]) -> Float[np.ndarray, "n k"]:
        traces, candidates = checked(traces, candidates)
        log_p = np.stack([self._one(traces, i, candidates[i]) for i in range(len(candidates))])
        lost = ~np.isfinite(log_p).any(1)
        if lost.any():
            raise DataError(
                f"expected a candidate that can be reached by way of what was seen; walk {int(lost.argmax())} has none "
                "(walls between). Add one, or mend the map."
            )
        weight = np.exp(log_p - log_p.max(1, keepdims=True))
        return weight / weight.sum(1, keepdims=True)

    def _one(self, traces: Traces, i: int, candidates: Int[np.ndarray, "k 2"]) -> Float[np.ndarray, " k"]:
        """log P(O | G) of one walk, up to a constant."""
        own = traces.mask[i]
        steps = costs(traces.walls[i], traces.start[i], traces.cells[i][own], traces.actions[i][own])
        here = steps[:, candidates[:, 0], candidates[:, 1]]
        comply, other = here[-1], here[:-1].min(0)
        possible = np.isfinite(comply)
        finite = np.where(possible, comply, 0.0)
        if self.against == "best":
            return np.where(possible, -self.beta * (finite - np.where(possible, here.min(0), 0.0)), -np.inf)
        # Where not to comply is impossible, Δ = −∞ and what was seen was certain.
        others = np.isfinite(other)
        gap = np.where(others, finite - np.where(others, other, 0.0), -np.inf)
        return np.where(possible, -np.logaddexp(0.0, self.beta * gap if self.beta else np.zeros_like(gap)), -np.inf)


def costs(
    walls: np.ndarray, start: np.ndarray, cells: Int[np.ndarray, "m 2"], actions: Int[np.ndarray, " m"]
) -> Float[np.ndarray, "m1 H W"]:
    """Steps from `start` to each cell, (m + 1, H, W): entry j by plans in which just the first j observed actions occur
    in order (as a plan goes on, it takes the next one in whenever it does it). Infinite where there is no such plan.

    >>> costs(np.zeros((1, 3), bool), np.array([0, 1]), np.array([[0, 1]]), np.array([1]))[:, 0].tolist()
    [[1.0, 0.0, inf], [3.0, 2.0, 1.0]]
    """
    m = len(actions)
    found = np.full((m + 1, *walls.shape), np.inf)
    front = np.zeros(found.shape, bool)
    front[(0, *start)] = True
    found[front] = 0.0
    after, row = cells + STEPS[actions], np.arange(m)
    cost = 0.0
    while front.any():
        cost += 1.0
        taken = front[row, cells[:, 0], cells[:, 1]]
        reached = np.zeros_like(front)
        for action in range(4):
            leaving = front.copy()
            same = actions == action
            leaving[row[same], cells[same, 0], cells[same, 1]] = False  # that step is the observed one
            reached |= _shifted(leaving, action)
        reached[row[taken] + 1, after[taken, 0], after[taken, 1]] = True
        front = reached & ~walls[None] & np.isinf(found)
        found[front] = cost
    return found


def _shifted(x: np.ndarray, action: int) -> np.ndarray:
    """Maps (m, H, W) moved by one action; what leaves the map is lost."""
    row, column = STEPS[action]
    out = np.zeros_like(x)
    to = lambda d: slice(max(d, 0), None if d >= 0 else d)
    out[:, to(row), to(column)] = x[:, to(-row), to(-column)]
    return out
