"""Disagreement ranks by the variance of the members' beliefs."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.rewards.queries import Disagreement


def test_it_ranks_by_variance():
    belief = np.random.default_rng(0).uniform(size=(5, 40))
    got = Disagreement().choose(jnp.asarray(belief, jnp.float32), jnp.zeros((40, 1)), 7, key=jax.random.key(0))
    assert got.tolist() == np.argsort(-belief.var(0))[:7].tolist()
