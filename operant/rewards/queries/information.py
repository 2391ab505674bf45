"""Ask what teaches most: the expected information of the answer about which member of the ensemble is right.

    I = H(E_member[p]) − E_member[H(p)]

Large where members are each sure of different answers; small where all are equally unsure, which no answer mends.

Reference: Houlsby, Huszár, Ghahramani, Lengyel 2011, Bayesian Active Learning for Classification and Preference
Learning, 1112.5745; for rewards Bıyık, Palan, Landolfi, Losey, Sadigh 2019, 1910.04365.

>>> import jax.numpy as jnp
>>> belief = jnp.array([[0.5, 0.1, 0.9], [0.5, 0.9, 0.8]])
>>> Information().choose(belief, jnp.zeros((3, 1)), 1, key=jax.random.key(0)).tolist()
[1]
"""

from typing import ClassVar

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import Card
from operant.rewards.queries import AbstractQuery
from operant.rewards.queries.entropy import binary_entropy


class Information(AbstractQuery):
    """The pairs whose answer tells the members apart."""

    candidates: int = 10
    """Candidates drawn for each pair that is asked about."""

    card: ClassVar[Card] = Card(
        "Bıyık et al. 2019, Asking Easy Questions: A User-Friendly Approach to Active Reward Learning",
        "1910.04365",
        "preference-learning",
    )

    def choose(
        self, belief: Float[Array, "members m"], features: Float[Array, "m d"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, " n"]:
        return jax.lax.top_k(binary_entropy(belief.mean(0)) - binary_entropy(belief).mean(0), n)[1]
