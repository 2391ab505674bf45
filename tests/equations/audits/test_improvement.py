"""P(X > Y) by hand, its verdicts, and too few seeds to conclude from."""

import numpy as np
import pytest

from operant.audits import ProbabilityOfImprovement
from operant.core import Verdict


def seeds(*means):
    return [[[m], [m]] for m in means]


def test_value_counts_pairs_and_half_of_ties(make_subject, key):
    found = ProbabilityOfImprovement()(make_subject(seeds(1.0, 2.0, 3.0), baseline=np.array([0.0, 2.0, 4.0])), key=key)
    assert found.value == pytest.approx((1 + 1.5 + 2) / 9)
    assert found.verdict is Verdict.concern and found.limit == 0.5 and found.n == 6


@pytest.mark.parametrize(("means", "verdict"), [((5.0, 6.0, 7.0), Verdict.holds), ((0.0, 1.0, 2.0), Verdict.fails)])
def test_verdict_on_each_side(make_subject, key, means, verdict):
    found = ProbabilityOfImprovement()(make_subject(seeds(*means), baseline=np.array([3.0, 4.0, 4.5])), key=key)
    assert found.verdict is verdict and found.value == (verdict is Verdict.holds)


def test_too_few_seeds_are_unknown_however_far_apart(make_subject, key):
    found = ProbabilityOfImprovement()(make_subject(seeds(9.0, 9.5), baseline=np.array([0.0, 1.0, 2.0])), key=key)
    assert found.verdict is Verdict.unknown and "fewer than 3 seeds" in found.why


def test_limit_moves_the_verdict(make_subject, key):
    subject = make_subject(seeds(*range(1, 11)), baseline=np.arange(10) - 2.5)  # P = 0.735
    verdicts = [ProbabilityOfImprovement(limit=x)(subject, key=key).verdict for x in (0.3, 0.99)]
    assert verdicts == [Verdict.holds, Verdict.fails]
