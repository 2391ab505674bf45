"""The distance to the k-th nearest remembered state, against brute force; memory stays a uniform sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.rewards.bonuses.state_entropy import StateEntropy
from operant.testing import check_reward, small_spec

SPEC = EnvSpec(Box((2,)), Discrete(2), 100)


def arrivals(x) -> Transition:
    x = jnp.asarray(x, jnp.float32)
    no = jnp.zeros(x.shape[:2], bool)
    return Transition(jnp.zeros_like(x), no.astype(int), jnp.zeros(no.shape), no, no, x, {})


def test_contracts():
    check_reward(StateEntropy(), small_spec())


def test_it_is_the_kth_nearest_distance():
    x = np.random.default_rng(0).normal(size=(10, 3, 2))
    reward = StateEntropy(neighbour=3, memory=30)
    state, _ = reward.update(reward.init(SPEC, key=jax.random.key(0)), arrivals(x), key=jax.random.key(0))
    flat = x.reshape(-1, 2)
    z = (flat - flat.mean(0)) / flat.std(0)
    gaps = np.sort(np.linalg.norm(z[:, None] - z[None], axis=-1), axis=1)  # the nearest is itself
    np.testing.assert_allclose(reward(state, arrivals(x)).ravel(), np.log1p(gaps[:, 2]), rtol=1e-3, atol=2e-3)


def test_nothing_is_new_before_anything_is_remembered():
    reward = StateEntropy()
    state = reward.init(SPEC, key=jax.random.key(0))
    assert (reward(state, arrivals(np.ones((3, 2, 2)))) == 0).all()


def test_what_is_remembered_is_a_uniform_sample():
    reward = StateEntropy(memory=200)
    state = reward.init(SPEC, key=jax.random.key(0))
    for i in range(20):
        x = np.full((50, 2, 2), float(i))
        state, _ = reward.update(state, arrivals(x), key=jax.random.key(i))
    counts = np.bincount(np.asarray(state.remembered)[:, 0].astype(int), minlength=20)
    assert counts.sum() == 200 and counts.min() >= 1 and counts.max() < 30  # 10 each on average


def test_more_neighbours_than_memory_is_refused():
    with pytest.raises(SpecError, match=r"expected 1 ≤ StateEntropy.neighbour ≤ memory = 4; got 5"):
        StateEntropy(neighbour=5, memory=4)
