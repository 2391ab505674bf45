"""Weights that decide and weights that do not, by hand and against the exact solver."""

import jax
import numpy as np
import pytest

from operant.audits import RewardWeights
from operant.audits.reward_weights import improved, sweep
from operant.core import AbstractFixedReward, Intent, Subject, Verdict
from operant.envs.tabular.mdp import TabularMDP
from operant.errors import DataError, SpecError
from operant.loops.audit import audit
from operant.math.dynamic_programming import expected_return, policy_iteration
from operant.rewards import Task, Terms
from operant.rewards.preferences.bradley_terry import BradleyTerry

KEY = jax.random.key(0)


class Stays(AbstractFixedReward):
    """1 for action 0."""

    def __call__(self, state, batch):
        return (batch.action == 0).astype(batch.reward.dtype)


def two(pay: float) -> TabularMDP:
    """One state that stays for ever; action 1 pays `pay`, action 0 nothing."""
    P, R = np.ones((1, 2, 1)), np.zeros((1, 2, 1))
    R[0, 1, 0] = pay
    return TabularMDP(P, R, np.ones(1), 0.9)


def judged(pay: float, weight: float, **fields):
    intent = Intent(Terms({"task": Task(), "stays": Stays()}, {"stays": weight}))
    return RewardWeights(discount=0.9, **fields)(Subject((), two(pay).as_env(), intent), key=KEY)


def test_a_weight_that_decides_by_hand():
    """Paid 1.5 for one action and 1 for the other: half the first's weight, or twice the second's, turns it round."""
    found = judged(1.5, 1.0)
    # per step: optimal 1.5, random 1.25, turned 1.0: loss 0.5/0.25 = 2 of the gain
    assert found.verdict is Verdict.fails and found.value == pytest.approx(2.0)
    names, loss = ["stays", "task"], found.arrays["loss"]
    assert loss[names.index("task")].round(6).tolist() == [2.0, 0.0, 0.0, 0.0]  # 0.75 < 1, but 1.2 > 1
    assert loss[names.index("stays")].round(6).tolist() == [0.0, 0.0, 0.0, 2.0]  # 1.25 < 1.5 < 2


def test_factors_one_by_one():
    loss = judged(1.3, 1.0, factors=(0.5, 0.8, 2.0)).arrays["loss"]  # 0.65 < 1; 1.04 > 1
    assert (loss[1] > 0).tolist() == [True, False, False] and (loss[0] > 0).tolist() == [False, False, True]


def test_a_weight_that_does_not_matter():
    found = judged(10.0, 1.0)
    assert found.verdict is Verdict.holds and found.value == 0.0 and "none of them decides it" in found.why
    assert found.low == found.high == 0.0 and found.n == 8


def test_sweep_against_policy_iteration():
    rng = np.random.default_rng(3)
    mdp = TabularMDP.random(rng, 7, 3, branching=3)
    each, base = rng.normal(size=(2, 7, 3)), np.array([1.0, 0.5])
    weights = np.array([[0.2, 0.5], [1.0, 3.0]])
    ours = sweep(mdp.P, each, base, weights, mdp.initial, 0.9)
    wide = lambda w: np.broadcast_to(np.einsum("n,nsa->sa", w, each)[:, :, None], mdp.P.shape)
    value = lambda policy: expected_return(mdp.P, wide(base), policy, mdp.initial, 0.9)
    best = value(policy_iteration(mdp.P, wide(base), 0.9)[2])
    gain = best - value(np.full((7, 3), 1 / 3))
    assert ours.gain == pytest.approx(gain)
    lost = [(best - value(policy_iteration(mdp.P, wide(w), 0.9)[2])) / gain for w in weights]
    np.testing.assert_allclose(ours.loss, lost, atol=1e-9)


def test_ties_stay_as_they_were():
    P, r = np.ones((1, 3, 1)), np.array([[[0.0, 1.0, 1.0]]])
    assert improved(P, r, np.array([[2]]), 0.5)[0].tolist() == [[2]]
    assert improved(P, r, np.array([[0]]), 0.5)[0].tolist() == [[1]]


def test_one_term_is_unknown():
    found = RewardWeights()(Subject((), two(1.0).as_env(), Intent(Task())), key=KEY)
    assert found.verdict is Verdict.unknown and "Terms(" in found.why


def test_nothing_to_lose_is_unknown():
    found = judged(1.0, 1.0)  # both actions pay 1
    assert found.verdict is Verdict.unknown and "no policy is better than a random one" in found.why


def test_bad_input():
    with pytest.raises(SpecError, match="factors, finite numbers"):
        RewardWeights(factors=(-1.0,))
    with pytest.raises(SpecError, match="discount < 1"):
        RewardWeights(discount=1.0)
    with pytest.raises(DataError, match="expected finite rewards of every term"):
        sweep(np.ones((1, 1, 1)), np.full((1, 1, 1), np.nan), np.ones(1), np.ones((1, 1)), np.ones(1), 0.5)


def test_terms_that_learn_are_asked_for_what_they_learned():
    intent = Intent(Terms({"task": Task(), "taught": BradleyTerry()}))
    found = audit(Subject((), two(1.0).as_env(), intent), [RewardWeights()], key=KEY).findings[0]
    assert found.verdict is Verdict.unknown and "expected the states of the stated reward" in found.why
