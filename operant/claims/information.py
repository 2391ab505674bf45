"""Claim of choosing questions by information, against choosing by chance.

Reference: see `operant.rewards.queries.information`.
"""

from operant.claims._asked import per_label
from operant.rewards.queries.information import Information

CLAIMS = per_label(
    Information(),
    "Pairs whose answers are expected to inform most teach more by as many answers than any pairs.",
    "1910.04365",
)
