"""How claims are judged: what two samples, one figure a seed, must show. Chosen before the run, written beside it.

The summary is the interquartile mean (IQM) over seeds, with a percentile bootstrap interval; never one run. Labels are
permuted under the mean: the IQM leaves out the extremes, so that splits tie and few seeds could show nothing.

Reference: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2108.13264.

>>> better = Better(level=0.05)
>>> better(np.array([4.0, 5.0, 6.0, 7.0]), np.array([0.0, 1.0, 2.0, 3.0]), np.random.default_rng(0)).holds
True
>>> better.words
'one-sided permutation test of the mean over seeds, p ≤ 0.05'
"""

import abc
import dataclasses
import math
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from operant.errors import SpecError
from operant.math.stats import bootstrap_interval, interquartile_mean, permutation_test

RESAMPLES = 5000


class Judged(NamedTuple):
    """What a test found: an estimate with its interval, a p-value where there is one, and whether the claim holds."""

    value: float
    low: float
    high: float
    p: float | None
    holds: bool


def iqm_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IQM(a) − IQM(b) over the last axis."""
    return interquartile_mean(a, axis=-1) - interquartile_mean(b, axis=-1)


def difference_interval(
    a: np.ndarray, b: np.ndarray, level: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """IQM(a) − IQM(b) with its percentile bootstrap interval: both samples are resampled, each on its own."""
    draw = lambda x: x[rng.integers(len(x), size=(RESAMPLES, len(x)))]
    low, high = np.quantile(iqm_difference(draw(a), draw(b)), [0.5 * (1 - level), 0.5 * (1 + level)])
    return float(iqm_difference(a, b)), float(low), float(high)


@dataclasses.dataclass(frozen=True)
class AbstractTest(abc.ABC):
    """`test(subject (S,), control (S',), rng) -> Judged`."""

    of: ClassVar[Literal["difference", "share", "subject"]]
    """What the interval is of: IQM(subject) − IQM(control), or IQM(subject)."""

    @property
    @abc.abstractmethod
    def words(self) -> str: ...

    @abc.abstractmethod
    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged: ...


@dataclasses.dataclass(frozen=True)
class Better(AbstractTest):
    """The subject is better than the control: a one-sided permutation test over seeds.

    Raises:
        SpecError: so few seeds that no outcome could reach the level.
    """

    level: float = 0.05
    """Largest p-value."""
    higher: bool = True
    """Whether larger figures are better."""

    of: ClassVar = "difference"

    @property
    def words(self) -> str:
        tail = "" if self.higher else "; smaller is better"
        return f"one-sided permutation test of the mean over seeds, p ≤ {self.level:g}{tail}"

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        least = 1 / math.comb(len(subject) + len(control), len(subject))
        if least > self.level:
            raise SpecError(
                f"expected seeds enough for p ≤ {self.level:g}; {len(subject)} against {len(control)} cannot give "
                f"less than {least:.2g}. Use more seeds."
            )
        side = "greater" if self.higher else "less"
        p = permutation_test(subject, control, alternative=side, rng=rng)
        return Judged(*difference_interval(subject, control, 1 - self.level, rng), p, p <= self.level)


@dataclasses.dataclass(frozen=True)
class Removes(AbstractTest):
    """The control has a bias above zero, and the subject's is smaller: there is something to remove, and it goes.

    Raises: as `Better`.
    """

    level: float = 0.05
    """Largest p-value of the difference; 1 − level: probability that the control's interval covers."""

    of: ClassVar = "difference"

    @property
    def words(self) -> str:
        smaller = Better(self.level, higher=False).words
        return f"{1 - self.level:.0%} bootstrap interval of the control's IQM lies above 0, and {smaller}"

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        found = bootstrap_interval(control, level=1 - self.level, n=RESAMPLES, rng=rng)
        judged = Better(self.level, higher=False)(subject, control, rng)
        return judged._replace(holds=judged.holds and found.low > 0.0)


@dataclasses.dataclass(frozen=True)
class NotWorse(AbstractTest):
    """The subject is not worse than the control beyond the interval of their difference."""

    level: float = 0.95
    """Probability the interval covers."""

    of: ClassVar = "difference"

    @property
    def words(self) -> str:
        return f"{self.level:.0%} bootstrap interval of the difference of IQMs over seeds reaches 0 or lies above it"

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        value, low, high = difference_interval(subject, control, self.level, rng)
        return Judged(value, low, high, None, high >= 0.0)


@dataclasses.dataclass(frozen=True)
class Recovers(AbstractTest):
    """The subject gets most of what the control gets over a floor: (subject − floor)/(control − floor) ≥ share."""

    floor: float
    """Figure of doing nothing in particular: a random policy's return."""
    share: float = 0.95
    """How much of it."""
    level: float = 0.95
    """Probability the interval covers."""

    of: ClassVar = "share"

    @property
    def words(self) -> str:
        return (
            f"{self.level:.0%} bootstrap interval of (IQM of the subject − {self.floor:g})/(IQM of the control − "
            f"{self.floor:g}) over seeds lies at or above {self.share:g}"
        )

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        drawn = lambda x: interquartile_mean(x[rng.integers(len(x), size=(RESAMPLES, len(x)))], axis=1) - self.floor
        value = (interquartile_mean(subject) - self.floor) / (interquartile_mean(control) - self.floor)
        tail = 100 * (1 - self.level) / 2
        low, high = np.percentile(drawn(subject) / drawn(control), [tail, 100 - tail])
        return Judged(float(value), float(low), float(high), None, bool(low >= self.share))


@dataclasses.dataclass(frozen=True)
class Above(AbstractTest):
    """The subject is at or above a number: the low end of its bootstrap interval is."""

    threshold: float
    """The number (units of the figure)."""
    level: float = 0.95
    """Probability the interval covers."""

    of: ClassVar = "subject"

    @property
    def words(self) -> str:
        return f"low end of the {self.level:.0%} bootstrap interval of the IQM over seeds ≥ {self.threshold:g}"

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        found = bootstrap_interval(subject, level=self.level, n=RESAMPLES, rng=rng)
        return Judged(*found, None, found.low >= self.threshold)


@dataclasses.dataclass(frozen=True)
class Published(AbstractTest):
    """The subject is within or above a published interval, mean ± spread."""

    mean: float
    """The published mean over seeds."""
    spread: float
    """The published ±."""
    who: str
    """Who published it."""

    of: ClassVar = "subject"

    @property
    def words(self) -> str:
        return f"IQM over seeds within or above {self.mean:g} ± {self.spread:g} ({self.who})"

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        found = bootstrap_interval(subject, n=RESAMPLES, rng=rng)
        return Judged(*found, None, found.value >= self.mean - self.spread)


@dataclasses.dataclass(frozen=True)
class Equal(AbstractTest):
    """The figures are those of the control, exactly: for what is computed, not sampled."""

    of: ClassVar = "difference"

    @property
    def words(self) -> str:
        return "equal, every one (exact computation)"

    def __call__(self, subject: np.ndarray, control: np.ndarray, rng: np.random.Generator) -> Judged:
        gaps = subject - control
        same = bool((gaps == 0.0).all())
        return Judged(float(gaps.mean()), float(gaps.min()), float(gaps.max()), None, same)
