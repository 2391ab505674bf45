"""Claims of BARFI: what a heuristic is worth is found out, whether it helps or misleads.

Reference: Gupta et al. 2023, Behavior Alignment via Reward Function Optimization, 2310.19007, section 6 and table 1.
"""

import dataclasses
import functools
import time
from typing import Any, Literal

import jax
import numpy as np

from operant.claims import Claim
from operant.claims._designs import Learnt, potential, rooms, share_of_best
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better, NotWorse
from operant.core import Intent
from operant.design import BARFI, Reinforce
from operant.design._exact import expected
from operant.envs.tabular import TabularMDP
from operant.envs.toy.gridworld import GridWorld
from operant.rewards.table import Table
from operant.rewards.task import Task

SIDE = 5
OURS = BARFI(discount=0.95, temperature=0.01, steps=200)
Kind = Literal["good", "bad"]


@functools.cache
def problem(seed: int, kind: Kind) -> tuple[TabularMDP, np.ndarray]:
    """A random map of 5 × 5 cells, and a heuristic (S, A): 0.1 for steps nearer to the goal, or 0.3 for staying about a
    cell that is not the goal."""
    rng = np.random.default_rng([seed, 63])
    start, goal, lure = (tuple(x) for x in np.argwhere(np.ones((SIDE, SIDE)))[rng.permutation(SIDE**2)[:3]])
    letters = np.full((SIDE, SIDE), ".")
    letters[start], letters[goal] = "S", "G"
    env = GridWorld("\n".join("".join(row) for row in letters), slip=0.1)
    mdp = TabularMDP.from_gridworld(env, discount=OURS.discount)
    if kind == "good":
        far = np.abs(env.cells - np.array(goal)).sum(1)
        heuristic = 0.1 * (far[None, None] < far[:, None, None])
    else:
        heuristic = 0.3 * np.broadcast_to((env.cells == np.array(lure)).all(1), mdp.P.shape)
    return mdp, expected(mdp, heuristic)


@functools.cache
def figures(seed: int, kind: Kind) -> dict[str, float]:
    """Primary returns as shares of the best."""
    mdp, heuristic = problem(seed, kind)
    record = OURS.blend(mdp, ["heuristic"], heuristic[None], np.ones(1)).record
    return {name: record[f"return/{name}"] / record["return/best"] for name in ("designed", "naive", "none")}


@dataclasses.dataclass(frozen=True)
class Reached(AbstractSample):
    """The primary return of the policy for a reward, exact."""

    reward: Literal["designed", "naive", "none"]
    kind: Kind

    def plain(self) -> dict[str, Any]:
        return {"reward": self.reward, "heuristic": self.kind, "designer": plain_fields(OURS)}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        found = np.array([figures(seed, self.kind)[self.reward] for seed in range(bench.seeds)])
        return Figures(found, time.perf_counter() - began)


@dataclasses.dataclass(frozen=True)
class Sampled(AbstractSample):
    """From episodes: the primary return of the last policy, of a chain whose heuristic pays for walking away."""

    learned: bool

    def plain(self) -> dict[str, Any]:
        return {"designer": plain_fields(self._designer), "learned": self.learned}

    @property
    def _designer(self) -> BARFI:
        steps: Any = {"episodes": 64, "steps": 60, "inner_steps": 5, "inner_lr": 1.0, "temperature": 0.05}
        return BARFI(discount=0.9, lr=0.1 if self.learned else 0.0, **steps)

    def figures(self, bench: Bench) -> Figures:
        began, env = time.perf_counter(), TabularMDP.chain(5).as_env(15)
        intent = Intent(Table(np.array([[0.1, 0.0]] * 5)), truth=Task())
        ours = [self._designer(env, intent, key=jax.random.fold_in(bench.key, seed)) for seed in range(bench.seeds)]
        return Figures(np.array([float(d.curves["return"][-5:].mean()) for d in ours]), time.perf_counter() - began)


def lure(mdp: TabularMDP) -> np.ndarray:
    """1 in the upper right room, 0 elsewhere."""
    cells = _cells()
    return ((cells[:, 0] < 3) & (cells[:, 1] > 3)).astype(float)


@functools.cache
def _cells() -> np.ndarray:
    from operant.claims._designs import ROOMS

    return GridWorld(ROOMS).cells


def designed(mdp: TabularMDP) -> np.ndarray:
    """BARFI's reward, from the heuristic 0.3 for being in that room."""
    heuristic = expected(mdp, np.broadcast_to(0.3 * lure(mdp), mdp.P.shape))
    table: Any = OURS.blend(mdp, ["room"], heuristic[None], np.ones(1)).table
    return table


