"""Who answers which of three segments is unlike the other two: what representations are learned from.

A teacher of similarity sees triplets whose `steps.extras` hold what it measures. `Alike` is the oracle: it knows the
features that matter, and two behaviours are alike where the sums of these are, whatever else differs.

    z_f(ξ) = Σ_t f(s_t, a_t, s_{t+1}) / std(z_f),   odd one out: the one not of the pair with the least ‖z_i − z_j‖

Reference: Bobu, Liu, Shah, Brown, Dragan 2023, SIRL: Similarity-based Implicit Representation Learning, 2301.00810.
Deviations from the paper: sums are divided by their standard deviation over the triplets of one call, so that the unit
of a feature does not matter; the paper's features lie in [0, 1] by hand.

>>> from operant.rewards.task import Task
>>> extras = {"speed": np.array([[[1.0], [5.0], [1.2]]])}
>>> three = Segments(Transition(None, None, None, None, None, None, extras), np.ones((1, 3, 1), bool))
>>> Alike({"speed": Task()}).odd(three, key=None).tolist()
[1]
"""

import abc
from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from operant.core import AbstractReward, Card, Transition  # noqa: F401  (Transition: the doctest), Card
from operant.data.segments import Segments
from operant.errors import SpecError


class AbstractSimilarity(eqx.Module):
    """Answers about triplets."""

    @property
    def measures(self) -> dict[str, AbstractReward]:
        """What it wants to know of each step: fixed rewards, whose values it finds in `steps.extras` by these names."""
        return {}

    @abc.abstractmethod
    def odd(self, triplets: Segments, *, key: PRNGKeyArray | None) -> Int[np.ndarray, " n"]:
        """0, 1 or 2 for each of n triplets (n, 3, L): the one that is unlike the other two."""


class Alike(AbstractSimilarity):
    """Knows the features that matter (see the module's docstring)."""

    features: dict[str, AbstractReward]
    """What each is: a reward with nothing to learn; its sum over a segment counts."""

    card: ClassVar[Card] = Card(
        "Bobu et al. 2023, SIRL: Similarity-based Implicit Representation Learning", "2301.00810", "preference-learning"
    )

    def __check_init__(self) -> None:
        if not self.features:
            raise SpecError("expected at least one of Alike.features; got none. Say what matters in a behaviour.")

    @property
    def measures(self) -> dict[str, AbstractReward]:
        return self.features

    def odd(self, triplets: Segments, *, key: PRNGKeyArray | None) -> Int[np.ndarray, " n"]:
        sums = [np.where(triplets.mask, np.asarray(triplets.steps.extras[f]), 0.0).sum(-1) for f in self.features]
        z = np.stack([s / max(float(s.std()), 1e-12) for s in sums], axis=-1)
        gap = lambda i, j: np.square(z[:, i] - z[:, j]).sum(-1)
        return np.argmin([gap(1, 2), gap(0, 2), gap(0, 1)], axis=0)
