"""Four small rooms, any place of which may be a goal, and a scripted demonstrator who knows the way.

    S.#..
    .....      cells of one unit; doors in the middle of each wall but one cell wide; 50 steps an episode
    #.#.#
    .....
    ..#..

Episodes begin in the corner S, or anywhere. The demonstrator walks from cell to cell along a shortest way:
u = 4 (next cell's centre − place) − 1.5 velocity, clipped to ±1.

>>> int(ways()[0, 0]), rooms_shown(0).size
(0, 200)
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.claims._fitted import bare
from operant.core import AbstractPolicy, Carry, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.envs.toy import PointMaze
from operant.envs.toy.gridworld import FOUR_ROOMS
from operant.loops.rollout import evaluate
from operant.loops.train import Run

LAYOUT = "S.#..\n.....\n#.#.#\n.....\n..#.."
ROOMS = PointMaze(LAYOUT.replace("S", "."), fixed_horizon=True, max_steps=50)
CORNER = PointMaze(LAYOUT, fixed_horizon=True, max_steps=50)
SHOWN = (
    "four small rooms (PointMaze), every episode from one corner, goals anywhere; 4 episodes of a demonstrator who "
    "knows the way"
)
LARGE = PointMaze(FOUR_ROOMS.replace("G", "."), fixed_horizon=True, max_steps=100)
LARGELY = "four rooms of four cells by four (PointMaze), from one place, goals anywhere; 20 episodes of a demonstrator"
POOL = 64
"""Episodes that demonstrations are drawn from."""


def free(env: PointMaze) -> np.ndarray:
    """(cells, 2): centres of all cells without a wall."""
    return dataclasses.replace(env, layout=env.layout.replace("S", ".")).centres(".")


@functools.cache
def ways(env: PointMaze = CORNER) -> np.ndarray:
    """(cells, cells): the next cell on a shortest way from one cell to another, by counting steps outwards from it."""
    cells = [tuple(c) for c in free(env).tolist()]
    near = {c: [d for d in cells if abs(c[0] - d[0]) + abs(c[1] - d[1]) == 1] for c in cells}
    table = np.zeros((len(cells), len(cells)), np.int32)
    for j, goal in enumerate(cells):
        after, frontier = {goal: goal}, [goal]
        while frontier:
            reached = [(d, c) for c in frontier for d in near[c]]
            frontier = []
            for d, c in reached:
                if d not in after:
                    after[d] = c
                    frontier.append(d)
        for i, cell in enumerate(cells):
            table[i, j] = cells.index(after[cell])
    return table


class Guide(AbstractPolicy):
    """The demonstrator."""

    env: PointMaze = CORNER

    @property
    def spec(self) -> EnvSpec:
        return self.env.spec

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Any, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        centres = jnp.asarray(free(self.env))
        cell = lambda place: jnp.square(centres - place[None]).sum(1).argmin()
        here, goal = cell(obs[:2]), cell(obs[4:])
        target = jnp.where(here == goal, obs[4:], centres[jnp.asarray(ways(self.env))[here, goal]])
        return jnp.clip(4.0 * (target - obs[:2]) - 1.5 * obs[2:4], -1.0, 1.0), {}, carry


@functools.cache
def guided(env: PointMaze = CORNER) -> Transition:
    """(POOL, max_steps) steps of the demonstrator."""
    guide = Guide(env=env)  # type: ignore[call-arg]
    found = evaluate(guide, env, episodes=POOL, key=jax.random.key(2019))
    return bare(jax.tree.map(np.asarray, found.transitions))


def rooms_shown(number: int, *, episodes: int = 4, env: PointMaze = CORNER) -> Dataset:
    """Some of the demonstrator's episodes from the corner, drawn by the number."""
    picked = np.random.default_rng([number, 209]).choice(POOL, size=episodes, replace=False)
    steps = jax.tree.map(lambda x: x[picked].reshape(-1, *x.shape[2:]), guided(env))
    return Dataset(steps, np.repeat(np.arange(episodes), env.max_steps), env.spec, origin="a scripted demonstrator")


def large_shown(number: int) -> Dataset:
    """Of the large rooms."""
    return rooms_shown(number, episodes=20, env=LARGE)


@dataclasses.dataclass(frozen=True)
class Arrives:
    """Share of fresh goals at which the policy is when the episode ends."""

    env: PointMaze = ROOMS
    episodes: int = 100

    @property
    def words(self) -> str:
        return f"share of {self.episodes} fresh goals at which the greedy policy is when the episode ends"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        keys = [jax.random.fold_in(key, i) for i in range(run.seeds)]
        found = [
            evaluate(p, self.env, episodes=self.episodes, key=k) for p, k in zip(run.policies(), keys, strict=True)
        ]
        return np.array([np.asarray(e.transitions.reward)[:, -1].mean() for e in found])
