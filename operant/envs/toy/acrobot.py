"""Acrobot: swing the tip of a two-link pendulum above a line, with a torque at the joint between the links only.

    d₁ = m l_c² + m (l² + l_c² + 2 l l_c cos θ₂) + 2I,   d₂ = m (l_c² + l l_c cos θ₂) + I
    φ₂ = m l_c g sin(θ₁ + θ₂),   φ₁ = −m l l_c (θ̇₂² + 2 θ̇₁ θ̇₂) sin θ₂ + m (l_c + l) g sin θ₁ + φ₂
    θ̈₂ = (τ + d₂ φ₁/d₁ − m l l_c θ̇₁² sin θ₂ − φ₂) / (m l_c² + I − d₂²/d₁),   θ̈₁ = −(d₂ θ̈₂ + φ₁) / d₁

with θ₁ = 0 hanging down, θ₂ relative to the first link, both links alike, and l_c = l/2; one step of the classical
Runge-Kutta method a step. Terminates, with reward 0 instead of −1, where −cos θ₁ − cos(θ₁ + θ₂) > 1.

Reference: Sutton (1996), Generalization in reinforcement learning: successful examples using sparse coarse coding,
NeurIPS 8; the "book" dynamics of Sutton and Barto (1998), section 11.3, as in Gymnasium's Acrobot-v1.

*Deviations*: float32 where Gymnasium computes in float64. The goal height is one link above the pivot, `length`, in
units of which the links are measured: at the default length of 1 m this is Gymnasium's.

>>> env = Acrobot()
>>> inner, reward, terminated = env.advance(jnp.array([3.1, 0.0, 0.0, 0.0]), jnp.int32(1), key=jax.random.key(0))
>>> float(reward), bool(terminated)
(0.0, True)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, Box, Discrete, EnvSpec
from operant.envs.toy import draw

MAX_SPEEDS = (4 * math.pi, 9 * math.pi)
Vector = Float[Array, "4"]


class Acrobot(AbstractEnv):
    """Acrobot-v1; inner state (4,): the two angles rad, their velocities rad/s. Actions: torque −1, 0, 1 N m."""

    gravity: float = 9.8
    """Acceleration of gravity (m/s²)."""
    length: float = 1.0
    """Length of each link (m)."""
    mass: float = 1.0
    """Mass of each link (kg), centred in its middle."""
    inertia: float = 1.0
    """Moment of inertia of each link (kg m²)."""
    torque: float = 1.0
    """Size of the torque (N m)."""
    dt: float = 0.2
    """Seconds a step."""
    max_steps: int = 500
    """Steps after which an episode is truncated."""

    @property
    def spec(self) -> EnvSpec:
        high = (1.0, 1.0, 1.0, 1.0, *MAX_SPEEDS)
        names = ("cos1", "sin1", "cos2", "sin2", "velocity1", "velocity2")
        return EnvSpec(
            Box((6,), tuple(-h for h in high), high, names=names), Discrete(3), self.max_steps, name="Acrobot-v1"
        )

    def initial(self, *, key: PRNGKeyArray) -> Vector:
        return jax.random.uniform(key, (4,), minval=-0.1, maxval=0.1)

    def rates(self, inner: Vector, torque: Float[Array, ""]) -> Vector:
        """Time derivative of the inner state."""
        one, two, spin1, spin2 = inner
        m, length, half, inertia, g = self.mass, self.length, self.length / 2, self.inertia, self.gravity
        cos2, sin2 = jnp.cos(two), jnp.sin(two)
        d1 = m * half**2 + m * (length**2 + half**2 + 2 * length * half * cos2) + 2 * inertia
        d2 = m * (half**2 + length * half * cos2) + inertia
        phi2 = m * half * g * jnp.sin(one + two)
        centrifugal = m * length * half * sin2
        phi1 = -centrifugal * (spin2**2 + 2 * spin1 * spin2) + m * (half + length) * g * jnp.sin(one) + phi2
        rate2 = (torque + d2 / d1 * phi1 - centrifugal * spin1**2 - phi2) / (m * half**2 + inertia - d2**2 / d1)
        return jnp.stack([spin1, spin2, -(d2 * rate2 + phi1) / d1, rate2])

    def advance(
        self, inner: Vector, action: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Vector, Float[Array, ""], Bool[Array, ""]]:
        torque, dt = (action - 1) * self.torque, self.dt
        k1 = self.rates(inner, torque)
        k2 = self.rates(inner + dt / 2 * k1, torque)
        k3 = self.rates(inner + dt / 2 * k2, torque)
        k4 = self.rates(inner + dt * k3, torque)
        one, two, spin1, spin2 = inner + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        one, two = (a - 2 * math.pi * jnp.round(a / (2 * math.pi)) for a in (one, two))
        spin1, spin2 = (jnp.clip(s, -m, m) for s, m in zip((spin1, spin2), MAX_SPEEDS, strict=True))
        reached = -jnp.cos(one) - jnp.cos(one + two) > 1.0
        return jnp.stack([one, two, spin1, spin2]), jnp.where(reached, 0.0, -1.0), reached

    def observe(self, inner: Vector) -> Float[Array, "6"]:
        one, two, spin1, spin2 = inner
        return jnp.stack([jnp.cos(one), jnp.sin(one), jnp.cos(two), jnp.sin(two), spin1, spin2])

    def render(self, inner: Vector) -> np.ndarray:
        one, two, _, _ = np.asarray(inner, float)
        canvas = draw.Canvas(-2.3, -2.3, 4.6)
        canvas.line([(-2.4, 1.0), (2.4, 1.0)], draw.GREEN, 0.04)
        elbow = np.array([np.sin(one), -np.cos(one)])
        tip = elbow + np.array([np.sin(one + two), -np.cos(one + two)])
        canvas.line(np.stack([np.zeros(2), elbow]), draw.BLUE, 0.2)
        canvas.line(np.stack([elbow, tip]), draw.ORANGE, 0.2)
        for joint in ((0.0, 0.0), elbow):
            canvas.disc(joint, 0.07, draw.INK)
        return canvas.frame()
