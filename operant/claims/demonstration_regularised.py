"""Claims of demonstration-regularised RL: the more demonstrations, the fewer episodes.

Reference: Tiapkin et al. 2023, 2310.17303, theorem 6 and corollary 3.
"""

import dataclasses
import functools
import time
from typing import Any, Literal

import jax
import numpy as np

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better
from operant.envs.tabular import TabularMDP
from operant.envs.toy.gridworld import GridWorld
from operant.learners.tabular import Learning
from operant.learners.tabular.demonstration_regularised import DemonstrationRegularised, optimal

MDP = TabularMDP.from_gridworld(GridWorld("S...\n.##.\n....\n.#.G", slip=0.1))
HORIZON, EPISODES, NEAR = 14, 600, 0.1


@functools.cache
def expert() -> np.ndarray:
    """The best policy (H, S, A)."""
    return optimal(MDP, HORIZON)[1]


def demonstrations(seed: int, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`n` episodes of the expert."""
    rng, found = np.random.default_rng([seed, 31]), []
    for _ in range(n):
        s, states, actions = int(rng.choice(len(MDP.P), p=MDP.initial)), [], []
        for h in range(HORIZON):
            if MDP.terminal[s]:
                break
            a = int(expert()[h, s].argmax())
            states, actions = [*states, s], [*actions, a]
            s = int(rng.choice(len(MDP.P), p=MDP.P[s, a]))
        found.append((np.array(states), np.array(actions)))
    return found


@dataclasses.dataclass(frozen=True)
class Learnt(AbstractSample):
    """A figure of learning with so many demonstrations."""

    demonstrations: int
    figure: Literal["episodes", "last", "cloned"] = "episodes"
    learner: DemonstrationRegularised = DemonstrationRegularised(epsilon=0.05, bonus=0.1, every=5)  # noqa: RUF009

    def plain(self) -> dict[str, Any]:
        return {"learner": plain_fields(self.learner), "demonstrations": self.demonstrations, "figure": self.figure}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        found = [learning(self.learner, self.demonstrations, seed) for seed in range(bench.seeds)]
        take = {
            "episodes": lambda x: x.episodes_to(NEAR),
            "last": lambda x: x.returns[-1],
            "cloned": lambda x: x.cloned,
        }
        return Figures(np.array([float(take[self.figure](x)) for x in found]), time.perf_counter() - began)


@functools.lru_cache(maxsize=128)
def learning(learner: DemonstrationRegularised, n: int, seed: int) -> Learning:
    """One run; claims share them."""
    key = jax.random.fold_in(jax.random.key(n), seed)
    return learner(MDP, demonstrations(seed, n), horizon=HORIZON, episodes=EPISODES, key=key)


_PROBLEM = (
    "a gridworld of 13 cells with slip 0.1 that pays 1 at the goal, from the far corner, 14 steps an episode, 600 "
    "episodes; demonstrations by the best policy"
)
_FIGURE = "episodes until the policy is within 0.1 of the best expected return for good (600: never); fewer are better"

CLAIMS = (
    Claim(
        name="sample-complexity",
        tier="quick",
        statement="With demonstrations, KL-regularised optimistic planning needs fewer episodes to a near-optimal "
        "policy than without.",
        source="2310.17303, theorem 6",
        baseline="the same learner without demonstrations: plain optimism (λ = 0)",
        problem=_PROBLEM,
        figure=_FIGURE,
        steps=0,
        seeds=8,
        test=Better(higher=False),
        subject=Learnt(40),
        control=Learnt(0),
    ),
    Claim(
        name="more-demonstrations",
        tier="quick",
        statement="The episodes it takes go on falling with the number of demonstrations.",
        source="2310.17303, corollary 3",
        baseline="the same learner with 5 demonstrations",
        problem=_PROBLEM,
        figure=_FIGURE,
        steps=0,
        seeds=8,
        test=Better(higher=False),
        subject=Learnt(40),
        control=Learnt(5),
    ),
    Claim(
        name="beyond-cloning",
        tier="quick",
        statement="Learning on improves on the policy that was cloned from the same demonstrations.",
        source="2310.17303, sections 3 and 4",
        baseline="the cloned policy, π_BC",
        problem=_PROBLEM + ", 5 of them",
        figure="expected return of the last policy, exact",
        steps=0,
        seeds=8,
        test=Better(),
        subject=Learnt(5, "last"),
        control=Learnt(5, "cloned"),
    ),
)
