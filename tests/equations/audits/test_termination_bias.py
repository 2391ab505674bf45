"""Each rule of the verdict, on subjects for which the share is known by hand."""

import numpy as np
import pytest

from operant.audits import TerminationBias
from operant.audits.termination_bias import share
from operant.core import Verdict

RANDOM = [[1.0] * n for n in (3, 4, 5, 4)]


def survivors(paid, seeds=3, n=4, steps=20):
    return [[[paid] * (steps + i) for i in range(n)] for _ in range(seeds)]


def test_share_by_hand():
    assert share(np.array([30.0, 10.0]), np.array([8.0, 4.0])) == pytest.approx((10 - 4) * 2 / 22)
    assert np.isnan(share(np.array([1.0, 10.0]), np.array([8.0, 4.0])))


def test_fixed_horizon_holds(make_subject, make_episodes, key):
    fixed = lambda paid: make_episodes([[paid] * 6] * 3, terminated=False)
    found = TerminationBias()(make_subject([fixed(2.0)] * 2, fixed(1.0)), key=key)
    assert found.verdict is Verdict.holds and found.value == 0.0 and "lasts 6 steps: with a fixed horizon" in found.why


def test_a_constant_reward_is_a_concern_and_said_to_be_one(make_subject, key):
    found = TerminationBias()(make_subject(survivors(1.0), RANDOM), key=key)
    assert found.verdict is Verdict.concern and found.value == pytest.approx(1.0) and found.limit == 0.5
    assert "itself is constant (1 a step), so the behaviour is staying alive" in found.why
    assert "Intent(truth=…)" in found.why


def test_a_constant_cost_teaches_to_leave(make_subject, key):
    quick, slow = [[[-1.0] * n for n in (2, 3, 4)]] * 3, [[-1.0] * n for n in (18, 19, 20)]
    found = TerminationBias()(make_subject(quick, slow), key=key)
    assert found.verdict is Verdict.concern and "ending the episode" in found.why and found.value == pytest.approx(1.0)


def test_a_positive_reward_that_pays_random_actions_more(make_subject, key):
    """Adversarial imitation of an untrained agent: its own states look expert, yet the learner stays alive."""
    found = TerminationBias()(make_subject(survivors(0.5), [[0.8] * n for n in (3, 4, 5, 4)]), key=key)
    gain = 0.5 * 21.5 - 0.8 * 4
    assert found.verdict is Verdict.concern and found.value == pytest.approx((21.5 - 4) * 0.8 / gain, rel=1e-5)
    assert "not negative at 100% of steps" in found.why


def test_a_reward_that_tells_states_apart_holds(make_subject, key):
    found = TerminationBias()(make_subject(survivors(3.0), [[0.1] * n for n in (3, 4, 5, 4)]), key=key)
    assert found.verdict is Verdict.holds and found.high < 0.5 and "a constant does not explain it" in found.why


def test_a_reward_of_both_signs_holds(make_subject, key):
    mixed = [[[1.0, -0.5] * (10 + i) for i in range(4)] for _ in range(3)]
    found = TerminationBias()(make_subject(mixed, RANDOM), key=key)
    assert found.verdict is Verdict.holds and "both signs" in found.why


@pytest.mark.parametrize(("true_pay", "verdict"), [(-1.0, Verdict.fails), (1.0, Verdict.concern)])
def test_fails_where_the_truth_is_no_better(make_subject, make_episodes, key, true_pay, verdict):
    paid = survivors(1.0)
    seeds = [make_episodes(s, truth=[[true_pay * x for x in e] for e in s]) for s in paid]
    found = TerminationBias()(make_subject(seeds, make_episodes(RANDOM), truth=True), key=key)
    assert found.verdict is verdict, found.why
    assert ("true return is not above that of random actions" in found.why) == (verdict is Verdict.fails)


def test_nothing_gained_is_unknown(make_subject, key):
    found = TerminationBias()(make_subject([RANDOM, RANDOM[::-1]], RANDOM), key=key)
    assert found.verdict is Verdict.unknown and "no gain to explain" in found.why


def test_the_limit_decides(make_subject, key):
    subject = make_subject(survivors(3.0), [[1.0] * n for n in (3, 4, 5, 4)])  # share (21.5 − 4)/(64.5 − 4) = 0.29
    verdicts = [TerminationBias(limit=x)(subject, key=key).verdict for x in (0.5, 0.2)]
    assert verdicts == [Verdict.holds, Verdict.concern]
