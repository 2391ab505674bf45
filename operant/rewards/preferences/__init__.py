"""Rewards learned from which of two segments was better.

The loop asks: `propose` picks pairs worth asking about from the behaviour seen so far, a teacher answers, `teach`
learns from the answers. Both are pure and compile once. What the agent does reaches the reward through `update`, as
for every reward, and the learner asks `__call__`, so that replay is relabelled by what has been learned since.
"""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Int, PRNGKeyArray

from operant.core import AbstractReward, Metrics
from operant.data.segments import Answers, Pairs


class AbstractPreferences(AbstractReward):
    """A reward that learns from comparisons."""

    segment: eqx.AbstractVar[int]
    """Steps of each segment that is compared."""

    @abc.abstractmethod
    def propose(self, state: Any, n: int, *, key: PRNGKeyArray) -> Pairs:
        """`n` pairs to ask about, from the behaviour seen in training."""

    @abc.abstractmethod
    def choose(self, state: Any, pairs: Pairs, n: int, *, key: PRNGKeyArray) -> Int[Array, " n"]:
        """Which n of the pairs given are most worth asking about: indices, all different."""

    @abc.abstractmethod
    def teach(self, state: Any, answers: Answers, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        """Take answers in and learn from all there are."""
