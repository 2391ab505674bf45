"""Does the stated reward tell what the starting policy does apart, or is the objective flat where training begins?

    variance   Var_{τ∼π₀}[G(τ)] of the stated return over episodes of the policy training starts from: `Subject.base`,
               else the random policy
    signal     √variance / (best − mean),  best: the largest stated return seen (subject or start), mean: the start's
    accuracy   how often the stated return orders two of these episodes as the true one does (where a truth is given)

For a softmax policy over outcomes ‖∇ E[G]‖ ≤ √Var[G]: where the variance is small the objective is flat, however
accurate the reward, and learning from it slow. *Holds* where the signal is shown above `least` (interval over
episodes), *concern* elsewhere: learning may be slow, it need not fail. It speaks of this start: the same reward may
teach another policy well.

Reference: Razin, Wang, Strauss, Wei, Lee and Arora 2025, What Makes a Reward Model a Good Teacher? An Optimization
Perspective, 2503.15477 (theorem 1: time to gain is Ω(E[Var]^(−1/3)); theorem 3: the best teacher depends on the
policy).
Deviations from the paper: returns of episodes, whose starts differ, in place of rewards of answers to one prompt, so
that luck of the start counts as signal; the scale is what there is to gain, where the paper normalises rewards.

>>> RewardVariance().least
0.05
"""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.errors import SpecError

FEWEST = 8
"""Episodes below which a standard deviation says nothing."""


