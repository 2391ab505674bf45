"""CartPole: keep a pole upright on a cart by pushing the cart left or right.

    θ̈ = (g sin θ − cos θ · q) / (l (4/3 − m_p cos² θ / m)),   q = (±F + m_p l θ̇² sin θ) / m,   m = m_c + m_p
    ẍ = q − m_p l θ̈ cos θ / m,   both integrated by explicit Euler with step τ; reward 1 a step

Reference: Barto, Sutton and Anderson (1983), Neuronlike adaptive elements that can solve difficult learning control
problems, doi:10.1109/TSMC.1983.6313077; the constants and limits are those of Gymnasium's CartPole-v1
(Towers et al. 2024, arXiv:2407.17032). The fixed horizon is that of `seals` (Gleave et al. 2020).

*Deviations*: float32 where Gymnasium computes in float64. With `fixed_horizon` the episode never terminates, the
reward is 1 inside the limits and 0 outside, and the angle is wrapped to [−π, π): with a variable horizon, the length
of an episode alone tells a preference or imitation learner the reward.

>>> env = CartPole()
>>> state, obs = env.reset(key=jax.random.key(0))
>>> state, step = env.step(state, jnp.int32(1), key=jax.random.key(1))
>>> float(step.reward), bool(step.terminated)
(1.0, False)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, Box, Discrete, EnvSpec
from operant.envs.toy import draw

X_LIMIT = 2.4
ANGLE_LIMIT = 12 * 2 * math.pi / 360


class CartPole(AbstractEnv):
    """CartPole-v1; inner state (4,): position m, velocity m/s, angle rad, angular velocity rad/s."""

    gravity: float = 9.8
    """Acceleration of gravity (m/s²)."""
    length: float = 0.5
    """Half the pole's length (m)."""
    cart_mass: float = 1.0
    """Mass of the cart (kg)."""
    pole_mass: float = 0.1
    """Mass of the pole (kg)."""
    force: float = 10.0
    """Size of the push (N)."""
    tau: float = 0.02
    """Seconds a step."""
    fixed_horizon: bool = False
    """Never terminate: reward 1 inside the limits and 0 outside, always `max_steps` steps."""
    max_steps: int = 500
    """Steps after which an episode is truncated."""

    @property
    def spec(self) -> EnvSpec:
        inf = math.inf
        high = (inf, inf, math.pi, inf) if self.fixed_horizon else (2 * X_LIMIT, inf, 2 * ANGLE_LIMIT, inf)
        names = ("position", "velocity", "angle", "angular_velocity")
        obs = Box((4,), tuple(-h for h in high), high, names=names)
        return EnvSpec(obs, Discrete(2), self.max_steps, name="CartPole-v1", fixed_horizon=self.fixed_horizon)

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, "4"]:
        return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)

    def advance(
        self, inner: Float[Array, "4"], action: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "4"], Float[Array, ""], Bool[Array, ""]]:
        x, v, angle, spin = inner
        mass = self.cart_mass + self.pole_mass
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        push = jnp.where(action == 1, self.force, -self.force)
        q = (push + self.pole_mass * self.length * spin**2 * sin) / mass
        spin_rate = (self.gravity * sin - cos * q) / (self.length * (4 / 3 - self.pole_mass * cos**2 / mass))
        acceleration = q - self.pole_mass * self.length * spin_rate * cos / mass
        x, v = x + self.tau * v, v + self.tau * acceleration
        angle, spin = angle + self.tau * spin, spin + self.tau * spin_rate
        if self.fixed_horizon:
            angle = jnp.mod(angle + math.pi, 2 * math.pi) - math.pi
        fallen = (jnp.abs(x) > X_LIMIT) | (jnp.abs(angle) > ANGLE_LIMIT)
        inner = jnp.stack([x, v, angle, spin])
        if self.fixed_horizon:
            return inner, 1.0 - fallen.astype(jnp.float32), jnp.zeros((), bool)
        return inner, jnp.ones(()), fallen

    def observe(self, inner: Float[Array, "4"]) -> Float[Array, "4"]:
        return inner

    def render(self, inner: Float[Array, "4"]) -> np.ndarray:
        x, _, angle, _ = np.asarray(inner, float)
        centre = x if abs(x) > X_LIMIT else 0.0  # follow a cart that left, which only a fixed horizon allows
        canvas = draw.Canvas(centre - 3.0, -2.1, 6.0)
        canvas.box(centre - 3.0, -2.1, centre + 3.0, -0.42, draw.FAINT)
        canvas.line([(centre - 3.2, -0.42), (centre + 3.2, -0.42)], draw.GREY, 0.04)
        for tick in range(math.floor(centre) - 3, math.ceil(centre) + 4):
            canvas.line([(tick, -0.42), (tick, -0.56)], draw.GREY, 0.03)
        for limit in (-X_LIMIT, X_LIMIT):
            canvas.line([(limit, -0.42), (limit, -0.8)], draw.RED, 0.06)
        for wheel in (-0.26, 0.26):
            canvas.disc((x + wheel, -0.3), 0.12, draw.INK)
        canvas.box(x - 0.48, -0.28, x + 0.48, 0.1, draw.BLUE)
        tip = (x + 4 * self.length * np.sin(angle), 4 * self.length * np.cos(angle))  # twice as long, to be seen
        canvas.line([(x, 0.0), tip], draw.ORANGE, 0.16)
        canvas.disc((x, 0.0), 0.1, draw.INK)
        return canvas.frame()
