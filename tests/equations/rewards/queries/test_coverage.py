"""Coverage is greedy k-centre: its radius is at most twice the best."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from operant.rewards.queries import Coverage


def test_its_radius_is_within_twice_the_best():
    x = np.random.default_rng(0).normal(size=(12, 2))
    gaps = np.linalg.norm(x[:, None] - x[None], axis=-1)
    radius = lambda centres: gaps[:, list(centres)].min(1).max()
    chosen = Coverage().choose(jnp.zeros((1, 12)), jnp.asarray(x, jnp.float32), 3, key=jax.random.key(0)).tolist()
    assert len(set(chosen)) == 3
    assert radius(chosen) <= 2 * min(radius(c) for c in itertools.combinations(range(12), 3))
