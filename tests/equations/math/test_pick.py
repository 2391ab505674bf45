"""Draws from a mask against the share each true entry should have."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.math.pick import pick


def test_true_entries_are_drawn_evenly_and_no_other():
    mask = jnp.array([True, False, False, True, False, True, True, False])
    drawn = np.bincount(pick(jax.random.key(0), mask, 8000), minlength=8) / 8000
    np.testing.assert_allclose(drawn, np.asarray(mask) / 4, atol=0.02)
    assert (pick(jax.random.key(0), jnp.zeros(3, bool), 5) == 0).all()
