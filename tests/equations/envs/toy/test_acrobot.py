"""Acrobot against Gymnasium's."""

import numpy as np
from scipy import stats

from operant.envs.toy import Acrobot

HIGH = np.pi * np.array([1.0, 1.0, 4.0, 9.0])
rng = np.random.default_rng(4)
SCALE = rng.uniform(0, 1, (400, 1))
STATES = (rng.uniform(-HIGH, HIGH, (400, 4)) * np.concatenate([np.ones((400, 2)), SCALE, SCALE], 1)).astype(np.float32)
ACTIONS = rng.integers(0, 3, 400).astype(np.int32)


def test_steps_as_gymnasium(same):
    # Velocities up to 28 rad/s enter squared, four times a step: rounding is amplified a thousandfold.
    theirs = same(Acrobot(), STATES, ACTIONS, 3e-4)
    assert 20 < theirs["terminated"].sum() < 380
    assert (np.abs(theirs["state"][:, 3]) == HIGH[3]).any()  # the speed limit was met
    slow = same(Acrobot(), STATES * np.array([1, 1, 0.1, 0.1])[None], ACTIONS, 2e-6)
    assert not (np.abs(slow["state"][:, 3]) == HIGH[3]).any()


def test_walks_as_gymnasium(walk):
    lengths = [walk(Acrobot(), rng.integers(0, 3, 120).astype(np.int32), seed, 2e-3) for seed in (0, 1)]
    assert lengths == [120] * 2


def test_starts_nearly_hanging(starts):
    assert all(stats.kstest(c, stats.uniform(-0.1, 0.2).cdf).pvalue > 1e-3 for c in starts(Acrobot()).T)