def shaped(mdp: TabularMDP) -> np.ndarray:
    """The primary reward, shaped by a potential of 0.3/(1 − γ) in that room."""
    return potential(mdp, 0.3 / (1.0 - mdp.discount) * lure(mdp))


_SETTING: Any = (Reinforce(lr=5.0), 600, 50, share_of_best)
_PROBLEM = "random maps of 5 × 5 cells with slip 0.1, discount 0.95, 1 at the goal; heuristic: {}"
_GOOD, _BAD = "0.1 for a step nearer to the goal, too", "0.3 for being in a cell that is not the goal"
_FIGURE = "primary return of the soft-optimal policy (τ = 0.01), exact, as a share of the best"
_BASE: dict[str, Any] = {"tier": "quick", "steps": 0, "seeds": 12, "figure": _FIGURE}

CLAIMS = (
    Claim(
        name="bad-naive",
        statement="Where the heuristic misleads, the learned blend does better than the plain sum.",
        source="2310.19007, table 1 (r_aux bad)",
        baseline="the plain sum, r_p + r_aux",
        problem=_PROBLEM.format(_BAD),
        test=Better(),
        subject=Reached("designed", "bad"),
        control=Reached("naive", "bad"),
        **_BASE,
    ),
    Claim(
        name="bad-none",
        statement="Where the heuristic misleads, the learned blend is not worse than no heuristic.",
        source="2310.19007, table 1 (r_aux bad)",
        baseline="the primary reward alone",
        problem=_PROBLEM.format(_BAD),
        test=NotWorse(),
        subject=Reached("designed", "bad"),
        control=Reached("none", "bad"),
        note="τ = 0.01 after a first look with 0.05, where entropy is worth more than the goal (τ ln 4/(1 − γ) = 1.4) "
        "and the baseline stays away: 0.05 against 1.00.",
        **_BASE,
    ),
    Claim(
        name="good-naive",
        statement="Where the heuristic helps, the learned blend is not worse than the plain sum.",
        source="2310.19007, table 1 (r_aux good)",
        baseline="the plain sum, r_p + r_aux",
        problem=_PROBLEM.format(_GOOD),
        test=NotWorse(),
        subject=Reached("designed", "good"),
        control=Reached("naive", "good"),
        note="The heuristic that was thought good is not: going to and fro is paid too, and the plain sum reaches 0.19 "
        "where the primary reward alone reaches 0.999. A heuristic that helps in the plain sum has not been "
        "tried.",
        **_BASE,
    ),
    Claim(
        name="good-none",
        statement="Where the heuristic helps, the learned blend does better than no heuristic.",
        source="2310.19007, table 1 (r_aux good)",
        baseline="the primary reward alone",
        problem=_PROBLEM.format(_GOOD),
        test=Better(),
        subject=Reached("designed", "good"),
        control=Reached("none", "good"),
        **_BASE,
    ),
    Claim(
        name="from-episodes",
        statement="From episodes, too, the learned blend gets over a misleading heuristic that the plain sum follows.",
        source="2310.19007, section 5 (implicit gradients by Neumann series)",
        baseline="the plain sum, learned by the same policy gradients (lr = 0)",
        problem="a chain of 5 states whose end pays 1; heuristic: 0.1 for a step away from it; 64 episodes of 15 steps "
        "a gradient, 61 outer and 305 inner steps",
        test=Better(),
        subject=Sampled(True),
        control=Sampled(False),
        **_BASE
        | {
            "tier": "full",
            "seeds": 5,
            "figure": "primary return of 64 episodes (γ = 0.9), mean of the last 5 outer steps",
        },
        note="Added after the other five had run.",
    ),
    Claim(
        name="bad-potential",
        statement="A misleading heuristic as a potential leaves the optimum and hurts learning; the blend does not.",
        source="2310.19007, section 3 (potential shaping with misspecified heuristics)",
        baseline="potential-based shaping by the same heuristic",
        problem="four rooms of 3 × 3 cells with slip 0.1, discount 0.95, 50 steps an episode; heuristic: 0.3 for being "
        "in a room that is not the goal's, as a potential 0.3/(1 − γ); REINFORCE, 600 episodes",
        test=Better(),
        subject=Learnt("designed", rooms, designed, *_SETTING),
        control=Learnt("potential", rooms, shaped, *_SETTING),
        note="Part of it is scale: the blend's weights grow, and REINFORCE with them; from the primary reward alone it "
        "reaches 0.02 in this setting.",
        **_BASE | {"seeds": 8, "figure": "exact primary return, mean over training, as a share of the best"},
    ),
)
