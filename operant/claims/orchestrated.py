"""Claims of orchestrated value mapping: whatever the mappings and channels, the same Q*; what mappings are good for.

Reference: Fatemi and Tavakoli 2022, Orchestrated Value Mapping for Reinforcement Learning, 2203.07171; van Seijen,
Fatemi and Tavakoli 2019, 1906.00572, section 3 (the chain).
"""

import dataclasses
import functools
import time
from typing import Any

import jax
import numpy as np

from operant.claims import Claim
from operant.claims._designs import two_ways
from operant.claims._samples import AbstractSample, Bench, Exact, Figures, plain_fields
from operant.claims._tests import Above, Better
from operant.design._exact import evaluate, expected, solved
from operant.envs.tabular import TabularMDP
from operant.learners.tabular.orchestrated import Orchestrated

EVERY = (
    Orchestrated("whole", ("identity",)),
    Orchestrated("polar", ("identity",)),
    Orchestrated("polar", ("log",), floor=0.1),
    Orchestrated("polar", ("loglin",), floor=0.1),
    Orchestrated("polar", ("root", "log"), floor=0.1),
    Orchestrated("bands", ("log",), floor=0.1, bands=2),
)


def error(learner: Orchestrated, mdp: TabularMDP, updates: int, seed: int) -> float:
    """Largest error of Q over the largest Q*."""
    _, Q, _ = solved(mdp, expected(mdp))
    found = learner.converged(mdp, updates, np.random.default_rng([seed, 66])).Q
    return float(np.abs(found - Q)[~mdp.terminal].max() / np.abs(Q).max())


@functools.cache
def worst(seed: int, updates: int, chance: bool) -> float:
    """Of all mappings, the largest error."""
    rng = np.random.default_rng([seed, 67])
    mdp = TabularMDP.random(rng, 6, 2, branching=3 if chance else 1, discount=0.8)
    changed = {"decay": 0.7, "lr": 1.0} if chance else {"decay": 0.0, "lr": 0.5}
    return max(error(dataclasses.replace(o, **changed), mdp, updates, seed) for o in EVERY)


@dataclasses.dataclass(frozen=True)
class Error(AbstractSample):
    """The worst error of six orchestrations on random processes with chance."""

    updates: int

    def plain(self) -> dict[str, Any]:
        return {"learners": plain_fields(EVERY), "updates": self.updates}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        found = np.array([worst(seed, self.updates, True) for seed in range(bench.seeds)])
        return Figures(found, time.perf_counter() - began)


def readouts(seeds: int = 8) -> np.ndarray:
    """−(largest error of what the channels say against the value of each part of the reward under the best policy)."""
    found = []
    for seed in range(seeds):
        mdp = TabularMDP.random(np.random.default_rng([seed, 68]), 6, 2, branching=1, discount=0.8)
        ours = Orchestrated("polar", ("log",), floor=0.1, decay=0.0)
        said = ours.converged(mdp, 400, np.random.default_rng(seed))
        _, _, best = solved(mdp, expected(mdp))
        policy = np.eye(2)[best.argmax(1)]
        parts, weights = ours.split(mdp.R)
        right = []
        for part, weight in zip(parts, weights, strict=True):
            r = weight * expected(mdp, part)
            right.append(r + mdp.discount * mdp.P @ evaluate(mdp, r, policy))
        found.append(-np.abs(said.readouts - np.stack(right)).max())
    return np.array(found)


@dataclasses.dataclass(frozen=True)
class Right(AbstractSample):
    """Share of states in which the learned greedy action is the best."""

    learner: Orchestrated
    discount: float
    episodes: int = 300

    def plain(self) -> dict[str, Any]:
        return {"learner": plain_fields(self.learner), "discount": self.discount, "episodes": self.episodes}

    def figures(self, bench: Bench) -> Figures:
        began, found = time.perf_counter(), []
        mdp = two_ways(0, 30, slip=0.0, discount=self.discount)
        uniform = ~mdp.terminal / (~mdp.terminal).sum()
        mdp = TabularMDP(mdp.P, mdp.R, uniform, mdp.discount)
        for seed in range(bench.seeds):
            key = jax.random.fold_in(bench.key, seed)
            _, values = self.learner.learn(mdp, horizon=60, episodes=self.episodes, key=key)
            found.append(float((values.Q[:-1].argmax(1) == 1).mean()))
        return Figures(np.array(found), time.perf_counter() - began)


_CHAIN: dict[str, Any] = {"lr": 0.1, "decay": 0.0, "epsilon": 0.5, "tiles": 5}
_SIX = "six orchestrations: identity, log, log-linear, root and log; the whole reward, polar and in bands"

CLAIMS = (
    Claim(
        name="every-mapping",
        tier="quick",
        statement="Without chance every orchestration converges to Q*.",
        source="2203.07171, theorem 1",
        baseline="Q* by policy iteration",
        problem=f"random deterministic processes of 6 states and 2 actions, discount 0.8; {_SIX}; 400 updates",
        figure="−(largest error over the largest Q*), worst of the six",
        steps=0,
        seeds=8,
        test=Above(-1e-6),
        subject=Exact(lambda: -np.array([worst(s, 400, False) for s in range(8)]), "six orchestrations, 400 updates"),
        control=None,
    ),
    Claim(
        name="chance",
        tier="full",
        statement="With chance, too: the error goes on falling where the target is averaged before it is mapped.",
        source="2203.07171, theorem 1 (β_reg → 0)",
        baseline="the same after a tenth of the updates",
        problem=f"random processes of 6 states, 2 actions and 3 successors, discount 0.8; {_SIX}; 4,000 updates",
        figure="largest error over the largest Q*, worst of the six; smaller is better",
        steps=0,
        seeds=6,
        test=Better(higher=False),
        subject=Error(4000),
        control=Error(400),
    ),
    Claim(
        name="readouts",
        tier="quick",
        statement="What a channel says of an action is what that part of the reward will pay.",
        source="2203.07171, section 3 (one greedy action for all channels)",
        baseline="each part's exact value under the best policy",
        problem="random deterministic processes of 6 states and 2 actions, discount 0.8; polar channels in log; 400 "
        "updates",
        figure="−(largest error, reward units)",
        steps=0,
        seeds=8,
        test=Above(-1e-6),
        subject=Exact(readouts, "readouts of polar log channels against policy evaluation"),
        control=None,
    ),
    Claim(
        name="extreme-scales",
        tier="full",
        statement="Where values span many orders of magnitude and states share parameters, log tells actions apart "
        "that the identity does not.",
        source="1906.00572, section 3 and figure 4; 2203.07171, section 4",
        baseline="the identity on the whole reward, Q-learning, with the same tiles",
        problem="a chain of 30 steps to a goal that pays 1, discount 0.5 (values from 1 to 10⁻⁹), tiles over 5 states, "
        "300 episodes from anywhere",
        figure="share of states in which the greedy action is the best",
        steps=0,
        seeds=6,
        test=Better(),
        subject=Right(Orchestrated("polar", ("log",), floor=0.5**40, **_CHAIN), 0.5),
        control=Right(Orchestrated("whole", ("identity",), **_CHAIN), 0.5),
    ),
)
