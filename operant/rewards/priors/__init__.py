"""What is believed of a reward before comparisons say much: a slot of every reward that is learned from them.

A prior looks at all answers once a lesson, in hindsight, and then adds a soft constraint to each member's loss.
"""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float

from operant.data.segments import Comparisons, Segments


class AbstractPrior(eqx.Module):
    """A soft constraint on r̂."""

    @abc.abstractmethod
    def look_back(self, comparisons: Comparisons, train: Bool[Array, " C"]) -> Any:
        """What the answers in `train` say as a whole; handed to `loss` throughout a lesson."""

    @abc.abstractmethod
    def loss(self, seen: Any, value: Float[Array, "n L"], segments: Segments) -> Float[Array, ""]:
        """How far r̂, `value` along each of n segments, is from what is believed."""


from operant.rewards.priors.prior import PRIOR  # noqa: E402

__all__ = ["PRIOR", "AbstractPrior"]
