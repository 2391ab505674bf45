"""Does the policy do on held-out data what it does on the data it learned from? Asked through the reusable holdout.

    φ(episode) = mean over its steps of 1[π(s) = a]                          Discrete
               = mean over steps and numbers of 1 − |π(s) − a|/(high − low)   Box, cut off at 0
    gap = E_train φ − (what the mechanism answers for E_held-out φ),   mean over seeds

π(s): the greedy action. The answer costs one of the `budget` where the two differ by more than about `threshold`; the
finding shows what is left. The interval holds the mechanism's tolerance (what T and its noise hide, or the answer's
own noise) and Hoeffding's bound for as many held-out episodes. *Fails* where the gap is shown to be above `limit`;
*holds* where it is shown not to be; *concern* between. *Unknown* where the budget is spent, for a policy with a memory
(steps would have to be shown in order), and with one held-out episode.

Reference: Dwork et al. 2015, Preserving Statistical Validity in Adaptive Data Analysis, 1411.2664; Generalization in
Adaptive Data Analysis and Holdout Reuse, 1506.02629.
Deviations from the papers: the question is ours; a value an episode, for steps of one are not independent; the interval
is that of a question asked on its own, at the level given.

>>> Generalisation().budget
20
"""

import math
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from operant.audits import _datasets as d
from operant.audits import _measures as m
from operant.audits.reuse import Answer, ReusableHoldout, by_size
from operant.core import AbstractAudit, AbstractPolicy, Card, Discrete, Finding, Subject, Verdict
from operant.data import cells as c
from operant.errors import SpecError
from operant.math.stats import Interval


class Generalisation(AbstractAudit):
    """Is it as good on what it has not seen? (See the module's docstring.)"""

    limit: float = 0.1
    """Largest gap that holds (of the agreement of actions, 0 to 1)."""
    budget: int = 20
    """Differences that all audits of this held-out data may report, ever."""
    threshold: float | None = None
    """T: difference that costs nothing and is not reported; None: 4/√(held-out episodes)."""
    sigma: float | None = None
    """σ: scale of the mechanism's noise; None: 1/(6√(held-out episodes))."""
    folder: str = ""
    """Where the ledger is kept; empty: the user's own folder, whichever run asks."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    steps: int = 100_000
    """Most training steps that are looked at: whole episodes, drawn at random. Of the held-out ones, all are."""

    needs: ClassVar[frozenset[str]] = frozenset({"dataset", "held_out", "policies"})
    card: ClassVar[Card] = Card(
        "Dwork et al. 2015, Preserving Statistical Validity in Adaptive Data Analysis",
        "1411.2664",
        "audit",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        m.check_share("Generalisation.level", self.level)
        m.check_share("Generalisation.limit", self.limit)
        if self.steps < 1:
            raise SpecError(f"expected Generalisation.steps ≥ 1; got {self.steps}. Raise it.")
        ReusableHoldout(self.budget, self.threshold, self.sigma)

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        train, test = d.steps_of(subject.dataset), d.steps_of(subject.held_out, "held_out")
        d.same_spaces(subject.dataset, subject.held_out)
        unknown = lambda why: m.finding(self, Verdict.unknown, why, n=test.episodes, limit=self.limit)
        if any(policy.remembers for policy in subject.policies):
            return unknown(
                "the policy has a memory, which must be shown whole episodes in order; this asks about steps."
            )
        if test.episodes < 2:
            return unknown(f"{test.words} held out: one episode says nothing of others. Hold out more.")
        kept = _part(train, d.some(train, self.steps, m.generator(jax.random.fold_in(key, 1))))
        ours, theirs = (
            np.mean([agreement(p, subject.dataset.spec.action, x) for p in subject.policies], axis=0)
            for x in (kept, test)
        )
        holdout = ReusableHoldout(
            self.budget, self.threshold, self.sigma, data=subject.held_out.source.sha256, folder=self.folder or None
        )
        answer = holdout.ask(ours, theirs, key=key, question=f"agreement of actions, {subject.name}")
        spent = f"{answer.left} of {self.budget} reports left for this held-out data, after {answer.asked} questions"
        if answer.value is None:
            return unknown(
                f"the held-out data is used up: {spent}. Whatever is chosen by it from now on would fit it. Hold out "
                "fresh data."
            )
        gap = float(ours.mean()) - answer.value
        found = self._interval(gap, answer, test.episodes)
        text = (
            f"{test.words} held out: actions agree to {ours.mean():.3g} with the data that was learned from, and to "
            f"{answer.value:.3g} with the held-out data ({'' if answer.differs else 'no difference that the '}"
            f"{'which differs' if answer.differs else 'mechanism reports'}); {spent}"
        )
        tell = lambda verdict, why: m.finding(self, verdict, why, found, n=test.episodes, limit=self.limit)
        if found.low > self.limit:
            return tell(Verdict.fails, f"{text}. It has learned its data by heart.")
        if found.high <= self.limit:
            return tell(Verdict.holds, f"{text}.")
        return tell(Verdict.concern, f"{text}. With so few held-out episodes a gap is neither shown nor excluded.")

    def _interval(self, gap: float, answer: Answer, n: int) -> Interval:
        """What the answer leaves open; half of the probability for the mechanism's noise, half for chance."""
        rest = 0.5 * (1.0 - self.level)
        threshold, sigma = by_size(n)
        threshold = threshold if self.threshold is None else self.threshold
        sigma = sigma if self.sigma is None else self.sigma
        hidden = sigma * math.log(1.0 / rest)  # P(|Lap(σ)| > h) = exp(−h/σ)
        if not answer.differs:  # P(Lap(2σ) + Lap(4σ) > h) ≤ ⅔ exp(−h/4σ)
            hidden = threshold + 4.0 * sigma * math.log(2.0 / (3.0 * rest))
        width = hidden + math.sqrt(math.log(2.0 / rest) / (2.0 * n))
        return Interval(gap, gap - width, gap + width)


def agreement(policy: AbstractPolicy, space: Any, steps: d.Steps) -> Float[np.ndarray, " E"]:
    """φ of each episode, in [0, 1]."""
    action = np.asarray(steps.data.action)
    chosen = [
        np.asarray(policy.predict(c.rows(steps.data.obs, part))[0])
        for part in np.array_split(np.arange(steps.size), -(-steps.size // 65_536))
    ]
    acted = np.concatenate(chosen)
    if isinstance(space, Discrete):
        alike = (acted == action).astype(np.float64)
    else:
        low, high = d.box_bounds(space, action)
        width = np.where(high > low, high - low, 1.0)
        apart = np.abs(acted.reshape(len(acted), -1) - action.reshape(len(action), -1)) / width
        alike = 1.0 - np.clip(np.where(np.isfinite(apart), apart, 1.0), 0.0, 1.0).mean(axis=1)
    return np.clip(np.add.reduceat(alike, steps.first) / steps.length, 0.0, 1.0)


def _part(steps: d.Steps, kept: np.ndarray) -> d.Steps:
    """Some whole episodes."""
    episode = np.unique(steps.episode[kept], return_inverse=True)[1]
    first = np.flatnonzero(np.r_[True, np.diff(episode) != 0])
    return d.Steps(c.rows(steps.data, kept), episode, first, np.diff(np.r_[first, len(kept)]))
