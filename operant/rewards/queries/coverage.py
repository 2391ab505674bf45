"""Ask about what is unlike everything asked about in this round: greedy k-centre on the pairs' features.

Begin with a candidate; then, again and again, take the one farthest from all taken: a 2-approximation of the smallest
radius within which k centres cover the candidates.

Reference: Gonzalez 1985, Clustering to minimize the maximum intercluster distance, 10.1016/0304-3975(85)90224-5; in
PEBBLE (Lee, Smith, Abbeel 2021, 2106.05091) as coverage sampling.

>>> features = jnp.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
>>> sorted(Coverage().choose(jnp.zeros((1, 5)), features, 3, key=jax.random.key(0)).tolist())
[0, 2, 4]
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.rewards.queries import AbstractQuery


class Coverage(AbstractQuery):
    """Pairs far from each other."""

    candidates: int = 10
    """Candidates drawn for each pair that is asked about."""

    card: ClassVar[Card] = Card("Lee, Smith and Abbeel 2021, PEBBLE", "2106.05091", "preference-learning")

    def choose(
        self, belief: Float[Array, "members m"], features: Float[Array, "m d"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, " n"]:
        distance = lambda i: jnp.square(features - features[i][None]).sum(-1)

        def take(nearest: Array, _: None) -> tuple[Array, Array]:
            i = jnp.argmax(nearest)
            return jnp.minimum(nearest, distance(i)).at[i].set(-1.0), i

        start = distance(0).at[0].set(-1.0)
        _, others = jax.lax.scan(take, start, length=n - 1)
        return jnp.concatenate([jnp.zeros(1, others.dtype), others])
