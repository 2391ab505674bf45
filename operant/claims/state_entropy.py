"""Claims of a reward for variety: it leads an agent about, and gives those who compare something to compare.

Reference: Lee, Smith, Abbeel 2021, PEBBLE, 2106.05091, sections 4.1 and 5.3.
"""

import dataclasses

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.claims import Claim
from operant.claims._samples import Acted, Trained
from operant.claims._tests import Better
from operant.learners.ppo import PPO
from operant.learners.sac import SAC
from operant.loops.asking import Questions, Teaching
from operant.loops.rollout import evaluate
from operant.loops.train import Run
from operant.rewards.bonuses.state_entropy import StateEntropy
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.scale import Scale
from operant.rewards.task import Task
from operant.teachers import Oracle

NOTHING = Scale(Task(), 0.0)


@dataclasses.dataclass(frozen=True)
class Visited:
    """Cells of a grid over two numbers observed that are entered in fresh episodes, drawn from the learned policy."""

    low: tuple[float, float]
    high: tuple[float, float]
    cells: int = 20
    episodes: int = 20
    words: str = "cells of a 20 × 20 grid over position and speed, entered in 20 episodes drawn from the policy"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        found = []
        for i, policy in enumerate(run.policies()):
            episodes = evaluate(
                policy, run.env, episodes=self.episodes, key=jax.random.fold_in(key, i), deterministic=False
            )
            seen = np.asarray(episodes.transitions.obs)[np.asarray(episodes.mask)]
            share = (seen - self.low) / np.subtract(self.high, self.low)
            cell = np.clip((share * self.cells).astype(int), 0, self.cells - 1)
            found.append(len(np.unique(cell, axis=0)))
        return np.array(found, float)


_CAR = Visited((-1.2, -0.07), (0.6, 0.07))
_SMALL = SAC(hidden=(32, 32), batch=64, lr=2e-3, learning_starts=500, gradient_steps=4, capacity=10_000)
_ASKED = Teaching(Oracle(), Questions(50, 10, 0.5))


def _asked(before: StateEntropy | Scale) -> Trained:
    return Trained(
        _SMALL, "Pendulum-v1", Acted(), BradleyTerry(segment=25, before=before, capacity=50), 8, teaching=_ASKED
    )


CLAIMS = (
    Claim(
        name="variety",
        tier="quick",
        statement="An agent that is rewarded for being where few states have been sees far more of them.",
        source="2106.05091, section 4.1",
        baseline="the policy that learning starts from, which chooses almost uniformly",
        problem="MountainCar-v0 in JAX, 16 environments, PPO with the shipped defaults",
        figure=_CAR.words,
        steps=20_000,
        seeds=4,
        test=Better(),
        subject=Trained(PPO(), "MountainCar-v0", _CAR, StateEntropy()),
        control=Trained(PPO(lr=0.0), "MountainCar-v0", _CAR, NOTHING),
        note="Tried first against a PPO that is rewarded with nothing: 253 cells against 270, p = 0.14. Normalised "
        "advantages of nothing are noise, which PPO follows to policies that swing the car; that is no baseline.",
    ),
    Claim(
        name="pre-training",
        tier="full",
        statement="Behaviour gathered by unsupervised pre-training makes the first comparisons worth more.",
        source="2106.05091, section 5.3 (PEBBLE with and without pre-training)",
        baseline="the same, rewarded with nothing until the first answers",
        problem="Pendulum-v1 in JAX, 8 environments, SAC (32×32); 50 comparisons of 25 steps by an oracle, within the "
        "first half of the training",
        figure=Acted().words,
        steps=10_000,
        seeds=8,
        test=Better(),
        subject=_asked(StateEntropy()),
        control=_asked(NOTHING),
        note="Not reproduced: with 50 answers returns range from −119 to −1580 with it and from −128 to −1470 without. "
        "The pendulum falls through its states by itself, so there may be little to explore. No other task was tried.",
    ),
)
