"""REED's claims: a reward on features that know the dynamics needs a tenth of the labels.

Reference: Metcalf, Sarabia, Mackraz, Theobald 2023, 2402.17975.
"""

from typing import Any

from operant.claims import Claim
from operant.claims._rewards import NoisyPendulum, Taught
from operant.claims._tests import Better, NotWorse
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.representations import REED

_PLAIN = BradleyTerry(segment=25, capacity=512)
_REED = BradleyTerry(segment=25, capacity=512, hidden=(), representation=REED(hidden=(64, 64)))
_SHARED: dict[str, Any] = {
    "problem": "Pendulum pushed at random, seen through 20 mixtures of its numbers beside 20 of noise; 400 segments of "
    "25 steps seen, pairs of them compared by an oracle, 10 a lesson",
    "figure": "share of 3,000 pairs of fresh segments that the learned reward ranks rightly",
    "steps": 0,
    "seeds": 6,
}

CLAIMS = (
    Claim(
        name="fifty-for-five-hundred",
        tier="full",
        statement="With 50 labels it does what the plain reward does with 500.",
        source="2402.17975, abstract and section 5",
        baseline="the plain reward network of state and action, with 500 labels",
        test=NotWorse(),
        subject=Taught(NoisyPendulum(), _REED, 50),
        control=Taught(NoisyPendulum(), _PLAIN, 500),
        **_SHARED,
    ),
    Claim(
        name="same-labels",
        tier="quick",
        statement="With as many labels, 50, it ranks behaviour better than the plain reward.",
        source="2402.17975, section 5",
        baseline="the plain reward network of state and action, with 50 labels",
        test=Better(),
        subject=Taught(NoisyPendulum(), _REED, 50),
        control=Taught(NoisyPendulum(), _PLAIN, 50),
        **{**_SHARED, "seeds": 4},
    ),
)
