"""Maximum causal entropy IRL: its gradient, its fixed point, and what it takes for demonstrations."""

import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.tabular import TabularMDP
from operant.envs.tabular.sparse import SparseMDP, soft_optimal
from operant.envs.toy.gridworld import GridWorld
from operant.errors import DataError, SpecError
from operant.rewards.inverse import demonstrated
from operant.rewards.inverse.mce_irl import MCEIRL, feature_maps

GRID = GridWorld("S..\n.#.\n..G", slip=0.1)
MDP = SparseMDP.from_gridworld(GRID, discount=0.8)
S = len(MDP.initial)


def test_exact_visits_give_back_the_policy():
    reward = np.random.default_rng(0).normal(size=S)
    expert = soft_optimal(MDP, np.repeat(reward[:, None], 4, 1), 0.7)
    found = MCEIRL(temperature=0.7, decay=0.0, tolerance=1e-9)(MDP, expert.visits)
    np.testing.assert_allclose(found.policy, expert.policy, atol=1e-4)
    np.testing.assert_allclose(found.occupancy, expert.visits, atol=1e-4)
    assert found.feature_gap < 1e-4 and found.residual < 1e-4 and found.cost is None and found.iterations > 1
    phi = np.random.default_rng(1).normal(size=(S, 4, 3))  # features of actions
    wanted = soft_optimal(MDP, phi @ np.array([1.0, -1.0, 0.5]), 1.0)
    found = MCEIRL(phi, decay=0.0, tolerance=1e-9)(MDP, wanted.visits)
    np.testing.assert_allclose(found.policy, wanted.policy, atol=1e-4)
    np.testing.assert_allclose(found.weights, [1.0, -1.0, 0.5], atol=1e-3)


def test_one_choice_by_hand():
    """Two actions that end, shown 3 : 1. Without a penalty the policy is 3/4, so the weights differ by τ log 3 / γ."""
    mdp = SparseMDP(np.array([[[1], [2]], [[1], [1]], [[2], [2]]]), np.ones((3, 2, 1)), np.zeros((3, 2)),
                    np.array([1.0, 0, 0]), np.array([False, True, True]), 0.5)  # fmt: skip
    shown = [([0, 1], [0])] * 3 + [([0, 2], [1])]
    found = MCEIRL(temperature=2.0, decay=0.0, tolerance=1e-10)(mdp, shown)
    np.testing.assert_allclose(found.policy[0], [0.75, 0.25], atol=1e-5)
    assert found.weights[1] - found.weights[2] == pytest.approx(2.0 * np.log(3) / 0.5, rel=1e-3)
    # with one: at the optimum λθ = φ_D − φ_π
    found = MCEIRL(temperature=2.0, decay=0.1, tolerance=1e-10)(mdp, shown)
    gap = np.array([1.0, 0.375, 0.125]) - found.occupancy.sum(1)
    np.testing.assert_allclose(0.1 * found.weights, gap, atol=1e-6)


def test_demonstrations_of_three_kinds_agree():
    actions = np.array([1, 1, 2, 2])
    ends = np.array([False, False, False, True])
    states = np.array([0, 1, 2, 4, S - 1])
    eye = np.eye(S, dtype=np.float32)
    data = Dataset.from_numpy(
        TabularMDP.from_gridworld(GRID).as_env().spec, obs=eye[states[:-1]], action=actions, reward=np.zeros(4),
        terminated=ends, next_obs=eye[states[1:]],
    )  # fmt: skip
    visits, start = demonstrated(MDP, data)
    by_hand = np.zeros((S, 4))
    by_hand[states[:-1], actions] = 0.8 ** np.arange(4)
    by_hand[-1] = 0.8**4 / 4
    np.testing.assert_allclose(visits, by_hand)
    np.testing.assert_allclose(start, eye[0])
    for other in ([(states, actions)], visits):
        np.testing.assert_allclose(demonstrated(MDP, other)[0], by_hand)
    # cut short after one step: the step stands for all that was not seen, 1/(1 − γ) in all
    np.testing.assert_allclose(demonstrated(MDP, [([0], [1])])[0].sum(), 5.0)


def test_states_and_actions_are_features_too():
    pay, expect = feature_maps("actions", MDP)
    w = np.arange(S * 4.0)
    np.testing.assert_allclose(pay(w), w.reshape(S, 4))
    assert w @ expect(pay(w)) == pytest.approx((w**2).sum())
    pay, expect = feature_maps("states", MDP)
    np.testing.assert_allclose(expect(np.ones((S, 4))), np.full(S, 4.0))
    assert pay(np.arange(S * 1.0))[3].tolist() == [3.0] * 4


def test_refusals():
    with pytest.raises(DataError, match=r"expected at least one demonstration; got none"):
        MCEIRL()(MDP, [])
    with pytest.raises(DataError, match=r"expected states in 0 … 7 and actions in 0 … 3"):
        MCEIRL()(MDP, [([0, 9], [1])])
    with pytest.raises(DataError, match=r"demonstration 0 to be T or T"):
        MCEIRL()(MDP, [([0, 1, 2, 3], [1])])
    with pytest.raises(DataError, match=r"expected visits \(S, A\)"):
        MCEIRL()(MDP, np.zeros(3))
    place, ends = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([False, True])
    steps = {"obs": place, "action": np.ones(2, int), "reward": np.zeros(2), "terminated": ends, "next_obs": place}
    walked = Dataset.from_numpy(EnvSpec(Box((2,)), Discrete(4), None), **steps)
    with pytest.raises(DataError, match=r"expected one-hot observations \(M, S\) = \(M, 8\); got \(2, 2\)"):
        MCEIRL()(MDP, walked)
    with pytest.raises(DataError, match=r"expected finite features"):
        MCEIRL(np.zeros((3, 2)))(MDP, [([0], [1])])
    with pytest.raises(SpecError, match=r"expected MCEIRL.features"):
        MCEIRL("cells")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"expected MCEIRL.temperature > 0; got 0"):
        MCEIRL(temperature=0.0)
    with pytest.raises(SpecError, match=r"expected MCEIRL.decay ≥ 0"):
        MCEIRL(decay=-1.0)
    with pytest.raises(SpecError, match=r"expected MCEIRL.decay ≥ 0"):
        MCEIRL(decay=-1)
