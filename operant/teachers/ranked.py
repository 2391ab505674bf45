"""A teacher made of ranked factors: the first factor that tells two segments apart decides, the others are not asked.

    for each factor, most important first:  z = Σ_t f(s_t, a_t, s_{t+1})
        |z_right − z_left| > margin · std(z)  →  the larger one is better
    a tie if none decides

"Speed before smoothness before energy" needs no weights that trade one against another, and the scale of a factor does
not matter. Factors are larger-is-better: write costs with a minus sign.

Reference: Bukharin, Li, He, Chen, Zhao 2023, Deep Reinforcement Learning from Hierarchical Weak Preference Feedback
(HERON), 2309.02632.
Deviations from the paper: standard deviations are over the segments of a session of questions, not over a buffer.

>>> from operant.core import Transition
>>> from operant.data.segments import Segments
>>> from operant.rewards.task import Task
>>> def segment(*speed_energy):
...     extras = {name: np.array([[x]]) for name, x in zip(("speed", "energy"), speed_energy)}
...     return Segments(Transition(None, None, np.zeros((1, 1)), None, None, None, extras), np.array([[True]]))
>>> teacher = Ranked(("speed", "energy"), {"speed": Task(), "energy": Task()})
>>> compare = lambda left, right: teacher.label(Pairs(segment(*left), segment(*right)), key=None).tolist()
>>> compare((1.0, -9.0), (2.0, -99.0)), compare((1.0, -9.0), (1.0, -3.0))
([1], [1])
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Int, PRNGKeyArray

from operant.core import AbstractReward, Card
from operant.data.segments import Pairs
from operant.errors import SpecError
from operant.teachers import AbstractTeacher, Answer


class Ranked(AbstractTeacher):
    """Compares factor by factor, by rank (see the module's docstring)."""

    ranking: tuple[str, ...]
    """The factors' names, most important first."""
    factors: dict[str, AbstractReward]
    """What each is: a reward with nothing to learn, the larger the better."""
    margin: float = 0.5
    """How far sums must lie apart for a factor to decide (standard deviations of that factor)."""

    card: ClassVar[Card] = Card(
        "Bukharin et al. 2023, Deep Reinforcement Learning from Hierarchical Weak Preference Feedback (HERON)",
        "2309.02632",
        "preference-learning",
    )

    def __check_init__(self) -> None:
        if not self.ranking or sorted(self.ranking) != sorted(self.factors):
            raise SpecError(
                f"expected Ranked.ranking to name every factor once; got {list(self.ranking)} for "
                f"{sorted(self.factors)}. List the factors' names, most important first."
            )
        if self.margin < 0.0:
            raise SpecError(
                f"expected Ranked.margin ≥ 0; got {self.margin:g}. At 0 the first factor decides nearly all."
            )

    @property
    def measures(self) -> dict[str, AbstractReward]:
        return self.factors

    def label(self, pairs: Pairs, *, key: PRNGKeyArray | None) -> Int[np.ndarray, " n"]:
        answer = np.full(pairs.left.mask.shape[0], int(Answer.tie))
        for name in self.ranking:
            sides = (pairs.left, pairs.right)
            left, right = (np.where(s.mask, s.steps.extras[name], 0.0).sum(-1) for s in sides)
            gap = right - left
            # One NaN must not silence a factor for the whole session; of its own pair nobody can tell.
            known = ~np.isnan(gap)
            answer = np.where((answer == Answer.tie) & ~known, Answer.unsure, answer)
            spread = np.std([left[known], right[known]]) if known.any() else 0.0
            tells = (answer == Answer.tie) & (np.abs(gap) > self.margin * spread)
            answer = np.where(tells, np.where(gap > 0, Answer.right, Answer.left), answer)
        return answer
