"""What return is reached, how sure that is over seeds, and which seed is worst.

    IQM = mean of the middle half of (R̄₁, …, R̄_S),   R̄ₛ = mean return of seed s's episodes

with a percentile bootstrap interval over seeds. With a limit it *holds* where the interval's low end reaches the limit,
*fails* where its high end stays below, and is a *concern* between. Without one the random policy is the yardstick:
*holds* where the interval lies above the random policy's, *fails* where the IQM is no better than the random policy's
mean, *concern* between.

Reference: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2108.13264.
Deviations from the paper: one task; the scores are means over a seed's episodes, for episodes of one seed are not
independent evidence of the method; with one seed its episodes are resampled.

>>> Returns(at_least=200.0).at_least
200.0
"""

from typing import ClassVar

import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.math.stats import Interval, bootstrap_interval, interquartile_mean


class Returns(AbstractAudit):
    """Does the return reach what is wanted, or at least more than random actions do? (See the module's docstring.)"""

    at_least: float | None = None
    """Return an episode that is wanted (task units); none: more than the random policy's."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"episodes"})
    card: ClassVar[Card] = Card(
        "Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice",
        "2108.13264",
        "audit",
        ("env",),
    )

    def __check_init__(self) -> None:
        m.check_share("Returns.level", self.level)

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        returns = m.returns(subject)
        means = np.array([r.mean() for r in returns])
        scores, statistic = (means, interquartile_mean) if len(means) > 1 else (returns[0], np.mean)
        found = bootstrap_interval(scores, statistic, level=self.level, n=self.resamples, rng=rng)
        name = "interquartile mean return" if len(means) > 1 else "mean return"
        worst = int(means.argmin())
        said = f"{m.scale_words(returns)}: {name} {m.span(found)}"
        tail = f"; worst seed {worst} with {means[worst]:.4g}." if len(means) > 1 else "."
        arrays = {"means": means, "returns": np.concatenate(returns)}
        n = sum(map(len, returns))
        if len(scores) < 2:
            why = f"{m.scale_words(returns)}: {name} {found.value:.4g}; one episode gives no interval. Evaluate more."
            return m.finding(self, Verdict.unknown, why, n=n, arrays=arrays)
        if self.at_least is not None:
            verdict = _against(found, self.at_least)
            why = f"{said}, {_WORDS[verdict]} the {self.at_least:.4g} asked for{tail}"
            return m.finding(self, verdict, why, found, n=n, limit=self.at_least, arrays=arrays)
        if subject.control is None:
            why = f"{said}{tail} There is nothing to judge it by: set Returns(at_least=…), or give env=…."
            return m.finding(self, Verdict.unknown, why, found, n=n, arrays=arrays)
        control = m.control_returns(subject)
        random = bootstrap_interval(control, np.mean, level=self.level, n=self.resamples, rng=rng)
        verdict = Verdict.holds if found.low > random.high else Verdict.concern
        if found.value <= random.value:
            verdict = Verdict.fails
        words = {"holds": "above", "concern": "not clearly above", "fails": "no better than"}[verdict]
        why = f"{said}, {words} the {m.span(random)} of random actions{tail}"
        return m.finding(self, verdict, why, found, n=n, limit=random.high, arrays=arrays | {"random": control})


_WORDS = {Verdict.holds: "at or above", Verdict.concern: "not clearly above", Verdict.fails: "below"}


def _against(found: Interval, limit: float) -> Verdict:
    if found.low >= limit:
        return Verdict.holds
    return Verdict.fails if found.high < limit else Verdict.concern
