"""Moment matching's claim: from few demonstrations it does what cloning cannot.

Reference: Swamy, Choudhury, Bagnell, Wu 2021, 2103.03236.
"""

from operant.claims import Claim
from operant.claims._shown import ADVERSARY, CLONED, FEWER, taught
from operant.claims._tests import Better
from operant.rewards.imitation.moments import Moments

CLAIMS = (
    Claim(
        name="few-demonstrations",
        tier="quick",
        statement="Matching moments of the reward on the agent's own states, an imitator's errors do not compound as "
        "those of cloning do.",
        source="2103.03236, section 3 and section 6, figure 4",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(Moments(**ADVERSARY)),
        control=CLONED,
        **FEWER,
    ),
)
