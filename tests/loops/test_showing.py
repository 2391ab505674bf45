"""Shots of what a policy does on the host: from anywhere in an episode, frames beside their steps."""

import gymnasium as gym
import jax
import numpy as np
import pytest

from operant.envs.gymnasium import Gymnasium
from operant.learners.ppo import PPO
from operant.loops.showing import show

LONG, SHOT = 60, 10


class Clock(gym.Env):
    """Its observation, and the shade of its picture, is how many steps the episode has taken."""

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
        return np.full(1, self.t, np.float32), 0.0, bool(self.ends) and self.t == self.ends, False, {}

    def render(self):
        return np.full((8, 8, 3), self.t, np.uint8)


@pytest.fixture(scope="module")
def shots():
    gym.register("operant/Clock-v0", Clock, max_episode_steps=LONG)

    def made(n, **kwargs):
        env, learner = Gymnasium("operant/Clock-v0", kwargs=kwargs), PPO(hidden=(4,))
        policy = learner.policy(learner.init(env.spec, key=jax.random.key(0)))
        return show(policy, env, n=n, length=SHOT, key=jax.random.key(1))

    yield made
    gym.registry.pop("operant/Clock-v0")


def test_they_lie_anywhere_in_the_episode(shots):
    found = shots(12)
    at = np.asarray(found.segments.steps.obs)[..., 0]
    np.testing.assert_array_equal(np.diff(at, axis=1), 1)
    assert found.segments.mask.all()
    assert len(set(at[:, 0])) > 6
    assert at.max() > LONG - 2 * SHOT  # a first version showed the first steps of every episode
    for i in range(12):
        shades = [int(frame[0, 0, 0]) for frame in found.frames(i)]
        assert shades[:SHOT] == at[i].astype(int).tolist()


def test_where_episodes_end_sooner_than_they_may_they_are_learned_to(shots):
    found = shots(8, ends=7)
    mask, at = found.segments.mask, np.asarray(found.segments.steps.obs)[..., 0]
    assert (mask.sum(axis=1) == 7 - at[:, 0]).all()
    assert (np.asarray(found.segments.steps.terminated) & mask).sum() == 8
    assert [len(found.frames(i)) for i in range(8)] == mask.sum(axis=1).tolist()  # what follows the end is not theirs
