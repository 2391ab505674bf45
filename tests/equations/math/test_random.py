"""`operant.math.random` against published test vectors, `jax.random` and SciPy's distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from operant.math import random


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # Random123's known answers for threefry2x32, 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_answers(key, counter, expected):
    word = lambda x: jnp.asarray(x, jnp.uint32)
    got = random.threefry2x32(word(key[0]), word(key[1]), word(counter[0]), word(counter[1]))
    assert (int(got[0]), int(got[1])) == expected


@pytest.mark.parametrize(
    "draw",
    [
        lambda k: jax.random.uniform(k, (3, 5)),
        lambda k: jax.random.normal(k),
        lambda k: jax.random.randint(k, (4,), -3, 10),
        lambda k: jax.random.permutation(k, 7),
        lambda k: jax.random.bits(k, (3,), "uint8"),
        lambda k: jax.random.bits(k, (3,), "uint16"),
        lambda k: jax.random.categorical(k, jnp.zeros(4), shape=(6,)),
        lambda k: jax.random.key_data(jax.random.split(k, (3, 2))),
        lambda k: jax.random.key_data(jax.random.fold_in(k, 99)),
        lambda k: jax.vmap(lambda one: jax.random.normal(one, (3,)))(jax.random.split(k, 4)),
    ],
)
def test_unrolled_keys_give_the_numbers_of_jax(draw):
    key = jax.random.key(7)
    np.testing.assert_array_equal(draw(random.unrolled(key)), draw(key))
    np.testing.assert_array_equal(jax.jit(draw)(random.unrolled(key)), draw(key))


def test_unrolled_leaves_other_generators_alone():
    key = jax.random.key(0, impl="rbg")
    assert random.unrolled(key).dtype == key.dtype
    assert random.unrolled(random.unrolled(jax.random.key(0))).dtype == random.unrolled(jax.random.key(0)).dtype


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_derived_in_numpy_are_those_of_jax(impl):
    key = jax.random.key(5, impl=impl)
    data = lambda k: np.asarray(jax.random.key_data(k))
    np.testing.assert_array_equal(data(random.child(key, 2**31)), data(jax.random.fold_in(key, 2**31)))
    np.testing.assert_array_equal(data(random.stack(random.children(key, 4))), data(jax.random.split(key, 4)))


def test_shuffles_are_permutations_evenly_spread():
    orders = np.asarray(random.shuffles(jax.random.key(0), 4000, 5))
    assert (np.sort(orders, axis=1) == np.arange(5)).all()
    counts = np.array([np.bincount(orders[:, place], minlength=5) for place in range(5)])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_integers_cover_their_range_evenly():
    x = np.asarray(random.integers(jax.random.key(0), (7, 1001), 5))
    assert set(x.ravel()) == set(range(5))
    assert stats.chisquare(np.bincount(x.ravel())).pvalue > 1e-3
    assert int(random.integers(jax.random.key(0), (3,), jnp.int32(0)).max()) == 0
