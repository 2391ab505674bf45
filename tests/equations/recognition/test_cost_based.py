"""Cost-based recognition: costs with and without the observations by enumeration, and the posterior by hand."""

import itertools

import numpy as np
import pytest

from operant.errors import DataError, SpecError
from operant.recognition import STEPS, Traces
from operant.recognition.cost_based import CostBased, costs

WALLS = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)


def seen(*pairs, walls=WALLS, start=(0, 0)):
    cells, actions = (np.array([x]) for x in zip(*pairs, strict=True))
    return Traces(walls[None], np.array([start]), cells, actions, np.ones(actions.shape, bool))


def plans(length):
    """Every walk of at most `length` steps from (0, 0): where it ends, its steps."""
    for n in range(length + 1):
        for moves in itertools.product(range(4), repeat=n):
            at, steps = (0, 0), []
            for a in moves:
                new = (at[0] + STEPS[a][0], at[1] + STEPS[a][1])
                if not (0 <= new[0] < 3 and 0 <= new[1] < 3) or WALLS[new]:
                    break
                steps.append((at, a))
                at = new
            else:
                yield at, steps


def complies(steps, observed):
    rest = iter(steps)
    return all(any(step == wanted for step in rest) for wanted in observed)


@pytest.mark.parametrize("observed", [[((0, 0), 1)], [((0, 1), 1), ((0, 2), 2)], [((0, 0), 2), ((0, 0), 1)]])
def test_costs_are_those_of_the_cheapest_plans(observed):
    found = costs(WALLS, np.array([0, 0]), *(np.array(x) for x in zip(*observed, strict=True)))
    cheapest = {}
    for end, steps in plans(7):
        key = end, complies(steps, observed)
        cheapest[key] = min(cheapest.get(key, np.inf), len(steps))
    for cell in np.argwhere(~WALLS):
        for comply, cost in ((True, found[-1]), (False, found[:-1].min(0))):
            expected = cheapest.get((tuple(cell.tolist()), comply), np.inf)
            if expected <= 7:
                assert cost[tuple(cell)] == expected
    assert np.isinf(found[:, 1, 1]).all()


def test_the_posterior_is_bayes():
    goals = np.array([[[0, 2], [2, 0]]])
    trace = seen(((0, 0), 1))  # one step right: to (0, 2) 2 against 6, to (2, 0) 4 against 2
    p = 1 / (1 + np.exp(0.5 * np.array([2 - 6, 4 - 2])))
    np.testing.assert_allclose(CostBased(beta=0.5).rank(trace, goals)[0], p / p.sum())
    q = np.exp(-0.5 * np.array([2 - 2, 4 - 2]))
    np.testing.assert_allclose(CostBased(beta=0.5, against="best").rank(trace, goals)[0], q / q.sum())
    np.testing.assert_allclose(CostBased(beta=0.0).rank(trace, goals)[0], 0.5)


def test_what_cannot_be_reached_has_no_probability():
    walls = np.array([[0, 0, 1, 0]], bool)
    trace = seen(((0, 0), 1), walls=walls)
    np.testing.assert_allclose(CostBased().rank(trace, np.array([[[0, 1], [0, 3]]])), [[1.0, 0.0]])
    with pytest.raises(DataError, match=r"expected a candidate that can be reached"):
        CostBased().rank(trace, np.array([[[0, 3]]]))


def test_refusals():
    goals = np.array([[[0, 2], [2, 0]]])
    with pytest.raises(DataError, match=r"expected candidates \(n, k, 2\) = \(1, k ≥ 1, 2\); got \(1, 0, 2\)"):
        CostBased().rank(seen(((0, 0), 1)), goals[:, :0])
    with pytest.raises(DataError, match=r"expected candidates on free cells"):
        CostBased().rank(seen(((0, 0), 1)), np.array([[[1, 1]]]))
    with pytest.raises(DataError, match=r"walk 0 leaves the map at its action 0: 0 in"):
        CostBased().rank(seen(((0, 0), 0)), goals)
    with pytest.raises(DataError, match=r"expected start on free cells"):
        CostBased().rank(seen(((0, 0), 1), start=(3, 0)), goals)
    nothing = seen(((0, 0), 1))._replace(mask=np.zeros((1, 1), bool))
    with pytest.raises(DataError, match=r"expected at least one observed action a walk; walk 0 has none"):
        CostBased().rank(nothing, goals)
    with pytest.raises(DataError, match=r"expected start"):
        CostBased().rank(seen(((0, 0), 1))._replace(mask=np.zeros((1, 2), bool)), goals)
    with pytest.raises(SpecError, match=r"expected CostBased.beta ≥ 0"):
        CostBased(beta=-1.0)


def test_zeros_and_ones_are_walls_and_masks():
    traces = seen(((0, 0), 1), ((0, 1), 1), ((2, 2), 0))._replace(mask=np.array([[True, True, False]]))
    candidates = np.array([[[0, 2], [2, 2]]])
    counted = traces._replace(walls=traces.walls.astype(int), mask=traces.mask.astype(int))
    expected = CostBased().rank(traces, candidates)
    assert expected[0, 0] != expected[0, 1]
    np.testing.assert_array_equal(CostBased().rank(counted, candidates), expected)
