"""Would a constant reward have taught the same? Where episodes may end early, its sign alone says: stay, or leave.

With G the stated return, L the length of an episode, 0 the random policy, c₀ = ΣG₀/ΣL₀ what its steps are paid:

    share = (L̄ − L̄₀)·c₀ / (Ḡ − Ḡ₀)

is the part of the stated return gained over random actions that would be there had every step paid c₀: what lasting
longer (or less long, c₀ < 0) gives by itself. The rule, in this order:

1. no episode of subject or control terminated and all are of one length → *holds*: the horizon is fixed
2. Ḡ − Ḡ₀ is not shown to be above 0 → *unknown*: there is nothing to explain
3. of the steps of subject or control fewer than `constant` pay one and the same sign, or nothing → *holds*
4. the share's interval lies below `limit` → *holds*
5. otherwise *concern*: a constant reward of that sign explains the behaviour, and nothing here shows that the agent
   learned anything else; also where the stated reward *is* constant, as CartPole's own, for then only the statement can
   tell whether staying alive (ending early) is all that was meant
6. *fails* in place of concern where the true return is known and not shown to be above the random policy's

r² of stated return against length, over the episodes of both, is reported beside the share: it cannot decide, for two
groups of different lengths give r² near 1 whatever is paid within them.

This unmasks adversarial imitation: −log(1 − D) is positive everywhere and teaches survival where dying ends an episode,
log D is negative everywhere and teaches to leave, whatever the demonstrations show. Stronger than this audit, and much
dearer, is to train the same learner on Task() replaced by ±1 a step.

Reference: Kostrikov et al. 2019, Discriminator-Actor-Critic, 1809.02925 (survival bias of adversarial imitation).
Deviations from the paper: it shows the bias by training on it; the share of the gain, and its limit, are ours.

>>> TerminationBias().limit
0.5
"""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.math.stats import Interval


