"""Who answers which of two segments is better: an oracle, one that errs as people do, a person, a stored record.

A teacher sees pairs whose `steps.reward` is what it judges by: the environment's own reward, or the intent's `truth`.
"""

import abc
import enum

import equinox as eqx
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from operant.core import AbstractReward
from operant.data.segments import Pairs


class Answer(enum.IntEnum):
    """What can be said of a pair."""

    left = 0
    right = 1
    tie = 2
    """Both are as good."""
    unsure = 3
    """Cannot tell: nothing is learned from it."""


TARGET = np.array([0.0, 1.0, 0.5, 0.5], np.float32)
"""Probability that the right one is better, by answer."""


class AbstractTeacher(eqx.Module):
    """Answers about pairs."""

    @property
    def measures(self) -> dict[str, AbstractReward]:
        """What it wants to know of each step: fixed rewards, whose values it finds in `steps.extras` by these names."""
        return {}

    def check(self, budget: int) -> None:
        """Raise DataError or SpecError unless it can answer so many questions; asked before training begins."""

    @abc.abstractmethod
    def label(self, pairs: Pairs, *, key: PRNGKeyArray) -> Int[np.ndarray, " n"]:
        """An `Answer` for each of the n pairs (NumPy leaves)."""

    def answered(self, pairs: Pairs, start: int, *, key: PRNGKeyArray) -> tuple[Pairs, Int[np.ndarray, " n"]]:
        """The pairs that are answered in a session, n of them, and their answers: those that are asked about, unless
        the teacher brings its own. `start` questions were asked before."""
        return pairs, self.label(pairs, key=key)


from operant.teachers.oracle import Oracle  # noqa: E402
from operant.teachers.person import Person  # noqa: E402
from operant.teachers.ranked import Ranked  # noqa: E402
from operant.teachers.recorded import Recorded  # noqa: E402
from operant.teachers.similarity import AbstractSimilarity, Alike  # noqa: E402
from operant.teachers.stochastic import Stochastic  # noqa: E402

__all__ = [
    "TARGET",
    "AbstractSimilarity",
    "AbstractTeacher",
    "Alike",
    "Answer",
    "Oracle",
    "Person",
    "Ranked",
    "Recorded",
    "Stochastic",
]
