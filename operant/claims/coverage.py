"""Claims of choosing questions by coverage: against chance, and against asking where the ensemble disagrees.

Reference: Lee, Smith, Abbeel 2021, PEBBLE, 2106.05091, section 5.3.
"""

import dataclasses

from operant.claims._asked import Asked, per_label, reward_with
from operant.rewards.queries.coverage import Coverage
from operant.rewards.queries.disagreement import Disagreement

_QUICK, _FULL = per_label(
    Coverage(),
    "Pairs that lie far from each other teach more by as many answers than any pairs.",
    "2106.05091, section 4.1",
    "On the pendulum the paper does not find it either (section 5.3): far pairs are odd ones, which the agent seldom "
    "meets.",
)

CLAIMS = (
    _QUICK,
    _FULL,
    dataclasses.replace(
        _FULL,
        name="against-disagreement",
        statement="Pairs on which the ensemble disagrees teach more than pairs that lie far from each other.",
        source="2106.05091, section 5.3",
        baseline="the same with pairs chosen by coverage",
        subject=Asked(reward_with(Disagreement()), 60),
        control=Asked(reward_with(Coverage()), 60),
        note="",
    ),
)
