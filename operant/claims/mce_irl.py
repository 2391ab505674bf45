"""MCE-IRL's claims: from few demonstrations a reward says more than a clone knows, and more of other places.

Reference: Ziebart, Bagnell and Dey 2010, Modeling Interaction via the Principle of Maximum Causal Entropy; Ziebart
2010, CMU-ML-10-110.
"""

import dataclasses
import time
from typing import Any, NamedTuple

import numpy as np

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better
from operant.envs.tabular.sparse import SoftOptimal, SparseMDP, soft_optimal, visits_of
from operant.envs.toy.gridworld import GridWorld
from operant.rewards.inverse.mce_irl import MCEIRL

SIDE, KINDS, DISCOUNT, TEMPERATURE, LENGTH = 8, 4, 0.95, 0.5, 60
Episodes = list[tuple[np.ndarray, np.ndarray]]


class Country(NamedTuple):
    """A map of kinds of ground, what each costs, and who walks it as well as can be (but for τ = 0.5)."""

    mdp: SparseMDP
    features: np.ndarray
    reward: np.ndarray
    expert: SoftOptimal


def country(seed: int, *, ground: int = 0) -> Country:
    """8 × 8 cells of 4 kinds of ground, a goal in the corner, slippery. `ground`: which map; costs are the seed's."""
    costs = np.random.default_rng([seed, 1]).uniform(0.1, 2.0, KINDS)
    rng = np.random.default_rng([seed, 2, ground])
    letters = np.full((SIDE, SIDE), "S")
    letters[-1, -1] = "G"
    env = GridWorld("\n".join("".join(row) for row in letters), slip=0.1)
    mdp = SparseMDP.from_gridworld(env, discount=DISCOUNT)
    kinds = np.where(mdp.terminal, KINDS, rng.integers(KINDS, size=SIDE * SIDE))
    features = np.eye(KINDS + 1)[kinds]
    reward = np.repeat((features @ np.r_[-costs, 5.0])[:, None], 4, axis=1)
    return Country(mdp, features, reward, soft_optimal(mdp, reward, TEMPERATURE))


def walks(mdp: SparseMDP, policy: np.ndarray, n: int, rng: np.random.Generator) -> Episodes:
    """`n` episodes of at most 60 steps, as (T + 1 states, T actions)."""
    found = []
    for _ in range(n):
        states, actions = [int(rng.choice(len(policy), p=mdp.initial))], []
        while not mdp.terminal[states[-1]] and len(actions) < LENGTH:
            s = states[-1]
            a = int(rng.choice(policy.shape[1], p=policy[s]))
            states.append(int(rng.choice(mdp.successors[s, a], p=mdp.probabilities[s, a])))
            actions.append(a)
        if actions:  # one that begins at the goal shows nothing
            found.append((np.array(states), np.array(actions)))
    return found


@dataclasses.dataclass(frozen=True)
class Imitated(AbstractSample):
    """How well a policy imitated from so many walks of the expert does from anywhere, one country a seed."""

    method: MCEIRL | None
    """None: cloning, by counts with one of each action added."""
    demonstrations: int
    elsewhere: bool = False
    """Judge on another map of the same kinds of ground. A clone knows cells by their place."""

    def plain(self) -> dict[str, Any]:
        method = "cloning by counts" if self.method is None else plain_fields(self.method)
        return {"method": method, "demonstrations": self.demonstrations, "elsewhere": self.elsewhere}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        values = [self._one(seed) for seed in range(bench.seeds)]
        return Figures(np.array(values), time.perf_counter() - began)

    def _one(self, seed: int) -> float:
        home = country(seed)
        shown = walks(home.mdp, home.expert.policy, self.demonstrations, np.random.default_rng([seed, 3]))
        there = country(seed, ground=1) if self.elsewhere else home
        if self.method is None:
            counts = np.ones_like(home.reward)
            for states, actions in shown:
                np.add.at(counts, (states[:-1], actions), 1.0)
            policy = counts / counts.sum(1, keepdims=True)
        else:
            features = home.features
            method = MCEIRL(features, TEMPERATURE, self.method.decay)
            weights = method(home.mdp, shown).weights
            reward = np.repeat((there.features @ weights)[:, None], 4, axis=1)
            policy = soft_optimal(there.mdp, reward, TEMPERATURE).policy
        worth = lambda p: float((visits_of(there.mdp, p) * there.reward).sum())
        chance = worth(np.full_like(policy, 0.25))
        return (worth(policy) - chance) / (worth(there.expert.policy) - chance)


_FIGURE = "true discounted return from a uniformly drawn cell: 1 the expert's, 0 of uniformly random actions"
_PROBLEM = (
    "random maps of 8 × 8 cells with 4 kinds of ground whose costs are drawn, a goal that ends, slip 0.1; {} episodes "
    "of a soft-optimal expert (temperature 0.5) from anywhere"
)

CLAIMS = (
    Claim(
        name="few-demonstrations",
        tier="quick",
        statement="From few demonstrations, a policy by maximum causal entropy IRL with features acts better from "
        "anywhere than one cloned from the same demonstrations.",
        source="Ziebart 2010, CMU-ML-10-110, sections 1.3 and 5",
        baseline="tabular behavioural cloning (counts, one of each action added) of the same episodes",
        problem=_PROBLEM.format(5),
        figure=_FIGURE,
        steps=0,
        seeds=8,
        test=Better(),
        subject=Imitated(MCEIRL(), 5),
        control=Imitated(None, 5),
        note="A table knows nothing of a cell it has not seen, and features are given to one side only: that they can "
        "be used is what a reward is for.",
    ),
    Claim(
        name="other-ground",
        tier="quick",
        statement="What is learned is a reward: on another map of the same ground it makes better behaviour than what "
        "was cloned on the first.",
        source="Ziebart 2010, CMU-ML-10-110, section 1.3 (generalisation)",
        baseline="the table cloned on the first map, from 20 times as many episodes",
        problem=_PROBLEM.format(10) + "; judged on another map with the same costs",
        figure=_FIGURE,
        steps=0,
        seeds=8,
        test=Better(),
        subject=Imitated(MCEIRL(), 10, elsewhere=True),
        control=Imitated(None, 200, elsewhere=True),
    ),
)
