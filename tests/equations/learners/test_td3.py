"""TD3 by hand: who waits for whom, and which copies judge; and a bandit it must solve."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import Q
from operant.learners.td3 import TD3

SPEC = EnvSpec(Box((3,)), Box((2,), (-1.0, -2.0), (1.0, 2.0)), 50, num_envs=4)
HALF = jnp.array([1.0, 2.0])


def test_actor_and_targets_wait_for_every_second_gradient_step():
    learner = TD3(hidden=(8,), batch=2, capacity=8, tau=0.25, lr=0.1)
    before = learner.init(SPEC, key=jax.random.key(0)).networks
    data = (jnp.ones((2, 3)), jnp.zeros((2, 2)), jnp.ones(2), jnp.full(2, 0.9), -jnp.ones((2, 3)))
    step = jax.jit(lambda n: learner.gradient_step(n, data, jnp.zeros((2, 2)), learner.slots(SPEC), 0.1))
    first = step(before)
    second = step(first)
    q = lambda tree: np.asarray(tree.bodies[0].layers[0].weight)
    mu = lambda tree: np.asarray(tree.body.layers[0].weight)
    assert not np.array_equal(q(first.critic), q(before.critic))
    for tree in (first.actor, first.target_actor):
        np.testing.assert_array_equal(mu(tree), mu(before.actor))
    np.testing.assert_array_equal(q(first.target_critic), q(before.critic))
    assert not np.array_equal(mu(second.actor), mu(before.actor))
    np.testing.assert_allclose(mu(second.target_actor), 0.75 * mu(before.actor) + 0.25 * mu(second.actor), atol=1e-6)
    np.testing.assert_allclose(q(second.target_critic), 0.75 * q(before.critic) + 0.25 * q(second.critic), atol=1e-6)


def test_the_target_action_comes_from_the_trailing_actor():
    learner = TD3(hidden=(8,), batch=1, capacity=8, lr=0.0)
    networks = learner.init(SPEC, key=jax.random.key(0)).networks
    other = learner.init(SPEC, key=jax.random.key(1)).networks.actor
    obs, next_obs = jnp.ones((1, 3)), -jnp.ones((1, 3))
    data = (obs, jnp.zeros((1, 2)), jnp.ones(1), jnp.full(1, 0.5), next_obs)
    changed = eqx.tree_at(lambda n: n.target_actor, networks, other)
    step = jax.jit(lambda n: learner.gradient_step(n, data, jnp.zeros((1, 2)), learner.slots(SPEC), 0.0))
    after = step(changed)
    q = Q(TwinQ(), networks.target_critic).lower(next_obs[0], HALF * other(next_obs[0]))
    np.testing.assert_allclose(after.metrics["value/q"], 1 + 0.5 * q, rtol=1e-5)


def test_a_contextual_bandit_is_solved():
    spec = EnvSpec(Box((1,)), Box((1,), -2.0, 2.0), 1, num_envs=16)
    learner = TD3(hidden=(32,), batch=64, capacity=2048, learning_starts=160, lr=1e-2)

    def step(state, key):
        obs_key, act_key, learn_key = jax.random.split(key, 3)
        obs = jnp.sign(jax.random.normal(obs_key, (1, 16, 1)))
        policy = learner.policy(state)
        action = jax.vmap(lambda o, k: policy(o, policy.init_carry(), key=k)[0])(obs[0], jax.random.split(act_key, 16))[
            None
        ]
        ended = jnp.ones((1, 16), bool)
        batch = Transition(obs, action, jnp.full((1, 16), jnp.nan), ended, ~ended, obs, {})
        return learner.update(state, batch, lambda b: -jnp.square(b.action - b.obs)[..., 0], key=learn_key)

    state = learner.init(spec, key=jax.random.key(0))
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(1), 60)))(state)
    for o in (-1.0, 1.0):
        action = learner.policy(state)(jnp.array([o]), (), key=None)[0]
        assert float(action[0]) == pytest.approx(o, abs=0.25)
