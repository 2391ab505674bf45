"""What a policy's scores of two segments cost, given which was better: a slot of learners from comparisons.

A score is a discounted sum of log π over a segment, or of log π/π_ref; the loss says how far apart two should lie.
"""

import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from operant.core import Card


class AbstractPreferenceLoss(eqx.Module):
    """A loss of n pairs of scores."""

    card: ClassVar[Card]

    @abc.abstractmethod
    def __call__(
        self, left: Float[Array, " n"], right: Float[Array, " n"], target: Float[Array, " n"]
    ) -> Float[Array, " n"]:
        """Loss of each pair; `target` is the probability that the right one is better: 0, ½ or 1."""


from operant.learners.preferences.losses.ipo import IPO  # noqa: E402
from operant.learners.preferences.losses.logistic import Logistic  # noqa: E402

__all__ = ["IPO", "AbstractPreferenceLoss", "Logistic"]
