"""The analysis of variance against SciPy and by hand; seeds alike, unlike, and too noisy to tell."""

import numpy as np
import pytest
import scipy.stats

from operant.audits import SeedSensitivity
from operant.audits.seed_sensitivity import variances
from operant.core import Verdict

RANDOM = [[0.0], [1.0], [-1.0], [0.5]]


def seeds(means, deviation, n=16):
    """Seeds with exactly these means and this standard deviation."""
    unit = scipy.stats.zscore(np.random.default_rng(0).normal(size=(len(means), n)), axis=1, ddof=1)
    return [[[float(x)] for x in m + deviation * u] for m, u in zip(means, unit, strict=True)]


def test_variances_are_those_of_anova():
    groups = [np.array([1.0, 2.0, 4.0]), np.array([5.0, 6.0, 10.0]), np.array([0.0, 1.0, 1.0])]
    between, within, icc = variances(groups)
    assert between / within == pytest.approx(scipy.stats.f_oneway(*groups).statistic)
    assert icc == pytest.approx((between - within) / (between + 2 * within))


def test_nothing_varies():
    assert variances([np.ones(3), np.ones(3)]) == (0.0, 0.0, 0.0)


def test_equal_seeds_hold(make_subject, key):
    found = SeedSensitivity()(make_subject(seeds([100.0, 101.0, 99.0], 1.0), RANDOM), key=key)
    assert found.verdict is Verdict.holds and found.value == pytest.approx(2 / (100 - 0.125), rel=1e-4)
    assert found.low <= found.value <= found.high <= 0.25


def test_unequal_seeds_are_a_concern(make_subject, key):
    found = SeedSensitivity()(make_subject(seeds([100.0, 60.0, 99.0, 100.0, 98.0], 1.0), RANDOM), key=key)
    assert found.verdict is Verdict.concern and "worst seed (1, 60)" in found.why
    assert found.arrays["p"] == pytest.approx(1 / 2001) and found.arrays["icc"][0] > 0.9


def test_a_seed_that_learned_nothing_fails(make_subject, key):
    found = SeedSensitivity()(make_subject(seeds([100.0, -1.0, 99.0, 100.0, 98.0], 1.0), RANDOM), key=key)
    assert found.verdict is Verdict.fails and "the worst learned nothing" in found.why


def test_noisy_episodes_are_not_different_seeds(make_subject, key):
    """The spread is large by chance of few episodes: the permutation test sees that, and says so."""
    found = SeedSensitivity()(make_subject(seeds([10.0, 6.0, 9.0], 12.0, n=4), RANDOM), key=key)
    p = found.arrays["p"]
    groups = [np.ravel(s) for s in seeds([10.0, 6.0, 9.0], 12.0, n=4)]
    assert p > 0.05 and abs(p - scipy.stats.f_oneway(*groups).pvalue) < 0.06
    assert found.verdict is Verdict.concern and "too much to tell the seeds apart" in found.why


def test_p_value_is_uniform_where_seeds_are_alike(make_subject, key):
    rng = np.random.default_rng(1)
    p = [
        SeedSensitivity(resamples=200)(make_subject(rng.normal(size=(3, 8, 1)).tolist(), RANDOM), key=key).arrays["p"]
        for _ in range(60)
    ]
    assert scipy.stats.kstest(np.array(p, float), "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) < 0.15
