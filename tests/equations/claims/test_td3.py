"""TD3's claim measures a critic's bias: the returns it is held against, by hand; and the control's single critic."""

import jax.numpy as jnp
import numpy as np

from operant.claims.td3 import SingleQ, following
from operant.core import Box, EnvSpec
from operant.learners.off_policy import Build


def test_returns_that_follow_and_which_of_them_are_known():
    reward = np.ones((3, 5), np.float32)
    terminated = np.zeros((3, 5), bool)
    terminated[0, 2] = True  # ends by termination after 3 steps
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
    returns, known = following(reward, terminated, mask, 0.1)  # 0.1² = 1 %: two steps are enough
    np.testing.assert_allclose(returns[0], [1.11, 1.1, 1.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(returns[1], [1.1111, 1.111, 1.11, 1.1, 1.0], rtol=1e-6)
    assert known[0].tolist() == [True, True, True, False, False]  # exact up to a terminal state
    assert known[1].tolist() == [True, True, True, True, False]
    assert known[2].tolist() == [True, False, False, False, False]  # cut off


def test_the_single_critic_is_one_head_in_units_of_the_box():
    spec = EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 10)
    critic = SingleQ()
    params = critic.init(Build(np.random.default_rng(0), spec, (4,), "relu"))
    obs, action = jnp.ones(3), jnp.array([2.0, -1.0])
    q = critic.heads(params, obs, action)
    assert q.shape == (1,)
    np.testing.assert_allclose(q, params.body(jnp.array([1.0, 1.0, 1.0, 1.0, -0.5])), rtol=1e-6)
    np.testing.assert_allclose(critic.loss(params, obs, action, jnp.asarray(3.0)), 0.5 * (q[0] - 3.0) ** 2, rtol=1e-6)
