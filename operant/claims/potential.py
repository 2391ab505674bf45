"""Potential shaping's claims: it speeds learning up, the same advice added naively does harm, and optima stay put.

A corridor of 20 cells, the goal at its end. The advice is the column, as a share of the way. Naively added, it pays for
standing beside the goal and never entering it. Learned on with a table of values, as in the paper, so that the reward
is the only thing tried:

    Q(s, a) += α (r + γ (1 − terminated) max_a' Q(s', a') − Q(s, a)),   α = 0.1, ε-greedy with ε = 0.1

Reference: Ng, Harada and Russell 1999, Policy Invariance under Reward Transformations, ICML; Randløv and Alstrøm 1998.
"""

import dataclasses
import time
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Exact, Figures, Greedy, Trained, plain_fields
from operant.claims._tests import Better, Equal
from operant.core import AbstractReward, Transition
from operant.envs.toy.gridworld import GridWorld
from operant.learners.dqn import DQN
from operant.math.dynamic_programming import policy_iteration
from operant.math.schedules import Linear
from operant.rewards.program import Program
from operant.rewards.shaping.heuristic import Heuristic
from operant.rewards.shaping.potential import PotentialShaping
from operant.rewards.task import Task

CORRIDOR = GridWorld(layout="S" + "." * 18 + "G", observation="coordinates", max_steps=200)
SHORTEST = 19
DISCOUNT, STEP_SIZE, EPSILON = 0.99, 0.1, 0.1


def along(column: Float[Array, ""]) -> Float[Array, ""]:
    """Share of the corridor that lies behind."""
    return column / SHORTEST


SHAPED = PotentialShaping(Task(), Program(along), DISCOUNT)
NAIVE = Heuristic(Task(), Program(along))


def rewards(reward: AbstractReward) -> np.ndarray:
    """(S, A, S'): what a reward pays for every transition of the corridor, 0 in terminal states."""
    P, R, _ = CORRIDOR.tables()
    s, _, after = np.indices(R.shape)
    cells = jnp.asarray(CORRIDOR.cells, jnp.float32)
    ends, no = jnp.asarray(CORRIDOR.terminal)[after], jnp.zeros(R.shape, bool)
    batch = Transition(cells[s], jnp.zeros(R.shape, int), jnp.asarray(R, jnp.float32), ends, no, cells[after], {})
    paid = np.asarray(reward(reward.init(CORRIDOR.spec, key=jax.random.key(0)), batch), float)
    return np.where((P > 0) & ~CORRIDOR.terminal[:, None, None], paid, 0.0)


@dataclasses.dataclass(frozen=True)
class Table(AbstractSample):
    """Q-learning with a table, all seeds side by side, from zeros, ties broken at random."""

    reward: AbstractReward
    figure: Literal["steps", "return"]
    """Steps until the greedy walk first is the shortest one (the budget where it never is); its return at the end."""

    def plain(self) -> dict[str, Any]:
        numbers = {"discount": DISCOUNT, "step_size": STEP_SIZE, "epsilon": EPSILON}
        return {"learner": "tabular Q-learning", **numbers, "reward": plain_fields(self.reward), "figure": self.figure}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        rng = np.random.default_rng(np.asarray(jax.random.key_data(bench.key)))
        paid, after, terminal = rewards(self.reward), CORRIDOR.successors, CORRIDOR.terminal
        rows = np.arange(bench.seeds)
        Q = np.zeros((bench.seeds, *after.shape))
        s, t = np.zeros(bench.seeds, int), np.zeros(bench.seeds, int)
        solved = np.full(bench.seeds, bench.steps)
        for step in range(1, bench.steps + 1):
            q = Q[rows, s]
            best = np.argmax(np.where(q == q.max(1, keepdims=True), rng.random(q.shape), -1.0), axis=1)
            a = np.where(rng.random(bench.seeds) < EPSILON, rng.integers(after.shape[1], size=bench.seeds), best)
            new = after[s, a]
            ahead = np.where(terminal[new], 0.0, Q[rows, new].max(1))
            Q[rows, s, a] += STEP_SIZE * (paid[s, a, new] + DISCOUNT * ahead - Q[rows, s, a])
            t += 1
            over = terminal[new] | (t == CORRIDOR.max_steps)
            s, t = np.where(over, 0, new), np.where(over, 0, t)
            if self.figure == "steps" and step % 25 == 0:
                solved = np.where(_reaches(Q, after, SHORTEST), np.minimum(solved, step), solved)
        reached = _reaches(Q, after, CORRIDOR.max_steps)
        return Figures((solved if self.figure == "steps" else reached).astype(float), time.perf_counter() - began)


