"""Claims of teachers that err: mistakes cost answers; ties for what is nearly equal cost none.

Reference: Lee, Smith, Dragan, Abbeel 2021, B-Pref, 2111.03026, section 5.
"""

from operant.claims import Claim
from operant.claims._asked import NUMBERS, SEGMENT, Asked, reward_with
from operant.claims._tests import Better, NotWorse
from operant.rewards.queries.uniform import Uniform
from operant.teachers import Oracle, Stochastic

_LABELS = 100
_PROBLEM = (
    f"Pendulum, 64 stored episodes, skilled and not; {_LABELS} comparisons of {SEGMENT} steps, ten at a time, drawn "
    "uniformly; no agent"
)
_REWARD = reward_with(Uniform())

_WRONG = "A teacher who is wrong in one answer of five teaches less by as many answers."
_WHERE = "2111.03026, section 5.2 (the mistake teacher, there with ε = 0.1)"

CLAIMS = (
    Claim(
        name="numbers",
        tier="quick",
        statement=_WRONG,
        source=_WHERE,
        baseline="a teacher with ε = 0.2",
        problem="a sum of ten normal numbers; 60 comparisons of 5 steps, ten at a time, drawn uniformly",
        figure=Asked.words,
        steps=0,
        seeds=16,
        test=Better(),
        subject=Asked(reward_with(Uniform(), NUMBERS), 60, Oracle(), behaviour=NUMBERS),
        control=Asked(reward_with(Uniform(), NUMBERS), 60, Stochastic(mistake=0.2), behaviour=NUMBERS),
    ),
    Claim(
        name="mistakes",
        tier="full",
        statement=_WRONG,
        source=_WHERE,
        baseline="a teacher with ε = 0.2",
        problem=_PROBLEM,
        figure=Asked.words,
        steps=0,
        seeds=24,
        test=Better(),
        subject=Asked(_REWARD, _LABELS, Oracle()),
        control=Asked(_REWARD, _LABELS, Stochastic(mistake=0.2)),
    ),
    Claim(
        name="ties",
        tier="full",
        statement="A teacher who calls a tie what differs by little teaches as much.",
        source="2111.03026, section 5.2 (the equal teacher)",
        baseline="a teacher who never does",
        problem=_PROBLEM + "; a tie up to a difference of 10, which is one pair in six",
        figure=Asked.words,
        steps=0,
        seeds=24,
        test=NotWorse(),
        subject=Asked(_REWARD, _LABELS, Stochastic(mistake=0.0, equal=10.0)),
        control=Asked(_REWARD, _LABELS, Oracle()),
    ),
)
