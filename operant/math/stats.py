"""Statistics over seeds, in NumPy: the interquartile mean, bootstrap intervals, permutation tests, correlations.

Scores are (S,), one a seed, or (S, M) for M tasks; tasks are strata: each is resampled on its own, so that every
resample holds S scores of every task. Randomness comes from the generator that is given.

Reference: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2108.13264;
Phipson and Smyth 2010, Permutation P-values Should Never Be Zero, 1603.05766 (the +1 in a sampled p-value).
"""

import math
from collections.abc import Callable
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from operant.errors import DataError, SpecError

Statistic = Callable[..., np.ndarray]
"""`statistic(x, axis) -> x reduced over axis`, as `np.mean` and `interquartile_mean` are."""
CHUNK = 4_000_000
"""Most numbers held at once while resampling (32 MB)."""


class Interval(NamedTuple):
    """An estimate and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


def _scores(x: np.ndarray, what: str) -> np.ndarray:
    """`x` as finite float64 (S, M), or a DataError."""
    x = np.asarray(x, np.float64)
    if x.ndim not in (1, 2) or x.size == 0:
        raise DataError(
            f"expected {what} of shape (S,) or (S, M) with S, M ≥ 1; got {x.shape}. Give one score a seed and task."
        )
    if not np.isfinite(x).all():
        raise DataError(
            f"expected {what} to be finite; got {np.sum(~np.isfinite(x))} NaN or infinite numbers among {x.size}. "
            "Leave failed seeds out on purpose, or give them the score of a failure."
        )
    return x.reshape(len(x), -1)


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise SpecError(f"expected {name} ≥ 1; got {value}.")


def interquartile_mean(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the middle half: ⌊n/4⌋ values are dropped at each end (none below n = 4).

    >>> float(interquartile_mean(np.array([-100.0, 1.0, 3.0, 50.0])))
    2.0
    """
    x = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    cut = x.shape[-1] // 4
    return np.sort(x, axis=-1)[..., cut : x.shape[-1] - cut].mean(-1)


def mean_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """mean(a) − mean(b) over the last axis."""
    return a.mean(-1) - b.mean(-1)


def _resample(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, S, M): n draws with replacement of the S seeds, each task on its own."""
    seeds, tasks = x.shape
    return x[rng.integers(seeds, size=(n, seeds, tasks)), np.arange(tasks)]


def _interval(value: float, draws: list[np.ndarray], level: float) -> Interval:
    """The percentile interval; NaN throughout where the estimate is NaN, and over what is defined otherwise."""
    if not 0.0 < level < 1.0:
        raise SpecError(f"expected 0 < level < 1; got {level}. Write 0.95 for a 95 % interval.")
    all_draws = np.concatenate(draws)
    all_draws = all_draws[~np.isnan(all_draws)]
    if math.isnan(value) or all_draws.size == 0:
        return Interval(float(value), math.nan, math.nan)
    low, high = np.quantile(all_draws, [0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    return Interval(float(value), float(low), float(high))


def _chunks(n: int, size: int) -> list[int]:
    """`n` split into parts of which each holds at most CHUNK numbers when one draw holds `size`."""
    each = max(1, CHUNK // max(size, 1))
    return [min(each, n - i) for i in range(0, n, each)]


def bootstrap_interval(
    x: np.ndarray,
    statistic: Statistic = interquartile_mean,
    *,
    level: float = 0.95,
    n: int = 2000,
    rng: np.random.Generator,
) -> Interval:
    """The statistic of all scores with its percentile bootstrap interval, stratified by task.

    Args:
        x: scores (S,) or (S, M).
        statistic: `statistic(x, axis=-1)`; it sees all S·M scores on its last axis.
        level: probability the interval is to cover.
        n: resamples.

    Raises DataError (no scores, not finite) and SpecError (level, n).

    >>> bootstrap_interval(np.ones(5), np.mean, rng=np.random.default_rng(0))
    Interval(value=1.0, low=1.0, high=1.0)
    """
    x = _scores(x, "scores")
    _positive("n", n)
    flat = lambda draws: draws.reshape(len(draws), -1)
    draws = [statistic(flat(_resample(x, k, rng)), axis=-1) for k in _chunks(n, x.size)]
    return _interval(float(statistic(x.reshape(-1), axis=-1)), draws, level)


def permutation_test(
    a: np.ndarray,
    b: np.ndarray,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray] = mean_difference,
    *,
    alternative: Literal["two-sided", "greater", "less"] = "two-sided",
    n: int = 10_000,
    rng: np.random.Generator,
) -> float:
    """p-value of "labels do not matter" for two independent samples (S_a,), (S_b,).

    Exact (every split is counted, `rng` unread) where there are at most n of them; otherwise from n random splits, with
    p = (1 + extreme)/(1 + n). Two-sided counts |statistic|, which suits statistics centred on 0. With S seeds a side
    the smallest possible one-sided p is 1/C(2S, S): 0.05 for 3, 0.004 for 5.

    Args:
        statistic: `statistic(a, b)` over the last axis, of any leading axes.
        alternative: "greater" asks whether the statistic is larger than chance would have it.

    Raises DataError (empty or not finite) and SpecError (alternative, n).

    >>> permutation_test([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], alternative="greater", rng=np.random.default_rng(0))
    0.05
    """
    a, b = _scores(a, "a").reshape(-1), _scores(b, "b").reshape(-1)
    _positive("n", n)
    signs = {"two-sided": np.abs, "greater": lambda s: s, "less": lambda s: -s}
    if alternative not in signs:
        raise SpecError(f"expected alternative in {sorted(signs)}; got {alternative!r}.")
    score = signs[alternative]
    pooled = np.concatenate([a, b])
    seen = float(score(np.asarray(statistic(a, b))))
    near = seen - 1e-9 * max(1.0, abs(seen))  # summing in another order must not turn a tie into a loss
    exact = math.comb(len(pooled), len(a)) <= n
    if exact:
        first = np.array(list(combinations(range(len(pooled)), len(a))))
        rest = np.ones((len(first), len(pooled)), bool)
        np.put_along_axis(rest, first, False, axis=1)
        splits = [np.concatenate([first, np.nonzero(rest)[1].reshape(len(first), -1)], axis=1)]
    else:
        splits = (rng.random((k, len(pooled))).argsort(axis=1) for k in _chunks(n, len(pooled)))
    extreme = total = 0
    for split in splits:
        mixed = pooled[split]
        extreme += int((score(np.asarray(statistic(mixed[:, : len(a)], mixed[:, len(a) :]))) >= near).sum())
        total += len(split)
    return extreme / total if exact else (1 + extreme) / (1 + total)


def _improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(X > Y) + P(X = Y)/2 of (n, S_x, M) over (n, S_y, M), averaged over tasks."""
    x, y = x[:, :, None], y[:, None]
    return ((x > y) + 0.5 * (x == y)).mean((1, 2, 3))


