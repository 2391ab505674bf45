"""MCE-ICRL's claims: who learns the cost breaks fewer rules, and so does another agent to whom it is given.

Reference: Baert et al. 2023, 2305.02857, section 5.
"""

import dataclasses
import time
from typing import Any

import numpy as np

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better
from operant.claims.mce_irl import walks
from operant.envs.tabular.sparse import SparseMDP, soft_optimal
from operant.envs.toy.gridworld import GridWorld
from operant.rewards.inverse.mce_icrl import MCEICRL

SIDE, DISCOUNT, TEMPERATURE, PENALTY, SHOWN = 7, 0.95, 0.05, 5.0, 50


def worlds(seed: int) -> tuple[SparseMDP, SparseMDP, np.ndarray]:
    """Two tasks on one map, from left to right and from top to bottom, and which cells are forbidden.

    Nine cells of the inner 5 × 5 are forbidden; rewards say nothing of them.
    """
    rng = np.random.default_rng([seed, 17])
    inner = np.array([[r, c] for r in range(1, SIDE - 1) for c in range(1, SIDE - 1)])
    forbidden = np.zeros((SIDE, SIDE), bool)
    forbidden[tuple(inner[rng.permutation(len(inner))[:9]].T)] = True
    found = []
    for start, goal in (((3, 0), (3, 6)), ((0, 3), (6, 3))):
        letters = np.full((SIDE, SIDE), ".")
        letters[start], letters[goal] = "S", "G"
        env = GridWorld("\n".join("".join(row) for row in letters), slip=0.1, step_reward=-0.1)
        found.append(SparseMDP.from_gridworld(env, discount=DISCOUNT))
    return found[0], found[1], forbidden.reshape(-1)


@dataclasses.dataclass(frozen=True)
class Violations(AbstractSample):
    """Discounted visits of forbidden cells, exact; one map a seed."""

    method: MCEICRL | None
    """Where the cost comes from; None: there is none."""
    transfer: bool
    """Whether another agent is judged, which goes from top to bottom."""

    def plain(self) -> dict[str, Any]:
        return {"cost": None if self.method is None else plain_fields(self.method), "transfer": self.transfer}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        values = [self._one(seed) for seed in range(bench.seeds)]
        return Figures(np.array(values), time.perf_counter() - began)

    def _one(self, seed: int) -> float:
        home, other, forbidden = worlds(seed)
        task = other if self.transfer else home
        cost = np.zeros_like(home.rewards)
        if self.method is not None:
            abiding = soft_optimal(home, home.rewards - PENALTY * forbidden[:, None], TEMPERATURE).policy
            shown = walks(home, abiding, SHOWN, np.random.default_rng([seed, 18]))
            cost = self.method(home, shown).cost
        found = soft_optimal(task, task.rewards - cost, TEMPERATURE)
        return float(found.visits[forbidden].sum())


_PROBLEM = (
    "random 7 × 7 maps with slip 0.1, nine forbidden inner cells that no reward speaks of; 50 episodes from left to "
    "right by a soft-optimal agent (temperature 0.05) who pays 5 for each forbidden step"
)
_FIGURE = "discounted visits of forbidden cells by the soft-optimal policy, exact; fewer are better"
_METHOD = MCEICRL(temperature=TEMPERATURE, iterations=100)

CLAIMS = (
    Claim(
        name="violations",
        tier="quick",
        statement="An agent that learns the cost from demonstrations violates the constraints less than one that "
        "maximises the reward alone.",
        source="2305.02857, section 5.1",
        baseline="the same agent without a cost",
        problem=_PROBLEM,
        figure=_FIGURE,
        steps=0,
        seeds=8,
        test=Better(higher=False),
        subject=Violations(_METHOD, transfer=False),
        control=Violations(None, transfer=False),
    ),
    Claim(
        name="transfer",
        tier="quick",
        statement="The cost that was learned makes another agent, with another reward, violate the constraints less.",
        source="2305.02857, section 5.3 (transferability)",
        baseline="that other agent without a cost",
        problem=_PROBLEM + "; the other agent goes from top to bottom",
        figure=_FIGURE,
        steps=0,
        seeds=8,
        test=Better(higher=False),
        subject=Violations(_METHOD, transfer=True),
        control=Violations(None, transfer=True),
    ),
)
