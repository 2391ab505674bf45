"""Schedules at hand-computed points."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.math.schedules import Constant, Linear


def test_constant_and_linear_values():
    t = jnp.array([0, 25, 100, 1_000_000])
    np.testing.assert_allclose(jax.vmap(Linear(1.0, 0.2, 100))(t), [1.0, 0.8, 0.2, 0.2], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(Linear(0.0, 3.0, 50))(t), [0.0, 1.5, 3.0, 3.0], rtol=1e-6)
    assert jax.vmap(Constant(2.5))(t).tolist() == [2.5] * 4


def test_fields_can_be_arrays():
    many = Linear(jnp.array([1.0, 2.0]), 0.0, 10.0)
    np.testing.assert_allclose(jax.vmap(lambda s: s(5), in_axes=(Linear(0, None, None),))(many), [0.5, 1.0])
