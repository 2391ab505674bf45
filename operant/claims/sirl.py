"""SIRL's claims: features learned from likeness make few comparisons go further than raw input, or than dynamics do.

Reference: Bobu, Liu, Shah, Brown, Dragan 2023, 2301.00810.
"""

from typing import Any

from operant.claims import Claim
from operant.claims._rewards import Taught, Walks
from operant.claims._tests import Better
from operant.core import AbstractFixedReward, Transition
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.representations import REED, SIRL
from operant.teachers import Alike


class Known(AbstractFixedReward):
    """A feature that the world itself measures, under the teacher's name for it."""

    name: str = ""

    def __call__(self, state: Any, batch: Transition) -> Any:
        return batch.extras[self.name]


_TEACHER = Alike({"near": Known("near"), "wide": Known("wide")})
_SIRL = BradleyTerry(segment=10, capacity=64, hidden=(), representation=SIRL(hidden=(64, 64)))
_SUBJECT = Taught(Walks(), _SIRL, 30, triplets=1000, similarity=_TEACHER)
_SHARED: dict[str, Any] = {
    "problem": "random walks of 10 numbers of which 2 matter, by two features whose weights are drawn for each seed; "
    "400 segments of 10 steps seen, 1,000 triplets of them judged by likeness, 30 pairs compared",
    "figure": "share of 3,000 pairs of fresh segments that the learned reward ranks rightly",
    "steps": 0,
    "seeds": 8,
    "test": Better(),
    "subject": _SUBJECT,
}

CLAIMS = (
    Claim(
        name="against-raw-input",
        tier="quick",
        statement="A reward on features learned from likeness generalises better than one on the raw input.",
        source="2301.00810, section 5",
        baseline="the plain reward network of state and action, the same 30 comparisons",
        control=Taught(Walks(), BradleyTerry(segment=10, capacity=64), 30),
        **_SHARED,
    ),
    Claim(
        name="against-self-supervision",
        tier="full",
        statement="And better than one on features learned without anyone's judgement.",
        source="2301.00810, section 5",
        baseline="features that predict what comes next (REED), the same 30 comparisons",
        control=Taught(
            Walks(), BradleyTerry(segment=10, capacity=64, hidden=(), representation=REED(hidden=(64, 64))), 30
        ),
        **_SHARED,
    ),
)
