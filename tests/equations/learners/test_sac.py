"""SAC against its equations written in NumPy and the distributions' own densities, and on a bandit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.dists import TanhNormal
from operant.learners.actors.categorical import SoftCategorical
from operant.learners.actors.squashed_gaussian import SquashedGaussian, log_slope
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import Build, Q
from operant.learners.sac import SAC

BOX = EnvSpec(Box((3,)), Box((2,), (-1.0, -2.0), (1.0, 2.0)), 50, num_envs=4)
DISCRETE = EnvSpec(Box((3,)), Discrete(3), 50, num_envs=4)


def build(spec, seed=0):
    return Build(np.random.default_rng(seed), spec, (8,), "relu")


def test_the_slope_of_tanh_and_its_derivative():
    u = np.array([-30.0, -2.0, -0.1, 0.0, 0.5, 9.0])
    exact = np.log1p(-(np.tanh(u[1:5]) ** 2))
    np.testing.assert_allclose(log_slope(jnp.asarray(u[1:5])), exact, rtol=1e-5, atol=1e-6)
    assert np.isfinite(log_slope(jnp.asarray(u))).all()
    np.testing.assert_allclose(jax.vmap(jax.grad(log_slope))(jnp.asarray(u)), -2 * np.tanh(u), rtol=1e-6)


def test_target_actor_loss_and_temperature_gradient_by_hand():
    actor, critic = SquashedGaussian(temperature=0.3, target_entropy=-1.5), TwinQ()
    params = actor.init(build(BOX))
    online, target = (Q(critic, critic.init(build(BOX, seed))) for seed in (1, 2))
    obs, z = jnp.array([0.3, -1.0, 2.0]), jnp.array([0.7, -0.4])
    mean, log_std = params(obs)
    unit = jnp.tanh(mean + jnp.exp(log_std) * z)
    log_prob = TanhNormal(mean, jnp.exp(log_std), -1.0, 1.0).log_prob(unit)
    action = unit * jnp.array([1.0, 2.0])
    heads = lambda q: np.asarray(
        [body(jnp.concatenate([obs, unit]))[0] for body in q.params.bodies]  # actions enter in units of their box
    )
    value = actor.next_value(params, online, target, obs, (z, jnp.zeros(2)))
    np.testing.assert_allclose(value, heads(target).min() - 0.3 * log_prob, rtol=1e-4)
    np.testing.assert_allclose(target.heads(obs, action), heads(target), rtol=1e-5)

    noise = (jnp.zeros(2), z)
    _, metrics = actor.loss(params, online, obs, noise)
    np.testing.assert_allclose(metrics["loss/actor"], 0.3 * log_prob - heads(online).min(), rtol=1e-4)
    gradient = jax.grad(lambda p: actor.loss(p, online, obs, noise)[0])(params)
    np.testing.assert_allclose(gradient.log_alpha, -(log_prob - 1.5), rtol=1e-4)
    fixed = SquashedGaussian(temperature=0.3, learn_temperature=False)
    assert float(jax.grad(lambda p: fixed.loss(p, online, obs, noise)[0])(params).log_alpha) == 0.0
    by_default = jax.grad(lambda p: SquashedGaussian().loss(p, online, obs, noise)[0])(params)
    np.testing.assert_allclose(by_default.log_alpha, -(log_prob - 2.0), rtol=1e-4)  # −|A|


def test_both_critics_regress_on_the_same_target():
    critic = TwinQ()
    params = critic.init(build(BOX))
    obs, action = jnp.ones(3), jnp.array([0.5, -1.0])
    q = np.asarray(critic.heads(params, obs, action))
    np.testing.assert_allclose(critic.loss(params, obs, action, jnp.array(2.0)), 0.5 * ((q - 2) ** 2).sum(), rtol=1e-5)


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
    loss = critic.loss(online.params, obs, jnp.array(2), jnp.array(1.0))
    q2 = np.asarray(online.heads(obs))[:, 2]
    np.testing.assert_allclose(loss, 0.5 * ((q2 - 1) ** 2).sum(), rtol=1e-5)


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
