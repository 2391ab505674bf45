"""Rewards learned from which of two segments was better.

The loop asks: `propose` picks pairs worth asking about from the behaviour seen so far, a teacher answers, `teach`
learns from the answers. Both are pure and compile once. What the agent does reaches the reward through `update`, as
for every reward, and the learner asks `__call__`, so that replay is relabelled by what has been learned since.
"""

import abc
from typing import Any

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractReward, Metrics
from operant.data.segments import Pairs


class AbstractPreferences(AbstractReward):
    """A reward that learns from comparisons."""

    @abc.abstractmethod
    def propose(self, state: Any, n: int, *, key: PRNGKeyArray) -> Pairs:
        """`n` pairs to ask about, from the behaviour seen in training."""

    @abc.abstractmethod
    def choose(self, state: Any, pairs: Pairs, n: int, *, key: PRNGKeyArray) -> Int[Array, " n"]:
        """Which n of the pairs given are most worth asking about: indices, all different."""

    @abc.abstractmethod
    def teach(
        self,
        state: Any,
        pairs: Pairs,
        target: Float[Array, " n"],
        given: Bool[Array, " n"],
        known: Bool[Array, " n"],
        *,
        key: PRNGKeyArray,
    ) -> tuple[Any, Metrics]:
        """Take answers in and learn from all there are.

        Args:
            target: probability that the right one is better: 0, ½, 1.
            given: which pairs were answered; the others are padding.
            known: which answers say something: not "cannot tell".
        """
