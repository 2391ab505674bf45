"""SAC: one step of its targets by hand, and bandits it must solve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.learners.sac import SAC

BOX = EnvSpec(Box((3,)), Box((2,), (-1.0, -2.0), (1.0, 2.0)), 50, num_envs=4)


def test_one_gradient_step_moves_targets_by_tau():
    learner = SAC(hidden=(8,), batch=2, capacity=8, tau=0.25, lr=0.1)
    networks = learner.init(BOX, key=jax.random.key(0)).networks
    data = (jnp.ones((2, 3)), jnp.zeros((2, 2)), jnp.ones(2), jnp.full(2, 0.9), -jnp.ones((2, 3)))
    noise = (jnp.zeros((2, 2)), jnp.zeros((2, 2)))
    after = jax.jit(lambda n: learner.gradient_step(n, data, noise, learner.slots(BOX), 0.1))(networks)
    weight = lambda tree: np.asarray(tree.bodies[1].layers[0].weight)
    moved = 0.75 * weight(networks.target_critic) + 0.25 * weight(after.critic)
    np.testing.assert_allclose(weight(after.target_critic), moved, atol=1e-6)
    assert abs(weight(after.critic) - weight(networks.critic)).max() > 0.05
    assert after.target_actor == ()


def bandit(learner, spec, reward, updates=60):
    """Train on one-step episodes whose observation is ±1; return greedy actions at −1 and 1."""
    n = spec.num_envs

    def step(state, key):
        obs_key, act_key, learn_key = jax.random.split(key, 3)
        obs = jnp.sign(jax.random.normal(obs_key, (1, n, 1)))
        policy = learner.policy(state)
        act = lambda o, k: policy(o, policy.init_carry(), key=k)[0]
        action = jax.vmap(act)(obs[0], jax.random.split(act_key, n))[None]
        ended = jnp.ones((1, n), bool)
        batch = Transition(obs, action, jnp.full((1, n), jnp.nan), ended, ~ended, obs, {})
        return learner.update(state, batch, reward, key=learn_key)

    state = learner.init(spec, key=jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), updates)
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, keys))(state)
    policy = learner.policy(state)
    return [np.asarray(policy(jnp.array([o]), policy.init_carry(), key=None)[0]) for o in (-1.0, 1.0)]


SMALL = {"hidden": (32,), "batch": 64, "capacity": 2048, "learning_starts": 160, "lr": 1e-2}


def test_a_contextual_bandit_is_solved():
    spec = EnvSpec(Box((1,)), Box((1,), -2.0, 2.0), 1, num_envs=16)
    reward = lambda b: -jnp.square(b.action[..., 0] - b.obs[..., 0])
    left, right = bandit(SAC(**SMALL), spec, reward)
    assert left[0] == pytest.approx(-1.0, abs=0.25) and right[0] == pytest.approx(1.0, abs=0.25)


def test_a_discrete_contextual_bandit_is_solved():
    spec = EnvSpec(Box((1,)), Discrete(2), 1, num_envs=16)
    reward = lambda b: ((b.obs[..., 0] > 0) == (b.action > 0)).astype(jnp.float32)
    assert [int(a) for a in bandit(SAC(**SMALL), spec, reward)] == [0, 1]
