"""How probably a seed of the subject does better than a seed of a baseline.

    P(X > Y) = 1/(S_x·S_y) Σᵢⱼ [ 1(xᵢ > yⱼ) + ½·1(xᵢ = yⱼ) ]

over mean returns a seed, with a bootstrap interval over the seeds of both. *Holds* where the interval lies above the
limit, *fails* where it lies below, *concern* where the limit is inside. With fewer than `min_seeds` seeds on either
side it is *unknown*: the bootstrap of two scores against two that happen to be larger has no width, and such a split
comes up by chance once in six.

Reference: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2108.13264
(P(X > Y) after Mann and Whitney 1947).
Deviations from the paper: one task.

>>> ProbabilityOfImprovement().limit
0.5
"""

from typing import ClassVar

import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.math.stats import probability_of_improvement


class ProbabilityOfImprovement(AbstractAudit):
    """Is it better than the baseline, seed against seed? (See the module's docstring.)"""

    limit: float = 0.5
    """Probability that is to be exceeded, in (0, 1); 0.5: better more often than not."""
    min_seeds: int = 3
    """Fewest seeds of subject and of baseline to conclude from."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"episodes", "baseline"})
    card: ClassVar[Card] = Card(
        "Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice",
        "2108.13264",
        "audit",
        ("env", "baseline"),
    )

    def __check_init__(self) -> None:
        m.check_share("ProbabilityOfImprovement.level", self.level)
        m.check_share("ProbabilityOfImprovement.limit", self.limit)

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        returns = m.returns(subject)
        x, y = np.array([r.mean() for r in returns]), np.asarray(subject.baseline, np.float64).ravel()
        found = probability_of_improvement(x, y, level=self.level, n=self.resamples, rng=m.generator(key))
        arrays = {"subject": x, "baseline": y}
        said = f"{len(x)} against {len(y)} seeds: P(better than the baseline) = {found.value:.3g}"
        if min(len(x), len(y)) < self.min_seeds:
            why = f"{said}, but fewer than {self.min_seeds} seeds a side cannot tell chance from skill. Run more seeds."
            return m.finding(self, Verdict.unknown, why, n=len(x) + len(y), limit=self.limit, arrays=arrays)
        verdict = Verdict.concern
        if found.low > self.limit:
            verdict = Verdict.holds
        elif found.high < self.limit:
            verdict = Verdict.fails
        words = {"holds": "above", "concern": "not clearly on either side of", "fails": "below"}[verdict]
        why = f"{said} [{found.low:.3g}, {found.high:.3g}], {words} {self.limit:g}."
        return m.finding(self, verdict, why, found, n=len(x) + len(y), limit=self.limit, arrays=arrays)
