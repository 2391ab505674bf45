"""How much of what can be done is in the dataset: different state–action pairs, as a share of a reference's (SACo).

    SACo(D) = u(D)/u(D_ref),   u(D) = number of different (s, a) in D

Numbers of a `Box` of floats are put into `bins` equal bins between the least and the largest that occur; other
observations (images too) are told apart by their bytes. D_ref is what the paper has it be, the steps of a learner that
explored as many steps as D has: give their count as `reference`. Without it: every pair that can be visited, in an
environment with tables; else the steps of the random policy, n of its against n of the dataset, as many as it has.

*Holds* where the share is at least `least`, *concern* where it is below. Its interval is that of a delete-half
jackknife over episodes (half of them, without replacement, vary about their mean as all do about theirs): resampled
with replacement, pairs would be missing that are there.

Reference: Schweighofer et al. 2022, A Dataset Perspective on Offline Reinforcement Learning, 2111.04714.
Deviations from the paper: pairs are counted, not estimated (HyperLogLog); 100 bins, as its reference code, which has
its last bin hold the largest number alone; the two references other than a learner's steps are ours, as is the limit.

>>> SACo(reference=1000).bins
100
"""

import math
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, UInt64

from operant.audits import _datasets as d
from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, EnvSpec, Finding, Subject, Verdict
from operant.data import cells as c
from operant.errors import SpecError
from operant.math.stats import Interval


class SACo(AbstractAudit):
    """State–action coverage (see the module's docstring)."""

    reference: int | None = None
    """Different state–action pairs of the reference dataset; None: see the module's docstring."""
    bins: int = 100
    """Equal bins of each number of an observation or action that is not whole."""
    least: float = 0.25
    """Smallest share that holds, in (0, 1)."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 100
    """Halves of the episodes that are drawn."""

    needs: ClassVar[frozenset[str]] = frozenset({"dataset"})
    card: ClassVar[Card] = Card(
        "Schweighofer et al. 2022, A Dataset Perspective on Offline Reinforcement Learning",
        "2111.04714",
        "audit",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        m.check_share("SACo.level", self.level)
        m.check_share("SACo.least", self.least)
        if self.bins < 2:
            raise SpecError(f"expected SACo.bins ≥ 2; got {self.bins}. Use 100, as published.")
        if self.reference is not None and self.reference < 1:
            raise SpecError(
                f"expected SACo.reference ≥ 1, a count of state–action pairs; got {self.reference}. Count those of a "
                "learner's own steps, or leave it out."
            )

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        steps = d.steps_of(subject.dataset)
        found = pairs(subject.dataset.spec, (steps.data.obs,), (steps.data.action,), self.bins)[0]
        unique = different(found)
        tell = lambda verdict, why, value=None, n=unique: m.finding(
            self, verdict, f"{steps.words}, {unique:,} different state–action pairs: {why}", value, n=n,
            limit=self.least, arrays={"pairs_per_episode": _per_episode(found, steps)},
        )  # fmt: skip
        known = self.reference if self.reference is not None else d.pairs_of(subject.env)
        if known is not None:
            of = f"{known:,} of the reference" if self.reference is not None else f"all {known:,} there are"
            share = self._spread(unique / known, found, steps, float(known), rng)
            return tell(*self._judge(share, of), share)
        if (control := d.random_episodes(subject, key)) is None:
            why = (
                "no reference to measure them by. Give SACo(reference=…), the different pairs of a learner's own "
                "steps, or an environment, where a random policy's are counted."
            )
            return tell(Verdict.unknown, why)
        mask = np.asarray(control.mask)
        seen, done = control.transitions.obs, control.transitions.action
        obs, action = jax.tree.map(lambda x: np.asarray(x)[mask], (seen, done))
        ours, theirs = pairs(subject.dataset.spec, (steps.data.obs, obs), (steps.data.action, action), self.bins)
        n = min(len(ours), len(theirs))
        draw = lambda x: np.mean([different(x[rng.permutation(len(x))[:n]]) for _ in range(20)])
        reference = float(draw(theirs))
        share = Interval(float(draw(ours)) / reference, math.nan, math.nan)
        return tell(*self._judge(share, f"{reference:,.0f} of a random policy, {n:,} steps of each"), share, n)

    def _judge(self, share: Interval, of: str) -> tuple[Verdict, str]:
        text = f"{share.value:.3g} of {of}"
        if share.value >= self.least:
            return Verdict.holds, f"{text}."
        why = f"{text}: a learner that may choose actions nobody tried has nothing to judge them by."
        return Verdict.concern, why

    def _spread(
        self, value: float, found: UInt64[np.ndarray, " M"], steps: d.Steps, known: float, rng: np.random.Generator
    ) -> Interval:
        """The share with its interval; none with fewer than four episodes."""
        if (E := steps.episodes) < 4:
            return Interval(value, math.nan, math.nan)
        label = np.unique(found, return_inverse=True)[1]
        draws = np.empty(self.resamples)
        for i in range(self.resamples):
            chosen = np.isin(np.arange(E), rng.permutation(E)[: E // 2])
            draws[i] = np.count_nonzero(np.bincount(label[chosen[steps.episode]])) / known
        half = m.interval(draws.mean(), draws, self.level)
        return Interval(value, value + half.low - half.value, value + half.high - half.value)


def pairs(spec: EnvSpec, obs: tuple[Any, ...], action: tuple[Any, ...], bins: int) -> list[UInt64[np.ndarray, " M"]]:
    """A number for each state–action pair of each dataset given; their numbers are binned together."""
    joined = lambda trees: jax.tree.map(lambda *x: np.concatenate([np.asarray(y) for y in x]), *trees)
    ends = np.cumsum([len(np.asarray(x)) for x in action])[:-1]
    return np.split(c.hashes(c.bins(spec.obs, joined(obs), bins), c.bins(spec.action, joined(action), bins)), ends)


def different(x: UInt64[np.ndarray, " M"]) -> int:
    """How many numbers there are, each counted once."""
    return len(np.unique(x))


def _per_episode(found: UInt64[np.ndarray, " M"], steps: d.Steps) -> np.ndarray:
    """(E,): pairs that no earlier episode had."""
    first = np.unique(found, return_index=True)[1]
    return np.bincount(steps.episode[first], minlength=steps.episodes)