class RewardVariance(AbstractAudit):
    """Does the stated reward vary where training starts? (See the module's docstring.)"""

    least: float = 0.05
    """Least standard deviation of the stated return at the start (share of what there is to gain)."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"episodes", "intent", "control"})
    card: ClassVar[Card] = Card(
        "Razin, Wang, Strauss, Wei, Lee and Arora 2025, What Makes a Reward Model a Good Teacher? An Optimization "
        "Perspective",
        "2503.15477",
        "audit",
        ("env",),
    )

    def __check_init__(self) -> None:
        m.check_share("RewardVariance.level", self.level)
        if self.least <= 0.0:
            raise SpecError(f"expected RewardVariance.least > 0; got {self.least:g}.")

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng, intent = m.generator(key), subject.intent
        assert intent is not None
        based = subject.base is not None
        begun = dataclasses.replace(subject, control=subject.base) if based else subject
        stated = m.rewards(begun, intent.reward, subject.reward_states, "the stated reward")
        reached, start = stated.returns("stated returns"), stated.control_returns("stated returns")
        who = "the base policy" if based else "the random policy"
        arrays = {"start": start, "reached": np.concatenate(reached)}
        if len(start) < FEWEST:
            why = f"{len(start)} episodes of {who}: too few to speak of a variance. Give at least {FEWEST}."
            return m.finding(self, Verdict.unknown, why, n=len(start), limit=self.least, arrays=arrays)
        best = max(start.max(), *(r.max() for r in reached))
        gap = best - start.mean()
        if gap <= 1e-12 * (1.0 + abs(best)):
            same = _same_everywhere(stated, (*subject.episodes, begun.control))
            why = (
                f"the stated reward is {same:.4g} in every step that was seen, of {who} and of the subject: nothing is "
                "learned from it there. That is as it is to be where a policy is cloned from demonstrations; elsewhere "
                "state a reward that tells steps apart, or audit a policy that reaches more."
                if same is not None
                else f"{len(start)} episodes of {who} all have the best stated return that was seen ({best:.4g}): "
                "nothing is known of what there is to gain. Audit a policy that reaches more."
            )
            return m.finding(self, Verdict.unknown, why, n=len(start), limit=self.least, arrays=arrays)
        rows = rng.integers(len(start), size=(self.resamples, len(start)))
        found = m.interval(float(start.std()) / gap, start[rows].std(axis=1) / gap, self.level)
        said = (
            f"{len(start)} episodes of {who}: the stated return has standard deviation {start.std():.4g}, "
            f"{m.span(found)} of the {gap:.4g} there is to gain{self._accuracy(subject, begun, start)}"
        )
        tell = lambda verdict, what: m.finding(
            self, verdict, f"{said}; {what}.", found, n=len(start), limit=self.least, arrays=arrays
        )
        if start.std() == 0.0:
            rare = 1.0 - (1.0 - self.level) ** (1.0 / len(start))
            what = (
                f"all its episodes are paid alike: the objective is flat there, but for what fewer than {rare:.0%} meet"
            )
            return tell(Verdict.concern, what)
        if found.low > self.least:
            return tell(Verdict.holds, "the reward tells its episodes apart")
        if found.high < self.least:
            what = "the objective is nearly flat where training starts, however accurate the reward"
            return tell(Verdict.concern, what)
        return tell(Verdict.concern, f"not clearly above the {self.least:g} asked for")

    def _accuracy(self, subject: Subject, begun: Subject, start: np.ndarray) -> str:
        if subject.intent is None or subject.intent.truth is None:
            return ""
        true = m.rewards(begun, subject.intent.truth, subject.truth_states, "the true reward")
        share = accuracy(start, true.control_returns("true returns"))
        return "" if math.isnan(share) else f"; it orders {share:.0%} of pairs as the true one does"


def _same_everywhere(stated: m.Rewards, episodes: tuple[Any, ...]) -> float | None:
    """The reward that every step of subject and start was paid; None where they were not paid alike."""
    masks = [np.asarray(e.mask) for e in episodes]
    paid = [r[mask] for r, mask in zip(stated.subject, masks[:-1], strict=True)]
    every = np.concatenate([*paid, *(r[masks[-1]] for r in stated.control)])
    return float(every[0]) if np.ptp(every) == 0.0 else None


def accuracy(stated: Float[np.ndarray, " N"], true: Float[np.ndarray, " N"]) -> float:
    """Share of pairs that the true scores tell apart and the stated ones order alike (a tie counts half); NaN: none.

    >>> accuracy(np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    0.8333333333333334
    """
    i, j = np.triu_indices(len(true), 1)
    told = true[i] != true[j]
    agree = np.sign(stated[i] - stated[j]) * np.sign(true[i] - true[j])
    return float(np.mean(0.5 * (1.0 + agree[told]))) if told.any() else math.nan


# --- softmax over outcomes, exact -----------------------------------------------------------------------------------


def softmax(logits: Float[np.ndarray, "X Y"]) -> Float[np.ndarray, "X Y"]:
    """A policy over Y outcomes for each of X prompts."""
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def variance(policy: Float[np.ndarray, "X Y"], reward: Float[np.ndarray, "X Y"]) -> float:
    """Reward variance, mean over prompts of Var_{y∼π(·|x)}[r(x, y)]."""
    mean = (policy * reward).sum(-1, keepdims=True)
    return float((policy * (reward - mean) ** 2).sum(-1).mean())


def gradient(logits: Float[np.ndarray, "X Y"], reward: Float[np.ndarray, "X Y"]) -> Float[np.ndarray, "X Y"]:
    """∂/∂logits of the mean expected reward; its norm is at most √variance/√X."""
    policy = softmax(logits)
    return policy * (reward - (policy * reward).sum(-1, keepdims=True)) / len(logits)


def time_to_gain(
    logits: Float[np.ndarray, "X Y"],
    taught: Float[np.ndarray, "X Y"],
    true: Float[np.ndarray, "X Y"],
    gain: float,
    *,
    rate: float = 1.0,
    max_steps: int = 100_000,
) -> int:
    """Steps of exact gradient ascent on `taught` until the mean `true` reward has risen by `gain`; `max_steps` if not.

    `rate` is per prompt: the learning rate times X.
    """
    logits = logits.copy()
    start = (softmax(logits) * true).sum(-1).mean()
    for step in range(max_steps):
        policy = softmax(logits)
        if (policy * true).sum(-1).mean() - start >= gain:
            return step
        logits += rate * policy * (taught - (policy * taught).sum(-1, keepdims=True))
    return max_steps
