"""Statistics over seeds against SciPy, exact enumeration and known coverage."""

import math

import numpy as np
import pytest
import scipy.stats

from operant.errors import DataError, SpecError
from operant.math.stats import (
    bootstrap_interval,
    interquartile_mean,
    pearson,
    permutation_test,
    probability_of_improvement,
    spearman,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 11])
def test_interquartile_mean_is_the_trimmed_mean(n):
    x = rng().normal(size=(3, n))
    np.testing.assert_allclose(interquartile_mean(x), scipy.stats.trim_mean(x, 0.25, axis=-1))
    np.testing.assert_allclose(interquartile_mean(x.T, axis=0), interquartile_mean(x))


def test_bootstrap_interval_agrees_with_scipy():
    x = rng().gamma(2.0, size=30)
    ours = bootstrap_interval(x, np.mean, n=20_000, rng=rng(1))
    theirs = scipy.stats.bootstrap((x,), np.mean, n_resamples=20_000, method="percentile", random_state=rng(2))
    assert ours.value == pytest.approx(x.mean())
    np.testing.assert_allclose([ours.low, ours.high], list(theirs.confidence_interval), rtol=0.02)
    narrow = bootstrap_interval(x, np.mean, level=0.5, rng=rng(1))
    assert ours.low < narrow.low < narrow.high < ours.high


def test_bootstrap_intervals_cover_as_often_as_they_say():
    r = rng()
    hits = 0
    for _ in range(300):
        found = bootstrap_interval(r.normal(size=40), np.mean, level=0.9, n=400, rng=r)
        hits += found.low <= 0.0 <= found.high
    assert 0.84 <= hits / 300 <= 0.95  # percentile intervals undercover a little at 40


def test_the_bootstrap_is_stratified_by_task():
    """Two tasks without spread of their own: pooling them would invent an interval."""
    x = np.tile([0.0, 100.0], (5, 1))
    assert bootstrap_interval(x, np.mean, rng=rng()) == (50.0, 50.0, 50.0)
    pooled = bootstrap_interval(x.reshape(-1), np.mean, rng=rng())
    assert pooled.high - pooled.low > 40


def test_the_same_generator_gives_the_same_interval():
    x = rng().normal(size=(5, 3))
    assert bootstrap_interval(x, rng=rng(7)) == bootstrap_interval(x, rng=rng(7))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_permutation_test_equals_scipy_exactly_and_by_sampling(alternative):
    a, b = rng().normal(size=6), rng(1).normal(0.8, 1.0, size=5)
    exact = permutation_test(a, b, alternative=alternative, rng=rng())
    theirs = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=np.inf, alternative="greater", axis=0
    )
    null = np.asarray(theirs.null_distribution)
    observed = a.mean() - b.mean()
    extreme = {"two-sided": np.abs(null) >= abs(observed) - 1e-12, "greater": null >= observed - 1e-12}
    extreme["less"] = null <= observed + 1e-12
    assert exact == pytest.approx(extreme[alternative].mean())
    sampled = permutation_test(a, b, alternative=alternative, n=461, rng=rng())  # 462 splits: too many, so sampled
    assert sampled == pytest.approx(exact, abs=4 * 0.5 / math.sqrt(461))
    assert sampled != exact


def test_permutation_test_takes_other_statistics_and_small_ties():
    a, b = [3.0, 3.0, 3.0], [1.0, 1.0, 1.0]
    iqm = lambda x, y: interquartile_mean(x) - interquartile_mean(y)
    assert permutation_test(a, b, iqm, rng=rng()) == pytest.approx(2 / 20)
    assert permutation_test([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], rng=rng()) == 1.0


def test_permutation_p_values_are_uniform_under_the_null():
    r = rng()
    p = [permutation_test(r.normal(size=5), r.normal(size=5), rng=r) for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09


def test_probability_of_improvement_is_the_mann_whitney_statistic():
    x, y = rng().integers(0, 6, 9).astype(float), rng(1).integers(0, 6, 7).astype(float)
    found = probability_of_improvement(x, y, rng=rng())
    assert found.value == pytest.approx(scipy.stats.mannwhitneyu(x, y).statistic / 63)
    assert found.low <= found.value <= found.high
    assert probability_of_improvement(x, x, rng=rng()).value == 0.5
    assert probability_of_improvement(x + 10, y, rng=rng()) == (1.0, 1.0, 1.0)
    tasks = probability_of_improvement(np.stack([x, x + 10], 1), np.stack([y, y], 1), rng=rng())
    assert tasks.value == pytest.approx((found.value + 1.0) / 2)


def test_correlations_equal_scipy():
    x = rng().normal(size=25)
    y = np.round(x**3 + rng(1).normal(size=25), 0)  # rounding makes ties
    for ours, theirs in ((pearson, scipy.stats.pearsonr), (spearman, scipy.stats.spearmanr)):
        found = ours(x, y, rng=rng())
        assert found.value == pytest.approx(theirs(x, y).statistic)
        assert -1.0 <= found.low < found.value < found.high <= 1.0


def test_the_pearson_interval_agrees_with_fishers_on_normal_data():
    x = rng().normal(size=400)
    y = x + rng(1).normal(size=400)
    found = pearson(x, y, rng=rng())
    fisher = np.tanh(np.arctanh(found.value) + np.array([-1.96, 1.96]) / math.sqrt(397))
    np.testing.assert_allclose([found.low, found.high], fisher, atol=0.02)


def test_a_constant_has_no_correlation():
    assert all(math.isnan(v) for v in pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], rng=rng()))
    found = spearman([1.0, 2.0], [5.0, 9.0], rng=rng())  # half of the resamples are constant: left out
    assert found == (1.0, 1.0, 1.0)


def test_errors_say_what_arrived():
    with pytest.raises(DataError, match=r"scores to be finite; got 1 NaN or infinite numbers among 2"):
        bootstrap_interval([1.0, math.nan], rng=rng())
    with pytest.raises(DataError, match=r"scores of shape \(S,\) or \(S, M\) .* got \(0,\)"):
        bootstrap_interval([], rng=rng())
    with pytest.raises(SpecError, match=r"0 < level < 1; got 95"):
        bootstrap_interval([1.0, 2.0], level=95, rng=rng())
    with pytest.raises(SpecError, match=r"alternative in .*; got 'larger'"):
        permutation_test([1.0], [2.0], alternative="larger", rng=rng())
    with pytest.raises(DataError, match=r"same M tasks; got M = 2 and 1"):
        probability_of_improvement(np.ones((3, 2)), np.ones(3), rng=rng())
    with pytest.raises(DataError, match=r"one shape \(K,\) with K ≥ 2; got \(3,\) and \(2,\)"):
        pearson([1.0, 2.0, 3.0], [1.0, 2.0], rng=rng())
    with pytest.raises(SpecError, match=r"n ≥ 1; got 0"):
        spearman([1.0, 2.0], [1.0, 2.0], n=0, rng=rng())
