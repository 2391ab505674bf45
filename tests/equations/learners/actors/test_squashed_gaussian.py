"""The squashed Gaussian against its equations and the distributions' own densities."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, EnvSpec
from operant.dists import TanhNormal
from operant.learners.actors.squashed_gaussian import SquashedGaussian, log_slope
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import Build, Q

BOX = EnvSpec(Box((3,)), Box((2,), (-1.0, -2.0), (1.0, 2.0)), 50, num_envs=4)


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
