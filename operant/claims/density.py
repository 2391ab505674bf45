"""Density's claim: paid for being where demonstrations are, an agent does better than by cloning few of them.

Reference: Gleave et al. 2022, 2211.11972.
"""

from operant.claims import Claim
from operant.claims._shown import CLONED, FEWER, taught
from operant.claims._tests import Better
from operant.rewards.imitation.density import Density

CLAIMS = (
    Claim(
        name="few-demonstrations",
        tier="quick",
        statement="A density of few demonstrations is a reward from which an agent learns more than by cloning them.",
        source="2211.11972, section 2 (density-based baselines)",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(Density()),
        control=CLONED,
        **FEWER,
    ),
)
