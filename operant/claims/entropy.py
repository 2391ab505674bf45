"""Claim of choosing questions by entropy, against choosing by chance.

Reference: see `operant.rewards.queries.entropy`.
"""

from operant.claims._asked import per_label
from operant.rewards.queries.entropy import Entropy

CLAIMS = per_label(
    Entropy(),
    "Pairs whose answer the ensemble is least sure of teach more by as many answers than any pairs.",
    "2106.05091, section 4.1",
)