def _reaches(Q: np.ndarray, after: np.ndarray, steps: int) -> np.ndarray:
    """(seeds,): whether the greedy walk of each table is at the goal after so many steps; there it stays."""
    rows, s, goal = np.arange(len(Q)), np.zeros(len(Q), int), len(after) - 1
    for _ in range(steps):
        s = np.where(s == goal, goal, after[s, Q[rows, s].argmax(1)])
    return s == goal


def optimal_actions(reward: AbstractReward) -> np.ndarray:
    """(states × actions,): 1 where an action is optimal in a state, by policy iteration on the exact process."""
    P, _, _ = CORRIDOR.tables()
    _, Q, _, _ = policy_iteration(P, rewards(reward), DISCOUNT)
    best = Q.max(1, keepdims=True) - 1e-5 <= Q  # rewards are float32
    return best[~CORRIDOR.terminal].astype(float).ravel()


def _network(reward: AbstractReward) -> Trained:
    learner = DQN(hidden=(64, 64), discount=DISCOUNT, normalise_obs=True, epsilon=Linear(1.0, 0.1, 10_000.0))
    return Trained(learner, CORRIDOR, Greedy(1), reward)


_TABLE: dict[str, Any] = {
    "tier": "quick",
    "problem": "a corridor of 20 cells, Q-learning with a table",
    "steps": 20_000,
    "seeds": 20,
    "note": "Designs tried before, with DQN in 4,000 steps, did not show it: with two hidden layers of 32 units "
    "neither side had learned, and with none, Adam's steps drowned rewards this small.",
}
_NETWORK: dict[str, Any] = {
    "tier": "full",
    "problem": "a corridor of 20 cells in JAX, 16 environments, DQN",
    "figure": "return of a greedy episode after training: 1 where the goal is reached, else 0",
    "steps": 50_000,
    "seeds": 10,
    "test": Better(),
}

CLAIMS = (
    Claim(
        name="speed",
        statement="Shaping by a potential that grows towards the goal makes the best policy found in fewer steps.",
        source="Ng, Harada and Russell 1999, section 4, figure 1",
        baseline="the plain task reward, same learner",
        figure="environment steps until the greedy walk first is the shortest one",
        test=Better(higher=False),
        subject=Table(SHAPED, "steps"),
        control=Table(Task(), "steps"),
        **_TABLE,
    ),
    Claim(
        name="naive-advice-harms",
        statement="The same advice paid for as it is, not as a difference of potentials, keeps the agent from a goal "
        "that it reaches without advice.",
        source="Randløv and Alstrøm 1998, section 3; Ng, Harada and Russell 1999, section 1",
        baseline="the advice added naively, r + Φ(s'), where the subject is the plain task reward; same learner",
        figure="return of the greedy walk after training: 1 where the goal is reached, else 0",
        test=Better(),
        subject=Table(Task(), "return"),
        control=Table(NAIVE, "return"),
        **_TABLE,
    ),
    Claim(
        name="invariance",
        tier="quick",
        statement="Every action that is optimal under r is optimal under r + γΦ(s') − Φ(s), and no other.",
        source="Ng, Harada and Russell 1999, theorem 1",
        baseline="the optimal actions of the plain task",
        problem="the same corridor, solved exactly by policy iteration",
        figure="1 for each action that is optimal in a state, else 0",
        steps=0,
        seeds=0,
        test=Equal(),
        subject=Exact(lambda: optimal_actions(SHAPED), "optimal actions with shaping"),
        control=Exact(lambda: optimal_actions(Task()), "optimal actions without"),
    ),
    Claim(
        name="speed-dqn",
        statement="Shaping by a potential that grows towards the goal lets a network find it that else does not.",
        source="Ng, Harada and Russell 1999, section 4",
        baseline="the plain task reward, same learner, same budget",
        subject=_network(SHAPED),
        control=_network(Task()),
        **_NETWORK,
    ),
    Claim(
        name="naive-advice-harms-dqn",
        statement="A network given the same advice naively stays beside the goal, given it as a potential it enters.",
        source="Randløv and Alstrøm 1998, section 3",
        baseline="the advice added naively, r + Φ(s'), same learner, same budget",
        subject=_network(SHAPED),
        control=_network(NAIVE),
        **_NETWORK,
    ),
)
