"""What the audits share: returns and rewards of a subject's episodes, resampled means, and how a finding is written.

Intervals are over seeds, the independent repetitions: whole seeds are resampled, with all their episodes. A subject of
one seed has its episodes resampled instead, and its findings say so.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from operant.core import AbstractAudit, AbstractReward, EnvSpec, Finding, Subject, Verdict
from operant.errors import DataError, SpecError
from operant.math.stats import Interval
from operant.nn import generator as generator  # audits draw in NumPy


def title(audit: AbstractAudit) -> str:
    """An audit's class in words, which heads its finding.

    >>> from operant.audits import ProxyGap
    >>> from operant.audits import TQ
    >>> title(ProxyGap()), title(TQ())
    ('proxy gap', 'TQ')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(audit).__name__).split()
    return " ".join(word if word[:2].isupper() else word.lower() for word in words)


def check_share(what: str, value: float) -> None:
    """Raise SpecError unless 0 < value < 1."""
    if not 0.0 < value < 1.0:
        raise SpecError(f"expected 0 < {what} < 1; got {value:g}.")


def finding(
    audit: AbstractAudit,
    verdict: Verdict,
    why: str,
    found: Interval | None = None,
    *,
    n: int = 0,
    limit: float | None = None,
    arrays: Mapping[str, Any] | None = None,
    axes: tuple[str, str] = ("", ""),
) -> Finding:
    """A finding without NaN: a number that is not finite is left out. With `axes`, "curve/…" are drawn."""
    number = lambda x: None if x is None or not math.isfinite(x) else float(x)
    value, low, high = (None, None, None) if found is None else map(number, found)
    arrays = {name: np.asarray(x) for name, x in (arrays or {}).items()}
    return Finding(title(audit), verdict, why, value, low, high, n, number(limit), arrays, axes)


def span(x: Interval) -> str:
    """
    >>> span(Interval(1.0, 0.5, 1.5))
    '1 [0.5, 1.5]'
    """
    return f"{x.value:.4g} [{x.low:.4g}, {x.high:.4g}]"


def scale_words(returns: Sequence[np.ndarray]) -> str:
    """What a finding rests on: "5 seeds × 32 episodes"."""
    counts = sorted({len(r) for r in returns})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    if len(returns) == 1:
        return f"One seed × {each} episodes (interval over episodes only)"
    return f"{len(returns)} seeds × {each} episodes"


# --- returns and rewards --------------------------------------------------------------------------------------------


def finite(values: Sequence[np.ndarray], what: str) -> list[np.ndarray]:
    """`values`, (n, …) a seed, or a DataError that names the first seed with a number that is not finite."""
    values = [np.asarray(x, np.float64) for x in values]
    for i, x in enumerate(values):
        if bad := int(np.sum(~np.isfinite(x).reshape(len(x), -1).all(axis=1))):
            raise DataError(
                f"expected finite {what}; seed {i} has NaN or infinity in {bad} of {len(x)} episodes, so nothing can "
                "be said of it. Find where the reward or the observation stops being finite."
            )
    return values


def returns(subject: Subject) -> list[np.ndarray]:
    """The environment's own return of each episode, (n,) a seed. Raises DataError if one is not finite."""
    return finite([e.returns for e in subject.episodes], "returns")


def control_returns(subject: Subject) -> np.ndarray:
    """The same of the random policy, (n,)."""
    x = np.asarray(subject.control.returns, np.float64)
    if not np.isfinite(x).all():
        raise DataError(
            f"expected finite returns of the random policy; {int(np.sum(~np.isfinite(x)))} of {len(x)} episodes have "
            "NaN or infinity. Find where the environment's reward stops being finite."
        )
    return x


