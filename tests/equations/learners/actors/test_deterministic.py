"""TD3's actor by hand: smoothing, minimum, exploration noise."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, EnvSpec
from operant.learners.actors.deterministic import Deterministic
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import Build, Q

SPEC = EnvSpec(Box((3,)), Box((2,), (-1.0, -2.0), (1.0, 2.0)), 50, num_envs=4)
HALF = jnp.array([1.0, 2.0])


def build(seed=0):
    return Build(np.random.default_rng(seed), SPEC, (8,), "relu")


def test_the_target_is_the_smaller_head_at_a_blurred_and_clipped_action():
    actor, critic = Deterministic(smoothing=0.2, smoothing_clip=0.5), TwinQ()
    params = actor.init(build())
    online, target = (Q(critic, critic.init(build(seed))) for seed in (1, 2))
    obs, z = jnp.array([0.3, -1.0, 2.0]), jnp.array([1.5, -40.0])
    mu = np.asarray(params(obs))
    unit = np.clip(mu + np.array([0.3, -0.5]), -1, 1)  # 0.2 · 1.5; 0.2 · −40 clipped to −c
    heads = lambda q, a: np.asarray([body(jnp.concatenate([obs, jnp.asarray(a)]))[0] for body in q.params.bodies])
    value = actor.next_value(params, online, target, obs, z)
    np.testing.assert_allclose(value, heads(target, unit.astype(np.float32)).min(), rtol=1e-5)
    loss, _ = actor.loss(params, online, obs, z)
    np.testing.assert_allclose(loss, -heads(online, mu)[0], rtol=1e-5)  # the first head, not the smaller


def test_exploring_adds_noise_in_units_of_the_box_and_clips():
    actor = Deterministic(exploration_noise=0.1)
    params, start = actor.init(build()), actor.init_carry(SPEC)
    cold, t, obs = jnp.zeros((), bool), jnp.zeros((), jnp.int32), jnp.zeros(3)
    draw = lambda k: actor.explore(params, None, obs, start, cold, t, k)[0]
    actions = np.asarray(jax.vmap(draw)(jax.random.split(jax.random.key(0), 2000)))
    np.testing.assert_allclose(actions.mean(0), actor.greedy(params, None, obs), atol=0.03)
    np.testing.assert_allclose(actions.std(0), 0.1 * HALF, rtol=0.06)
