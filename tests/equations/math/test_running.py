"""Moments merged batch by batch against NumPy's over everything at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.errors import DataError
from operant.math.running import Moments

RNG = np.random.default_rng(0)


def close(a, b, tol=1e-5):
    np.testing.assert_allclose(np.asarray(a), b, rtol=tol, atol=tol)


def same(m, x):
    close(m.mean, x.mean(0))
    close(m.variance, x.var(0))
    assert float(m.count) == len(x)


def test_batches_of_any_size_merge_to_the_whole():
    x = (RNG.normal(size=(60, 3)) * [1.0, 5.0, 0.1] + [0.0, 10.0, -1.0]).astype(np.float32)
    m = Moments.init((3,))
    for batch in np.split(x, [1, 8, 9, 40]):
        m = m.update(batch)
    same(m, x)


def test_axes_say_which_axes_are_samples():
    x = RNG.normal(size=(4, 3, 5)).astype(np.float32)
    same(Moments.init((3,)).update(x, axes=(0, 2)), x.transpose(0, 2, 1).reshape(20, 3))
    same(Moments.init((3, 5)).update(x), x)
    same(Moments.init((3,)).update(x, axes=(0, -1)), x.transpose(0, 2, 1).reshape(20, 3))
    same(Moments.init().update(x), x.reshape(-1))


def test_weights_mask_samples_even_non_finite_ones():
    x = RNG.normal(size=(4, 6, 2)).astype(np.float32)
    mask = RNG.random((4, 6)) < 0.5
    poisoned = np.where(mask[..., None], x, np.nan).astype(np.float32)
    m = Moments.init((2,)).update(x).update(poisoned, weights=mask)
    same(m, np.concatenate([x.reshape(-1, 2), x[mask]]))
    unchanged = m.update(poisoned, weights=np.zeros((4, 6)))
    assert all(bool((a == b).all()) for a, b in zip(jax.tree.leaves(m), jax.tree.leaves(unchanged), strict=True))
    nothing = Moments.init((2,)).update(poisoned, weights=np.zeros((4, 6)))
    assert nothing.mean.tolist() == [0.0, 0.0]
    assert nothing.variance.tolist() == [1.0, 1.0]
    twice = Moments.init((2,)).update(x, weights=np.full((4, 6), 2.0))
    close(twice.variance, x.reshape(-1, 2).var(0))
    assert float(twice.count) == 48


def test_a_large_mean_does_not_drown_the_variance():
    x = (1000.0 + RNG.normal(size=(50, 1))).astype(np.float32)
    m = Moments.init((1,))
    for batch in np.split(x, 10):
        m = m.update(batch)
    close(m.variance, x.astype(np.float64).var(0), 1e-3)


def test_normalise_centres_scales_and_clips():
    m = Moments(jnp.array([1.0, 0.0]), jnp.array([4.0, 0.0]), jnp.array(5.0))
    close(m.normalise(jnp.array([[3.0, 0.0], [1e9, -1.0]])), [[1.0, 0.0], [10.0, -10.0]])
    close(m.normalise(jnp.array([30.0, 0.0]), clip=2.0), [2.0, 0.0])
    close(m.scale(jnp.array([3.0, 0.0])), [1.5, 0.0])
    close(Moments.init((2,)).normalise(jnp.array([3.0, -50.0])), [3.0, -10.0])


def test_integers_are_read_as_numbers():
    close(Moments.init((2,)).update(np.array([[0, 255], [255, 255]], np.uint8)).mean, [127.5, 255.0])


def test_the_structure_is_stable_under_scan():
    x = RNG.normal(size=(7, 4, 2)).astype(np.float32)
    m, _ = jax.lax.scan(lambda m, b: (m.update(b), None), Moments.init((2,)), jnp.asarray(x))
    same(m, x.reshape(-1, 2))


def test_samples_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"samples of shape \(3,\) .* got \(2,\) from a batch of shape \(4, 2\)"):
        Moments.init((3,)).update(np.zeros((4, 2)))
