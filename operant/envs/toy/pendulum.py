"""Pendulum: swing a pendulum up and hold it there with a bounded torque.

    θ̇ ← clip(θ̇ + (3g/(2l) sin θ + 3u/(ml²)) Δt, ±8),   θ ← θ + θ̇ Δt,   reward −(θ² + 0.1 θ̇² + 0.001 u²)

with θ = 0 upright, wrapped to [−π, π) in the reward, and u clipped to ±2 N m. The reward is that of the state before
the step. Episodes end by truncation only.

Reference: Gymnasium's Pendulum-v1 (Towers et al. 2024, arXiv:2407.17032).

*Deviations*: float32 where Gymnasium computes in float64.

>>> env = Pendulum()
>>> inner, reward, terminated = env.advance(jnp.array([0.0, 0.0]), jnp.array([2.0]), key=jax.random.key(0))
>>> bool(jnp.allclose(inner, jnp.array([0.015, 0.3]))), round(float(reward), 4)  # 3 u Δt = 0.3 rad/s, 0.001 u² = 0.004
(True, -0.004)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant.core import AbstractEnv, Box, EnvSpec
from operant.envs.toy import draw


class Pendulum(AbstractEnv):
    """Pendulum-v1; inner state (2,): angle rad (0 upright, anticlockwise, not wrapped), angular velocity rad/s."""

    gravity: float = 10.0
    """Acceleration of gravity (m/s²)."""
    mass: float = 1.0
    """Mass of the rod (kg)."""
    length: float = 1.0
    """Length of the rod (m)."""
    max_torque: float = 2.0
    """Largest torque (N m); larger actions are clipped."""
    max_speed: float = 8.0
    """Largest angular velocity (rad/s)."""
    dt: float = 0.05
    """Seconds a step."""
    max_steps: int = 200
    """Steps after which an episode is truncated."""

    @property
    def spec(self) -> EnvSpec:
        high = (1.0, 1.0, self.max_speed)
        obs = Box((3,), tuple(-h for h in high), high, names=("cos", "sin", "velocity"))
        action = Box((1,), -self.max_torque, self.max_torque, names=("torque",))
        return EnvSpec(obs, action, self.max_steps, name="Pendulum-v1", fixed_horizon=True)

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, "2"]:
        return jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0) * jnp.array([math.pi, 1.0])

    def advance(
        self, inner: Float[Array, "2"], action: Float[Array, "1"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "2"], Float[Array, ""], Bool[Array, ""]]:
        angle, speed = inner
        torque = jnp.clip(action[0], -self.max_torque, self.max_torque)
        wrapped = jnp.mod(angle + math.pi, 2 * math.pi) - math.pi
        reward = -(wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2)
        pull = 3 * self.gravity / (2 * self.length) * jnp.sin(angle) + 3 / (self.mass * self.length**2) * torque
        speed = jnp.clip(speed + pull * self.dt, -self.max_speed, self.max_speed)
        return jnp.stack([angle + speed * self.dt, speed]), reward, jnp.zeros((), bool)

    def observe(self, inner: Float[Array, "2"]) -> Float[Array, "3"]:
        angle, speed = inner
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), speed])

    def render(self, inner: Float[Array, "2"]) -> np.ndarray:
        angle, speed = np.asarray(inner, float)
        canvas = draw.Canvas(-1.4, -1.4, 2.8)
        canvas.disc((0.0, 0.0), 1.14, draw.FAINT)
        canvas.disc((0.0, 0.0), 1.12, draw.PAPER)
        canvas.line([(0.0, 1.07), (0.0, 1.2)], draw.GREEN, 0.05)
        tip = np.array([-np.sin(angle), np.cos(angle)])
        canvas.line(np.stack([np.zeros(2), tip]), draw.BLUE, 0.2)
        canvas.disc((0.0, 0.0), 0.05, draw.INK)
        canvas.disc(tip, 0.05, draw.PAPER)
        # An arc outside the circle shows where the tip will be 0.15 s from now: the velocity, in a still frame.
        ahead = angle + np.linspace(0.0, 0.15 * speed, 24)
        canvas.line(np.stack([-1.25 * np.sin(ahead), 1.25 * np.cos(ahead)], axis=1), draw.ORANGE, 0.05)
        return canvas.frame()
