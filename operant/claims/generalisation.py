"""Claims of the reusable holdout behind `Generalisation`: asked ten thousand times, it does not come to fit.

The attack of Dwork et al.: select variables whose correlations with the label agree in training and held-out data, take
the k largest, classify by the signs of their sum, and report the held-out accuracy.

Reference: Dwork et al. 2015, The reusable holdout, 10.1126/science.aaa9375; 1411.2664; 1506.02629.
"""

import dataclasses
import functools
import time
from typing import Any, Literal, NamedTuple

import numpy as np

from operant.audits.reuse import Thresholdout, by_size
from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures
from operant.claims._tests import Better, NotWorse, Published, Removes

N, CHOSEN, BIASED, BLOCK = 10_000, 500, 20, 1_000


class Reported(NamedTuple):
    """What an analyst says of the classifier, and what is so: accuracies."""

    held_out: float
    fresh: float


def _classified(x: np.ndarray, sign: np.ndarray, label: np.ndarray) -> float:
    return float(np.mean(np.sign(x @ sign) == label))


@functools.cache
def attacked(seed: int, signal: bool) -> dict[str, Reported]:
    """The attack on 10,000 rows of 10,000 variables, with a holdout asked as it is, and through the mechanism."""
    rng = np.random.default_rng([seed, 77])
    labels = [np.where(rng.random(N) < 0.5, -1.0, 1.0).astype(np.float32) for _ in range(3)]
    bias = 6.0 / np.sqrt(N)
    threshold, sigma = by_size(N)
    guard = Thresholdout.begin(N, threshold, sigma, rng)
    kept: dict[str, list[tuple[float, bool, np.ndarray, np.ndarray]]] = {"naive": [], "guarded": []}
    line = 1.0 / np.sqrt(N)
    for first in range(0, N, BLOCK):
        train, held = (rng.standard_normal((N, BLOCK), np.float32) for _ in range(2))
        if signal and first == 0:
            train[:, :BIASED] += bias * labels[0][:, None]
            held[:, :BIASED] += bias * labels[1][:, None]
        ours, theirs = labels[0] @ train / N, labels[1] @ held / N
        for j in range(BLOCK):
            guard, told = guard.ask(float(ours[j]), float(theirs[j]), rng)
            for who, said in (("naive", float(theirs[j])), ("guarded", told.value)):
                agree = said is not None and ours[j] * said > 0 and min(abs(ours[j]), abs(said)) > line
                if agree:
                    biased = signal and first + j < BIASED
                    kept[who].append((float(ours[j]), biased, train[:, j].copy(), held[:, j].copy()))
    found = {}
    for who, rows in kept.items():
        rows = sorted(rows, key=lambda row: -abs(row[0]))[:CHOSEN]
        sign = np.sign(np.array([row[0] for row in rows], np.float32))
        train, held = (np.stack([row[i] for row in rows], axis=1) for i in (2, 3))
        fresh = rng.standard_normal((N, len(rows)), np.float32)  # nothing was chosen by it
        fresh += np.where([row[1] for row in rows], bias, 0.0).astype(np.float32) * labels[2][:, None]
        reported = _classified(held, sign, labels[1])
        if who == "guarded":
            guard, told = guard.ask(_classified(train, sign, labels[0]), reported, rng)
            reported = np.nan if told.value is None else told.value
        found[who] = Reported(reported, _classified(fresh, sign, labels[2]))
    return found


@dataclasses.dataclass(frozen=True)
class Attack(AbstractSample):
    """One figure of the attack, a seed."""

    holdout: Literal["naive", "guarded"]
    figure: Literal["held-out", "fresh", "error"]
    signal: bool = False

    def plain(self) -> dict[str, Any]:
        return {"holdout": self.holdout, "figure": self.figure, "signal": self.signal, "n": N, "chosen": CHOSEN}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        found = [attacked(seed, self.signal)[self.holdout] for seed in range(bench.seeds)]
        of = {"held-out": lambda r: r.held_out, "fresh": lambda r: r.fresh, "error": lambda r: r.held_out - r.fresh}
        return Figures(np.array([of[self.figure](r) for r in found]), time.perf_counter() - began)


_NOISE = (
    "10,000 training, held-out and fresh rows of 10,000 normal variables, labels drawn by coin; the 500 variables of "
    "largest training correlation among those that the held-out data confirms"
)
_SIGNAL = _NOISE + "; 20 variables lean towards the label by 6/√n"
_BASE: dict[str, Any] = {"steps": 0, "seeds": 6}

CLAIMS = (
    Claim(
        name="attack",
        tier="quick",
        statement="Reusing a held-out set as it is reports an accuracy above 63 % where there is nothing to learn.",
        source="10.1126/science.aaa9375, figure 1A (n = d = 10,000, k = 500)",
        baseline="none: a published figure",
        problem=_NOISE,
        figure="reported held-out accuracy of the classifier",
        test=Published(0.63, 0.004, "Dwork et al. 2015"),
        subject=Attack("naive", "held-out"),
        control=None,
        **_BASE,
    ),
    Claim(
        name="guarded",
        tier="quick",
        statement="Asked through Thresholdout, the held-out set reports what is so, up to its tolerance.",
        source="10.1126/science.aaa9375, figure 1B; 1506.02629, section 4",
        baseline="the same held-out set, asked as it is",
        problem=_NOISE,
        figure="reported less fresh accuracy of the classifier chosen",
        test=Removes(),
        subject=Attack("guarded", "error"),
        control=Attack("naive", "error"),
        **_BASE,
        note="Laplace noise of 1506.02629 where the experiments have Gaussian noise; a budget of "
        "10,000, as good as none.",
    ),
    Claim(
        name="signal",
        tier="full",
        statement="The guard does not hide what is there: the classifier it leads to is as good on fresh data.",
        source="10.1126/science.aaa9375, figure 2",
        baseline="the classifier that the held-out set leads to when asked as it is",
        problem=_SIGNAL,
        figure="fresh accuracy of the classifier chosen",
        test=NotWorse(),
        subject=Attack("guarded", "fresh", signal=True),
        control=Attack("naive", "fresh", signal=True),
        **_BASE,
    ),
    Claim(
        name="signal-error",
        tier="full",
        statement="Where there is something to learn, too, what it reports is nearer to what is so.",
        source="10.1126/science.aaa9375, figure 2",
        baseline="the classifier that the held-out set leads to when asked as it is",
        problem=_SIGNAL,
        figure="reported less fresh accuracy of the classifier chosen (smaller is better)",
        test=Better(higher=False),
        subject=Attack("guarded", "error", signal=True),
        control=Attack("naive", "error", signal=True),
        **_BASE,
    ),
)
