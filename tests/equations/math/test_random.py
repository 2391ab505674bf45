"""`operant.math.random` against published test vectors and SciPy's distributions."""

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


def test_uniforms_and_normals_are_distributed_as_named():
    key = jax.random.key(3)
    u = np.asarray(random.uniform(key, (20_000,)))
    z = np.asarray(random.normal(jax.random.key(4), (200, 100))).ravel()
    assert u.min() > 0 and u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 0.03


def test_integers_cover_their_range_evenly_and_odd_sizes_fill():
    x = np.asarray(random.integers(jax.random.key(0), (7, 1001), 5))
    assert set(x.ravel()) == set(range(5))
    assert stats.chisquare(np.bincount(x.ravel())).pvalue > 1e-3
    assert int(random.integers(jax.random.key(0), (3,), jnp.int32(0)).max()) == 0


def test_keys_decide():
    draw = lambda i: np.asarray(random.bits(jax.random.key(i), (9,)))
    np.testing.assert_array_equal(draw(0), draw(0))
    assert (draw(0) != draw(1)).all()
    keys = jax.random.split(jax.random.key(0), 3)
    batched = jax.vmap(lambda k: random.normal(k, (4,)))(keys)
    np.testing.assert_array_equal(batched[2], random.normal(keys[2], (4,)))
