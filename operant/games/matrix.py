"""Two-player games in normal form, played again and again, and the classics by name.

    row plays i, column plays j:  row is paid payoffs[i, j, 0], column payoffs[i, j, 1]

With noise ε each chosen action is replaced, with probability ε, by another one, drawn evenly (a trembling hand).

Reference: von Neumann and Morgenstern 1944, Theory of Games and Economic Behavior, 10.1515/9781400829460; noise:
Axelrod and Dion 1988, The Further Evolution of Cooperation, 10.1126/science.242.4884.1385.
Deviations from the paper: none.

>>> game = prisoners_dilemma()
>>> game.actions, game.pay(jnp.int32(0), jnp.int32(1)).tolist()
(2, [0.0, 5.0])
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.errors import SpecError


class MatrixGame(eqx.Module):
    """A game of two players with the same number A of actions (see the module's docstring)."""

    payoffs: Float[Array, "A A 2"]
    """What row and column are paid, by row's action and column's (payoff units a round)."""
    noise: float = 0.0
    """ε: probability that an action is replaced by another one."""
    cooperate: int | None = 0
    """Which action is cooperation; none: there is no such thing in this game."""

    card: ClassVar[Card] = Card(
        "von Neumann and Morgenstern 1944, Theory of Games and Economic Behavior", "10.1515/9781400829460", "game"
    )

    def __check_init__(self) -> None:
        shape = np.shape(self.payoffs)
        if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 2 or shape[0] < 2:
            raise SpecError(
                f"expected MatrixGame.payoffs of shape (A, A, 2) with A ≥ 2; got {shape}. Stack row's and column's "
                "payoff matrices on the last axis."
            )
        if not np.isfinite(np.asarray(self.payoffs)).all():
            raise SpecError("expected finite MatrixGame.payoffs; got NaN or infinity. A large number says it as well.")
        if not 0 <= self.noise <= 1:
            raise SpecError(f"expected 0 ≤ MatrixGame.noise ≤ 1, a probability; got {self.noise}.")
        if self.cooperate is not None and not 0 <= self.cooperate < shape[0]:
            raise SpecError(
                f"expected MatrixGame.cooperate in 0 … {shape[0] - 1}, or None; got {self.cooperate}. Name an action."
            )

    @property
    def actions(self) -> int:
        """A."""
        return self.payoffs.shape[0]

    def pay(self, row: Int[Array, ""], column: Int[Array, ""]) -> Float[Array, " 2"]:
        """Row's and column's payoff of one round."""
        return jnp.asarray(self.payoffs, jnp.float32)[row, column]

    def tremble(self, action: Int[Array, ""], *, key: PRNGKeyArray) -> Int[Array, ""]:
        """The action that takes place."""
        slip_key, other_key = jax.random.split(key)
        other = (action + jax.random.randint(other_key, (), 1, self.actions)) % self.actions
        return jnp.where(jax.random.uniform(slip_key) < self.noise, other, action).astype(jnp.int32)


def _symmetric(row: list[list[float]], noise: float) -> MatrixGame:
    """Both are paid by the same matrix (own action, other's)."""
    own = np.asarray(row, np.float32)
    return MatrixGame(jax.device_put(np.stack([own, own.T], -1)), noise)


def prisoners_dilemma(
    temptation: float = 5.0, reward: float = 3.0, punishment: float = 1.0, sucker: float = 0.0, *, noise: float = 0.0
) -> MatrixGame:
    """The prisoner's dilemma; 0 cooperates, 1 defects. Source: Axelrod 1980, 10.1177/002200278002400101.

    Raises SpecError unless T > R > P > S and 2R > T + S.
    """
    if not (temptation > reward > punishment > sucker and 2 * reward > temptation + sucker):
        raise SpecError(
            f"expected temptation > reward > punishment > sucker and 2·reward > temptation + sucker; got {temptation}, "
            f"{reward}, {punishment}, {sucker}. Other numbers make another game: use MatrixGame."
        )
    return _symmetric([[reward, sucker], [temptation, punishment]], noise)


def stag_hunt(stag: float = 4.0, hare: float = 3.0, alone: float = 0.0, *, noise: float = 0.0) -> MatrixGame:
    """The stag hunt; 0 hunts the stag, which takes two, 1 the hare. Source: Skyrms 2004, The Stag Hunt and the
    Evolution of Social Structure, 10.1017/CBO9781139165228.

    Raises SpecError unless stag > hare > alone.
    """
    if not stag > hare > alone:
        raise SpecError(f"expected stag > hare > alone; got {stag}, {hare}, {alone}. For another game use MatrixGame.")
    return _symmetric([[stag, alone], [hare, hare]], noise)


def chicken(
    win: float = 1.0, tie: float = 0.0, lose: float = -1.0, crash: float = -10.0, *, noise: float = 0.0
) -> MatrixGame:
    """Chicken; 0 swerves, 1 drives on. Source: Rapoport and Chammah 1966, 10.1177/000276426601000303.

    Raises SpecError unless win > tie > lose > crash.
    """
    if not win > tie > lose > crash:
        raise SpecError(
            f"expected win > tie > lose > crash; got {win}, {tie}, {lose}, {crash}. For another game use MatrixGame."
        )
    return _symmetric([[tie, lose], [win, crash]], noise)


def matching_pennies(stake: float = 1.0, *, noise: float = 0.0) -> MatrixGame:
    """Matching pennies; row wins where both show the same side, column where not. Zero-sum, no cooperation. Source: von
    Neumann and Morgenstern 1944, section 14.

    Raises SpecError unless stake > 0.
    """
    if not stake > 0:
        raise SpecError(f"expected stake > 0; got {stake}.")
    row = stake * np.array([[1, -1], [-1, 1]], np.float32)
    return MatrixGame(jax.device_put(np.stack([row, -row], -1)), noise, None)
