"""Two critics, one target."""

import jax.numpy as jnp
import numpy as np

from operant.core import Box, Discrete, EnvSpec
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import Build

BOX = EnvSpec(Box((3,)), Box((2,), (-1.0, -2.0), (1.0, 2.0)), 50, num_envs=4)
DISCRETE = EnvSpec(Box((3,)), Discrete(3), 50, num_envs=4)


def build(spec, seed=0):
    return Build(np.random.default_rng(seed), spec, (8,), "relu")


def test_both_critics_regress_on_the_same_target():
    critic = TwinQ()
    params = critic.init(build(BOX))
    obs, action = jnp.ones(3), jnp.array([0.5, -1.0])
    q = np.asarray(critic.heads(params, obs, action))
    np.testing.assert_allclose(critic.loss(params, obs, action, jnp.array(2.0)), 0.5 * ((q - 2) ** 2).sum(), rtol=1e-5)


def test_for_discrete_actions_only_the_one_taken_is_regressed():
    critic, obs = TwinQ(), jnp.array([0.3, -1.0, 2.0])
    params = critic.init(build(DISCRETE))
    q = np.asarray(jnp.stack([body(obs) for body in params.bodies]))
    np.testing.assert_allclose(critic.heads(params, obs, None), q, rtol=1e-5)
    loss = critic.loss(params, obs, jnp.array(2), jnp.array(1.0))
    np.testing.assert_allclose(loss, 0.5 * ((q[:, 2] - 1) ** 2).sum(), rtol=1e-5)
