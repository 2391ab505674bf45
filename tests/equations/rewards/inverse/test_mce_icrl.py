"""Inverse constrained RL: the optimality conditions of its dual, and that what is shown costs nothing."""

import numpy as np
import pytest

from operant.envs.tabular.sparse import SparseMDP, soft_optimal
from operant.envs.toy.gridworld import GridWorld
from operant.errors import SpecError
from operant.rewards.inverse.mce_icrl import MCEICRL

MDP = SparseMDP.from_gridworld(GridWorld("...\nS.G\n...", slip=0.1, step_reward=-0.2), discount=0.9)
WAY = 4  # the cell between start and goal


def test_optimality_conditions():
    """w ≥ 0; where w > 0 (and below the ceiling) φ_π − φ_D = λw; where w = 0 nothing is done more than was shown."""
    true = np.zeros(9)
    true[WAY] = 2.0
    abiding = soft_optimal(MDP, MDP.rewards - true[:, None], 0.2)
    found = MCEICRL(temperature=0.2, decay=0.05, tolerance=1e-9)(MDP, abiding.visits)
    gap = (found.occupancy - abiding.visits).sum(1)
    held = found.weights <= 1e-9
    assert (found.weights >= 0).all() and (gap[held] < 1e-4).all()
    np.testing.assert_allclose(gap[~held], 0.05 * found.weights[~held], atol=1e-4)
    assert found.cost is not None and found.cost[:, 0].argmax() == WAY
    np.testing.assert_allclose(found.reward, MDP.rewards - found.cost)
    assert found.residual < 1e-4 and found.feature_gap == pytest.approx(gap.max(), abs=1e-9)


def test_who_is_not_constrained_gets_no_cost():
    free = soft_optimal(MDP, MDP.rewards, 0.2)
    found = MCEICRL(temperature=0.2)(MDP, free.visits)
    np.testing.assert_allclose(found.weights, 0.0, atol=1e-4)
    np.testing.assert_allclose(found.policy, free.policy, atol=1e-4)


def test_the_ceiling_holds_and_the_cost_serves_another_agent():
    found = MCEICRL(temperature=0.05, ceiling=3.0)(MDP, [([3, 0, 1, 2, 5], [0, 1, 1, 2])] * 5)
    assert found.weights.max() <= 3.0 and found.cost is not None
    other = -found.cost.copy()
    other[1] += 0.1  # it likes the cell above
    ignorant = other + found.cost
    visits = lambda reward: soft_optimal(MDP, reward, 0.05).visits[WAY].sum()
    assert visits(other) < 0.5 * visits(ignorant)


def test_refusals():
    with pytest.raises(SpecError, match=r"expected MCEICRL.ceiling > 0; got 0"):
        MCEICRL(ceiling=0.0)
    with pytest.raises(SpecError, match=r"expected MCEICRL.ceiling > 0; got 0"):
        MCEICRL(ceiling=0)
    with pytest.raises(SpecError, match=r"expected MCEICRL.features ≥ 0"):
        MCEICRL(-np.ones((9, 1)))
    with pytest.raises(SpecError, match=r"expected MCEICRL.temperature > 0"):
        MCEICRL(temperature=-1.0)
