"""ObstacleCourse: find a way through three rows of obstacles; there are 24, all as good as each other.

    p ← p + speed · a,   a ∈ [−1, 1]²

Rows at y = 1, 2.5 and 4 hold one, two and three round obstacles, staggered, so that a row is passed through one of
2, 3 and 4 gaps: 2 · 3 · 4 = 24 routes. Touching an obstacle ends the episode with nothing; crossing y = 5 ends it with
reward 1. `demonstrate` takes every route equally often; `route` says which one a path took.

Reference: after "avoiding" of Jia et al. 2024, Towards Diverse Behaviors: A Benchmark for Imitation Learning with Human
Demonstrations (D3IL), 2402.14606.

*Deviations*: a point with velocities as actions instead of a robot arm's end; the demonstrator is a script.

>>> env = ObstacleCourse()
>>> state, obs = env.reset(key=jax.random.key(0))
>>> env.modes, obs.shape
(24, (2,))
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, Box, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.toy import draw
from operant.envs.toy._demonstrations import recorded
from operant.errors import SpecError

ROWS = ((1.0, (0.0,)), (2.5, (-0.5, 0.5)), (4.0, (-1.0, 0.0, 1.0)))
"""Of each row: its y, and the x of its obstacles."""
CENTRES = np.array([(x, y) for y, xs in ROWS for x in xs], np.float32)
FINISH = 5.0
LOW, HIGH = (-2.25, -0.25), (2.25, 5.25)
ROUTES = tuple(itertools.product(*(range(len(xs) + 1) for _, xs in ROWS)))
"""Of each route the gap it takes in each row, counted from the left."""
MARGIN = 0.45
"""How far before and behind a row the demonstrator goes straight up."""


class ObstacleCourse(AbstractEnv):
    """A point among obstacles; inner state and observation (2,): x, y. Action (2,): velocity (speed a step).

    Raises:
        SpecError: obstacles so large, or steps so long, that gaps close.
    """

    speed: float = 0.12
    """Largest distance a step along each axis."""
    radius: float = 0.25
    """Of the obstacles, whose centres lie 1 apart."""
    jitter: float = 0.05
    """Starts lie within this distance of the origin, along each axis."""
    max_steps: int = 100
    """Steps after which an episode is truncated."""

    def __check_init__(self) -> None:
        if not (0 < self.radius < 0.5 and 0 < self.speed < 0.5):
            raise SpecError(
                "expected 0 < radius < 0.5 and 0 < speed < 0.5, for gaps are 1 − 2·radius wide; got "
                f"{self.radius:g} and {self.speed:g}. Make them smaller."
            )

    @property
    def spec(self) -> EnvSpec:
        action = Box((2,), -1.0, 1.0, names=("velocity_x", "velocity_y"))
        return EnvSpec(Box((2,), LOW, HIGH, names=("x", "y")), action, self.max_steps, name="ObstacleCourse")

    @property
    def modes(self) -> int:
        """How many routes there are."""
        return len(ROUTES)

    def mode(self, path: Float[Array, "T 2"], mask: Bool[Array, " T"]) -> Int[Array, ""]:
        """Which route a path took: see `route`."""
        return route(path, mask)

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, "2"]:
        return self.jitter * jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)

    def advance(
        self, inner: Float[Array, "2"], action: Float[Array, "2"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "2"], Float[Array, ""], Bool[Array, ""]]:
        after = jnp.clip(inner + self.speed * jnp.clip(action, -1.0, 1.0), jnp.asarray(LOW), jnp.asarray(HIGH))
        hit = (distances(inner, after) < self.radius).any()
        reached = (after[1] >= FINISH) & ~hit
        return after, reached.astype(jnp.float32), hit | reached

    def observe(self, inner: Float[Array, "2"]) -> Float[Array, "2"]:
        return inner

    def demonstrate(self, n: int, *, key: PRNGKeyArray, noise: float = 0.1) -> Dataset:
        """`n` episodes of a demonstrator that takes every route equally often (to within one).

        Args:
            noise: standard deviation of what is added to its actions, and recorded with them (units of the box).

        Raises:
            SpecError: n < 1.
            DataError: an episode did not reach the finish (too much noise, other settings).
        """
        points = jnp.asarray(np.stack([waypoints(gaps) for gaps in ROUTES]), jnp.float32)

        def act(inner: Array, mode: Array, memory: Array) -> tuple[Array, Array]:
            at = points[mode, memory]
            memory = jnp.minimum(memory + (jnp.linalg.norm(at - inner) < 0.15), points.shape[1] - 1)
            way = points[mode, memory] - inner
            return way / jnp.maximum(jnp.linalg.norm(way), 1e-6), memory

        return recorded(self, act, n, key, noise, "ObstacleCourse: a script that takes all 24 routes equally often")

    def render(self, inner: Float[Array, "2"]) -> np.ndarray:
        canvas = draw.Canvas(left=-3.0, bottom=-0.5, width=6.0)
        canvas.box(-3.0, FINISH, 3.0, FINISH + 0.06, draw.GREEN)
        for centre in CENTRES:
            canvas.disc(centre, self.radius, draw.GREY)
        canvas.disc(np.asarray(inner, float), 0.09, draw.BLUE)
        return canvas.frame()


def distances(start: Float[Array, "2"], end: Float[Array, "2"]) -> Float[Array, " k"]:
    """From every obstacle's centre to the nearest point of the way from `start` to `end`."""
    way = end - start
    along = ((CENTRES - start[None]) * way[None]).sum(1) / jnp.maximum((way * way).sum(), 1e-12)
    nearest = start[None] + jnp.clip(along, 0.0, 1.0)[:, None] * way[None]
    return jnp.sqrt(jnp.square(CENTRES - nearest).sum(1))


def waypoints(gaps: tuple[int, ...]) -> np.ndarray:
    """(7, 2): the demonstrator's path through these gaps, and over the finish.

    >>> waypoints((0, 1, 3))[:, 0].tolist()
    [-0.5, -0.5, 0.0, 0.0, 1.5, 1.5, 1.5]
    """
    xs = [gap - 0.5 * len(row) for gap, (_, row) in zip(gaps, ROWS, strict=True)]
    pairs = [((x, y - MARGIN), (x, y + MARGIN)) for x, (y, _) in zip(xs, ROWS, strict=True)]
    return np.array([*itertools.chain(*pairs), (xs[-1], FINISH + 0.3)])


def route(path: Float[Array, "T 2"], mask: Bool[Array, " T"]) -> Int[Array, ""]:
    """Which of the 24 routes a path took: the number in `ROUTES`, or −1 where it never crossed the finish.

    `path` holds where each step led (`next_obs`); `mask` says which steps took place.
    """
    code, crossed = jnp.zeros((), jnp.int32), (mask & (path[:, 1] >= FINISH)).any()
    for y, xs in ROWS:
        first = jnp.argmax(mask & (path[:, 1] >= y))
        gap = (path[first, 0] > jnp.asarray(xs)).sum().astype(jnp.int32)
        code = code * (len(xs) + 1) + gap
    return jnp.where(crossed, code, -1)
