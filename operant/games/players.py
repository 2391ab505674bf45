"""Scripted players of two-action games: 0 is cooperation, 1 defection.

| player | first | then |
|---|---|---|
| AllC | 0 | 0 |
| AllD | 1 | 1 |
| TitForTat | 0 | what the other did last |
| GrimTrigger | 0 | 0 until the other defects once, 1 ever after |
| Pavlov | 0 | 0 where both did the same last, else 1 (win-stay, lose-shift) |
| Random(p) | 0 with probability p | likewise |

Reference: Axelrod 1980, Effective Choice in the Prisoner's Dilemma, 10.1177/002200278002400101 (AllC, AllD, TitForTat,
Random); Friedman 1971, A Non-cooperative Equilibrium for Supergames, 10.2307/2296617 (GrimTrigger); Nowak and Sigmund
1993, A Strategy of Win-stay, Lose-shift, 10.1038/364056a0 (Pavlov).
Deviations from the paper: none.

>>> from operant.games import prisoners_dilemma
>>> player = TitForTat()
>>> state = player.init(prisoners_dilemma(), 0, key=jax.random.key(0))
>>> state = player.observe(state, jnp.int32(0), jnp.int32(1), jnp.float32(0.0))
>>> int(player.act(state, key=jax.random.key(0)))
1
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.errors import SpecError
from operant.games import AbstractPlayer
from operant.games.matrix import MatrixGame

_AXELROD = Card("Axelrod 1980, Effective Choice in the Prisoner's Dilemma", "10.1177/002200278002400101", "player")


def _next(game: MatrixGame, who: AbstractPlayer) -> Int[Array, ""]:
    """The memory of a player that remembers only what to do next: cooperation, to begin with."""
    if game.actions != 2:
        raise SpecError(
            f"expected a game of 2 actions for {type(who).__name__}, 0 to cooperate and 1 to defect; this one has "
            f"{game.actions}. Write a player: init, act, observe."
        )
    return jnp.zeros((), jnp.int32)


class AllC(AbstractPlayer):
    """Always cooperates."""

    card: ClassVar[Card] = _AXELROD

    def init(self, game: MatrixGame, role: int, *, key: PRNGKeyArray) -> Int[Array, ""]:
        return _next(game, self)

    def act(self, state: Int[Array, ""], *, key: PRNGKeyArray) -> Int[Array, ""]:
        return state

    def observe(self, state: Array, own: Array, other: Array, payoff: Float[Array, ""]) -> Int[Array, ""]:
        return state


class AllD(AbstractPlayer):
    """Always defects."""

    card: ClassVar[Card] = _AXELROD

    def init(self, game: MatrixGame, role: int, *, key: PRNGKeyArray) -> Int[Array, ""]:
        return _next(game, self) + 1

    def act(self, state: Int[Array, ""], *, key: PRNGKeyArray) -> Int[Array, ""]:
        return state

    def observe(self, state: Array, own: Array, other: Array, payoff: Float[Array, ""]) -> Int[Array, ""]:
        return state


class TitForTat(AbstractPlayer):
    """Cooperates first, then does what the other did last."""

    card: ClassVar[Card] = _AXELROD

    def init(self, game: MatrixGame, role: int, *, key: PRNGKeyArray) -> Int[Array, ""]:
        return _next(game, self)

    def act(self, state: Int[Array, ""], *, key: PRNGKeyArray) -> Int[Array, ""]:
        return state

    def observe(self, state: Array, own: Array, other: Array, payoff: Float[Array, ""]) -> Int[Array, ""]:
        return other


class GrimTrigger(AbstractPlayer):
    """Cooperates until the other defects once, then never again."""

    card: ClassVar[Card] = Card(
        "Friedman 1971, A Non-cooperative Equilibrium for Supergames", "10.2307/2296617", "player"
    )

    def init(self, game: MatrixGame, role: int, *, key: PRNGKeyArray) -> Int[Array, ""]:
        return _next(game, self)

    def act(self, state: Int[Array, ""], *, key: PRNGKeyArray) -> Int[Array, ""]:
        return state

    def observe(self, state: Array, own: Array, other: Array, payoff: Float[Array, ""]) -> Int[Array, ""]:
        return jnp.maximum(state, other)


class Pavlov(AbstractPlayer):
    """Win-stay, lose-shift: repeats what went well (the other cooperated), changes what did not."""

    card: ClassVar[Card] = Card(
        "Nowak and Sigmund 1993, A Strategy of Win-stay, Lose-shift", "10.1038/364056a0", "player"
    )

    def init(self, game: MatrixGame, role: int, *, key: PRNGKeyArray) -> Int[Array, ""]:
        return _next(game, self)

    def act(self, state: Int[Array, ""], *, key: PRNGKeyArray) -> Int[Array, ""]:
        return state

    def observe(self, state: Array, own: Array, other: Array, payoff: Float[Array, ""]) -> Int[Array, ""]:
        return (own != other).astype(jnp.int32)


class Random(AbstractPlayer):
    """Cooperates with probability p, whatever happened."""

    p: float = 0.5
    """Probability of cooperation."""

    card: ClassVar[Card] = _AXELROD

    def __check_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise SpecError(f"expected 0 ≤ Random.p ≤ 1, a probability; got {self.p}.")

    def init(self, game: MatrixGame, role: int, *, key: PRNGKeyArray) -> tuple[()]:
        _next(game, self)
        return ()

    def act(self, state: tuple[()], *, key: PRNGKeyArray) -> Int[Array, ""]:
        return (jax.random.uniform(key) >= self.p).astype(jnp.int32)

    def observe(self, state: tuple[()], own: Array, other: Array, payoff: Float[Array, ""]) -> tuple[()]:
        return state
