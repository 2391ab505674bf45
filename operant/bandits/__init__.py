"""Bandits: which of K arms to pull, where there is no state to speak of.

    choose(state) → arm;   somebody pays a reward in [0, 1];   learn(state, arm, reward) → state

Also what picks emitters, bonus weights and queries while something else learns. All pure: `choose` and `learn` run
inside a compiled loop as well as outside.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.errors import SpecError


class Arms(eqx.Module):
    """What was seen of each arm: enough for every bandit that forgets nothing."""

    pulls: Float[Array, " K"]
    """How often."""
    total: Float[Array, " K"]
    """Sum of rewards."""


class AbstractBandit(eqx.Module):
    """Chooses among `arms`; a final class writes only `choose`."""

    arms: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        if self.arms < 1:
            raise SpecError(f"expected {type(self).__name__}.arms ≥ 1; got {self.arms}. Give it something to choose.")

    def init(self) -> Arms:
        """Nothing pulled yet."""
        return Arms(jnp.zeros(self.arms), jnp.zeros(self.arms))

    @abc.abstractmethod
    def choose(self, state: Arms, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """The arm to pull, 0 … K − 1."""

    def learn(self, state: Arms, arm: Int[Array, ""], reward: Float[Array, ""]) -> Arms:
        """After `arm` paid `reward`, in [0, 1]; what lies outside is clipped."""
        reward = jnp.clip(reward, 0.0, 1.0)
        return Arms(state.pulls.at[arm].add(1.0), state.total.at[arm].add(reward))


from operant.bandits.thompson import Thompson  # noqa: E402  (they derive from what stands above)
from operant.bandits.ucb1 import UCB1  # noqa: E402

__all__ = ["UCB1", "AbstractBandit", "Arms", "Thompson"]
