"""The grid archive against a loop in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.archives import Grid
from operant.errors import SpecError

GRID = Grid((3, 2), low=(0.0, -1.0), high=(1.0, 1.0))


def by_hand(cells, solutions, fitness, descriptor):
    """Insert one by one into a dict, statuses judged against what was there before the batch."""
    before, status = {c: v[1] for c, v in cells.items()}, []
    for x, f, d in zip(solutions, fitness, descriptor, strict=True):
        if not (np.isfinite(f) and np.isfinite(d).all()):
            status.append(0)
            continue
        i = min(max(int(np.floor(3 * d[0])), 0), 2)
        j = min(max(int(np.floor(d[1] + 1)), 0), 1)
        c = 2 * i + j
        status.append(2 if c not in before else int(f > before[c]))
        if c not in cells or f > cells[c][1]:
            cells[c] = (x, f, d)
    return status


def test_insert_equals_a_loop():
    rng = np.random.default_rng(0)
    insert = jax.jit(GRID.insert)
    elites, cells = GRID.init({"x": jnp.zeros(2)}), {}
    for round_ in range(6):
        x = rng.standard_normal((12, 2)).astype(np.float32)
        fitness = rng.integers(-3, 4, 12).astype(np.float32)  # whole numbers: ties happen
        descriptor = rng.uniform(-0.3, 1.3, (12, 2)).astype(np.float32)
        fitness[round_], descriptor[round_ + 1, 0] = np.nan, np.inf
        status = by_hand(cells, x, fitness, descriptor)
        elites, added = insert(elites, {"x": x}, fitness, descriptor)
        assert added.status.tolist() == status
        assert np.isfinite(added.gain).all() and added.gain[round_] == 0 and added.gain[round_ + 1] == 0
        assert np.flatnonzero(elites.occupied).tolist() == sorted(cells)
        for c, (solution, f, d) in cells.items():
            np.testing.assert_array_equal(elites.solutions["x"][c], solution)
            assert float(elites.fitness[c]) == f
            np.testing.assert_array_equal(elites.descriptor[c], d)
    metrics = GRID.metrics(elites)
    assert float(metrics["archive/coverage"]) == pytest.approx(len(cells) / 6)
    assert float(metrics["archive/qd_score"]) == pytest.approx(sum(f for _, f, _ in cells.values()))
    assert float(metrics["archive/best"]) == max(f for _, f, _ in cells.values())
    np.testing.assert_array_equal(elites.best()["x"], elites.solutions["x"][int(np.argmax(elites.fitness))])


def test_gain_is_over_what_was_there():
    grid = Grid((2,), (0.0,), (1.0,), worst=-1.0)
    elites, _ = grid.insert(grid.init(jnp.zeros(1)), jnp.ones((1, 1)), jnp.array([2.0]), jnp.array([[0.1]]))
    elites, added = grid.insert(elites, jnp.zeros((3, 1)), jnp.array([5.0, 1.0, 4.0]), jnp.array([[0.2], [0.3], [0.9]]))
    assert added.gain.tolist() == [3.0, -1.0, 4.0] and added.status.tolist() == [1, 0, 2]
    assert float(grid.metrics(elites)["archive/qd_score"]) == 5.0 + 4.0 + 2 * 1.0


def test_sample_draws_occupied_cells_evenly():
    elites = GRID.init(jnp.zeros(1))
    solutions, descriptor = jnp.array([[1.0], [2.0]]), jnp.array([[0.1, -0.5], [0.9, 0.5]])
    elites, _ = GRID.insert(elites, solutions, jnp.zeros(2), descriptor)
    drawn = np.asarray(elites.sample(jax.random.key(0), 2000))[:, 0]
    assert set(drawn.tolist()) == {1.0, 2.0}
    assert abs((drawn == 1).mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((0,), (0.0,), (1.0,)), "expected Grid.shape to hold cells ≥ 1"),
        (((2, 2), (0.0,), (1.0, 1.0)), "expected Grid.low and Grid.high to have 2 numbers"),
        (((2,), (1.0,), (1.0,)), "expected finite low < high in dimension 0"),
    ],
)
def test_refusals(arguments, text):
    with pytest.raises(SpecError, match=text):
        Grid(*arguments)
