"""Solvers against hand-computed processes of two and three states, Bellman's equations and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.errors import DataError, SpecError
from operant.math.dynamic_programming import (
    backup,
    expected_return,
    greedy,
    iterative_policy_evaluation,
    occupancy_measure,
    policy_evaluation,
    policy_iteration,
    soft_greedy,
    soft_value_iteration,
    value_iteration,
)

RNG = np.random.default_rng(0)
GAMMA = 0.9

# Two states, two actions: stay or switch. Staying in 1 pays 1, all else 0.
STAY_OR_SWITCH = np.stack([np.eye(2), np.eye(2)[::-1]], axis=1)
PAYS = np.zeros((2, 2, 2))
PAYS[1, 0, 1] = 1.0


def garnet(S, A, rng=RNG):
    P = rng.dirichlet(np.ones(S), size=(S, A))
    return P, rng.normal(size=(S, A, S)), rng.dirichlet(np.ones(A), size=S), rng.dirichlet(np.ones(S))


def close(a, b, tol=1e-9):
    np.testing.assert_allclose(np.asarray(a), b, rtol=tol, atol=tol)


def test_two_states_by_hand():
    """V*(1) = 1/(1 − γ) = 10, V*(0) = γ·10 = 9, and Q from them."""
    V, Q, policy, _ = policy_iteration(STAY_OR_SWITCH, PAYS, GAMMA)
    close(V, [9.0, 10.0])
    close(Q, [[8.1, 9.0], [10.0, 8.1]])
    close(policy, [[0.0, 1.0], [1.0, 0.0]])
    found = value_iteration(STAY_OR_SWITCH, PAYS, GAMMA)
    close(found.V, [9.0, 10.0], 1e-5)
    close(found.Q, Q, 1e-5)
    close(greedy(found.Q), policy)
    uniform = np.full((2, 2), 0.5)  # V(1) = 0.5 + 0.45(V0 + V1), V(0) = 0.45(V0 + V1): their sum is 0.5/(1 − 0.9) = 5
    close(policy_evaluation(STAY_OR_SWITCH, PAYS, uniform, GAMMA), [2.25, 2.75])
    close(occupancy_measure(STAY_OR_SWITCH, uniform, [1.0, 0.0], GAMMA), [[2.75, 2.75], [2.25, 2.25]])
    close(expected_return(STAY_OR_SWITCH, PAYS, uniform, [1.0, 0.0], GAMMA), 2.25)


def test_three_states_by_hand():
    """0 → 1 → 2 (absorbing), rewards 1 then 4, moving on only half the time from 1: V(1) = 2 + γ/2·V(1)."""
    P = np.array([[[0.0, 1.0, 0.0]], [[0.0, 0.5, 0.5]], [[0.0, 0.0, 1.0]]])
    R = np.zeros((3, 1, 3))
    R[0, 0, 1], R[1, 0, 2] = 1.0, 4.0
    V1 = 2.0 / (1 - 0.5 * GAMMA)
    only = np.ones((3, 1))
    close(policy_evaluation(P, R, only, GAMMA), [1 + GAMMA * V1, V1, 0.0])
    visits1 = GAMMA / (1 - 0.5 * GAMMA)  # γ Σ (γ/2)ᵏ
    close(occupancy_measure(P, only, [1.0, 0.0, 0.0], GAMMA)[:, 0], [1.0, visits1, 10.0 - 1.0 - visits1])


def test_policy_iteration_satisfies_bellmans_optimality():
    P, R, policy, _ = garnet(9, 4)
    V, Q, best, iterations = policy_iteration(P, R, 0.95)
    close(V, Q.max(1))
    close(Q, backup(P, R, V, 0.95))
    close(V, policy_evaluation(P, R, best, 0.95))
    assert (policy_evaluation(P, R, policy, 0.95) <= V + 1e-9).all()
    assert 1 < iterations < 20
    assert policy_iteration(P, np.zeros_like(R), 0.95)[3] == 1  # nothing but ties: no cycling


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99])
def test_iterations_agree_with_the_exact_solutions(discount):
    P, R, policy, _ = garnet(7, 3)
    V, Q, best, _ = policy_iteration(P, R, discount)
    found = value_iteration(P, R, discount)
    close(found.V, V, 1e-4)
    close(found.Q, Q, 1e-4)
    close(greedy(found.Q), best)
    assert int(found.iterations) < 3000
    assert float(found.residual) <= 1e-6 + 4e-6 * np.abs(V).max()
    close(iterative_policy_evaluation(P, R, policy, discount).V, policy_evaluation(P, R, policy, discount), 1e-4)


def test_the_tolerance_bounds_the_error_and_iterations_can_be_limited():
    P, R, _, _ = garnet(7, 3)
    V = policy_iteration(P, R, GAMMA)[0]
    loose = value_iteration(P, R, GAMMA, tolerance=0.1)
    assert np.abs(loose.V - V).max() <= float(loose.residual) * GAMMA / (1 - GAMMA) + 1e-5
    assert int(loose.iterations) < int(value_iteration(P, R, GAMMA).iterations)
    assert int(value_iteration(P, R, GAMMA, max_iterations=3).iterations) == 3


def test_soft_values_by_hand():
    """One state, two actions paying 0 and 1: V = log(1 + e) + γV at τ = 1."""
    P, R = np.ones((1, 2, 1)), np.array([[[0.0], [1.0]]])
    found = soft_value_iteration(P, R, 0.5, 1.0)
    close(found.V, [2 * np.log(1 + np.e)], 1e-5)
    close(soft_greedy(found.Q, 1.0), [[1 / (1 + np.e), np.e / (1 + np.e)]], 1e-5)
    close(soft_greedy(np.asarray(found.Q), 1.0), soft_greedy(found.Q, 1.0), 1e-6)


def test_soft_values_are_those_of_their_policy_with_entropy():
    """V_soft = E[Σ γᵗ (r + τ H(π))] of π ∝ exp(Q/τ), by an exact solve with the entropy as reward."""
    P, R, _, _ = garnet(6, 3)
    found = soft_value_iteration(P, R, GAMMA, 0.5)
    policy = np.asarray(soft_greedy(found.Q, 0.5), np.float64)
    policy /= policy.sum(1, keepdims=True)
    bonus = 0.5 * -(policy * np.log(policy)).sum(1)
    close(found.V, policy_evaluation(P, R + bonus[:, None, None], policy, GAMMA), 1e-4)


def test_soft_values_tend_to_the_optimal_ones_and_stay_above():
    P, R, _, _ = garnet(6, 3)
    V = policy_iteration(P, R, GAMMA)[0]
    gaps = []
    solve = jax.vmap(lambda t: soft_value_iteration(P, R, GAMMA, t).V)
    for temperature, soft in zip((1.0, 0.1, 0.01, 1e-4), solve(jnp.array([1.0, 0.1, 0.01, 1e-4])), strict=True):
        gap = np.asarray(soft) - V
        assert (gap > -1e-4).all()
        assert gap.max() <= temperature * np.log(3) / (1 - GAMMA) + 1e-4
        gaps.append(gap.max())
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 1.0
    assert gaps[-1] < 2e-3


def test_occupancy_sums_to_the_horizon_and_prices_the_reward():
    P, R, policy, initial = garnet(8, 3)
    visits = occupancy_measure(P, policy, initial, GAMMA)
    close(visits.sum(), 1 / (1 - GAMMA))
    close((visits * (P * R).sum(-1)).sum(), expected_return(P, R, policy, initial, GAMMA))
    flow = initial + GAMMA * np.einsum("sa,sat->t", visits, P)  # what is visited is where one starts or is led
    close(visits.sum(1), flow)
    steps, now = np.zeros(8), initial
    chain = np.einsum("sa,sat->st", policy, P)
    for t in range(400):
        steps, now = steps + GAMMA**t * now, now @ chain
    close(visits, steps[:, None] * policy, 1e-8)


def test_value_iteration_goes_under_vmap_and_jit():
    many = [garnet(5, 2) for _ in range(3)]
    P, R = np.stack([m[0] for m in many]), np.stack([m[1] for m in many])
    found = jax.jit(jax.vmap(lambda P, R: value_iteration(P, R, GAMMA)))(P, R)
    for i in range(3):
        close(found.V[i], policy_iteration(P[i], R[i], GAMMA)[0], 1e-4)


def test_errors_say_what_arrived():
    P, R, policy, _ = garnet(4, 2)
    with pytest.raises(DataError, match=r"P and R of one shape \(S, A, S\).* got P \(4, 2, 4\) and R \(4, 2\)"):
        policy_evaluation(P, R[..., 0], policy, 0.9)
    with pytest.raises(SpecError, match=r"0 ≤ discount < 1.* got 1.0"):
        policy_iteration(P, R, 1.0)
    with pytest.raises(DataError, match=r"policy \(S, A\) = \(4, 2\) .* row sums in \[2, 2\]"):
        policy_evaluation(P, R, np.ones((4, 2)), 0.9)
    with pytest.raises(DataError, match=r"policy \(S, A\) = \(4, 2\) .* got shape \(4,\)\. Normalise"):
        occupancy_measure(P, np.zeros(4), np.ones(4) / 4, 0.9)
