"""What the tests of loops share: an environment that tells the time."""

import gymnasium as gym
import numpy as np
import pytest

CLOCK = "operant/Clock-v0"


class Clock(gym.Env):
    """Its observation, and the shade of its picture, is how many steps the episode has taken; every step pays 1."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = gym.spaces.Box(0.0, 255.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode=None, ends=0):
        self.render_mode, self.ends, self.t = render_mode, ends, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.full(1, self.t, np.float32), 1.0, bool(self.ends) and self.t == self.ends, False, {}

    def render(self):
        return np.full((8, 8, 3), self.t, np.uint8)


@pytest.fixture(scope="session")
def clock():
    """Its id: 60 steps at most; `ends`: it terminates after so many."""
    gym.register(CLOCK, Clock, max_episode_steps=60)
    yield CLOCK
    gym.registry.pop(CLOCK)
