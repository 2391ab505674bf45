"""Claims of cost-based goal recognition: it tells goals from part of a walk, on any map there is.

Reference: Maynard, Duhamel and Kabanza 2019, 1911.10074; Ramírez and Geffner 2010, AAAI.
"""

import dataclasses
import functools
import time
from typing import Any, Literal

import jax
import numpy as np

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better
from operant.recognition import AbstractRecogniser, Learned, Traces
from operant.recognition.cost_based import CostBased
from operant.recognition.suite import Problems, accuracy, observed, random_maps, random_problems

SHARES = (0.1, 0.3, 0.5, 0.7, 1.0)
SIDE, KNOWN, LONGEST, ASKED = 8, 5000, 20, 150
_WALKER = {"candidates": 5, "noise": 0.1}
Seen = Literal["first", "any"]


class Nearest(AbstractRecogniser):
    """The candidate nearest to where the walker was last seen, in rows and columns: the baseline without any costs."""

    def rank(self, traces: Traces, candidates: np.ndarray) -> np.ndarray:
        T = traces.mask.shape[1]
        last = np.where(traces.mask, np.arange(T)[None], -1).max(1)
        at = traces.cells[np.arange(len(last)), last]
        far = np.abs(candidates - at[:, None]).sum(-1)
        weight = np.exp(-(far - far.min(1, keepdims=True)).astype(float))
        return weight / weight.sum(1, keepdims=True)


@functools.cache
def problems(seed: int, maps: int, unseen: bool) -> Problems:
    """What is asked: 150 walks on the maps of training, or on as many others."""
    rng = np.random.default_rng([seed, 41])
    drawn = random_maps(rng, 2 * maps, side=SIDE)
    return random_problems(rng, drawn[maps:] if unseen else drawn[:maps], ASKED, **_WALKER)  # type: ignore[arg-type]


@functools.cache
def training(seed: int, maps: int, which: Seen) -> tuple[Traces, np.ndarray]:
    """5,000 walks on the first maps with their goals, each seen in five parts: 10, 30, 50, 70 and 100 %.

    Walks are padded to one length for all seeds, so that they share what is compiled; the few longer ones are left out.
    """
    drawn = random_maps(np.random.default_rng([seed, 41]), 2 * maps, side=SIDE)[:maps]
    rng = np.random.default_rng([seed, 42])
    shown = random_problems(rng, drawn, KNOWN, **_WALKER)  # type: ignore[arg-type]
    room = max(0, LONGEST - shown.traces.mask.shape[1])
    wide = lambda x: np.pad(x, [(0, 0), (0, room)] + [(0, 0)] * (x.ndim - 2))[:, :LONGEST]
    mask = np.concatenate([wide(observed(shown.traces, s, which=which, rng=rng).mask) for s in SHARES])
    short = np.tile(shown.traces.mask.sum(1) <= LONGEST, len(SHARES)) & mask.any(1)
    mask[~short] = mask[short.argmax()]
    again = lambda x: np.tile(x, (len(SHARES),) + (1,) * (x.ndim - 1))
    kept = np.where(short, np.tile(np.arange(KNOWN), len(SHARES)), short.argmax() % KNOWN)
    walls, start, cells, actions, _ = shown.traces
    traces = Traces(walls[kept], start[kept], wide(cells)[kept], wide(actions)[kept], mask)
    return traces, again(shown.goals)[np.where(short, np.arange(len(short)), short.argmax())]


@functools.cache
def taught(learner: Learned, seed: int, maps: int, which: Seen) -> Learned:
    """The recogniser, having learned from the walks of this seed."""
    traces, goals = training(seed, maps, which)
    reader = learner.init(traces.walls.shape[1:], key=jax.random.fold_in(jax.random.key(43), seed))
    seen = (traces.cells, traces.actions, traces.mask)
    reader = _learn(learner)(reader, seen, goals, jax.random.fold_in(jax.random.key(44), seed))
    return dataclasses.replace(learner, reader=reader)


@functools.cache
def _learn(learner: Learned) -> Any:
    return jax.jit(learner.learn)


@dataclasses.dataclass(frozen=True)
class Ranked(AbstractSample):
    """How often the goal ranks first; maps and walks are drawn anew for each seed."""

    recogniser: AbstractRecogniser
    shares: tuple[float, ...] = SHARES
    """How much of a walk is seen; the figure is the mean over these."""
    which: Seen = "first"
    maps: int = 10
    """Maps of a seed."""
    unseen: bool = False
    """Whether on maps nobody learned from."""

    def plain(self) -> dict[str, Any]:
        return {
            "recogniser": plain_fields(self.recogniser), "shares": list(self.shares), "which": self.which,
            "maps": self.maps, "unseen": self.unseen,
        }  # fmt: skip

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        return Figures(np.array([self._one(i) for i in range(bench.seeds)]), time.perf_counter() - began)

    def _one(self, seed: int) -> float:
        ours, asked = self.recogniser, problems(seed, self.maps, self.unseen)
        if isinstance(ours, Learned):
            ours = taught(ours, seed, self.maps, self.which)
        rng = np.random.default_rng([seed, 45])
        right = [
            accuracy(ours.rank(observed(asked.traces, s, which=self.which, rng=rng), asked.candidates), asked.goal)
            for s in self.shares
        ]
        return float(np.mean(right))


PROBLEM = (
    "{} of 8 × 8 cells, a fifth of them walls; walks that stray one step in ten, 5 candidates each; 150 walks "
    "asked about"
)
FIGURE = "how often the goal ranks first, mean over {} of a walk seen"
_BASE: dict[str, Any] = {
    "tier": "quick",
    "problem": PROBLEM.format("ten random maps"),
    "steps": 0,
    "seeds": 6,
    "test": Better(),
}

CLAIMS = (
    Claim(
        name="prefixes",
        statement="Cost differences tell the goal from the first part of a walk better than nearness does.",
        source="Ramírez and Geffner 2010; 1911.10074, section on inverse planning",
        baseline="the candidate nearest to the cell last seen",
        figure=FIGURE.format("the first 10, 30, 50, 70 and 100 %"),
        subject=Ranked(CostBased(), unseen=True),
        control=Ranked(Nearest(), unseen=True),
        **_BASE,
    ),
    Claim(
        name="more-seen",
        statement="The more is seen, the better the goal is told.",
        source="Ramírez and Geffner 2010, table 1 (10 to 100 % of the observations)",
        baseline="the same recogniser, which sees the first 10 %",
        figure=FIGURE.format("the first 50 % (baseline: 10 %)"),
        subject=Ranked(CostBased(), (0.5,), unseen=True),
        control=Ranked(CostBased(), (0.1,), unseen=True),
        **_BASE,
    ),
    Claim(
        name="scattered",
        statement="It tells the goal where any part of the actions was seen, in order.",
        source="Ramírez and Geffner 2010, section on experiments",
        baseline="the candidate nearest to the cell last seen",
        figure=FIGURE.format("any 10, 30, 50 and 70 %"),
        subject=Ranked(CostBased(), SHARES[:4], "any", unseen=True),
        control=Ranked(Nearest(), SHARES[:4], "any", unseen=True),
        **_BASE,
    ),
)