class TerminationBias(AbstractAudit):
    """Does a constant reward explain the behaviour? (See the module's docstring.)"""

    limit: float = 0.5
    """Largest share of the gain that episode length may explain."""
    constant: float = 0.95
    """Share of steps of one sign from which the sign counts as constant, in (0, 1)."""
    level: float = 0.95
    """Probability the intervals are to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"episodes", "control", "intent"})
    card: ClassVar[Card] = Card(
        "Kostrikov et al. 2019, Discriminator-Actor-Critic: Addressing Sample Inefficiency and Reward Bias in "
        "Adversarial Imitation Learning",
        "1809.02925",
        "audit",
        ("env",),
    )

    def __check_init__(self) -> None:
        m.check_share("TerminationBias.level", self.level)
        m.check_share("TerminationBias.constant", self.constant)

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        intent: Any = subject.intent
        control = subject.control
        masks = [np.asarray(e.mask) for e in (*subject.episodes, control)]
        lengths = [mask.sum(axis=1).astype(float) for mask in masks]
        stated = m.rewards(subject, intent.reward, subject.reward_states, "the stated reward")
        g, g0 = stated.returns("stated returns"), stated.control_returns("stated returns")
        said, n = m.scale_words(lengths[:-1]), sum(map(len, lengths[:-1]))
        arrays = {"lengths": np.concatenate(lengths[:-1]), "lengths_random": lengths[-1]}
        arrays |= {"stated": np.concatenate(g), "stated_random": g0}
        tell = lambda verdict, why, found=None: m.finding(
            self, verdict, f"{said}: {why}", found, n=n, limit=self.limit, arrays=arrays
        )
        everyone = zip((*subject.episodes, control), masks, strict=True)
        ended = [np.any(np.asarray(e.transitions.terminated) & mask) for e, mask in everyone]
        if not any(ended) and len({x for row in lengths for x in row}) == 1:
            why = (
                f"every episode, also of random actions, lasts {lengths[0][0]:.0f} steps: with a fixed horizon a "
                "constant reward explains nothing."
            )
            return tell(Verdict.holds, why, Interval(0.0, 0.0, 0.0))

        r2 = m.correlation(np.concatenate([*g, g0]), np.concatenate(lengths)) ** 2
        pairs = [np.stack([a, b], axis=1) for a, b in zip(g, lengths, strict=False)]
        pairs0 = [np.stack([g0, lengths[-1]], axis=1)]
        draws = m.resampled(pairs, self.resamples, rng), m.resampled(pairs0, self.resamples, rng)
        point = m.mean_of(pairs), m.mean_of(pairs0)
        gain = m.interval(float(point[0][0] - point[1][0]), draws[0][:, 0] - draws[1][:, 0], self.level)
        steps = f"{point[0][1]:.4g} steps an episode against {point[1][1]:.4g} of random actions"
        if not gain.low > 0:
            why = (
                f"{steps}; the stated return is {m.span(gain)} above that of random actions, not clearly more, so "
                "there is no gain to explain. Train longer, or evaluate more episodes."
            )
            return tell(Verdict.unknown, why)
        found = m.interval(float(share(*point)), share(*draws), self.level)
        paid = [r[mask] for r, mask in zip(stated.subject, masks, strict=False)], [r[masks[-1]] for r in stated.control]
        sign, signs = _sign(*(np.concatenate(p) for p in paid))
        explained = f"{steps}; lasting {'longer' if sign > 0 else 'less long'} gives {m.span(found)} of the gain"
        explained += f" in stated return (r² with length {r2:.2g})"
        if signs < self.constant:
            why = f"{steps}; the stated reward takes both signs ({_POLE[sign]} at {signs:.0%} of steps only)."
            return tell(Verdict.holds, why)
        if found.high < self.limit:
            why = f"{explained}, less than {self.limit:.0%}: a constant does not explain it."
            return tell(Verdict.holds, why, found)
        everywhere = np.concatenate([*paid[0], *paid[1]])
        if np.ptp(everywhere) <= 1e-6 * np.abs(everywhere).max():
            why = (
                f"{steps}. The stated reward itself is constant ({everywhere[0]:.4g} a step), so the behaviour is "
                f"{_TAUGHT[sign]}: right only if the statement asks for no more."
            )
        else:
            why = f"{explained}, {_POLE[sign]} at {signs:.0%} of steps: any such constant teaches {_TAUGHT[sign]}."
        if intent.truth is None:
            return tell(Verdict.concern, f"{why} State success as Intent(truth=…) to see whether it serves.", found)
        true = m.rewards(subject, intent.truth, subject.truth_states, "the true reward")
        u, u0 = true.returns("true returns"), true.control_returns("true returns")
        more = m.resampled(u, self.resamples, rng) - m.resampled([u0], self.resamples, rng)
        better = m.interval(float(m.mean_of(u) - u0.mean()), more, self.level)
        if better.low > 0:
            return tell(Verdict.concern, why, found)
        why = f"{why} And the true return is not above that of random actions: {m.span(better)} more."
        return tell(Verdict.fails, why, found)


_POLE = {1: "not negative", -1: "not positive"}
_TAUGHT = {1: "staying alive", -1: "ending the episode"}


def share(subject: np.ndarray, control: np.ndarray) -> np.ndarray:
    """(L − L₀)·(G₀/L₀)/(G − G₀) of pairs (…, [G, L]); NaN where there is no gain.

    >>> float(share(np.array([500.0, 500.0]), np.array([20.0, 20.0])))
    1.0
    """
    gain = subject[..., 0] - control[..., 0]
    by_length = (subject[..., 1] - control[..., 1]) * control[..., 0] / control[..., 1]
    return np.where(gain > 0, by_length / np.where(gain > 0, gain, 1.0), np.nan)


def _sign(subject: np.ndarray, control: np.ndarray) -> tuple[int, float]:
    """The sign that is opposed least, and the share of steps that do not, in whichever group it is smaller."""
    shares = {sign: min(float(np.mean(sign * x >= 0)) for x in (subject, control)) for sign in (1, -1)}
    sign = max(shares, key=shares.__getitem__)
    return sign, shares[sign]
