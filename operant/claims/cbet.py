"""C-BeT's claims: told what play led to, it goes there; and it does not average the ways that lead there.

Reference: Cui, Wang, Shafiullah, Pinto 2022, 2210.10047.
"""

from operant.claims import Claim
from operant.claims._modes import COURSE, COURSE_WORDS, Cloned, Reaches
from operant.claims._tests import Better
from operant.learners.bc import BC
from operant.learners.imitation.bet import BeT
from operant.learners.imitation.cbet import CBeT

CLAIMS = (
    Claim(
        name="goals",
        tier="quick",
        statement="From play without labels C-BeT learns to reach the goals it is given; cloning with goals, whose "
        "actions are normal, does less well.",
        source="2210.10047, section 4.4, table 1",
        baseline="behavioural cloning with a normal that sees the same goals (goal-conditioned BC)",
        problem=COURSE_WORDS,
        figure=Reaches().words,
        steps=800,
        seeds=4,
        test=Better(),
        subject=Cloned(CBeT(window=3, width=32, layers=1, batch=128), COURSE, Reaches()),
        control=Cloned(BC(hidden=(64, 64), lr=1e-3, normalise_obs=True), COURSE, Reaches(), with_goals=True),
    ),
    Claim(
        name="told",
        tier="full",
        statement="What C-BeT reaches is what it was told to reach: BeT, which knows no goals, succeeds as often, but "
        "comes to any of them.",
        source="2210.10047, section 4.5, table 1 (unconditional BeT)",
        baseline="BeT, without goals",
        problem=COURSE_WORDS,
        figure=Reaches().words,
        steps=3_000,
        seeds=6,
        test=Better(),
        subject=Cloned(CBeT(window=3, batch=128), COURSE, Reaches()),
        control=Cloned(BeT(window=3, batch=128), COURSE, Reaches()),
    ),
)
