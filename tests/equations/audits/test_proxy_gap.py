"""Proxies that follow, ignore and betray the true reward; falls over training by hand."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from operant.audits import Overoptimisation, ProxyGap
from operant.audits.proxy_gap import falls_and_rises, windows
from operant.core import AbstractReward, Constraint, Intent, Verdict
from operant.errors import DataError
from operant.rewards.normalise import Normalise
from operant.rewards.task import Task

RNG = np.random.default_rng(0)
BETTER = [[[5.0], [6.0], [7.0], [8.0]]] * 3


@pytest.fixture
def judged(make_episodes, make_subject):
    """`judged(stated, truth)`: three seeds of one-step episodes, against random actions about zero."""

    def judged(stated, truth, **known):
        column = lambda x: [[float(v)] for v in x]
        seeds = [make_episodes(column(s), truth=column(t)) for s, t in zip(stated, truth, strict=True)]
        about_zero = column([-0.2, 0.1, 0.2, -0.1])
        return make_subject(seeds, make_episodes(about_zero, truth=about_zero), truth=True, **known)

    return judged


def history(stated, truth):
    return {"episode/stated": np.asarray(stated, float), "episode/truth": np.asarray(truth, float)}


def test_correlation_over_episodes(judged, key):
    stated = RNG.normal(5.0, 1.0, (3, 20))
    found = ProxyGap()(judged(stated, 2 * stated + RNG.normal(0, 0.3, (3, 20))), key=key)
    expected = np.corrcoef(found.arrays["stated"], found.arrays["truth"])[0, 1]
    assert found.verdict is Verdict.holds and found.value == pytest.approx(expected, abs=1e-6)
    assert found.limit == 0.5 and "over the evaluation episodes" in found.why and "random policy's" in found.why


def test_anticorrelated_proxy_is_a_concern(judged, key):
    stated = RNG.normal(5.0, 1.0, (3, 20))
    found = ProxyGap()(judged(stated, 20.0 - stated), key=key)  # still better than random on both
    assert found.verdict is Verdict.concern and found.value == pytest.approx(-1.0)


def test_worse_than_random_on_the_truth_fails(judged, key):
    stated = RNG.normal(5.0, 1.0, (3, 20))
    found = ProxyGap()(judged(stated, stated - 20.0), key=key)  # correlation 1 notwithstanding
    assert found.verdict is Verdict.fails and found.value == pytest.approx((stated - 20).mean(), abs=1e-5)
    assert found.high < 0 and found.limit == 0.0 and "not what is wanted" in found.why


def test_true_return_falls_while_the_stated_one_rises(judged, key):
    rise = np.linspace(0, 10, 40)
    hacked = np.where(rise < 5, rise, 10 - rise)
    noise = RNG.normal(0, 0.1, (3, 40))
    stated = RNG.normal(10.0, 1.0, (3, 20))
    found = ProxyGap()(judged(stated, stated, history=history(rise + noise, hacked + noise)), key=key)
    assert found.verdict is Verdict.fails and found.limit == 0.1 and found.low > 0.1
    parts = windows(hacked[None] + noise, 4)
    fall, _ = falls_and_rises(windows(rise + noise, 4), parts, 0.0)
    assert found.value == pytest.approx(fall.mean())
    assert found.value == pytest.approx((parts[:, 1] - parts[:, 3]).mean() / parts.mean(axis=0).max(), rel=0.05)
    assert found.arrays["training_truth"].shape == (3, 40)


def test_one_seed_cannot_show_a_fall(judged, key):
    rise = np.linspace(0, 10, 40)
    one = RNG.normal(10.0, 1.0, (1, 20))
    found = ProxyGap()(judged(one, one, history=history([rise], [np.where(rise < 5, rise, 10 - rise)])), key=key)
    assert found.verdict is Verdict.concern and "one seed cannot show it" in found.why


def test_both_rise_in_training(judged, key):
    rise = np.linspace(0, 10, 40) + RNG.normal(0, 0.3, (3, 40))
    stated = RNG.normal(10.0, 1.0, (3, 20))
    # Evaluation alone would be a concern: training, which saw every skill, decides.
    found = ProxyGap()(judged(stated, RNG.permuted(stated, axis=1), history=history(rise, 3 * rise)), key=key)
    assert found.verdict is Verdict.holds and found.value == pytest.approx(1.0) and "over training" in found.why


def test_noise_is_no_fall(judged, key):
    """A run whose returns stand still must not fail, whichever part happens to be its best."""
    stated = RNG.normal(10.0, 1.0, (5, 20))
    for _ in range(10):
        still = RNG.normal(5.0, 1.0, (5, 40))
        found = ProxyGap()(judged(stated, stated, history=history(still, RNG.normal(5, 1, (5, 40)))), key=key)
        assert found.verdict is Verdict.concern, found.why


def test_with_constraints_training_is_left_out(judged, key):
    rise = np.linspace(0, 10, 40)
    stated = RNG.normal(10.0, 1.0, (3, 20))
    subject = judged(stated, stated, history=history([rise] * 3, [-rise] * 3))
    assert ProxyGap()(subject, key=key).verdict is Verdict.fails
    priced = Intent(Task(), (Constraint(Task(), 1.0),), truth=subject.intent.truth)
    assert ProxyGap()(dataclasses.replace(subject, intent=priced), key=key).verdict is Verdict.holds


def test_the_same_reward_twice(make_subject, key):
    found = ProxyGap()(make_subject(BETTER, [[0.0]], intent=Intent(Task(), truth=Task())), key=key)
    assert found.verdict is Verdict.holds and "are the same" in found.why


def test_constant_returns_are_unknown(judged, key):
    found = ProxyGap()(judged(np.ones((3, 4)), np.full((3, 4), 2.0)), key=key)
    assert found.verdict is Verdict.unknown and "no correlation is defined" in found.why


def test_a_reward_that_learned_needs_its_states(make_subject, key):
    intent = Intent(Normalise(Task()), truth=Task())
    with pytest.raises(DataError, match=r"states of the stated reward \(Normalise\).*reward_states="):
        ProxyGap()(make_subject(BETTER, [[0.0]], intent=intent), key=key)


def test_nan_in_the_true_reward_is_refused(judged, key):
    truth = np.ones((3, 4))
    truth[2, 1] = np.nan
    with pytest.raises(DataError, match="finite true returns; seed 2 has NaN"):
        ProxyGap()(judged(np.ones((3, 4)), truth), key=key)


def test_windows_by_hand():
    assert windows(np.array([[1.0, np.nan, 3.0, 5.0, np.nan, np.nan]]), 3)[0, :2].tolist() == [1.0, 4.0]
    assert np.isnan(windows(np.array([[1.0, np.nan]]), 2)[0, 1])


def test_best_part_is_chosen_by_the_other_seeds():
    true = np.array([[0.0, 9.0, 1.0], [4.0, 0.0, 1.0], [4.0, 0.0, 1.0]])
    stated = np.array([[0.0, 1.0, 2.0]] * 3)
    falls, rises = falls_and_rises(stated, true)
    scale = np.ptp(true.mean(axis=0))
    np.testing.assert_allclose(falls, np.array([0.0 - 1.0, 0.0 - 1.0, 0.0 - 1.0]) / scale)
    np.testing.assert_allclose(rises, [2.0, 1.0, 1.0])
    np.testing.assert_allclose(falls_and_rises(stated, true, 8.0)[0], -1.0 / (8.0 - 1.0))


class Learned(AbstractReward):
    """Pays its state for every unit of the environment's reward."""

    def init(self, spec, *, key):
        return jnp.ones(())

    def __call__(self, state, batch):
        return state * batch.reward

    def update(self, state, batch, *, key):
        return state, {}


@pytest.mark.parametrize("audit", [ProxyGap(), Overoptimisation()], ids=lambda a: type(a).__name__)
def test_one_class_that_learned_two_things_is_two_rewards(audit, make_subject, key):
    states = {sign: (jnp.full((), sign),) * 3 for sign in (1.0, -1.0)}
    both = {"intent": Intent(Learned(), truth=Learned()), "reward_states": states[1.0]}
    same = audit(make_subject(BETTER, truth_states=states[1.0], **both), key=key)
    assert same.verdict is Verdict.holds and "are the same" in same.why
    other = audit(make_subject(BETTER, truth_states=states[-1.0], **both), key=key)
    assert other.verdict is not Verdict.holds and "are the same" not in other.why


def test_whole_seeds_are_resampled(key, make_episodes, make_subject, judged):
    rng = np.random.default_rng(0)
    g, u = [[m + 0.01 * rng.normal(size=20) for m in means] for means in ((0, 1, 2), (0, 1.3, 1.0))]
    found = ProxyGap()._over(g, u, np.random.default_rng(0))
    assert found.value > 0.5 and found.low < 0.0
