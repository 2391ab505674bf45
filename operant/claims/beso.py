"""BESO's claims: it reaches goals from play; three steps from noise are enough; guidance does no harm.

Reference: Reuss, Li, Jia, Lioutikov 2023, 2304.02532.
"""

from operant.claims import Claim
from operant.claims._modes import COURSE, COURSE_WORDS, Cloned, Reaches, Success
from operant.claims._tests import Better, NotWorse
from operant.learners.bc import BC
from operant.learners.imitation.beso import BESO

_SMALL = {"window": 3, "width": 32, "layers": 1, "hidden": (64, 64), "batch": 128}

CLAIMS = (
    Claim(
        name="goals",
        tier="quick",
        statement="From play without labels BESO learns to reach the goals it is given, in three steps from noise to "
        "action; cloning with goals, whose actions are normal, does less well.",
        source="2304.02532, section V-B, table I",
        baseline="behavioural cloning with a normal that sees the same goals (goal-conditioned BC)",
        problem=COURSE_WORDS,
        figure=Reaches().words,
        steps=1_000,
        seeds=4,
        test=Better(),
        subject=Cloned(BESO(**_SMALL), COURSE, Reaches()),
        control=Cloned(BC(hidden=(64, 64), lr=1e-3, normalise_obs=True), COURSE, Reaches(), with_goals=True),
    ),
    Claim(
        name="three-steps",
        tier="full",
        statement="Three steps from noise to action are no worse than thirty.",
        source="2304.02532, section V-D, figure 4",
        baseline="BESO itself, with thirty steps",
        problem=COURSE_WORDS,
        figure=Success(COURSE).words,
        steps=1_000,
        seeds=4,
        test=NotWorse(),
        subject=Cloned(BESO(**_SMALL), COURSE, Success(COURSE)),
        control=Cloned(BESO(**_SMALL), COURSE, Success(COURSE, denoising=30)),
    ),
    Claim(
        name="guidance",
        tier="full",
        statement="One network that leaves goals out of a share of its training, guided at acting time, reaches goals "
        "no worse than one that is trained with goals alone.",
        source="2304.02532, section V-E, table II (CFG-BESO)",
        baseline="BESO trained with goals alone, without guidance",
        problem=COURSE_WORDS,
        figure=Reaches().words,
        steps=3_000,
        seeds=6,
        test=NotWorse(),
        subject=Cloned(BESO(window=3, batch=128, guidance=1.5), COURSE, Reaches()),
        control=Cloned(BESO(window=3, batch=128, goal_dropout=0.0), COURSE, Reaches()),
    ),
)
