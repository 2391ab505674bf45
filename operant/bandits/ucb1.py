"""UCB1: pull the arm that could be the best, given what is known.

    a = argmax_k  x̄_k + √(c ln n / n_k)      after each arm was pulled once; n = Σ n_k

Reference: Auer, Cesa-Bianchi and Fischer 2002, Finite-time Analysis of the Multiarmed Bandit Problem,
10.1023/A:1013689704352, figure 1.
Deviations from the paper: none; ties go to the lowest arm.

>>> import jax
>>> bandit = UCB1(3)
>>> state = bandit.learn(bandit.init(), jnp.int32(0), jnp.float32(1.0))
>>> int(bandit.choose(state, key=jax.random.key(0)))
1
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from operant.bandits import AbstractBandit, Arms
from operant.core import Card


class UCB1(AbstractBandit):
    """Upper confidence bounds (see the module's docstring)."""

    arms: int
    """K: arms to choose among."""
    exploration: float = 2.0
    """c: how wide the bounds are; 2 is the paper's, for rewards in [0, 1]."""

    card: ClassVar[Card] = Card(
        "Auer et al. 2002, Finite-time Analysis of the Multiarmed Bandit Problem", "10.1023/A:1013689704352", "bandit"
    )

    def choose(self, state: Arms, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """The arm of the highest bound; `key` is unread."""
        n = jnp.maximum(state.pulls, 1.0)
        bound = state.total / n + jnp.sqrt(self.exploration * jnp.log(jnp.maximum(state.pulls.sum(), 1.0)) / n)
        return jnp.argmax(jnp.where(state.pulls == 0, jnp.inf, bound)).astype(jnp.int32)
