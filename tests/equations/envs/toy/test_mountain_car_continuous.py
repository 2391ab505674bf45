"""MountainCarContinuous against Gymnasium's."""

import numpy as np
from scipy import stats

from operant.envs.toy import MountainCarContinuous

rng = np.random.default_rng(3)
STATES = rng.uniform((-1.2, -0.07), (0.6, 0.07), (400, 2)).astype(np.float32)
ACTIONS = rng.uniform(-1.5, 1.5, (400, 1)).astype(np.float32)  # a third beyond the limit: clipped, but paid in full


def test_steps_as_gymnasium(same):
    theirs = same(MountainCarContinuous(), STATES, ACTIONS, 1e-6)
    assert theirs["terminated"].sum() > 5 and (theirs["reward"] > 99).sum() > 5 and theirs["reward"].min() < -0.2
    assert (np.abs(theirs["state"] - np.array([-1.2, 0.0])[None]) < 1e-6).all(1).any()  # stopped by the left wall


def test_walks_as_gymnasium(walk):
    # Pushing along the velocity's sign, in half-periods of the valley, until it climbs out.
    wave = np.sign(np.sin(np.arange(999) * 2 * np.pi / 100))[:, None].astype(np.float32)
    lengths = [walk(MountainCarContinuous(), wave * scale, 0, 1e-3) for scale in (0.3, 1.0)]
    assert all(length > 90 for length in lengths)


def test_starts_at_rest_in_the_valley(starts):
    position, velocity = starts(MountainCarContinuous()).T
    assert stats.kstest(position, stats.uniform(-0.6, 0.2).cdf).pvalue > 1e-3 and not velocity.any()
