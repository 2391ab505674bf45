"""The interquartile mean over seeds, its interval, and the verdict on each side of the limit."""

import jax
import numpy as np
import pytest

from operant.audits import Returns
from operant.core import Verdict
from operant.errors import DataError

SEEDS = [[[9.0], [11.0]], [[19.0], [21.0]], [[10.0], [10.0]], [[12.0], [12.0]], [[0.0], [2.0]]]  # means 10 20 10 12 1


def test_value_is_the_interquartile_mean_of_seed_means(make_subject, key):
    found = Returns(at_least=0.0)(make_subject(SEEDS), key=key)
    assert found.value == pytest.approx((10 + 10 + 12) / 3)
    assert found.low <= found.value <= found.high and found.n == 10 and found.limit == 0.0
    np.testing.assert_allclose(found.arrays["means"], [10, 20, 10, 12, 1])
    assert "5 seeds × 2 episodes" in found.why and "worst seed 4 with 1." in found.why


@pytest.mark.parametrize(
    ("at_least", "verdict"), [(0.5, Verdict.holds), (11.0, Verdict.concern), (21.0, Verdict.fails)]
)
def test_verdict_against_a_limit(make_subject, key, at_least, verdict):
    assert Returns(at_least=at_least)(make_subject(SEEDS), key=key).verdict is verdict


@pytest.mark.parametrize(
    ("control", "verdict"),
    [
        ([[-1.0], [0.0], [-2.0]], Verdict.holds),
        ([[2.0], [30.0], [1.0]], Verdict.fails),
        ([[0.0], [20.0], [10.0]], Verdict.concern),
    ],
)
def test_verdict_against_random_actions(make_subject, key, control, verdict):
    found = Returns()(make_subject(SEEDS, control), key=key)
    assert found.verdict is verdict, found.why
    np.testing.assert_allclose(found.arrays["random"], np.ravel(control))


def test_one_seed_has_its_episodes_resampled(make_subject, key):
    found = Returns(at_least=0.0)(make_subject([[[0.0], [10.0], [20.0], [2.0]]]), key=key)
    assert found.value == pytest.approx(8.0)  # the mean, not the interquartile mean (6)
    assert found.low < 8.0 < found.high
    assert "interval over episodes only" in found.why and "worst" not in found.why


def test_nothing_to_judge_by_is_unknown(make_subject, key):
    found = Returns()(make_subject(SEEDS), key=key)
    assert found.verdict is Verdict.unknown and "Returns(at_least=…)" in found.why


def test_nan_is_refused_and_the_seed_named(make_subject, key):
    with pytest.raises(DataError, match="seed 1 has NaN or infinity in 1 of 2 episodes"):
        Returns(at_least=0.0)(make_subject([[[1.0], [1.0]], [[1.0], [float("nan")]]]), key=key)


def test_same_key_same_finding(make_subject):
    ask = lambda k: Returns(at_least=0.0)(make_subject(SEEDS), key=jax.random.key(k))
    assert ask(1).low == ask(1).low and ask(1).why == ask(1).why
    assert len({ask(k).low for k in range(5)} | {ask(k).high for k in range(5)}) > 2
