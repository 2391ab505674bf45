"""A logarithm for numbers of either sign: a line near 0, a logarithm far out, so that run-aways do not set the scale.

    symlog(x) = sign(x) log(1 + |x|)

Reference: Hafner, Pasukonis, Ba, Lillicrap 2023, Mastering Diverse Domains through World Models, 2301.04104, section 3.

>>> [round(float(x), 2) for x in symlog(jnp.array([-500.0, -0.1, 0.0, 2.4]))]
[-6.22, -0.1, 0.0, 1.22]
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def symlog(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))
