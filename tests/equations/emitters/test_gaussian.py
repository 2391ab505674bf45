"""Gaussian variation against its equation's moments, and its bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.archives import Grid
from operant.emitters import Gaussian
from operant.errors import SpecError

GRID = Grid((2,), (0.0,), (1.0,))
TWO = GRID.insert(
    GRID.init(jnp.zeros(2)), jnp.array([[0.0, 0.0], [10.0, 0.0]]), jnp.zeros(2), jnp.array([[0.1], [0.9]])
)[0]


def ask(emitter, asked, elites=TWO):
    return np.asarray(emitter.ask(jnp.int32(asked), elites, key=jax.random.key(0))[0])


def test_first_solutions_are_around_the_start():
    emitter = Gaussian(jnp.array([3.0, -1.0]), start_scale=0.5, batch=4000, initial=8000)
    for x in (ask(emitter, 4000), ask(emitter, 9000, GRID.init(jnp.zeros(2)))):  # an empty archive has nothing to vary
        np.testing.assert_allclose(x.mean(0), [3.0, -1.0], atol=0.05)
        np.testing.assert_allclose(x.std(0), 0.5, atol=0.03)


def test_variation_has_the_published_moments():
    x = ask(Gaussian(jnp.zeros(2), iso=0.1, line=0.0, batch=4000, initial=1), 1)
    from_first = x[x[:, 0] < 5]
    assert 0.45 < len(from_first) / 4000 < 0.55
    np.testing.assert_allclose(from_first.std(0), 0.1, atol=0.01)
    x = ask(Gaussian(jnp.zeros(2), iso=0.0, line=0.2, batch=4000, initial=1), 1)
    assert np.abs(x[:, 1]).max() == 0  # the line between the two elites lies in the first coordinate
    moved = np.minimum(np.abs(x[:, 0]), np.abs(x[:, 0] - 10))
    assert 0.45 < (moved == 0).mean() < 0.55  # half the partners are the elite itself
    started = np.where(np.abs(x[:, 0]) < np.abs(x[:, 0] - 10), 0, 10)[moved > 0]
    np.testing.assert_allclose((x[:, 0][moved > 0] - started).std(), 0.2 * 10, atol=0.2)


def test_solutions_are_pytrees_inside_bounds():
    emitter = Gaussian({"w": jnp.zeros((2, 3)), "b": jnp.zeros(2)}, start_scale=5.0, batch=7, low=-1.0, high=0.5)
    solutions, asked = emitter.ask(emitter.init(key=jax.random.key(0)), GRID.init(emitter.start), key=jax.random.key(1))
    assert {name: x.shape for name, x in solutions.items()} == {"w": (7, 2, 3), "b": (7, 2)} and int(asked) == 7
    assert (
        min(float(x.min()) for x in solutions.values()) == -1 and max(float(x.max()) for x in solutions.values()) == 0.5
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"batch": 0}, "expected Gaussian.batch ≥ 1; got 0"),
        ({"low": 1.0, "high": 0.0}, "expected Gaussian.low < high"),
        ({"start": jnp.zeros(2, jnp.int32)}, "pytree of float arrays; got leaves of \\['i'\\]"),
    ],
)
def test_refusals(fields, text):
    with pytest.raises(SpecError, match=text):
        Gaussian(**({"start": jnp.zeros(2)} | fields))
