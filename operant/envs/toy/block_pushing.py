"""BlockPushing: push k blocks, each to its target, in any order; all k! orders are as good as each other.

    p ← p + speed · a,   a ∈ [−1, 1]²

The pusher is a point. A block is a square: a point that enters it through a face pushes that face ahead of itself, and
with it the block. Blocks stand in a row at y = 0, each below its target at y = 0.8; a block that reaches its target
stays there, and the pusher passes it. Once all are there the episode ends with reward 1. `demonstrate` takes every
order equally often; `order` says in which a path did it.

Reference: after "sorting" and "pushing" of Jia et al. 2024, Towards Diverse Behaviors: A Benchmark for Imitation
Learning with Human Demonstrations (D3IL), 2402.14606; block pushing of Florence et al. 2021, 2109.00137.

*Deviations*: no physics engine: blocks neither turn nor slide nor touch one another; the demonstrator is a script.

>>> env = BlockPushing()
>>> state, obs = env.reset(key=jax.random.key(0))
>>> env.modes, obs.shape
(6, (8,))
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, Box, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.toy import draw
from operant.envs.toy._demonstrations import recorded
from operant.errors import SpecError

LOW, HIGH = (-1.2, -0.8), (1.2, 1.2)
TARGET = 0.8
NEAR = (0.15, 0.05)
"""How far beside and below its target a block counts as there."""
EDGE = 1e-3
"""A point this near a face counts as on it, for float32 rounds."""
LANE = -0.4
"""Where the demonstrator moves sideways."""
COLOURS = (draw.RED, draw.GREEN, draw.ORANGE, draw.INK)


class BlockPushing(AbstractEnv):
    """A point that pushes blocks; inner state and observation (2 + 2k,): x and y of the pusher, then of every block.

    Raises:
        SpecError: fewer than 2 blocks or more than 4; steps so long that the pusher jumps over a block.
    """

    blocks: int = 3
    """k: how many there are, in 2 … 4."""
    speed: float = 0.08
    """Largest distance a step along each axis."""
    half: float = 0.12
    """Half the side of a block."""
    jitter: float = 0.05
    """Pusher and blocks start within this distance of their places, along each axis."""
    max_steps: int = 150
    """Steps after which an episode is truncated."""

    def __check_init__(self) -> None:
        if not 2 <= self.blocks <= 4:
            raise SpecError(f"expected 2 ≤ blocks ≤ 4; got {self.blocks}. Choose a number between.")
        if not 0 < self.speed < 2 * self.half <= 0.4:
            raise SpecError(
                "expected 0 < speed < 2·half ≤ 0.4, or the pusher jumps over blocks and blocks stand in each other; "
                f"got {self.speed:g} and {2 * self.half:g}. Make the steps shorter or the blocks smaller."
            )

    @property
    def spec(self) -> EnvSpec:
        pairs = ["pusher", *(f"block_{i}" for i in range(self.blocks))]
        names = tuple(f"{name}_{axis}" for name in pairs for axis in "xy")
        obs = Box((len(names),), LOW * len(pairs), (HIGH[0], HIGH[1] + self.half) * len(pairs), names=names)
        action = Box((2,), -1.0, 1.0, names=("velocity_x", "velocity_y"))
        return EnvSpec(obs, action, self.max_steps, name="BlockPushing")

    @property
    def modes(self) -> int:
        """How many orders there are."""
        return math.factorial(self.blocks)

    def mode(self, path: Float[Array, "T d"], mask: Bool[Array, " T"]) -> Int[Array, ""]:
        """In which order a path brought the blocks to their targets: see `order`."""
        return order(path, mask)

    @property
    def columns(self) -> np.ndarray:
        """(k,): x of each block's place and target."""
        return np.linspace(-0.8, 0.8, self.blocks, dtype=np.float32)

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, " d"]:
        places = np.stack([np.r_[0.0, self.columns], np.r_[-0.5, np.zeros(self.blocks)]], axis=1).astype(np.float32)
        drawn = jax.random.uniform(key, places.shape, minval=-1.0, maxval=1.0)
        return (jnp.asarray(places) + self.jitter * drawn).reshape(-1)

    def advance(
        self, inner: Float[Array, " d"], action: Float[Array, "2"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, " d"], Float[Array, ""], Bool[Array, ""]]:
        before, blocks = inner[:2], inner[2:].reshape(-1, 2)
        after = jnp.clip(before + self.speed * jnp.clip(action, -1.0, 1.0), jnp.asarray(LOW), jnp.asarray(HIGH))
        there = blocks[:, 1] >= TARGET
        gap = after[None] - blocks
        inside = (jnp.abs(gap) < self.half).all(1) & ~there
        came = jnp.sign(before[None] - blocks)  # from which side
        below = jnp.abs(before[None] - blocks)[:, 1] >= self.half - EDGE  # it came through the lower or upper face
        axis = jnp.stack([~below, below], axis=1) & inside[:, None]
        pushed = jnp.broadcast_to(after, blocks.shape) - self.half * came
        blocks = jnp.where(axis, pushed, blocks)
        blocks = jnp.clip(blocks, jnp.asarray(LOW)[None], jnp.asarray(HIGH)[None] + self.half)
        close = (jnp.abs(blocks[:, 0] - self.columns) <= NEAR[0]) & (jnp.abs(blocks[:, 1] - TARGET) <= NEAR[1])
        target = jnp.stack([blocks[:, 0], jnp.full(self.blocks, TARGET)], axis=1)
        blocks = jnp.where((close & ~there)[:, None], target, blocks)
        done = placed(blocks, self.columns).all()
        return jnp.concatenate([after, blocks.reshape(-1)]), done.astype(jnp.float32), done

    def observe(self, inner: Float[Array, " d"]) -> Float[Array, " d"]:
        return inner

    def demonstrate(self, n: int, *, key: PRNGKeyArray, noise: float = 0.1) -> Dataset:
        """`n` episodes of a demonstrator that takes every order equally often (to within one).

        Args:
            noise: standard deviation of what is added to its actions, and recorded with them (units of the box).

        Raises:
            SpecError: n < 1.
            DataError: an episode did not bring all blocks to their targets (too much noise, other settings).
        """
        orders = jnp.asarray(list(itertools.permutations(range(self.blocks))))

        def act(inner: Array, mode: Array, memory: Array) -> tuple[Array, Array]:
            pusher, blocks = inner[:2], inner[2:].reshape(-1, 2)
            memory = placed(blocks, self.columns).sum().astype(jnp.int32)
            block = blocks[orders[mode, jnp.minimum(memory, self.blocks - 1)]]
            aside, sink = block[0] - pusher[0], (LANE - pusher[1]) / self.speed
            up = jnp.stack([aside / self.speed, jnp.ones(())])
            sideways = jnp.stack([aside / self.speed, sink])
            down = jnp.stack([jnp.zeros(()), jnp.full((), -1.0)])
            low = pusher[1] <= LANE + 0.05
            beneath = jnp.abs(aside) <= jnp.where(low, 0.03, 0.8 * self.half)
            action = jnp.where(beneath, up, jnp.where(low, sideways, down))
            return jnp.clip(action, -1.0, 1.0), memory

        return recorded(self, act, n, key, noise, f"BlockPushing: a script that takes all {self.modes} orders in turn")

    def render(self, inner: Float[Array, " d"]) -> np.ndarray:
        pusher, *blocks = np.asarray(inner, float).reshape(-1, 2)
        canvas = draw.Canvas(left=-1.3, bottom=-1.1, width=2.6)
        h = self.half
        for x, (bx, by), colour in zip(self.columns, blocks, COLOURS, strict=False):
            canvas.box(x - 1.3 * h, TARGET - 1.3 * h, x + 1.3 * h, TARGET + 1.3 * h, colour)
            canvas.box(x - 1.15 * h, TARGET - 1.15 * h, x + 1.15 * h, TARGET + 1.15 * h, draw.PAPER)
            canvas.box(bx - h, by - h, bx + h, by + h, colour)
        canvas.disc(pusher, 0.04, draw.BLUE)
        return canvas.frame()


def placed(blocks: Float[Array, "k 2"], columns: np.ndarray) -> Bool[Array, " k"]:
    """Which blocks are at their targets."""
    return (blocks[:, 1] == TARGET) & (jnp.abs(blocks[:, 0] - columns) <= NEAR[0])


def order(path: Float[Array, "T d"], mask: Bool[Array, " T"]) -> Int[Array, ""]:
    """In which of the k! orders a path brought the blocks to their targets: the number among `itertools.permutations`,
    or −1 where not all came there.

    `path` holds where each step led (`next_obs`); `mask` says which steps took place.
    """
    blocks = path[:, 2:].reshape(len(path), -1, 2)
    k = blocks.shape[1]
    columns = np.linspace(-0.8, 0.8, k, dtype=np.float32)
    there = jax.vmap(lambda b: placed(b, columns))(blocks) & mask[:, None]
    sequence = jnp.argsort(jnp.argmax(there, axis=0))
    orders = jnp.asarray(list(itertools.permutations(range(k))))
    same = (orders == jnp.broadcast_to(sequence, orders.shape)).all(1)
    return jnp.where(there.any(0).all(), jnp.argmax(same), -1).astype(jnp.int32)
