"""Curves for people: bin the iterations, bridge the gaps, summarise over seeds with an interval.

    IQM(x_1 … x_S) = mean of x sorted, without its lowest and highest ⌊S/4⌋
    95 % interval  = the 2.5th and 97.5th percentiles of IQM over seeds drawn with replacement

Reference: Agarwal, Schwarzer, Castro, Courville, Bellemare (2021), Deep Reinforcement Learning at the Edge of the
Statistical Precipice. arXiv 2108.13264.

>>> iqm(np.array([0.0, 1.0, 3.0, 100.0]))
array(2.)
"""

import dataclasses

import numpy as np

RESAMPLES = 2000
CURVE_RESAMPLES = 500
"""A curve has hundreds of intervals; a pixel is wider than what more would change."""
POINTS = 160


def iqm(x: np.ndarray) -> np.ndarray:
    """Interquartile mean over the first axis, NaN left out: (S, …) -> (…); NaN where nothing is left.

    Fewer than four values have no quartiles to cut: their plain mean.
    """
    ordered = np.sort(np.asarray(x, float), axis=0)  # NaN sorts last
    n = np.isfinite(ordered).sum(0)
    cut = n // 4
    rank = np.arange(len(ordered)).reshape(-1, *[1] * (ordered.ndim - 1))
    kept = (rank >= cut) & (rank < n - cut)
    total = np.where(kept, ordered, 0.0).sum(0)
    return np.where(n > 0, total / np.maximum(n - 2 * cut, 1), np.nan)


def interval(x: np.ndarray, resamples: int = RESAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval of `iqm` over the first axis; NaN where fewer than two values are.

    The same resamples at every point, so that a band does not flicker along its curve; seeded, so that a report
    written twice is the same file.
    """
    x = np.asarray(x, float)
    seeds = len(x)
    if seeds < 2:
        return np.full(x.shape[1:], np.nan), np.full(x.shape[1:], np.nan)
    drawn = np.random.default_rng(0).integers(0, seeds, (resamples, seeds))
    sampled = iqm(np.moveaxis(x[drawn], 1, 0))  # (resamples, …)
    nothing = np.isfinite(x).sum(0) < 2
    empty = ~np.isfinite(sampled).any(0)
    low, high = np.nanpercentile(np.where(empty, 0.0, sampled), [2.5, 97.5], axis=0)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


@dataclasses.dataclass(frozen=True)
class Curve:
    """One metric over training: x (P,), a line a seed (S, P), their interquartile mean and its interval (P,)."""

    x: np.ndarray
    lines: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bin_mean(values: np.ndarray, points: int = POINTS) -> np.ndarray:
    """(S, I) -> (S, min(I, points)): the mean of what is finite in each of equally long stretches of iterations."""
    values = np.asarray(values, float)
    edges = _edges(values.shape[1], points)
    finite = np.isfinite(values)
    total = np.add.reduceat(np.where(finite, values, 0.0), edges[:-1], axis=1)
    n = np.add.reduceat(finite.astype(int), edges[:-1], axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def bin_x(env_steps: np.ndarray, points: int = POINTS) -> np.ndarray:
    """(I,) -> (P,): the steps done at the end of each stretch of `bin_mean`."""
    env_steps = np.asarray(env_steps, float)
    return env_steps[_edges(len(env_steps), points)[1:] - 1]


def _edges(n: int, points: int) -> np.ndarray:
    return np.unique(np.linspace(0, n, min(n, points) + 1).round().astype(int))


def bridge(x: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Join each seed's points across its own gaps, never before its first or after its last.

    Iterations in which no episode ended have no return; without this the seeds that happen to have one there would
    stand for all.
    """
    joined = np.full(lines.shape, np.nan)
    for into, line in zip(joined, lines, strict=True):
        here = np.flatnonzero(np.isfinite(line))
        if len(here):
            inside = slice(here[0], here[-1] + 1)
            into[inside] = np.interp(x[inside], x[here], line[here])
    return joined


def curve(env_steps: np.ndarray, values: np.ndarray, points: int = POINTS) -> Curve:
    """Summarise one metric (S, I) over env_steps (I,)."""
    x = bin_x(env_steps, points)
    lines = bridge(x, bin_mean(values, points))
    return Curve(x, lines, iqm(lines), *interval(lines, CURVE_RESAMPLES))
