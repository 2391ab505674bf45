"""SQIL's claim: a constant reward for demonstrations, in a learner from replay, does what cloning few of them cannot.

Reference: Reddy, Dragan, Levine 2020, 1905.11108.
"""

from operant.claims import Claim
from operant.claims._shown import CLONED, FEWER, taught
from operant.claims._tests import Better
from operant.rewards.imitation.sqil import SQIL

CLAIMS = (
    Claim(
        name="few-demonstrations",
        tier="quick",
        statement="Reward 1 for demonstrations and 0 for what the agent does teaches it to act as the demonstrator, "
        "where cloning drifts away.",
        source="1905.11108, section 4, figures 1 and 2",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(SQIL()),
        control=CLONED,
        **FEWER,
    ),
)
