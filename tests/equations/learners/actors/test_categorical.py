"""Discrete soft actor-critic's expectations, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, Discrete, EnvSpec
from operant.learners.actors.categorical import SoftCategorical
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import Build, Q

DISCRETE = EnvSpec(Box((3,)), Discrete(3), 50, num_envs=4)


def build(spec, seed=0):
    return Build(np.random.default_rng(seed), spec, (8,), "relu")


def test_discrete_actions_are_summed_over_not_drawn():
    actor, critic = SoftCategorical(temperature=0.5, entropy_share=0.9), TwinQ()
    params = actor.init(build(DISCRETE))
    online, target = (Q(critic, critic.init(build(DISCRETE, seed))) for seed in (1, 2))
    obs = jnp.array([0.3, -1.0, 2.0])
    logits = np.asarray(params.body(obs), np.float64)
    p = np.exp(logits) / np.exp(logits).sum()
    lower = lambda q: np.asarray(jnp.stack([body(obs) for body in q.params.bodies])).min(0)
    value = (p * (lower(target) - 0.5 * np.log(p))).sum()
    np.testing.assert_allclose(actor.next_value(params, online, target, obs, ()), value, rtol=1e-5)
    _, metrics = actor.loss(params, online, obs, ())
    np.testing.assert_allclose(metrics["loss/actor"], (p * (0.5 * np.log(p) - lower(online))).sum(), rtol=1e-4)
    gradient = jax.grad(lambda q: actor.loss(q, online, obs, ())[0])(params)
    np.testing.assert_allclose(gradient.log_alpha, -((p * np.log(p)).sum() + 0.9 * np.log(3)), rtol=1e-4)
