"""Mean returns between a random and a best one, by hand."""

import numpy as np
import pytest

from operant.audits import TQ
from operant.audits._datasets import best_return
from operant.core import Subject, Verdict
from operant.envs.toy import GridWorld
from operant.errors import SpecError
from operant.loops.audit import audit


def ask(dataset, key, tq=None, **known):
    return audit(Subject((), dataset=dataset, **known), [tq or TQ()], key=key).findings[0]


@pytest.fixture
def data(make_steps):
    """Four episodes of two steps with returns 4, 6, 6, 8."""
    return make_steps([2] * 4, reward=[2, 2, 3, 3, 4, 2, 4, 4])


def test_quality_by_hand(data, key):
    found = ask(data, key, TQ(random=2.0, best=10.0))
    quality = (np.array([4, 6, 6, 8]) - 2) / 8
    assert found.value == pytest.approx(quality.mean()) and found.verdict is Verdict.holds and found.n == 4
    assert quality.min() <= found.low <= found.value <= found.high <= quality.max()
    assert found.arrays["returns"].tolist() == [4, 6, 6, 8]


def test_no_better_than_random_is_a_concern(data, key):
    found = ask(data, key, TQ(random=6.0, best=10.0))
    assert found.verdict is Verdict.concern and found.value == 0.0 and "not clearly above 0" in found.why


def test_random_and_best_from_the_subject(data, make_episodes, key):
    found = ask(data, key, control=make_episodes([[1.0], [3.0]]), baseline=np.array([9.0, 11.0]))
    assert found.value == pytest.approx((6 - 2) / 8) and "the baseline" in found.why
    best = ask(data, key, control=make_episodes([[1.0], [3.0]]))
    assert best.value == pytest.approx((6 - 2) / (8 - 2)) and "no better policy is known" in best.why


def test_tables_give_the_optimum_within_the_time_limit(data, key):
    env = GridWorld("S.G", step_reward=-1.0, goal_reward=10.0)
    assert best_return(env) == pytest.approx(8.0)
    assert best_return(GridWorld("S....G", max_steps=3, goal_reward=10.0)) == 0.0
    found = ask(data, key, TQ(random=0.0), env=env)
    assert found.value == pytest.approx(6 / 8) and "the optimal policy" in found.why


def test_a_random_policy_is_run_where_there_is_an_environment(make_steps, key):
    env = GridWorld("S.G", max_steps=4)
    found = ask(make_steps([2, 2], reward=[0, 1, 0, 1]), key, env=env)
    assert found.verdict in (Verdict.holds, Verdict.concern) and "the optimal policy, 1" in found.why


def test_what_cannot_be_said(data, make_steps, key):
    assert "a random policy's return is not known" in ask(data, key).why
    low = ask(data, key, TQ(random=6.0), baseline=np.array([1.0]))
    assert low.verdict is Verdict.unknown and "not above a random policy's" in low.why
    one = ask(make_steps([3]), key, TQ(random=-9.0, best=9.0))
    assert one.verdict is Verdict.unknown and one.low is None and "one episode says nothing" in one.why
    cut = ask(make_steps([2, 2], truncated=np.zeros(4)), key, TQ(random=-9.0, best=9.0))
    assert "2 of them cut off" in cut.why
    with pytest.raises(SpecError, match=r"best > TQ\.random"):
        TQ(random=1.0, best=1.0)
    with pytest.raises(SpecError, match=r"finite TQ\.best"):
        TQ(best=float("nan"))


def test_control_with_nan(data, make_episodes, key):
    assert "NaN or infinity" in ask(data, key, control=make_episodes([[float("nan")]])).why


def test_a_baseline_that_is_not_finite_is_no_scale(data, key):
    found = ask(data, key, TQ(random=2.0), baseline=np.array([9.0, np.nan]))
    assert found.verdict is Verdict.unknown and "expected finite returns of the baseline" in found.why
