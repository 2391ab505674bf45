"""What a reward network sees of (s, a): a slot of every reward that is learned from comparisons.

A representation gives each member of the ensemble a view, φ(s, a), on which a small network pays. It may learn φ by
itself from behaviour nobody has judged, before each lesson from comparisons; the lesson then moves φ too, unless the
representation is frozen.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import Action, EnvSpec, Metrics, Obs, Transition
from operant.math.symlog import symlog

Look = Callable[[Obs], Obs]
"""Standardises one squashed observation, by what has been compared so far."""
Draw = Callable[[PRNGKeyArray, int], Transition]
"""So many transitions of recent behaviour, uniformly, their observations squashed: (n,)."""


def squash(obs: Obs) -> Obs:
    """symlog of what is a real number: states that run away must not make those that matter indistinguishable."""
    return jax.tree.map(lambda x: symlog(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, obs)


class AbstractView(eqx.Module):
    """φ(s, a), unbatched; observations are squashed."""

    size: eqx.AbstractVar[int]
    """Length of φ."""

    @abc.abstractmethod
    def __call__(self, obs: Obs, action: Action, look: Look) -> Float[Array, " d"]: ...


class AbstractRepresentation(eqx.Module):
    """Where views come from, and how they learn without a teacher."""

    frozen: ClassVar[bool]
    """Whether comparisons leave the view as it is."""

    @abc.abstractmethod
    def init(self, rng: np.random.Generator, spec: EnvSpec) -> tuple[AbstractView, Any]:
        """A member's view, and whatever else its own learning carries; runs outside jit."""

    @abc.abstractmethod
    def learn(
        self, view: AbstractView, rest: Any, draw: Draw, look: Look, *, key: PRNGKeyArray
    ) -> tuple[AbstractView, Any, Metrics]:
        """Learn from behaviour alone, before a lesson. Metrics are finite, always the same ones."""


from operant.rewards.representations.plain import Plain  # noqa: E402
from operant.rewards.representations.reed import REED  # noqa: E402
from operant.rewards.representations.sirl import SIRL  # noqa: E402

__all__ = ["REED", "SIRL", "AbstractRepresentation", "AbstractView", "Plain"]
