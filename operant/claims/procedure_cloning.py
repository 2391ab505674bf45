"""Procedure cloning's claims: who imitates the search finds the way through mazes nobody has shown it.

Reference: Yang et al. 2022, 2205.10816, section 5.1.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from operant.claims import Claim
from operant.claims._fitted import Fitted
from operant.claims._tests import Better
from operant.data.dataset import Dataset
from operant.data.mazes import Mazes, maze_demonstrations, observe, random_mazes
from operant.envs.toy.gridworld import MOVES
from operant.learners.bc import BC
from operant.learners.imitation.procedure_cloning import ProcedureCloning
from operant.loops.train import Run

SIDE, SHOWN, FRESH, LIMIT = 8, 40, 50, 30


def mazes(seed: int, n: int, fresh: bool) -> Mazes:
    """`n` random mazes of 8 × 8 cells; those to judge by are others than those shown."""
    return random_mazes(np.random.default_rng([seed, 51, int(fresh)]), n, side=SIDE)


@functools.cache
def worked_out(seed: int) -> Dataset:
    """The expert in 40 mazes, with its work."""
    return maze_demonstrations(mazes(seed, SHOWN, False))


@functools.cache
def found(seed: int) -> Dataset:
    """The same, of whose work only the last map is kept."""
    return maze_demonstrations(mazes(seed, SHOWN, False), only_last=True)


@dataclasses.dataclass(frozen=True)
class Solved:
    """How many fresh mazes are solved by greedy actions."""

    words: str = "share of 50 mazes not seen in training whose goal is reached within 30 greedy steps"

    def __call__(self, run: Run, key: Any) -> np.ndarray:
        return np.array([self._one(policy) for policy in run.policies()])

    def _one(self, policy: Any) -> float:
        walls, at, goal = mazes(0, FRESH, True)
        at, which, steps = at.copy(), np.arange(FRESH), np.array(MOVES)
        done = np.zeros(FRESH, bool)
        for _ in range(LIMIT):
            if done.all():
                break
            obs = np.stack([observe(w, g, a) for w, g, a in zip(walls, goal, at, strict=True)])
            after = at + steps[policy.predict(obs)[0]]
            inside = ((after >= 0) & (after < SIDE)).all(1)
            clipped = np.clip(after, 0, SIDE - 1)
            moves = inside & ~walls[which, clipped[:, 0], clipped[:, 1]] & ~done
            at = np.where(moves[:, None], after, at)
            done |= (at == goal).all(1)
        return float(done.mean())


_WORDS = "breadth-first search's shortest ways through 40 random mazes of 8 × 8 cells, three in ten of them walls"
_PC = ProcedureCloning(channels=(16, 16), lr=3e-3, batch=16, longest=24)
_BASE: dict[str, Any] = {
    "problem": _WORDS,
    "figure": Solved().words,
    "steps": 500,
    "seeds": 4,
    "test": Better(),
    "subject": Fitted(_PC, worked_out, _WORDS + ", with every expansion", Solved()),
}

CLAIMS = (
    Claim(
        name="unseen-mazes",
        tier="quick",
        statement="Cloning the search's expansions, and then the action, solves unseen mazes far more often than "
        "cloning the action alone, from as many demonstrations.",
        source="2205.10816, section 5.1 (discrete maze)",
        baseline="behavioural cloning of the same steps, an MLP, with four times as many updates of four times as "
        "many steps",
        control=Fitted(BC((128, 128), lr=1e-3, batch=64), worked_out, _WORDS, Solved(), steps=1_200),
        note="The paper's BC is a convolutional network; on pictures of 8 × 8 numbers the library's is an MLP. The "
        "next claim keeps the network and takes away the procedure. The clone of seed 0 solves all the mazes it was "
        "shown; of the expert's steps in fresh ones it takes 30 %. After 500 updates, for these 300: 0.94 against 0.0.",
        **{**_BASE, "steps": 300},
    ),
    Claim(
        name="expansions",
        tier="full",
        statement="It is the steps of the procedure that count, not its result: predicting the last map at once is "
        "worse.",
        source="2205.10816, section 5.1 (ablation of the sequence)",
        baseline="the same learner, shown the last map of each procedure only",
        control=Fitted(_PC, found, _WORDS + ", with the last map only", Solved()),
        **_BASE,
    ),
)
