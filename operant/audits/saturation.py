"""How often are observations and actions at their limits, where a sensor says nothing more and a motor gives no more?

Shares of steps, an element at a time:

    observation   x ≤ low or x ≥ high (to a millionth of the range), where the bound is finite
    normalised    |z| ≥ c: beyond what the policy's normaliser, frozen after training, lets through (c = 10)
    action        |a − bound| ≤ near·(high − low): bang-bang, the share at either bound

*Concern* where the largest share of one of the three is above its limit, *fails* where every element of the action
stays at one and the same bound in `stuck` of all steps: such a policy does not control. *Holds* otherwise. Value and
limit are those of the share that is largest relative to its limit; which element that is, the words say.

Left out: observations that are never between their bounds (flags, one-hot codes, action masks) and bytes (images), for
there a bound is a value as any other; discrete actions, which have none.

Reference: Seyde et al. 2021, Is Bang-Bang Control All You Need?, 2111.02552 (learned policies act at their bounds, and
often lose nothing by it: hence concern, not failure).
Deviations from the paper: limits are ours.

>>> Saturation().action_limit
0.5
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Box, Card, Composite, Finding, Space, Subject, Verdict
from operant.errors import DataError
from operant.math.running import Moments
from operant.nn import Normaliser

CLIP = 10.0
"""Standard deviations at which `nn.Normaliser` clips."""


class Measure(NamedTuple):
    """The share of steps at a limit, of the element of which it is largest."""

    what: str
    limit: float
    episodes: list[np.ndarray]
    """Steps of each episode at the limit, and all of its steps, (n, 2) a seed."""


class Saturation(AbstractAudit):
    """Do observations or actions sit at their bounds? (See the module's docstring.)"""

    observation_limit: float = 0.05
    """Largest share of steps an observation may be at a bound."""
    normalised_limit: float = 0.01
    """Largest share of steps a normalised observation may be clipped."""
    action_limit: float = 0.5
    """Largest share of steps an action may be at a bound."""
    near: float = 0.01
    """How far from a bound an action still counts as at it (share of the range)."""
    stuck: float = 0.99
    """Share of steps at one bound from which an action counts as constant."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"episodes"})
    card: ClassVar[Card] = Card(
        "Seyde et al. 2021, Is Bang-Bang Control All You Need?", "2111.02552", "audit", ("env",)
    )

    def __check_init__(self) -> None:
        for name in ("observation_limit", "normalised_limit", "action_limit", "near", "stuck", "level"):
            m.check_share(f"Saturation.{name}", getattr(self, name))

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        said = m.scale_words([e.lengths for e in subject.episodes])
        n = sum(len(e.lengths) for e in subject.episodes)
        spec = subject.env.spec if subject.env is not None else subject.policies[0].spec if subject.policies else None
        if spec is None:
            why = "the bounds are not known: give env=…, or policies with a spec."
            return m.finding(self, Verdict.unknown, why, n=n)
        action = spec.action if isinstance(spec.action, Box) and spec.action.bounded else None
        measures = [*self._observations(subject, spec.obs), *self._normalised(subject, spec.obs)]
        stuck, switching = False, 0.0
        if action is not None:
            measure, stuck, switching = self._actions(subject, action)
            measures.append(measure)
        if not measures:
            why = f"{said}: nothing has finite bounds between which it moves, and the policy normalises nothing."
            return m.finding(self, Verdict.unknown, why, n=n)
        rng = m.generator(key)
        found = [self._share(x.episodes, rng) for x in measures]
        ranked = sorted(zip(found, measures, strict=True), key=lambda pair: pair[0].value / pair[1].limit)
        most, measure = ranked[-1]
        over = [f"{x.what} at {f.value:.0%} of steps (limit {x.limit:.0%})" for f, x in ranked if f.value > x.limit]
        counts = {x.what: np.concatenate(x.episodes) for x in measures}
        arrays = {what: n[:, 0] / np.maximum(n[:, 1], 1) for what, n in counts.items()}
        tell = lambda verdict, why: m.finding(
            self, verdict, f"{said}: {why}", most, n=n, limit=measure.limit, arrays=arrays
        )
        if stuck:
            return tell(Verdict.fails, "the action stays at one bound throughout: the policy does not control.")
        if over:
            jumps = f"; actions jump from bound to bound at {switching:.0%} of steps" if switching >= 0.01 else ""
            return tell(Verdict.concern, f"{'; '.join(reversed(over))}{jumps}.")
        if most.value == 0:
            return tell(Verdict.holds, "nothing is ever at a bound.")
        share = f"{most.value:.2g} of steps (limit {measure.limit:g})"
        return tell(Verdict.holds, f"little is at its bounds: most of all {measure.what}, in {share}.")

    def _observations(self, subject: Subject, space: Space) -> list[Measure]:
        """The most saturated element of the observation, or nothing."""
        found = []
        for name, box in boxes(space).items():
            low, high = (b.ravel().astype(float) for b in box.bounds())
            near = 1e-6 * np.where(np.isfinite(high - low), high - low, 1.0)
            rows = flat(subject, name)
            lows, highs = [x <= low + near for x in rows], [x >= high - near for x in rows]
            at = [a | b for a, b in zip(lows, highs, strict=True)]
            share = shares(at, subject)
            # Always at one bound or the other, and at both of them: a flag among measurements, not one of these.
            flag = (share == 1.0) & (shares(lows, subject) > 0.0) & (shares(highs, subject) > 0.0)
            measured = (np.isfinite(low) | np.isfinite(high)) & ~flag
            if measured.any() and not np.all(share == 1.0):  # all of them always at a bound: a code
                i = int(np.where(measured, share, -1.0).argmax())
                what = f"observation {label(name, box, i)} at a bound"
                found.append((share[i], Measure(what, self.observation_limit, per_episode(at, subject, i))))
        return largest(found)

    def _normalised(self, subject: Subject, space: Space) -> list[Measure]:
        """The element that the policies' normalisers clip most often, or nothing where they have none."""
        is_one = lambda x: isinstance(x, Normaliser)
        normalisers = [[x for x in jax.tree.leaves(p, is_leaf=is_one) if is_one(x)][:1] for p in subject.policies]
        if len(normalisers) != len(subject.episodes) or not all(normalisers):
            return []
        found = []
        for name, box in boxes(space).items():
            # An action mask is never normalised: it has no part.
            part = lambda x, name=name: getattr(x.moments.get(name), "moments", None) if name else x.moments
            moments = [part(x) for (x,) in normalisers]
            known = [x for x in moments if isinstance(x, Moments) and x.mean.shape == box.shape]
            if len(known) < len(moments):
                continue
            clipped = []
            for seen, x in zip(known, flat(subject, name), strict=True):
                mean, variance = (np.asarray(q, float).ravel() for q in (seen.mean, seen.variance))
                clipped.append(np.abs(x - mean) >= CLIP * np.sqrt(variance + 1e-8))
            share = shares(clipped, subject)
            i = int(share.argmax())
            what = f"observation {label(name, box, i)} beyond what training showed"
            found.append((share[i], Measure(what, self.normalised_limit, per_episode(clipped, subject, i))))
        return largest(found)

    def _share(self, groups: list[np.ndarray], rng: np.random.Generator) -> m.Interval:
        """Steps at a limit over all steps, so that a long episode weighs as much as its steps; with its interval."""
        point, draws = m.mean_of(groups), m.resampled(groups, self.resamples, rng)
        return m.interval(float(point[0] / point[1]), draws[:, 0] / draws[:, 1], self.level)

    def _actions(self, subject: Subject, box: Box) -> tuple[Measure, bool, float]:
        """The most saturated element; whether all stay at one bound; how often an element jumps between bounds."""
        low, high = (b.ravel().astype(float) for b in box.bounds())
        near = self.near * (high - low)
        actions = steps_of(subject, lambda t: t.action, "actions")
        lows, highs = [a <= low + near for a in actions], [a >= high - near for a in actions]
        stuck = bool(np.all(np.maximum(shares(lows, subject), shares(highs, subject)) >= self.stuck))
        at = [a | b for a, b in zip(lows, highs, strict=True)]
        i = int(shares(at, subject).argmax())
        jumps = [np.zeros_like(a) for a in at]
        for jump, a, b in zip(jumps, lows, highs, strict=True):
            jump[:, 1:] = (a[:, :-1] & b[:, 1:]) | (b[:, :-1] & a[:, 1:])
        measure = Measure(f"action {label('', box, i)} at a bound", self.action_limit, per_episode(at, subject, i))
        return measure, stuck, float(shares(jumps, subject).max())


def boxes(space: Space) -> dict[str, Box]:
    """The float boxes of a space by entry; the name is empty where there is only one."""
    entries = space.spaces if isinstance(space, Composite) else (("", space),)
    return {name: s for name, s in entries if isinstance(s, Box) and s.dtype.startswith("float")}


def flat(subject: Subject, name: str) -> list[np.ndarray]:
    """Observations (n, T, d) a seed."""
    return steps_of(subject, lambda t: t.obs[name] if name else t.obs, "observations")


def steps_of(subject: Subject, pick: Callable[[Any], Any], what: str) -> list[np.ndarray]:
    """What `pick` finds in the transitions, (n, T, d) a seed. Raises DataError where it is NaN or infinite."""
    found = []
    for i, e in enumerate(subject.episodes):
        x = np.asarray(pick(e.transitions), float).reshape(*np.shape(e.mask), -1)
        if bad := int(np.sum(~np.isfinite(x[np.asarray(e.mask)]).all(axis=-1))):
            raise DataError(
                f"expected finite {what}; seed {i} has NaN or infinity in {bad} of {int(np.sum(e.mask))} steps, so no "
                "bound can be spoken of. Find where they stop being finite."
            )
        found.append(x)
    return found


def shares(at: Sequence[np.ndarray], subject: Subject) -> np.ndarray:
    """Share of all steps at a limit, (d,)."""
    masks = [np.asarray(e.mask) for e in subject.episodes]
    return np.sum([a[k].sum(axis=0) for a, k in zip(at, masks, strict=True)], axis=0) / sum(k.sum() for k in masks)


def per_episode(at: Sequence[np.ndarray], subject: Subject, i: int) -> list[np.ndarray]:
    """Steps of each episode at which element i is at a limit, and all of its steps, (n, 2) a seed."""
    masks = [np.asarray(e.mask) for e in subject.episodes]
    return [np.stack([(a[..., i] & k).sum(1), k.sum(1)], 1).astype(float) for a, k in zip(at, masks, strict=True)]


def largest(found: list[tuple[float, Measure]]) -> list[Measure]:
    """The measure of the largest share, or none."""
    return [max(found, key=lambda pair: pair[0])[1]] if found else []


def label(name: str, box: Box, i: int) -> str:
    """What an element is called."""
    word = box.names[i] if box.names else f"{i}"
    return f"{name}.{word}" if name else word
