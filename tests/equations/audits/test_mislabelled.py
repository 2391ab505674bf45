"""Mislabelled: wrong demonstrations planted and found, none where there are none, and what it cannot judge."""

import dataclasses

import jax
import numpy as np
import pytest

from operant.audits import Mislabelled
from operant.core import Box, Discrete, EnvSpec, Intent, Subject, Verdict
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.learners.bc import BC
from operant.loops.audit import FunctionPolicy
from operant.loops.fit import fit
from operant.rewards.task import Task

SPEC = EnvSpec(Box((3,)), Discrete(2), 20)


def shown(seed, n=400, wrong=0.0):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(n, 3)).astype(np.float32)
    flipped = rng.random(n) < wrong
    action = ((obs[:, 0] > 0) ^ flipped).astype(np.int32)
    ends = np.arange(n) % 20 == 19
    make = Dataset.from_numpy(SPEC, obs=obs, action=action, reward=np.zeros(n), terminated=ends, next_obs=obs)
    return make, flipped


def cloned(data):
    learner = BC(hidden=(16,), lr=3e-3)
    return fit(learner, data, Intent(Task()), steps=400, seeds=3, key=jax.random.key(0)).policies()


def test_planted_ones_are_found(key):
    data, wrong = shown(1, wrong=0.1)
    found = Mislabelled(lr=3e-3)(Subject(cloned(data), dataset=data, held_out=shown(2)[0]), key=key)
    assert found.verdict is Verdict.concern and found.low > found.limit and found.n == 3
    assert found.arrays["rows"].shape == (3, 20) and found.arrays["harm"].shape == (3, 400)
    assert wrong[found.arrays["rows"]].mean() > 0.9
    assert "without the 20 demonstrations that influence calls most harmful" in found.why


def test_nothing_to_find(key):
    data, _ = shown(1)
    subject = Subject(cloned(data), dataset=data, held_out=shown(2)[0])
    found = Mislabelled(lr=3e-3)(subject, key=key)
    assert found.verdict is Verdict.holds and found.high <= found.limit
    one = Mislabelled(lr=3e-3)(dataclasses.replace(subject, policies=subject.policies[:1]), key=key)
    assert one.n == 1 and "interval over held-out episodes" in one.why


def test_refusals(key):
    data, _ = shown(1, n=60)
    with pytest.raises(DataError, match=r"expected at least 4 held-out episodes.*got 3"):
        Mislabelled()(Subject((), dataset=data, held_out=data), key=key)
    policy = FunctionPolicy(SPEC, lambda o: (o[0] > 0).astype(int))
    with pytest.raises(SpecError, match=r"expected a policy cloned by BC"):
        Mislabelled()(Subject((policy,), dataset=shown(1)[0], held_out=shown(2)[0]), key=key)
    with pytest.raises(SpecError, match=r"expected 0 < Mislabelled.share < 1"):
        Mislabelled(share=0.0)


def test_what_is_no_dataset(key):
    policy = FunctionPolicy(SPEC, lambda o: (o[0] > 0).astype(int))
    with pytest.raises(DataError, match=r"Subject\.held_out to be a Dataset"):
        Mislabelled()(Subject((policy,), dataset=shown(1)[0], held_out={"obs": 1}), key=key)
