"""Likeness by an oracle: the odd one out is not of the nearest pair, in units of each feature's own spread."""

import numpy as np
import pytest

from operant.core import Transition
from operant.data.segments import Segments
from operant.errors import SpecError
from operant.rewards.task import Task
from operant.teachers import Alike

TWO = Alike({"a": Task(), "b": Task()})


def triplets(a, b, mask=None) -> Segments:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return Segments(
        Transition(None, None, None, None, None, None, {"a": a, "b": b}),
        np.ones(a.shape, bool) if mask is None else mask,
    )


def test_against_distances_by_hand():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 3, 4)), 1000.0 * rng.normal(size=(50, 3, 4))
    mask = rng.random((50, 3, 4)) < 0.8
    z = np.stack([np.where(mask, x, 0.0).sum(-1) for x in (a, b)], -1)
    z = z / z.reshape(-1, 2).std(0)
    expected = []
    for three in z:
        gaps = {k: np.linalg.norm(three[i] - three[j]) for k, (i, j) in enumerate(((1, 2), (0, 2), (0, 1)))}
        expected.append(min(gaps, key=gaps.get))
    got = TWO.odd(triplets(a, b, mask), key=None)
    assert got.tolist() == expected and set(expected) == {0, 1, 2}


def test_a_feature_that_never_differs_does_not_count():
    assert TWO.odd(triplets([[[0.0], [5.0], [0.1]]], [[[2.0], [2.0], [2.0]]]), key=None).tolist() == [1]


def test_it_wants_to_know_its_features_and_there_must_be_one():
    assert set(TWO.measures) == {"a", "b"}
    with pytest.raises(SpecError, match=r"expected at least one of Alike\.features"):
        Alike({})
