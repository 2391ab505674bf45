"""r' = factor · r + offset, by hand."""

import jax
import jax.numpy as jnp

from operant.core import Transition
from operant.rewards import Scale, Task

ZERO, NO = jnp.zeros(3), jnp.zeros(3, bool)
BATCH = Transition(ZERO, ZERO, jnp.array([1.0, -2.0, 0.5]), NO, NO, ZERO, {})


def test_multiplies_then_adds():
    assert Scale(Task(), -2.0, 0.5)((), BATCH).tolist() == [-1.5, 4.5, -0.5]


def test_factors_sweep_under_vmap():
    swept = jax.vmap(lambda factor: Scale(Task(), factor)((), BATCH))(jnp.array([1.0, 3.0]))
    assert swept.tolist() == [[1.0, -2.0, 0.5], [3.0, -6.0, 1.5]]
