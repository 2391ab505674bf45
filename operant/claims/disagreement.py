"""Claim of choosing questions by disagreement, against choosing by chance.

Reference: see `operant.rewards.queries.disagreement`.
"""

from operant.claims._asked import per_label
from operant.rewards.queries.disagreement import Disagreement

CLAIMS = per_label(
    Disagreement(),
    "Pairs on which the ensemble disagrees teach more by as many answers than any pairs.",
    "1706.03741, section 2.2.4",
)