def probability_of_improvement(
    x: np.ndarray, y: np.ndarray, *, level: float = 0.95, n: int = 2000, rng: np.random.Generator
) -> Interval:
    """How probably a run of X scores above a run of Y: P(X > Y) + P(X = Y)/2, averaged over tasks.

    Scores (S_x,) and (S_y,), or (S_x, M) and (S_y, M) with the same tasks. Raises DataError and SpecError.

    >>> probability_of_improvement([2.0, 3.0], [1.0, 2.0], rng=np.random.default_rng(0)).value
    0.875
    """
    x, y = _scores(x, "x"), _scores(y, "y")
    if x.shape[1] != y.shape[1]:
        raise DataError(
            f"expected x (S_x, M) and y (S_y, M) on the same M tasks; got M = {x.shape[1]} and {y.shape[1]}. "
            "Put seeds on axis 0 and the same tasks on axis 1."
        )
    _positive("n", n)
    size = x.size * len(y)
    draws = [_improvement(_resample(x, k, rng), _resample(y, k, rng)) for k in _chunks(n, size)]
    return _interval(float(_improvement(x[None], y[None])[0]), draws, level)


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Over the last axis; NaN where either is constant."""
    constant = (np.ptp(x, axis=-1) == 0) | (np.ptp(y, axis=-1) == 0)
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    norm = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.where(constant, np.nan, np.clip((x * y).sum(-1) / np.where(norm > 0, norm, 1.0), -1.0, 1.0))


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata  # half a second to import, of a start of one and a half

    return _pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def _correlation(measure, x, y, level: float, n: int, rng: np.random.Generator) -> Interval:
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise DataError(f"expected x and y of one shape (K,) with K ≥ 2; got {x.shape} and {y.shape}. Pair them first.")
    x, y = _scores(x, "x").reshape(-1), _scores(y, "y").reshape(-1)
    _positive("n", n)
    draws = []
    for k in _chunks(n, len(x)):
        picked = rng.integers(len(x), size=(k, len(x)))
        draws.append(measure(x[picked], y[picked]))
    return _interval(float(measure(x, y)), draws, level)


def pearson(x: np.ndarray, y: np.ndarray, *, level: float = 0.95, n: int = 2000, rng: np.random.Generator) -> Interval:
    """Linear correlation of pairs (K,), (K,), with an interval over resampled pairs.

    NaN throughout where x or y is constant, for it is not defined there; resamples that are constant are left out.
    Raises DataError and SpecError.

    >>> round(pearson([1.0, 2.0, 3.0], [1.0, 3.0, 2.0], rng=np.random.default_rng(0)).value, 3)
    0.5
    """
    return _correlation(_pearson, x, y, level, n, rng)


def spearman(x: np.ndarray, y: np.ndarray, *, level: float = 0.95, n: int = 2000, rng: np.random.Generator) -> Interval:
    """Rank correlation (ties share their mean rank) of pairs (K,), (K,), otherwise as `pearson`.

    >>> round(spearman([1.0, 2.0, 3.0], [1.0, 8.0, 27.0], rng=np.random.default_rng(0)).value, 3)
    1.0
    """
    return _correlation(_spearman, x, y, level, n, rng)
