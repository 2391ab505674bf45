"""PLAY: several agents in one game, scripted, learned or otherwise.

A player is a pure, unbatched description: `init` gives its memory at the start of a match, `act` its action, `observe`
its memory after a round. Whoever plays knows its own action, the other's, and its payoff.
"""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

PlayerState = PyTree[Array]


class AbstractPlayer(eqx.Module):
    """One side of a two-player game, round after round; the state is whatever it remembers."""

    @abc.abstractmethod
    def init(self, game: Any, role: int, *, key: PRNGKeyArray) -> PlayerState:
        """Its memory before the first round of a match; `role` is 0 for the row player, 1 for the column player.

        Raises SpecError if it cannot play this game."""

    @abc.abstractmethod
    def act(self, state: PlayerState, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """Its action, 0 … A − 1."""

    @abc.abstractmethod
    def observe(
        self, state: PlayerState, own: Int[Array, ""], other: Int[Array, ""], payoff: Float[Array, ""]
    ) -> PlayerState:
        """Its memory after a round; both actions are those that took place, noise included."""


from operant.games.matrix import (  # noqa: E402  (what stands above is what these derive from)
    MatrixGame,
    chicken,
    matching_pennies,
    prisoners_dilemma,
    stag_hunt,
)
from operant.games.players import AllC, AllD, GrimTrigger, Pavlov, Random, TitForTat  # noqa: E402

__all__ = [
    "AbstractPlayer",
    "AllC",
    "AllD",
    "GrimTrigger",
    "MatrixGame",
    "Pavlov",
    "Random",
    "TitForTat",
    "chicken",
    "matching_pennies",
    "prisoners_dilemma",
    "stag_hunt",
]
