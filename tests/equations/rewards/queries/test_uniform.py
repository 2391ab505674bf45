"""Uniform takes the first candidates: they were drawn uniformly."""

import jax
import jax.numpy as jnp

from operant.rewards.queries import Uniform


def test_it_takes_as_many_as_asked():
    assert Uniform().choose(jnp.zeros((3, 4)), jnp.zeros((4, 2)), 4, key=jax.random.key(0)).tolist() == [0, 1, 2, 3]
