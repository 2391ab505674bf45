"""The suite: walks that end at their goals, shares that are seen, and accuracy with ties."""

import numpy as np
import pytest

from operant.errors import SpecError
from operant.recognition import STEPS, checked
from operant.recognition.suite import accuracy, observed, random_maps, random_problems

MAPS = random_maps(np.random.default_rng(0), 3, side=6)
PROBLEMS = random_problems(np.random.default_rng(1), MAPS, 30, candidates=4, noise=0.0)


def test_walks_go_from_start_to_goal():
    traces, candidates = checked(PROBLEMS.traces, PROBLEMS.candidates)
    lengths = traces.mask.sum(1)
    last = traces.cells[np.arange(30), lengths - 1] + STEPS[traces.actions[np.arange(30), lengths - 1]]
    np.testing.assert_array_equal(last, PROBLEMS.goals)
    np.testing.assert_array_equal(traces.cells[:, 0], traces.start)
    follows = traces.cells[:, :-1] + STEPS[traces.actions[:, :-1]]
    np.testing.assert_array_equal(follows[traces.mask[:, 1:]], traces.cells[:, 1:][traces.mask[:, 1:]])
    assert (lengths > 3).all() and all(len({tuple(c) for c in row.tolist()}) == 4 for row in candidates)


def test_shares():
    whole = PROBLEMS.traces.mask.sum(1)
    for which in ("first", "any"):
        part = observed(PROBLEMS.traces, 0.3, which=which, rng=np.random.default_rng(2))
        np.testing.assert_array_equal(part.mask.sum(1), np.ceil(0.3 * whole - 1e-9))
        assert (part.mask <= PROBLEMS.traces.mask).all()
    first = observed(PROBLEMS.traces, 0.3).mask
    assert (np.diff(first.astype(int), axis=1) <= 0).all()
    np.testing.assert_array_equal(observed(PROBLEMS.traces, 1.0).mask, PROBLEMS.traces.mask)


def test_accuracy_shares_ties():
    posterior = np.array([[0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    assert accuracy(posterior, np.array([0, 1, 0])) == pytest.approx((0.5 + 1 + 0) / 3)


def test_refusals():
    with pytest.raises(SpecError, match=r"expected 0 < share ≤ 1"):
        observed(PROBLEMS.traces, 0.0)
    with pytest.raises(SpecError, match=r"and rng with"):
        observed(PROBLEMS.traces, 0.5, which="any")
    with pytest.raises(SpecError, match=r"expected side ≥ 2 and walls in"):
        random_maps(np.random.default_rng(0), 1, side=1)
    with pytest.raises(SpecError, match=r"expected maps with 20 candidates .*; map 0 has \d at most"):
        random_problems(np.random.default_rng(0), np.zeros((1, 3, 3), bool), 2, candidates=20)
