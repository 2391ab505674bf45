"""Pendulum against Gymnasium's."""

import numpy as np
import pytest
from scipy import stats

from operant.envs.toy import Pendulum

rng = np.random.default_rng(1)
STATES = rng.uniform((-20.0, -8.0), (20.0, 8.0), (400, 2)).astype(np.float32)
ACTIONS = rng.uniform(-3.0, 3.0, (400, 1)).astype(np.float32)  # a third of them beyond the limit


def test_steps_as_gymnasium(same):
    theirs = same(Pendulum(), STATES, ACTIONS, 5e-6)  # angles up to 20 rad
    assert (np.abs(theirs["obs"][:, 2]) == 8).any() and not theirs["terminated"].any()


def test_walks_as_gymnasium(walk):
    # Torques along the motion drive it over the top again and again.
    lengths = [walk(Pendulum(), rng.uniform(-2.5, 2.5, (200, 1)).astype(np.float32), seed, 5e-3) for seed in (0, 1, 2)]
    assert lengths == [200] * 3


def test_starts_uniform(starts):
    angle, speed = starts(Pendulum()).T
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert stats.kstest(speed, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_hand_computed(answer):
    # From π/2 at rest with u = −1: θ̈ = 15 − 3 = 12, θ̇ = 0.6, θ = π/2 + 0.03; reward −(π²/4 + 0.001).
    got = answer(Pendulum(), np.array([[np.pi / 2, 0.0]], np.float32), np.array([[-1.0]], np.float32))
    assert got["state"][0] == pytest.approx([np.pi / 2 + 0.03, 0.6], abs=1e-6)
    assert got["reward"][0] == pytest.approx(-(np.pi**2 / 4 + 0.001), abs=1e-6)
    heavy = answer(Pendulum(gravity=5.0, mass=2.0), np.array([[np.pi / 2, 0.0]], np.float32), np.ones((1, 1)))
    assert heavy["state"][0, 1] == pytest.approx((7.5 + 1.5) * 0.05, abs=1e-6)