class Rewards(NamedTuple):
    """One reward along the episodes: (n, T) a seed, zero where no step took place; and along the control's."""

    subject: list[np.ndarray]
    control: list[np.ndarray]
    """A seed: the control's episodes judged by that seed's reward state. Empty where there is no control."""

    def returns(self, what: str) -> list[np.ndarray]:
        return finite([r.sum(axis=1) for r in self.subject], what)

    def control_returns(self, what: str) -> np.ndarray:
        """(n,): mean over the seeds' reward states."""
        return np.mean(finite([r.sum(axis=1) for r in self.control], f"{what} of the random policy"), axis=0)


def fresh(reward: AbstractReward, spec: EnvSpec, what: str) -> Any:
    """The state of a reward that has nothing to learn. Raises DataError where it has, and its states are not given."""
    state = reward.init(spec, key=jax.random.key(0))
    if jax.tree.leaves(state):
        raise DataError(
            f"expected the states of {what} ({type(reward).__name__}), one a seed, for it learns; got none. Audit "
            f"the Run, or give Subject({'reward' if 'stated' in what else 'truth'}_states=…)."
        )
    return state


def truth_is_stated(subject: Subject) -> bool:
    """Whether stated and true reward are one and the same: of what learns, what was learned too."""
    intent: Any = subject.intent
    learned = (jax.tree.leaves(states) for states in (subject.reward_states, subject.truth_states))
    return bool(eqx.tree_equal(intent.reward, intent.truth)) and bool(eqx.tree_equal(*learned))


def rewards(subject: Subject, reward: AbstractReward, states: Sequence[Any], what: str) -> Rewards:
    """`reward` along every episode.

    Raises:
        DataError: the reward learns and its states, one a seed, are not given.
    """
    seeds = len(subject.episodes)
    spec = subject.env.spec if subject.env is not None else subject.policies[0].spec if subject.policies else None
    if not states:
        states = (() if spec is None else fresh(reward, spec, what),) * seeds
    if len(states) != seeds:
        raise DataError(f"expected {seeds} states of {what}, one a seed; got {len(states)}.")
    control = []
    for i, state in enumerate(states if subject.control is not None else ()):
        alike = i > 0 and not jax.tree.leaves(state)
        control.append(control[0] if alike else _along(reward, state, subject.control))
    return Rewards([_along(reward, s, e) for s, e in zip(states, subject.episodes, strict=True)], control)


def _along(reward: AbstractReward, state: Any, episodes: Any) -> np.ndarray:
    turned = jax.tree.map(lambda x: jnp.swapaxes(jnp.asarray(x), 0, 1), episodes.transitions)  # (T, n), as rollouts are
    return np.where(episodes.mask, np.asarray(reward(state, turned), np.float64).T, 0.0)


# --- resampling -----------------------------------------------------------------------------------------------------


def resampled(groups: Sequence[np.ndarray], n: int, rng: np.random.Generator) -> np.ndarray:
    """Means (n, …) of resamples: of whole groups (seeds), or of the rows (episodes) of the only one.

    >>> resampled([np.array([1.0, 3.0])], 2, np.random.default_rng(0)).shape
    (2,)
    """
    units = np.stack([g.mean(axis=0) for g in groups]) if len(groups) > 1 else np.asarray(groups[0])
    return units[rng.integers(len(units), size=(n, len(units)))].mean(axis=1)


def mean_of(groups: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over groups of their means."""
    return np.mean([g.mean(axis=0) for g in groups], axis=0)


def interval(value: float, draws: np.ndarray, level: float) -> Interval:
    """The percentile interval over the draws that are finite."""
    draws = draws[np.isfinite(draws)]
    if not len(draws) or not math.isfinite(value):
        return Interval(float(value), math.nan, math.nan)
    low, high = np.quantile(draws, [0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    return Interval(float(value), float(low), float(high))


def interval_of_mean(groups: Sequence[np.ndarray], level: float, n: int, rng: np.random.Generator) -> Interval:
    """Mean over seeds with its interval."""
    return interval(float(mean_of(groups)), resampled(groups, n, rng), level)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r over the pairs that are finite; NaN with fewer than three, or where either is constant."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x, np.float64)[both], np.asarray(y, np.float64)[both]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()), -1.0, 1.0))
