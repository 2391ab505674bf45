"""How good the recorded behaviour is: its mean return between a random policy's and the best one's (TQ).

    TQ(D) = (ḡ(D) − g_random)/(g_best − g_random),   ḡ(D) = mean over episodes of Σ_t r_t

0: as good as random actions; 1: as the best policy known. `random` and `best` may be given; else `random` is the mean
return of a random policy's episodes, and `best` the baseline's mean return; without a baseline the largest expected
return there is, where the environment has tables; else the best episode recorded, which the finding says.

*Holds* where the interval over episodes lies above `least`; *concern* where it does not: the behaviour is then not
shown to be better than random. *Unknown* with one episode, without a random policy, or where best is not above random.
An episode that was cut off (neither terminated nor truncated at its last step) counts with what it has; how many, the
finding says.

Reference: Schweighofer et al. 2022, A Dataset Perspective on Offline Reinforcement Learning, 2111.04714.
Deviations from the paper: the paper's best is the best policy found online; the others that stand in for it are ours,
as is the limit.

>>> TQ(random=0.0, best=10.0).least
0.0
"""

import math
from typing import ClassVar

import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _datasets as d
from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.errors import DataError, SpecError
from operant.math.stats import Interval


class TQ(AbstractAudit):
    """Trajectory quality (see the module's docstring)."""

    random: float | None = None
    """Mean return of a random policy; None: measured."""
    best: float | None = None
    """Mean return of the best policy known; None: see the module's docstring."""
    least: float = 0.0
    """What the quality is to lie above (1: the best policy's)."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples of episodes."""

    needs: ClassVar[frozenset[str]] = frozenset({"dataset"})
    card: ClassVar[Card] = Card(
        "Schweighofer et al. 2022, A Dataset Perspective on Offline Reinforcement Learning",
        "2111.04714",
        "audit",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        m.check_share("TQ.level", self.level)
        for name in ("random", "best"):
            if (x := getattr(self, name)) is not None and not math.isfinite(x):
                raise SpecError(f"expected a finite TQ.{name}; got {x}. Give a mean return, or leave it out.")
        if self.random is not None and self.best is not None and self.best <= self.random:
            raise SpecError(
                f"expected TQ.best > TQ.random; got {self.best:g} and {self.random:g}. Give the best policy's mean "
                "return and a random policy's."
            )

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        steps = d.steps_of(subject.dataset)
        returns = steps.returns
        last = steps.last
        cut = int((~(steps.data.terminated[last] | steps.data.truncated[last])).sum())
        said = steps.words + (f", {cut:,} of them cut off" if cut else "")
        tell = lambda verdict, why, found=None: m.finding(
            self, verdict, f"{said}: {why}", found, n=steps.episodes, limit=self.least, arrays={"returns": returns}
        )
        random = self.random
        if random is None:
            if (control := d.random_returns(subject, key)) is None:
                why = "a random policy's return is not known. Give TQ(random=…, best=…), or an environment to run one."
                return tell(Verdict.unknown, why)
            random = float(control.mean())
        best, whose = self._best(subject, returns)
        if best <= random:
            why = (
                f"the return of {whose}, {best:.4g}, is not above a random policy's, {random:.4g}, so that no scale "
                "lies between them. Give TQ(best=…)."
            )
            return tell(Verdict.unknown, why)
        quality = (returns - random) / (best - random)
        text = f"between random, {random:.4g}, and {whose}, {best:.4g}, the mean return {returns.mean():.4g} stands at "
        if steps.episodes < 2:
            found = Interval(float(quality.mean()), math.nan, math.nan)
            return tell(Verdict.unknown, f"{text}{found.value:.3g}, and one episode says nothing of others.", found)
        found = m.interval_of_mean([quality], self.level, self.resamples, rng)
        if found.low > self.least:
            return tell(Verdict.holds, f"{text}{m.span(found)}.", found)
        why = f"{text}{m.span(found)}, not clearly above {self.least:g}: imitating it promises no more."
        return tell(Verdict.concern, why, found)

    def _best(self, subject: Subject, returns: np.ndarray) -> tuple[float, str]:
        """The best return known, and whose it is."""
        if self.best is not None:
            return self.best, "the best policy"
        if subject.baseline is not None and len(subject.baseline):
            best = float(np.mean(subject.baseline))
            if not math.isfinite(best):
                raise DataError(
                    f"expected finite returns of the baseline; got a mean of {best}. Leave failed seeds out, "
                    "or give TQ(best=…)."
                )
            return best, "the baseline"
        if (exact := d.best_return(subject.env)) is not None:
            return exact, "the optimal policy"
        return float(returns.max()), "the best episode recorded (no better policy is known)"
