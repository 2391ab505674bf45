"""How much of the result is the seed's luck?

    spread = (max R̄ₛ − min R̄ₛ)/max(|IQM(R̄) − R̄₀|, σ)            R̄ₛ: mean return of seed s, R̄₀: of random actions
    ICC    = (MS_b − MS_w)/(MS_b + (n − 1)·MS_w)                 σ² = MS_w, the variance within seeds
    MS_b   = n·Σₛ(R̄ₛ − R̄)²/(S − 1) ,  MS_w = ΣₛΣₑ(Rₛₑ − R̄ₛ)²/(N − S)

The spread says how much the seeds matter, relative to what was learned; the intraclass correlation, which share of an
episode's variance the seed accounts for; a permutation of the episodes among seeds, whether the seeds differ at all
(p-value of MS_b). *Holds* where the spread is at most `limit` and its interval too, or the seeds cannot be told apart;
*concern* where it is larger, or reaches above and the seeds differ; *fails* where it is larger, the seeds differ, and
the worst seed is no better than random actions while the middle of the seeds is.

Reference: Henderson et al. 2018, Deep Reinforcement Learning that Matters, 1709.06560 (seeds alone can look like
methods); Shrout and Fleiss 1979, Intraclass Correlations: Uses in Assessing Rater Reliability,
doi:10.1037/0033-2909.86.2.420, ICC(1, 1); Phipson and Smyth 2010, 1603.05766 (the +1 in the p-value).
Deviations from the papers: n is the mean number of episodes where seeds have different ones; the spread and its limit
are ours. The interval resamples episodes within each seed: it is about these seeds, not about seeds to come.

>>> [round(x, 3) for x in variances([np.array([0.0, 2.0]), np.array([4.0, 6.0])])]  # between, within, ICC
[16.0, 2.0, 0.778]
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.math.stats import interquartile_mean


class SeedSensitivity(AbstractAudit):
    """Would another seed have learned the same? (See the module's docstring.)"""

    limit: float = 0.25
    """Largest spread between seeds (share of what was learned over random actions)."""
    alpha: float = 0.05
    """p-value below which seeds count as different, in (0, 1)."""
    level: float = 0.95
    """Probability the intervals are to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples and permutations."""

    needs: ClassVar[frozenset[str]] = frozenset({"episodes", "control", "seeds"})
    card: ClassVar[Card] = Card(
        "Henderson et al. 2018, Deep Reinforcement Learning that Matters", "1709.06560", "audit", ("env", "seeds")
    )

    def __check_init__(self) -> None:
        m.check_share("SeedSensitivity.level", self.level)
        m.check_share("SeedSensitivity.alpha", self.alpha)

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        returns, random = m.returns(subject), m.control_returns(subject).mean()
        if max(map(len, returns)) < 2:
            why = "one episode a seed cannot tell seeds from chance. Evaluate more episodes."
            return m.finding(self, Verdict.unknown, why, n=len(returns))
        means = np.array([r.mean() for r in returns])
        between, within, icc = variances(returns)
        middle, worst = float(interquartile_mean(means)), int(means.argmin())
        scale = max(abs(middle - random), float(np.sqrt(within))) or 1.0
        redrawn = [r[rng.integers(len(r), size=(self.resamples, len(r)))].mean(axis=1) for r in returns]
        found = m.interval(float(np.ptp(means)) / scale, np.ptp(np.stack(redrawn), axis=0) / scale, self.level)
        p = self._p_value(returns, between, rng)
        differ = p < self.alpha
        said = (
            f"{m.scale_words(returns)}: from the worst seed ({worst}, {means[worst]:.4g}) to the best "
            f"({int(means.argmax())}, {means.max():.4g}) is {m.span(found)} of what was learned over random actions "
            f"({middle:.4g} − {random:.4g}); seeds account for {max(icc, 0.0):.0%} of the variance between episodes"
        )
        verdict, tail = Verdict.concern, f"seeds differ (p = {p:.2g}): one of them is not the result."
        if found.value > self.limit and not differ:
            tail = f"but episodes vary too much to tell the seeds apart (p = {p:.2g}). Evaluate more episodes."
        elif found.value > self.limit and means[worst] <= random < middle:
            verdict, tail = Verdict.fails, f"seeds differ (p = {p:.2g}), and the worst learned nothing."
        elif found.value <= self.limit and (found.high <= self.limit or not differ):
            verdict, tail = Verdict.holds, f"at most {self.limit:g} is allowed."
        arrays = {"means": means, "icc": self._icc_interval(returns, icc, rng), "p": p}
        n = sum(map(len, returns))
        return m.finding(self, verdict, f"{said}; {tail}", found, n=n, limit=self.limit, arrays=arrays)

    def _p_value(self, returns: Sequence[np.ndarray], between: float, rng: np.random.Generator) -> float:
        """How often episodes dealt anew to the seeds differ as much between them."""
        pooled = np.concatenate(returns)
        ends = np.cumsum([len(r) for r in returns])[:-1]
        dealt = rng.permuted(np.broadcast_to(pooled, (self.resamples, len(pooled))), axis=1)
        means = np.stack([part.mean(axis=1) for part in np.split(dealt, ends, axis=1)], axis=1)
        sizes = np.array([[len(r) for r in returns]])
        drawn = (sizes * (means - pooled.mean()) ** 2).sum(axis=1) / (len(returns) - 1)
        return float(1 + np.sum(drawn >= between - 1e-9 * max(1.0, between))) / (1 + self.resamples)

    def _icc_interval(self, returns: Sequence[np.ndarray], icc: float, rng: np.random.Generator) -> np.ndarray:
        """[ICC, low, high] over resampled seeds."""
        picks = rng.integers(len(returns), size=(min(self.resamples, 500), len(returns)))
        draws = np.array([variances([returns[i] for i in pick])[2] for pick in picks])
        return np.array(m.interval(icc, draws, self.level))


def variances(returns: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Mean square between groups, within groups, and the intraclass correlation (0 where nothing varies)."""
    groups, total = len(returns), sum(map(len, returns))
    grand = np.concatenate(returns).mean()
    between = sum(len(r) * (r.mean() - grand) ** 2 for r in returns) / max(groups - 1, 1)
    within = sum(((r - r.mean()) ** 2).sum() for r in returns) / max(total - groups, 1)
    below = between + (total / groups - 1) * within
    return float(between), float(within), float((between - within) / below) if below > 0 else 0.0
