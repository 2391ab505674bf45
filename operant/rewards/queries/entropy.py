"""Ask where the answer is most open: the largest entropy of the ensemble's mean belief.

Reference: Lee, Smith, Abbeel 2021, PEBBLE: Feedback-Efficient Interactive Reinforcement Learning via Relabeling
Experience and Unsupervised Pre-training, 2106.05091.

>>> import jax.numpy as jnp
>>> belief = jnp.array([[0.5, 0.1, 0.9], [0.5, 0.9, 0.8]])
>>> Entropy().choose(belief, jnp.zeros((3, 1)), 2, key=jax.random.key(0)).tolist()
[0, 1]
"""

from typing import ClassVar

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.rewards.queries import AbstractQuery


def binary_entropy(p: Float[Array, "..."]) -> Float[Array, "..."]:
    """−p log p − (1 − p) log(1 − p) (nats); 0 where p is 0 or 1.

    >>> round(float(binary_entropy(0.5)), 3)
    0.693
    """
    return jax.scipy.special.entr(p) + jax.scipy.special.entr(1.0 - p)


class Entropy(AbstractQuery):
    """The pairs that the ensemble as a whole is least sure of."""

    candidates: int = 10
    """Candidates drawn for each pair that is asked about."""

    card: ClassVar[Card] = Card("Lee, Smith and Abbeel 2021, PEBBLE", "2106.05091", "preference-learning")

    def choose(
        self, belief: Float[Array, "members m"], features: Float[Array, "m d"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, " n"]:
        return jax.lax.top_k(binary_entropy(belief.mean(0)), n)[1]
