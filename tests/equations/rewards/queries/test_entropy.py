"""Entropy ranks by how open the mean belief is."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from operant.rewards.queries import Entropy
from operant.rewards.queries.entropy import binary_entropy


def test_entropy_is_scipys():
    p = np.linspace(0, 1, 11)
    expected = [stats.bernoulli(q).entropy() for q in p]
    np.testing.assert_allclose(binary_entropy(jnp.asarray(p, jnp.float32)), expected, atol=1e-6)


def test_it_ranks_by_entropy_of_the_mean():
    belief = np.random.default_rng(0).uniform(size=(5, 40))
    got = Entropy().choose(jnp.asarray(belief, jnp.float32), jnp.zeros((40, 1)), 7, key=jax.random.key(0))
    assert got.tolist() == np.argsort(np.abs(belief.mean(0) - 0.5))[:7].tolist()
