"""VPT's claims: labels of a twentieth of the demonstrations are nearly as good as labels of all.

Reference: Baker et al. 2022, 2206.11795.
"""

import functools

import jax
import numpy as np

from operant.claims import Claim
from operant.claims._reaching import Miss, Reaching, Shared, shown
from operant.claims._tests import Better, Recovers
from operant.data.dataset import Dataset
from operant.data.observed import without_actions
from operant.learners.bc import BC
from operant.learners.imitation.vpt import VPT

OPTIONS = tuple(tuple(map(float, x)) for x in np.random.default_rng(3).uniform(-0.8, 0.8, (12, 2)).round(2))
ENV = Reaching(options=OPTIONS)
_DATA = "60 demonstrations of 25 steps: five of each of 12 goals, whose number is seen"
RANDOM = 0.94
"""Distance of a point that acts at random for an episode, over 20,000 of them."""


@functools.cache
def everything(i: int) -> Dataset:
    return shown(ENV, np.asarray(OPTIONS)[np.arange(60) % 12], np.random.default_rng([i, 90]))


@functools.cache
def twentieth(i: int) -> Dataset:
    """With the actions of 3 episodes."""
    return without_actions(everything(i), 0.05, key=jax.random.key(i))


@functools.cache
def few(i: int) -> Dataset:
    """Those 3 episodes alone."""
    kept = np.asarray(twentieth(i).data.extras["labelled"])
    rows = jax.tree.map(lambda x: np.asarray(x)[kept], everything(i).data)
    return Dataset(rows, np.asarray(everything(i).episode)[kept], ENV.spec)


_SUBJECT = Shared(VPT(inverse_steps=1_500, hidden=(64, 64), lr=1e-3), twentieth, f"{_DATA}; 3 with actions", Miss(ENV))
_USUAL = {
    "tier": "quick",
    "problem": f"a point in the plane that is to reach a goal: {_DATA}; actions of 3 demonstrations are seen",
    "figure": Miss(ENV).words,
    "steps": 3_000,
    "seeds": 6,
    "subject": _SUBJECT,
}

CLAIMS = (
    Claim(
        name="few-labels",
        statement="An inverse dynamics model makes demonstrations of what was only seen: cloning them does better than "
        "cloning what is labelled.",
        source="2206.11795, section 1 and section 4.1",
        baseline="behavioural cloning of the 3 labelled demonstrations",
        test=Better(higher=False),
        control=Shared(
            BC(hidden=(64, 64), lr=1e-3, batch=64, normalise_obs=True),
            few,
            "the 3 labelled demonstrations",
            Miss(ENV),
            steps=1_500,
        ),
        **{**_USUAL, "seeds": 4},
    ),
    Claim(
        name="share-of-all-labels",
        statement="Named by a model of a twentieth of them, actions are nearly as good to clone as the real ones.",
        source="2206.11795, section 4.1 (labels of the inverse model are accurate enough to clone)",
        baseline="behavioural cloning of all 60 demonstrations with their actions",
        test=Recovers(floor=RANDOM, share=0.9),
        control=Shared(
            BC(hidden=(64, 64), lr=1e-3, normalise_obs=True),
            everything,
            f"{_DATA}, all with actions",
            Miss(ENV),
            steps=1_500,
        ),
        note="The share is 0.91, its interval reaches below 0.9. Nine of the twelve goals have no label, and the "
        "inverse model sees the goal's number too: likely, but not measured, it names their actions less well.",
        **_USUAL,
    ),
)
