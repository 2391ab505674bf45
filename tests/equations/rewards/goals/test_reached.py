"""Paid where the goal is reached: by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, EnvSpec, Transition
from operant.data.goals import Goals
from operant.envs.toy import PointMaze
from operant.loops.audit import RandomPolicy
from operant.loops.rollout import evaluate
from operant.rewards.goals.reached import Reached
from operant.testing import check_reward

KEY = jax.random.key(0)


def test_the_successor_is_compared_with_its_own_wish():
    space = Box((2,), names=("x", "goal_x"))
    reward = Reached(Goals(("goal_x",), ("x",), radius=0.5))
    spec = EnvSpec(space, Box((1,)), 10, num_envs=2)
    state, no, zero = reward.init(spec, key=KEY), jnp.zeros(2, bool), jnp.zeros(2)
    there, away = jnp.array([[0.0, 1.0], [1.0, 1.0]]), jnp.array([[1.5, 1.0], [0.4, 1.0]])
    np.testing.assert_array_equal(reward(state, Transition(there, zero, zero, no, no, away, {})), [1.0, 0.0])
    check_reward(reward, spec)


def test_it_is_point_mazes_own_reward():
    env = PointMaze("...", fixed_horizon=True, max_steps=20, goal_radius=1.5)
    found = evaluate(RandomPolicy(env.spec), env, episodes=4, key=KEY, deterministic=False)
    reward = Reached(Goals(radius=1.5))
    paid = reward(reward.init(env.spec, key=KEY), found.transitions)
    np.testing.assert_array_equal(paid, found.transitions.reward)
    assert 0 < float(paid.mean()) < 1
