"""Ask where the ensemble disagrees most: the largest variance over members of P(right better).

Reference: Christiano, Leike, Brown, Martic, Legg, Amodei 2017, Deep Reinforcement Learning from Human Preferences,
1706.03741, section 2.2.4.

>>> belief = jnp.array([[0.5, 0.1, 0.9], [0.5, 0.9, 0.8]])
>>> Disagreement().choose(belief, jnp.zeros((3, 1)), 1, key=jax.random.key(0)).tolist()
[1]
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.rewards.queries import AbstractQuery


class Disagreement(AbstractQuery):
    """The pairs whose answer the members predict most differently."""

    candidates: int = 10
    """Candidates drawn for each pair that is asked about."""

    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
    )

    def choose(
        self, belief: Float[Array, "members m"], features: Float[Array, "m d"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, " n"]:
        return jax.lax.top_k(jnp.var(belief, axis=0), n)[1]
