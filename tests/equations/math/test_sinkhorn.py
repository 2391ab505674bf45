"""Sinkhorn's plan against an exact linear program and against its own optimality conditions."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from operant.math.sinkhorn import distances, sinkhorn

RNG = np.random.default_rng(0)


def exact(cost, a, b):
    """⟨P, C⟩ of the cheapest plan, by SciPy's linear program."""
    n, m = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones((1, m))), np.kron(np.ones((1, n)), np.eye(m))
    found = scipy.optimize.linprog(cost.ravel(), A_eq=np.r_[rows, columns], b_eq=np.r_[a, b], method="highs")
    return found.fun


@pytest.mark.parametrize("shape", [(6, 6), (5, 8)])
def test_small_epsilon_costs_what_the_linear_program_does(shape):
    n, m = shape
    cost = RNG.random(shape).astype(np.float32)
    a, b = RNG.dirichlet(np.ones(n)), RNG.dirichlet(np.ones(m))
    plan = np.asarray(sinkhorn(jnp.asarray(cost), jnp.float32(a), jnp.float32(b), epsilon=2e-3, iterations=5000))
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-4)
    np.testing.assert_allclose(plan.sum(1), a, atol=2e-3)
    np.testing.assert_allclose((plan * cost).sum(), exact(cost, a, b), atol=5e-3)


def test_the_plan_is_the_smoothed_optimum():
    """−ε log P_ij + f_i + g_j = C_ij: log P is the cost up to a number a row and a number a column."""
    cost = RNG.random((4, 5)).astype(np.float32)
    plan = np.asarray(sinkhorn(jnp.asarray(cost), epsilon=0.2, iterations=500))
    rest = 0.2 * np.log(plan) + cost
    rest -= rest[:1]
    np.testing.assert_allclose(rest, np.broadcast_to(rest[:, :1], rest.shape), atol=1e-5)
    np.testing.assert_allclose(plan.sum(1), np.full(4, 0.25), atol=1e-5)


def test_points_of_weight_zero_are_left_out():
    cost = RNG.random((3, 4)).astype(np.float32)
    b = jnp.array([0.5, 0.5, 0.0, 0.0])
    plan = sinkhorn(jnp.asarray(cost), b=b, epsilon=0.1)
    np.testing.assert_array_equal(plan[:, 2:], 0.0)
    np.testing.assert_allclose(plan[:, :2], sinkhorn(jnp.asarray(cost[:, :2]), epsilon=0.1), atol=1e-6)


def test_nothing_underflows():
    plan = sinkhorn(jnp.asarray(1e3 * RNG.random((6, 6)).astype(np.float32)), epsilon=0.1, iterations=300)
    assert np.isfinite(np.asarray(plan)).all()
    np.testing.assert_allclose(plan.sum(), 1.0, atol=1e-4)


def test_distances():
    x, y = RNG.standard_normal((3, 4)).astype(np.float32), RNG.standard_normal((5, 4)).astype(np.float32)
    cosine = 1 - (x @ y.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    np.testing.assert_allclose(distances(x, y, "cosine"), cosine, atol=1e-6)
    np.testing.assert_allclose(distances(x, y), np.linalg.norm(x[:, None] - y[None], axis=-1), rtol=1e-5)
    np.testing.assert_allclose(distances(jnp.zeros((3, 4)), y, "cosine"), 1.0)  # no direction: a right angle
