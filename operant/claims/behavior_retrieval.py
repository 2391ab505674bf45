"""Behavior Retrieval's claims: what is like the demonstrations is worth adding to them, and everything is not.

Reference: Du, Nair, Sadigh, Finn 2023, 2304.08742.
"""

import dataclasses
import functools
import itertools

import numpy as np

from operant.claims import Claim, Tier
from operant.claims._reaching import Miss, Reaching, Shared, shown
from operant.claims._tests import Better
from operant.data.dataset import Dataset
from operant.data.observed import joined
from operant.learners.bc import BC
from operant.learners.imitation.behavior_retrieval import BehaviorRetrieval

ENV = Reaching(goal=(0.6, 0.6, -0.6), wind=0.03)
GOALS = np.array(list(itertools.product((-0.6, 0.6), repeat=3)))
SPREAD = 0.6
_DATA = (
    "2 demonstrations of reaching one goal, and 200 of reaching 8 goals, 25 of them this one, 25 steps each; actions "
    f"are off by {SPREAD:g} of full speed (standard deviation), and which goal it was is not seen"
)


@functools.cache
def expert(i: int) -> Dataset:
    data = shown(ENV, np.repeat([ENV.goal], 2, 0), np.random.default_rng([i, 160]), spread=SPREAD)
    mine = int(np.flatnonzero((np.unique(GOALS, axis=0) == np.asarray(ENV.goal)[None]).all(1))[0])
    task = np.full(data.size, mine, np.int32)  # as the prior data number it
    return Dataset(dataclasses.replace(data.data, extras={"task": task}), np.asarray(data.episode), data.spec)


@functools.cache
def both(i: int) -> Dataset:
    return joined(expert(i), shown(ENV, np.repeat(GOALS, 25, 0), np.random.default_rng([i, 161]), spread=SPREAD))


def _learner(threshold: float) -> BehaviorRetrieval:
    return BehaviorRetrieval(
        threshold=threshold, embedding_steps=1_500, latent=4, embedding=(64, 64), hidden=(64, 64), lr=1e-3, bank=512
    )


def _claim(name: str, tier: Tier, statement: str, baseline: str, control: Shared) -> Claim:
    return Claim(
        name=name, tier=tier, statement=statement, source="2304.08742, section V, table I", baseline=baseline,
        problem=f"a point in space that is to reach a goal it is not told: {_DATA}", figure=Miss(ENV).words,
        steps=3_000, seeds=6, test=Better(higher=False),
        subject=Shared(_learner(0.95), both, _DATA, Miss(ENV)), control=control,
        note="The threshold, 0.95, was chosen on data of another seed, where 0.9 did as well and 0.95 retrieved fewer "
        "rows of other goals.",
    )  # fmt: skip


CLAIMS = (
    _claim(
        "demonstrations-alone",
        "quick",
        "Cloning demonstrations and what is like them in earlier data does better than cloning the demonstrations.",
        "behavioural cloning of the 2 demonstrations",
        Shared(
            BC(hidden=(64, 64), lr=1e-3, batch=50, normalise_obs=True),
            expert,
            "the 2 demonstrations",
            Miss(ENV),
            steps=1_500,
        ),
    ),
    _claim(
        "everything",
        "full",
        "Cloning demonstrations and what is like them in earlier data does better than cloning all of it beside them.",
        "the same with a threshold of 0: half of every update are the demonstrations, half all earlier data",
        Shared(_learner(0.0), both, _DATA, Miss(ENV)),
    ),
)
