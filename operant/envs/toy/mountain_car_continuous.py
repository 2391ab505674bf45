"""MountainCarContinuous: the same valley with a continuous engine, paid for by its square.

    v ← clip(v + P clip(a, ±1) − 0.0025 cos 3x, ±0.07),   reward 100·[goal reached] − 0.1 a²

Terminates where x ≥ 0.45 with v ≥ `goal_velocity`. The cost is that of the action before clipping, as Gymnasium's is.

Reference: Moore (1990), doi:10.48456/tr-209; Gymnasium's MountainCarContinuous-v0 (Towers et al. 2024,
arXiv:2407.17032).

*Deviations*: float32 throughout, where Gymnasium computes in float64 and stores the state as float32.

>>> import jax
>>> env = MountainCarContinuous()
>>> inner, reward, terminated = env.advance(jnp.array([0.44, 0.05]), jnp.array([1.0]), key=jax.random.key(0))
>>> round(float(reward), 4), bool(terminated)
(99.9, True)
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant.core import AbstractEnv, Box, EnvSpec
from operant.envs.toy.mountain_car import OBS, paint, roll, start


class MountainCarContinuous(AbstractEnv):
    """MountainCarContinuous-v0; inner state (2,): position, velocity a step. Action (1,): the engine, −1 … 1."""

    power: float = 0.0015
    """Acceleration of the engine at full throttle (velocity a step)."""
    gravity: float = 0.0025
    """Acceleration on the steepest slope (velocity a step)."""
    goal_position: float = 0.45
    """Where the flag stands (position)."""
    goal_velocity: float = 0.0
    """Least velocity with which the flag counts as reached (velocity)."""
    max_steps: int = 999
    """Steps after which an episode is truncated."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(OBS, Box((1,), -1.0, 1.0, names=("force",)), self.max_steps, name="MountainCarContinuous-v0")

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, "2"]:
        return start(key)

    def advance(
        self, inner: Float[Array, "2"], action: Float[Array, "1"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "2"], Float[Array, ""], Bool[Array, ""]]:
        x, v = roll(inner, self.power * jnp.clip(action[0], -1.0, 1.0), self.gravity)
        reached = (x >= self.goal_position) & (v >= self.goal_velocity)
        return jnp.stack([x, v]), jnp.where(reached, 100.0, 0.0) - 0.1 * action[0] ** 2, reached

    def observe(self, inner: Float[Array, "2"]) -> Float[Array, "2"]:
        return inner

    def render(self, inner: Float[Array, "2"]) -> np.ndarray:
        return paint(inner, self.goal_position)
