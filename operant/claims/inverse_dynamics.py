"""Inverse-dynamics pretraining's claims: what actions change is what to look at, and other tasks show it.

Reference: Brandfonbrener, Nachum, Bruna 2023, 2305.16985.
"""

import functools
from typing import Any

import numpy as np

from operant.claims import Claim
from operant.claims._reaching import Miss, OtherView, Reaching, Shared, shown
from operant.claims._tests import Better
from operant.data.dataset import Dataset
from operant.data.observed import joined
from operant.learners.bc import BC
from operant.learners.imitation.inverse_dynamics import InverseDynamics

ENV = Reaching(pixels=64, background=8, noise=0.2)
_DATA = (
    "4 demonstrations of reaching one goal and 200 of reaching others, 25 steps each, seen as 64 numbers: a fixed "
    "random picture of the point and of 8 numbers that wander, each with noise of its own"
)
VIEW: dict[str, Any] = {
    "pretraining_steps": 1_500,
    "encoder": (64,),
    "features": 16,
    "hidden": (64, 64),
    "lr": 1e-3,
}


@functools.cache
def expert(i: int) -> Dataset:
    return shown(ENV, np.repeat([ENV.goal], 4, 0), np.random.default_rng([i, 123]))


@functools.cache
def both(i: int) -> Dataset:
    rng = np.random.default_rng([i, 124])
    return joined(expert(i), shown(ENV, rng.uniform(-0.8, 0.8, (200, 2)), rng))


def _claim(name: str, tier: Any, statement: str, baseline: str, control: Shared) -> Claim:
    return Claim(
        name=name, tier=tier, statement=statement, source="2305.16985, section 5, figure 1(f)", baseline=baseline,
        problem=f"a point in the plane that is to reach a goal it is not told: {_DATA}", figure=Miss(ENV).words,
        steps=3_000, seeds=6, test=Better(higher=False),
        subject=Shared(InverseDynamics(**VIEW), both, _DATA, Miss(ENV)), control=control,
    )  # fmt: skip


def _other(pretext: Any, words: str) -> Claim:
    statement = (
        f"Of views learned from the same corpus, that of inverse dynamics is a better one to clone on than {words}."
    )
    return _claim(
        pretext, "full", statement, f"the same, on {words}",
        Shared(OtherView(pretext, **VIEW), both, _DATA, Miss(ENV)),
    )  # fmt: skip


CLAIMS = (
    _claim(
        "from-scratch",
        "quick",
        "A view learned by inverse dynamics from demonstrations of other tasks lets few demonstrations go further than "
        "a network of their own.",
        "behavioural cloning of the 4 demonstrations",
        Shared(
            BC(hidden=(64, 64, 64), lr=1e-3, batch=64, normalise_obs=True),
            expert,
            "the 4 demonstrations",
            Miss(ENV),
            steps=1_500,
        ),
    ),
    _other("cloning", "one learned by cloning the corpus, whose tasks are not observed"),
    _other("forward", "one learned by predicting what is seen next"),
    _other("contrastive", "one learned by telling what followed from what did not"),
)
