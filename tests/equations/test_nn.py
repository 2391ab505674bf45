"""Encoders: what each kind of observation becomes."""

import jax.numpy as jnp
import numpy as np
import pytest

from operant import nn
from operant.core import Box


@pytest.mark.parametrize(
    ("shape", "high", "size"),
    [((12, 10, 3), 255, 128), ((12, 10), 255, 128), ((4, 4), 3, 16), ((2, 3, 4, 5), 255, 120)],
)
def test_bytes_become_small_numbers_whatever_their_axes(shape, high, size):
    encoder = nn.encoder(np.random.default_rng(0), Box(shape, 0, high, "uint8"))
    out = encoder(jnp.full(shape, high, jnp.uint8))
    assert out.shape == (size,) == (encoder.size,) and float(jnp.abs(out).max()) < 5.0


def test_a_grey_image_is_seen_as_one_of_one_channel():
    grey, colour = (nn.encoder(np.random.default_rng(0), Box(s, 0, 255, "uint8")) for s in ((12, 10), (12, 10, 1)))
    image = np.random.default_rng(1).integers(0, 256, (12, 10), np.uint8)
    np.testing.assert_array_equal(grey(image), colour(image[..., None]))
