"""A teacher that knows the true reward and never errs: the better segment is the one with the larger sum of it.

Reference: Christiano, Leike, Brown, Martic, Legg, Amodei 2017, Deep Reinforcement Learning from Human Preferences,
1706.03741, section 3 ("synthetic oracle").

>>> from operant.core import Transition
>>> from operant.data.segments import Segments
>>> segment = lambda *r: Segments(Transition(None, None, np.array([r]), None, None, None, {}), np.array([[True, True]]))
>>> Oracle().label(Pairs(segment(1.0, 0.0), segment(1.0, 1.0)), key=None).tolist()
[1]
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from operant.core import Card
from operant.data.segments import Pairs, Segments
from operant.teachers import AbstractTeacher, Answer


class Oracle(AbstractTeacher):
    """Says which segment's true rewards sum to more; a tie where they are equal; "cannot tell" where one is NaN."""

    equal: float = 0.0
    """Largest difference between the sums that counts as a tie (reward units)."""

    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
    )

    def label(self, pairs: Pairs, *, key: PRNGKeyArray | None) -> Int[np.ndarray, " n"]:
        gap = total(pairs.right) - total(pairs.left)
        answer = np.where(np.abs(gap) <= self.equal, Answer.tie, np.where(gap > 0, Answer.right, Answer.left))
        return np.where(np.isnan(gap), Answer.unsure, answer)


def total(side: Segments) -> Float[np.ndarray, " n"]:
    """Sum of each segment's own rewards."""
    return np.where(side.mask, side.steps.reward, 0.0).sum(-1)
