"""MountainCar against Gymnasium's."""

import numpy as np
from scipy import stats

from operant.envs.toy import MountainCar

rng = np.random.default_rng(2)
STATES = rng.uniform((-1.2, -0.07), (0.6, 0.07), (400, 2)).astype(np.float32)
ACTIONS = rng.integers(0, 3, 400).astype(np.int32)


def test_steps_as_gymnasium(same):
    theirs = same(MountainCar(), STATES, ACTIONS, 1e-7)
    assert theirs["terminated"].sum() > 5
    assert (theirs["state"] == np.array([-1.2, 0.0])[None]).all(1).any()  # stopped by the left wall


def test_walks_as_gymnasium(walk):
    lengths = [walk(MountainCar(), rng.integers(0, 3, 200).astype(np.int32), seed, 1e-5) for seed in (0, 1)]
    assert lengths == [200] * 2


def test_starts_at_rest_in_the_valley(starts):
    position, velocity = starts(MountainCar()).T
    assert stats.kstest(position, stats.uniform(-0.6, 0.2).cdf).pvalue > 1e-3 and not velocity.any()


def test_goal_velocity_is_read(answer):
    state = np.array([[0.49, 0.03]], np.float32)
    assert answer(MountainCar(), state, np.array([2]))["terminated"].all()
    assert not answer(MountainCar(goal_velocity=0.05), state, np.array([2]))["terminated"].any()
