"""The tests that judge claims, against SciPy and by hand."""

import numpy as np
import pytest
import scipy.stats

from operant.claims._tests import (
    Above,
    Better,
    Equal,
    NotWorse,
    Published,
    Removes,
    difference_interval,
    iqm_difference,
)
from operant.errors import SpecError


def rng():
    return np.random.default_rng(0)


def test_better_is_the_permutation_test_of_the_mean():
    a, b = np.array([3.0, 9.0, 5.0, 7.0]), np.array([1.0, 4.0, 2.0, 6.0])
    judged = Better()(a, b, rng())
    exact = scipy.stats.permutation_test((a, b), lambda x, y: x.mean() - y.mean(), alternative="greater")
    assert judged.p == pytest.approx(exact.pvalue)
    assert not judged.holds and judged.value == 3.0 == iqm_difference(a, b)
    assert Better(level=0.2)(a, b, rng()).holds
    assert Better(level=0.2, higher=False)(b, a, rng()).p == pytest.approx(judged.p)
    assert not Better(level=0.2, higher=False)(a, b, rng()).holds


def test_better_refuses_what_no_outcome_could_show():
    with pytest.raises(SpecError, match=r"p ≤ 0.05; 2 against 2 cannot give less than 0.17\. Use more seeds"):
        Better()(np.array([1.0, 2.0]), np.array([0.0, 0.0]), rng())


def test_the_interval_of_a_difference_covers_as_often_as_it_says():
    draws = np.random.default_rng(1)
    covered = [
        (lambda found: found[1] <= 1.0 <= found[2])(
            difference_interval(draws.normal(1.0, 1.0, 20), draws.normal(0.0, 1.0, 20), 0.9, draws)
        )
        for _ in range(200)
    ]
    assert 0.78 <= np.mean(covered) <= 0.97  # 0.9, less what the percentile bootstrap of 20 is known to miss


def test_not_worse_fails_only_beyond_the_interval():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert NotWorse()(a, a + 0.5, rng()).holds
    assert NotWorse()(a, a - 10.0, rng()).holds
    assert not NotWorse()(a, a + 10.0, rng()).holds


def test_above_asks_the_low_end():
    a = np.array([99.0, 100.0, 101.0, 102.0])
    assert Above(98.9)(a, np.zeros(0), rng()).holds
    judged = Above(100.0)(a, np.zeros(0), rng())
    assert judged.value == 100.5 and judged.low < 100.0 and not judged.holds


def test_published_is_within_or_above():
    published = Published(100.0, 10.0, "someone")
    for middle, holds in ((89.0, False), (91.0, True), (150.0, True)):
        assert published(middle + np.array([-1.0, 0.0, 0.0, 1.0]), np.zeros(0), rng()).holds is holds


def test_equal_means_every_one():
    assert Equal()(np.array([0.0, 1.0]), np.array([0.0, 1.0]), rng()).holds
    assert not Equal()(np.array([0.0, 1.0]), np.array([1.0, 0.0]), rng()).holds


def test_removes_asks_that_there_was_something_to_remove():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert Removes()(a - 10.0, a, rng()).holds
    assert not Removes()(a - 20.0, a - 10.0, rng()).holds  # lower, but the control was not above zero
    assert not Removes()(a, a + 0.1, rng()).holds  # above zero, but not lower
