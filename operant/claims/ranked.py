"""Claims of ranked factors: nothing hangs on the unit a factor is written in, because nothing is weighed.

Reference: Bukharin, Li, He, Chen, Zhao 2023, HERON, 2309.02632.
"""

import dataclasses
import time
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, Greedy, Trained, plain_fields
from operant.claims._tests import Better
from operant.core import AbstractReward, Transition
from operant.data.segments import Pairs, Segments
from operant.learners.ppo import PPO
from operant.loops.asking import Questions, Teaching
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.program import Program
from operant.rewards.task import Task
from operant.rewards.terms import Terms
from operant.teachers import AbstractTeacher, Oracle, Ranked


def upright(obs: Array) -> Array:
    """Pendulum: the cosine of its angle."""
    return obs[0]


def quiet(action: Array) -> Array:
    """A small torque, in a unit that makes it look large."""
    return -100.0 * jnp.abs(action[0])


_FACTORS: dict[str, AbstractReward] = {"upright": Program(upright), "quiet": Program(quiet)}


@dataclasses.dataclass(frozen=True)
class Unmoved(AbstractSample):
    """Share of 2,000 pairs about which a teacher says the same after the second of two factors is written in a unit a
    hundred times smaller. Factors are normal numbers of 25 steps; what an oracle judges by is their sum."""

    teacher: AbstractTeacher

    def plain(self) -> dict[str, Any]:
        return {"unmoved": plain_fields(self.teacher)}

    def figures(self, bench: Bench) -> Figures:
        began, found = time.perf_counter(), []
        for seed in range(bench.seeds):
            first, second = np.random.default_rng(seed).normal(size=(2, 2, 2000, 25))
            said = [self.teacher.label(_pairs(first, unit * second), key=None) for unit in (1.0, 100.0)]  # type: ignore[arg-type]
            found.append(float((said[0] == said[1]).mean()))
        return Figures(np.array(found), time.perf_counter() - began)


def _pairs(first: np.ndarray, second: np.ndarray) -> Pairs:
    """(2, n, L) each: left and right."""

    def side(a: np.ndarray, b: np.ndarray) -> Segments:
        no = np.zeros(a.shape, bool)
        parts: Any = (a, a, a + b, no, no, a, {"first": a, "second": b})
        own: Any = ~no
        return Segments(Transition(*parts), own)

    return Pairs(*(side(a, b) for a, b in zip(first, second, strict=True)))


CLAIMS = (
    Claim(
        name="units",
        tier="quick",
        statement="What ranked factors say of a pair does not depend on the unit of any factor.",
        source="2309.02632, section 3 (margins are in standard deviations)",
        baseline="an oracle that judges by the sum of the factors",
        problem="two factors of normal numbers, the second then written in a unit a hundred times smaller",
        figure="share of 2,000 pairs about which the same is said",
        steps=0,
        seeds=6,
        test=Better(),
        subject=Unmoved(Ranked(("first", "second"), {"first": Task(), "second": Task()})),
        control=Unmoved(Oracle()),
    ),
    Claim(
        name="ranked-factors",
        tier="full",
        statement="Factors that are only ranked need no weights: one that is written in too small a unit does no harm.",
        source="2309.02632, the abstract's claim of robustness",
        baseline="the same learner with the sum of the factors",
        problem="Pendulum-v1 in JAX, 16 environments, PPO; upright before quiet, whose unit makes it 100 times as "
        "large; 300 comparisons of 25 steps by ranked factors",
        figure=Greedy().words,
        steps=100_000,
        seeds=6,
        test=Better(),
        subject=Trained(
            PPO(), "Pendulum-v1", reward=BradleyTerry(segment=25),
            teaching=Teaching(Ranked(("upright", "quiet"), _FACTORS), Questions(300)),
        ),
        control=Trained(PPO(), "Pendulum-v1", reward=Terms(_FACTORS)),
    ),
)  # fmt: skip
