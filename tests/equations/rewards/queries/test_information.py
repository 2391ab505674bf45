"""Information ranks by H(E[p]) − E[H(p)]: sure and opposed beats unsure together."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import entr

from operant.rewards.queries import Entropy, Information


def test_it_ranks_by_mutual_information():
    belief = np.random.default_rng(0).uniform(size=(5, 40))
    h = lambda p: entr(p) + entr(1 - p)
    expected = np.argsort(-(h(belief.mean(0)) - h(belief).mean(0)))[:7]
    got = Information().choose(jnp.asarray(belief, jnp.float32), jnp.zeros((40, 1)), 7, key=jax.random.key(0))
    assert got.tolist() == expected.tolist()


def test_it_leaves_alone_what_no_answer_settles():
    belief = jnp.array([[0.5, 0.02], [0.5, 0.9]])  # all unsure; two that are sure of opposite answers
    choose = lambda query: query.choose(belief, jnp.zeros((2, 1)), 1, key=jax.random.key(0)).tolist()
    assert choose(Information()) == [1] and choose(Entropy()) == [0]
