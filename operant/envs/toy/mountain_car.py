"""MountainCar: drive an underpowered car out of a valley by swinging to and fro.

    v ← clip(v + (a − 1) F − g cos 3x, ±0.07),   x ← clip(x + v, −1.2, 0.6),   v ← 0 at the left wall; reward −1 a step

Terminates where x ≥ 0.5 with v ≥ `goal_velocity`.

Reference: Moore (1990), Efficient memory-based learning for robot control, doi:10.48456/tr-209; in the form of Sutton
and Barto (2018), Reinforcement Learning, example 10.1, and Gymnasium's MountainCar-v0.

*Deviations*: float32 where Gymnasium computes in float64.

>>> env = MountainCar()
>>> inner, reward, terminated = env.advance(jnp.array([0.49, 0.05]), jnp.int32(2), key=jax.random.key(0))
>>> float(reward), bool(terminated)
(-1.0, True)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, Box, Discrete, EnvSpec
from operant.envs.toy import draw

LEFT, RIGHT, MAX_SPEED = -1.2, 0.6, 0.07


class MountainCar(AbstractEnv):
    """MountainCar-v0; inner state (2,): position, velocity a step. Actions: left, coast, right."""

    force: float = 0.001
    """Acceleration of the engine (velocity a step)."""
    gravity: float = 0.0025
    """Acceleration on the steepest slope (velocity a step)."""
    goal_position: float = 0.5
    """Where the flag stands (position)."""
    goal_velocity: float = 0.0
    """Least velocity with which the flag counts as reached (velocity)."""
    max_steps: int = 200
    """Steps after which an episode is truncated."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(OBS, Discrete(3), self.max_steps, name="MountainCar-v0")

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, "2"]:
        return start(key)

    def advance(
        self, inner: Float[Array, "2"], action: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "2"], Float[Array, ""], Bool[Array, ""]]:
        x, v = roll(inner, (action - 1) * self.force, self.gravity)
        return jnp.stack([x, v]), -jnp.ones(()), (x >= self.goal_position) & (v >= self.goal_velocity)

    def observe(self, inner: Float[Array, "2"]) -> Float[Array, "2"]:
        return inner

    def render(self, inner: Float[Array, "2"]) -> np.ndarray:
        return paint(inner, self.goal_position)


OBS = Box((2,), (LEFT, -MAX_SPEED), (RIGHT, MAX_SPEED), names=("position", "velocity"))


def start(key: PRNGKeyArray) -> Float[Array, "2"]:
    """At rest, at a position uniform in [−0.6, −0.4)."""
    return jnp.stack([jax.random.uniform(key, (), minval=-0.6, maxval=-0.4), jnp.zeros(())])


def roll(inner: Float[Array, "2"], push: Float[Array, ""], gravity: float) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """One step of the car under the engine's `push`: `(position, velocity)`."""
    x, v = inner
    v = jnp.clip(v + push - gravity * jnp.cos(3 * x), -MAX_SPEED, MAX_SPEED)
    x = jnp.clip(x + v, LEFT, RIGHT)
    return x, jnp.where((x <= LEFT) & (v < 0), 0.0, v)


def paint(inner: Float[Array, "2"], goal: float) -> np.ndarray:
    """The valley, the flag at `goal`, and the car: RGB, uint8 (240, 240, 3)."""
    height = lambda x: 0.45 * np.sin(3 * np.asarray(x)) + 0.55
    x, v = np.asarray(inner, float)
    canvas = draw.Canvas(-1.25, -0.3, 1.9)
    road = np.linspace(-1.3, 0.7, 121)
    hill = np.stack([road, height(road)], axis=1)
    canvas.polygon([(-1.3, -0.4), *hill, (0.7, -0.4)], draw.FAINT)
    canvas.line(hill, draw.GREY, 0.02)
    foot = (goal, float(height(goal)))
    canvas.line([foot, (goal, foot[1] + 0.26)], draw.INK, 0.014)
    canvas.polygon([(goal, foot[1] + 0.26), (goal - 0.13, foot[1] + 0.215), (goal, foot[1] + 0.17)], draw.GREEN)
    slope = float(np.arctan(1.35 * np.cos(3 * x)))
    at = lambda points: draw.rotate(points, slope, (x, float(height(x))))
    # A streak behind the car shows its velocity in a still frame.
    canvas.line(at([(0.0, 0.09), (-2.5 * v, 0.09)]), draw.ORANGE, 0.035)
    canvas.polygon(at([(-0.1, 0.05), (0.1, 0.05), (0.1, 0.11), (0.05, 0.16), (-0.05, 0.16), (-0.1, 0.11)]), draw.BLUE)
    for wheel in at([(-0.06, 0.045), (0.06, 0.045)]):
        canvas.disc(wheel, 0.035, draw.INK)
    return canvas.frame()
