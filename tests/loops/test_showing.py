"""Shots of what a policy does on the host: from anywhere in an episode, frames beside their steps."""

import jax
import numpy as np
import pytest

from operant.envs.gymnasium import Gymnasium
from operant.envs.toy import CartPole
from operant.learners.ppo import PPO
from operant.loops.showing import show

LONG, SHOT = 60, 10


@pytest.fixture(scope="module")
def shots(clock):
    def made(n, **kwargs):
        env, learner = Gymnasium(clock, kwargs=kwargs), PPO(hidden=(4,))
        policy = learner.policy(learner.init(env.spec, key=jax.random.key(0)))
        return show(policy, env, n=n, length=SHOT, key=jax.random.key(1))

    return made


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


def test_ends_are_shown_as_they_happen(shots):
    found = shots(60, ends=20)
    own, at = found.segments.mask.sum(axis=1), np.asarray(found.segments.steps.obs)[..., 0]
    ended = own < SHOT
    assert own.min() >= SHOT // 2 and (own[ended] == 20 - at[ended, 0]).all()
    assert 0.15 < ended.mean() < 0.7


def test_of_a_toy_too():
    env, learner = CartPole(), PPO(hidden=(4,))
    policy = learner.policy(learner.init(env.spec, key=jax.random.key(0)))
    found = show(policy, env, n=60, length=SHOT, key=jax.random.key(1))
    mask = found.segments.mask
    fell = (np.asarray(found.segments.steps.terminated) & mask).any(axis=1)
    assert 0.1 < fell.mean() < 0.6 and (mask.all(axis=1) | fell).all() and mask.sum(axis=1).min() >= SHOT // 2
