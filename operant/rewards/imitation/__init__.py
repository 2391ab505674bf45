"""Rewards that are paid for being like demonstrations: `Demonstrations`, and the slot that says what being like is."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.data.replay import Replay


class AbstractImitation(eqx.Module):
    """How behaviour is paid for being like demonstrations: the slot `by` of `Demonstrations`."""

    @abc.abstractmethod
    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> Any:
        """The state before anything was learned, what it needs of the demonstrations included; runs outside jit.

        Raises SpecError where it does not fit these spaces, DataError where these demonstrations do not serve it.
        """

    def shows(self, state: Any) -> Replay | None:
        """Rows that learners from replay are to see as half of each minibatch; None: none. (SQIL.)"""
        return None

    @abc.abstractmethod
    def __call__(self, state: Any, batch: Transition) -> Float[Array, "*B"]:
        """Reward of each transition; any leading axes *B."""

    @abc.abstractmethod
    def update(self, state: Any, batch: Transition, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        """Learn from a rollout (T, N), once an iteration and before the learner does."""
