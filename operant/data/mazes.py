"""Mazes with an expert that shows its work: breadth-first search from the goal, one map an expansion.

Observations (side, side, 3): 1 at walls, at the goal, and where the agent stands. Actions 0 up, 1 right, 2 down, 3
left. `extras["procedure"]` (M, L, side, side), int8: after each expansion, the move towards the goal of every cell
reached so far, 4 where none is known yet; the last map is the first that reaches the agent; −1 beyond.

Reference: Yang et al. 2022, 2205.10816 (the mazes' expert).

>>> data = maze_demonstrations(random_mazes(np.random.default_rng(0), 3, side=6))
>>> data.data.extras["procedure"].shape[2:], data.episodes
((6, 6), 3)
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from operant.core import Box, Discrete, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.toy.gridworld import MOVES
from operant.errors import SpecError

_STEPS = np.array(MOVES)
NOTHING = len(MOVES)
"""The label of a cell not reached yet."""


class Mazes(NamedTuple):
    """n mazes; in each the goal can be reached from the start."""

    walls: Bool[np.ndarray, "n side side"]
    start: Int[np.ndarray, "n 2"]
    goal: Int[np.ndarray, "n 2"]

    @property
    def spec(self) -> EnvSpec:
        side = self.walls.shape[1]
        return EnvSpec(Box((side, side, 3), 0.0, 1.0), Discrete(4), None, name="a maze")


def random_mazes(rng: np.random.Generator, n: int, *, side: int = 8, walls: float = 0.3, near: int = 3) -> Mazes:
    """Cells are walls with probability `walls`; start and goal lie more than `near` steps apart, by the ways there are.

    Raises:
        SpecError: side < 4, or walls outside [0, 0.4].
    """
    if side < 4 or not 0.0 <= walls <= 0.4:
        raise SpecError(f"expected side ≥ 4 and walls in [0, 0.4]; got {side} and {walls:g}. Use 8 and 0.3.")
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while len(found) < n:
        walled = rng.random((side, side)) < walls
        free = np.argwhere(~walled)
        goal = free[rng.integers(len(free))]
        maps = expansions(walled, goal)
        close = maps[min(near, len(maps)) - 1] if len(maps) else np.full((side, side), NOTHING)
        far = np.argwhere((maps[-1] != NOTHING) & (close == NOTHING)) if len(maps) else np.zeros((0, 2), int)
        if len(far):
            found.append((walled, far[rng.integers(len(far))], goal))
    return Mazes(*(np.stack(part) for part in zip(*found, strict=True)))


def expansions(walls: Bool[np.ndarray, "H W"], goal: Int[np.ndarray, "2"]) -> Int[np.ndarray, "L H W"]:
    """The maps of a whole search, one an expansion: each cell's move towards the goal, the first of those there are.

    >>> expansions(np.zeros((1, 3), bool), np.array([0, 0])).tolist()
    [[[4, 3, 4]], [[4, 3, 3]]]
    """
    labels, reached = np.full(walls.shape, NOTHING, np.int8), np.zeros(walls.shape, bool)
    reached[tuple(goal)] = True
    maps = []
    while True:
        edge = np.pad(reached, 1)
        new = np.zeros_like(reached)
        for action, (row, column) in enumerate(MOVES):
            ahead = edge[1 + row : 1 + row + walls.shape[0], 1 + column : 1 + column + walls.shape[1]]
            first = ahead & ~walls & ~reached & ~new
            labels[first] = action
            new |= first
        if not new.any():
            return np.stack(maps) if maps else np.zeros((0, *walls.shape), np.int8)
        reached |= new
        maps.append(labels.copy())


def observe(walls: np.ndarray, goal: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The picture (side, side, 3), float32."""
    picture = np.zeros((*walls.shape, 3), np.float32)
    picture[..., 0] = walls
    picture[(*goal, 1)] = picture[(*at, 2)] = 1.0
    return picture


def maze_demonstrations(mazes: Mazes, *, only_last: bool = False) -> Dataset:
    """One episode of the expert in each maze, from start to goal, with its work.

    Args:
        only_last: keep of each procedure its last map alone: what was found, not how.
    """
    obs, next_obs, actions, ends, work = [], [], [], [], []
    for walls, start, goal in zip(*mazes, strict=True):
        maps, at = expansions(walls, goal), start
        while tuple(at) != tuple(goal):
            action = int(maps[-1][tuple(at)])
            needed = int((maps[(slice(None), *at)] == NOTHING).sum()) + 1
            after = at + _STEPS[action]
            obs.append(observe(walls, goal, at))
            next_obs.append(observe(walls, goal, after))
            actions.append(action)
            work.append(maps[needed - 1 : needed] if only_last else maps[:needed])
            at = after
            ends.append(tuple(at) == tuple(goal))
    longest = max(map(len, work))
    procedure = np.full((len(work), longest, *mazes.walls.shape[1:]), -1, np.int8)
    for row, maps in zip(procedure, work, strict=True):
        row[: len(maps)] = maps
    return Dataset.from_numpy(
        mazes.spec, obs=np.stack(obs), action=np.array(actions), reward=np.array(ends, np.float32),
        terminated=np.array(ends), next_obs=np.stack(next_obs), extras={"procedure": procedure},
        origin="breadth-first search in random mazes",
    )  # fmt: skip
