"""`search`: equal to the same steps one by one; better with time; clear where it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.archives import Grid
from operant.core import Status
from operant.emitters import Gaussian
from operant.errors import SpecError
from operant.loops.search import search

KEY = jax.random.key(0)
GRID = Grid((10, 10), low=(-2.0, -2.0), high=(2.0, 2.0), worst=-40.0)
EMITTER = Gaussian(jnp.zeros(5), start_scale=0.3, iso=0.2, batch=32, initial=64)


def sphere(x, key):
    return -jnp.square(x).sum(), x[:2]


@pytest.fixture(scope="module")
def run():
    return search(EMITTER, GRID, sphere, steps=32 * 60 - 5, key=KEY)


def test_equals_the_steps_one_by_one():
    run = search(EMITTER, GRID, sphere, steps=96, key=KEY)
    start_key, run_key = jax.random.split(KEY)
    state, best = EMITTER.init(key=start_key), {}
    elites = GRID.init(EMITTER.example())
    for i in range(3):
        ask_key, _ = jax.random.split(jax.random.fold_in(run_key, i))
        x, state = EMITTER.ask(state, elites, key=ask_key)
        for row in np.asarray(x):  # the archive by hand
            c = np.clip(np.floor((row[:2] + 2) / 0.4), 0, 9).astype(int)
            f = -np.square(row).sum()
            if f > best.get(tuple(c), -np.inf):
                best[tuple(c)] = f
        elites, _ = GRID.insert(elites, x, -jnp.square(x).sum(1), x[:, :2])
    assert run.evaluations.tolist() == [32, 64, 96]
    np.testing.assert_allclose(run.elites.solutions, elites.solutions, rtol=1e-5, atol=1e-6)
    found = {divmod(int(c), 10): float(run.elites.fitness[c]) for c in np.flatnonzero(run.elites.occupied)}
    assert found.keys() == best.keys()
    np.testing.assert_allclose([found[c] for c in best], list(best.values()), rtol=1e-4)


def test_coverage_and_qd_score_grow(run):
    coverage, score = run.metrics["archive/coverage"], run.metrics["archive/qd_score"]
    assert (np.diff(coverage) >= 0).all() and (np.diff(score) >= -1e-2).all()
    assert coverage[-1] > 2 * coverage[1] and score[-1] > 2 * score[1]
    assert run.coverage == pytest.approx(coverage[-1]) and run.qd_score == pytest.approx(score[-1], rel=1e-5)
    assert run.evaluations[-1] == 32 * 60 and run.status == Status.done
    np.testing.assert_allclose(-np.square(run.best()).sum(), run.metrics["archive/best"][-1], rtol=1e-4)


def test_non_finite_evaluations_are_refused():
    bad = lambda x, key: (jnp.where(x[0] > 0, jnp.nan, 1.0), x[:2])
    run = search(EMITTER, GRID, bad, steps=64, key=KEY)
    assert np.isfinite(run.metrics["archive/qd_score"]).all()
    assert (np.asarray(run.elites.solutions)[np.asarray(run.elites.occupied), 0] <= 0).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"steps": 0}, "expected steps to be a whole number ≥ 1; got 0"),
        ({"emitter": GRID}, "expected emitter to be an AbstractEmitter; got Grid"),
        ({"evaluate": 3}, "expected evaluate\\(solution, key\\) -> \\(fitness, descriptor\\); got int"),
        (
            {"evaluate": lambda x, k: (x.sum(), x)},
            "descriptor \\(2,\\)\\) of one solution.*got shapes \\(\\(\\), \\(5,\\)\\)",
        ),
        (
            {"evaluate": lambda x, k: (jnp.int32(0), x[:2])},
            "expected floats from evaluate; got \\['int32', 'float32'\\]",
        ),
    ],
)
def test_refusals(change, text):
    given = {"emitter": EMITTER, "archive": GRID, "evaluate": sphere, "steps": 32} | change
    with pytest.raises(SpecError, match=text):
        search(given.pop("emitter"), given.pop("archive"), given.pop("evaluate"), **given, key=KEY)
