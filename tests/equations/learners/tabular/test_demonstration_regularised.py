"""Demonstration-regularised RL: cloning, the regularised maximum, the plan and its weight, by hand."""

import jax
import numpy as np
import pytest
import scipy.optimize

from operant.envs.tabular import TabularMDP
from operant.errors import DataError, SpecError
from operant.learners.tabular import Learning
from operant.learners.tabular.demonstration_regularised import (
    DemonstrationRegularised,
    Model,
    cloned,
    optimal,
    plan,
    regularised,
    returned,
)

CHAIN = TabularMDP.chain(3)
KEY = jax.random.key(0)


def test_cloning_counts_one_of_each():
    prior = cloned([(np.array([0, 0, 1]), np.array([1, 1, 0]))], 3, 2)
    np.testing.assert_allclose(prior, [[1 / 4, 3 / 4], [2 / 3, 1 / 3], [1 / 2, 1 / 2]])


def test_the_regularised_maximum_is_the_maximum():
    Q, prior, weight = np.array([[1.0, 0.2, -0.5]]), np.array([[0.2, 0.5, 0.3]]), 0.4
    policy, value = regularised(Q, prior, weight)

    def negative(logits):
        pi = np.exp(logits) / np.exp(logits).sum()
        return -(pi @ Q[0] - weight * (pi * np.log(pi / prior[0])).sum())

    best = scipy.optimize.minimize(negative, np.zeros(3))
    assert value[0] == pytest.approx(-best.fun, abs=1e-6)
    np.testing.assert_allclose(policy[0], np.exp(best.x) / np.exp(best.x).sum(), atol=1e-3)
    np.testing.assert_array_equal(regularised(Q, prior, 0.0)[0], [[1.0, 0.0, 0.0]])


def test_plans_hope_for_what_is_new_and_learn_what_is_not():
    model = Model(CHAIN)
    policy, spread = plan(model, np.full((3, 2), 0.5), 0.0, 0.1, 2)
    np.testing.assert_allclose(spread[:, :2], [[[2.0] * 2] * 2, [[1.0] * 2] * 2])  # H − h, both actions
    np.testing.assert_allclose(spread[:, 2], 0.0)  # the end is known
    for s, a in ((0, 0), (0, 1), (1, 0), (1, 1)):
        model.counts[s, a, max(s - 1, 0) if a == 0 else s + 1] = 1e8  # seen for certain
    policy, spread = plan(model, np.full((3, 2), 0.5), 0.0, 0.1, 2)
    np.testing.assert_array_equal(policy[0, :2, 1], 1.0)
    assert spread.max() < 1e-3
    # with a weight, V of the last stage in state 1 is λ log(½ + ½ e^{1/λ})
    soft, _ = plan(model, np.full((3, 2), 0.5), 0.5, 0.0, 1)
    assert soft[0, 1, 1] == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_returns_are_exact():
    value, policy = optimal(CHAIN, 2)
    assert value == 1.0 and returned(CHAIN, policy) == 1.0 and optimal(CHAIN, 1)[0] == 0.0
    assert returned(CHAIN, np.full((2, 3, 2), 0.5)) == pytest.approx(0.25)  # right twice


def test_the_weight_grows_with_demonstrations_and_the_same_key_learns_the_same():
    learner = DemonstrationRegularised(epsilon=0.2, every=2)
    assert learner.weight(CHAIN, 0) == 0.0
    assert learner.weight(CHAIN, 10) == pytest.approx(0.2 * 10 / 2)  # two states go on, A − 1 = 1
    shown = [(np.array([0, 1]), np.array([1, 1]))] * 10
    found = [learner(CHAIN, shown, horizon=3, episodes=20, key=KEY) for _ in range(2)]
    np.testing.assert_array_equal(found[0].returns, found[1].returns)
    assert found[0].best == 1.0 and found[0].policy.shape == (3, 3, 2)
    assert found[0].returns[-1] > found[0].cloned
    without = learner(CHAIN, [], horizon=3, episodes=60, key=KEY)
    assert without.cloned == pytest.approx(0.375, abs=0.2) and without.returns[-1] == pytest.approx(1.0)
    assert Learning(np.ones(4), 1.0, 0.0, without.policy).episodes_to(0.1) == 0


def test_refusals():
    with pytest.raises(DataError, match=r"expected demonstration 0 to be states in 0 … 2"):
        cloned([(np.array([5]), np.array([0]))], 3, 2)
    with pytest.raises(SpecError, match=r"expected horizon ≥ 1 and episodes ≥ 1; got 0 and 5"):
        DemonstrationRegularised()(CHAIN, [], horizon=0, episodes=5, key=KEY)
    with pytest.raises(SpecError, match=r"expected DemonstrationRegularised.every ≥ 1"):
        DemonstrationRegularised(every=0)
