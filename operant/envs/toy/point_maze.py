"""PointMaze: push a point mass through a maze to a goal.

    v ← clip((1 − c Δt) v + k a Δt, ±v_max),   p ← p + v Δt, one axis after the other

An axis whose move would enter a wall stops at the wall and loses its velocity. The body is a square of half-side
`radius`; walls are the `#` cells of a text map and everything outside it. Cells are unit squares, x to the right, y
up, the map's lower left corner at the origin. `S` marks starts and `G` goals: one of each is drawn an episode, from
all free cells where the map marks none. Reward: sparse [d ≤ goal_radius], or dense −d, with d the distance to the
goal after the step. Reaching the goal terminates, unless `fixed_horizon`.

Reference: after the point mazes of Fu et al. (2020), D4RL, arXiv:2004.07219.

*Deviations*: no MuJoCo: a square body, semi-implicit Euler, walls without friction or bounce.

>>> env = PointMaze("S.G")
>>> state, obs = env.reset(key=jax.random.key(0))
>>> dict(zip(env.spec.obs.names, obs.round(1).tolist()))["goal_x"]
2.5
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant.core import AbstractEnv, Box, EnvSpec
from operant.envs.toy import draw
from operant.envs.toy.gridworld import paint, read
from operant.errors import SpecError, nearest

U_MAZE = """\
#####
#G..#
###.#
#S..#
#####
"""
LETTERS = "SG. #"
GAP = 1e-4  # kept between body and wall, so that float32 never rounds the body into it
Scalar = Float[Array, ""]
Reward = Literal["sparse", "dense"]


class PointMaze(AbstractEnv):
    """A point mass in a maze; inner state and observation (6,): x, y, vx, vy, goal_x, goal_y. Action (2,): the force.

    Raises:
        SpecError: the map is empty, ragged, without a free cell or with an unknown letter; a step or a body too large
            for walls to hold; an unknown reward.
    """

    layout: str = U_MAZE
    """The map, a line a row: '#' wall, 'S' start, 'G' goal, '.' or ' ' empty."""
    reward: Reward = "sparse"
    """"sparse": 1 at the goal, else 0; "dense": minus the distance (cells)."""
    goal_radius: float = 0.4
    """Distance at which the goal counts as reached (cells)."""
    force: float = 5.0
    """Acceleration at full action (cells/s²)."""
    drag: float = 0.5
    """Share of the velocity lost a second (1/s)."""
    max_speed: float = 3.0
    """Largest velocity along each axis (cells/s)."""
    radius: float = 0.2
    """Half the side of the body (cells)."""
    jitter: float = 0.2
    """Starts and goals lie within this distance of their cell's centre, along each axis (cells)."""
    dt: float = 0.1
    """Seconds a step."""
    fixed_horizon: bool = False
    """Never terminate: always `max_steps` steps."""
    max_steps: int = 300
    """Steps after which an episode is truncated."""

    def __check_init__(self) -> None:
        if (read(self.layout, LETTERS) == "#").all():
            raise SpecError("expected a map with a free cell; got walls only. Clear a cell with '.'.")
        if self.reward not in get_args(Reward):
            known = nearest(str(self.reward), get_args(Reward))
            raise SpecError(f"expected a reward of PointMaze; got {self.reward!r}: {known}")
        if not (self.max_speed * self.dt < 1 and 0 <= self.radius + self.jitter < 0.5):
            raise SpecError(
                "expected max_speed·dt < 1 cell and radius + jitter < 0.5 cells, or bodies pass through walls; got "
                f"{self.max_speed * self.dt:g} and {self.radius + self.jitter:g}. Make them smaller."
            )

    @property
    def spec(self) -> EnvSpec:
        height, width = read(self.layout, LETTERS).shape
        speed = self.max_speed
        low, high = (0.0, 0.0, -speed, -speed, 0.0, 0.0), (width, height, speed, speed, width, height)
        obs = Box((6,), low, tuple(map(float, high)), names=("x", "y", "vx", "vy", "goal_x", "goal_y"))
        action = Box((2,), -1.0, 1.0, names=("force_x", "force_y"))
        return EnvSpec(obs, action, self.max_steps, name="PointMaze", fixed_horizon=self.fixed_horizon)

    def centres(self, letter: str) -> np.ndarray:
        """(n, 2) x and y of the cells marked with a letter, or of all free cells where none is."""
        grid = read(self.layout, LETTERS)
        rows, columns = np.nonzero(grid == letter if (grid == letter).any() else grid != "#")
        return np.stack([columns + 0.5, grid.shape[0] - rows - 0.5], axis=1).astype(np.float32)

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, "6"]:
        u = jax.random.uniform(key, (6,))  # all that is random in one draw
        pick = lambda cells, u: jnp.asarray(cells)[(u * len(cells)).astype(jnp.int32)]
        start = pick(self.centres("S"), u[0]) + self.jitter * (2 * u[1:3] - 1)
        goal = pick(self.centres("G"), u[3]) + self.jitter * (2 * u[4:6] - 1)
        return jnp.concatenate([start, jnp.zeros(2), goal])

    def advance(
        self, inner: Float[Array, "6"], action: Float[Array, "2"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "6"], Float[Array, ""], Bool[Array, ""]]:
        x, y, vx, vy, goal_x, goal_y = inner
        ax, ay = jnp.clip(action, -1.0, 1.0)
        speed = lambda v, a: jnp.clip(
            (1 - self.drag * self.dt) * v + self.force * self.dt * a, -self.max_speed, self.max_speed
        )
        x, vx = self.slide(x, speed(vx, ax), lambda front, side: (front, y + side))
        y, vy = self.slide(y, speed(vy, ay), lambda front, side: (x + side, front))
        distance = jnp.sqrt((x - goal_x) ** 2 + (y - goal_y) ** 2)
        reached = distance <= self.goal_radius
        reward = -distance if self.reward == "dense" else reached.astype(jnp.float32)
        terminated = jnp.zeros((), bool) if self.fixed_horizon else reached
        return jnp.stack([x, y, vx, vy, goal_x, goal_y]), reward, terminated

    def slide(
        self, place: Scalar, velocity: Scalar, corner: Callable[[Scalar, float], tuple[Scalar, Scalar]]
    ) -> tuple[Scalar, Scalar]:
        """Move along one axis, up to a wall: `(place, velocity)`; `corner(front, ±radius)` is a front corner."""
        moved = place + velocity * self.dt
        sign = jnp.sign(velocity)
        front = moved + sign * (self.radius + GAP)
        hit = self.wall(*corner(front, self.radius)) | self.wall(*corner(front, -self.radius))
        face = jnp.where(sign > 0, jnp.floor(front), jnp.floor(front) + 1)
        return jnp.where(hit, face - sign * (self.radius + GAP), moved), jnp.where(hit, 0.0, velocity)

    def wall(self, x: Scalar, y: Scalar) -> Bool[Array, ""]:
        """Whether a point lies in a wall, or outside the map."""
        walls = np.pad(read(self.layout, LETTERS)[::-1] == "#", 1, constant_values=True)  # row 0 at the bottom
        index = lambda z, n: jnp.clip(jnp.floor(z).astype(jnp.int32) + 1, 0, n - 1)
        return jnp.asarray(walls)[index(y, walls.shape[0]), index(x, walls.shape[1])]

    def observe(self, inner: Float[Array, "6"]) -> Float[Array, "6"]:
        return inner

    def render(self, inner: Float[Array, "6"]) -> np.ndarray:
        x, y, vx, vy, goal_x, goal_y = np.asarray(inner, float)
        grid = read(self.layout, LETTERS)
        canvas = paint(np.where(grid == "#", "#", "."))
        canvas.disc((goal_x, goal_y), self.goal_radius, draw.GREEN)
        canvas.disc((goal_x, goal_y), 0.8 * self.goal_radius, draw.PAPER)
        canvas.disc((goal_x, goal_y), 0.12 * self.goal_radius, draw.GREEN)
        if math.hypot(vx, vy) > 1e-3:  # where the mass will be 0.3 s from now
            canvas.line([(x, y), (x + 0.3 * vx, y + 0.3 * vy)], draw.ORANGE, 0.1)
        canvas.disc((x, y), self.radius, draw.BLUE)
        return canvas.frame()
