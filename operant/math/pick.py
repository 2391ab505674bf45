"""Uniform draws among the true entries of a mask, without a loop and without a shape that depends on the mask.

With c the running count of true entries, u ~ U{0, …, c_M − 1} picks the first i with c_i > u.

Reference: Devroye 1986, Non-Uniform Random Variate Generation, section III.2 (inversion by search).

>>> import jax
>>> set(pick(jax.random.key(0), jnp.array([False, True, False, True]), 50).tolist())
{1, 3}
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from operant.math import random


def pick(key: PRNGKeyArray, mask: Bool[Array, " M"], n: int) -> Int[Array, " n"]:
    """`n` indices of true entries, uniformly and with replacement; 0 throughout where none is true."""
    count = jnp.cumsum(mask.astype(jnp.int32))
    index = jnp.searchsorted(count, random.integers(key, (n,), count[-1]), side="right")
    return jnp.where(count[-1] > 0, index, 0).astype(jnp.int32)
