"""Ask about any pair: the baseline that every clever query must beat.

>>> import jax
>>> Uniform().choose(jax.numpy.zeros((3, 5)), jax.numpy.zeros((5, 2)), 2, key=jax.random.key(0)).tolist()
[0, 1]
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.rewards.queries import AbstractQuery


class Uniform(AbstractQuery):
    """The first candidates, which were drawn uniformly."""

    candidates: int = 1
    """Candidates drawn for each pair that is asked about."""

    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
    )

    def choose(
        self, belief: Float[Array, "members m"], features: Float[Array, "m d"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, " n"]:
        return jnp.arange(n)
