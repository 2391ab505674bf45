"""SparseMDP against the dense process and against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.envs.tabular import TabularMDP
from operant.envs.tabular.sparse import SparseMDP, occupancy, soft_optimal, soft_value_iteration, visits_of
from operant.envs.toy.gridworld import GridWorld
from operant.errors import DataError, SpecError
from operant.math import dynamic_programming as dp

RANDOM = TabularMDP.random(np.random.default_rng(0), 6, 3, branching=3)
GRID = GridWorld("S..\n.#H\n..G", slip=0.2, step_reward=-0.1)


def dense(mdp):
    P = np.zeros((*mdp.rewards.shape, len(mdp.rewards)))
    s, a, _ = np.indices(mdp.successors.shape)
    np.add.at(P, (s, a, mdp.successors), mdp.probabilities)
    return P


@pytest.mark.parametrize("made", ["random", "grid"])
def test_the_same_process(made):
    mdp = RANDOM if made == "random" else TabularMDP.from_gridworld(GRID, discount=0.9)
    small = SparseMDP.from_mdp(mdp) if made == "random" else SparseMDP.from_gridworld(GRID, discount=0.9)
    np.testing.assert_allclose(dense(small)[~small.terminal], mdp.P[~small.terminal], atol=1e-12)
    np.testing.assert_allclose(small.rewards, (mdp.P * mdp.R).sum(-1), atol=1e-7)
    np.testing.assert_array_equal(small.terminal, mdp.terminal)
    np.testing.assert_allclose(small.initial, mdp.initial)
    assert small.successors.shape[2] == 3 and small.nbytes < mdp.P.nbytes + mdp.R.nbytes


def test_soft_values_are_those_of_dense_iteration():
    mdp, tau = SparseMDP.from_mdp(RANDOM), 0.5
    found = soft_optimal(mdp, mdp.rewards, tau)
    R = np.broadcast_to(mdp.rewards[:, :, None], RANDOM.P.shape)
    V = np.asarray(dp.soft_value_iteration(jnp.asarray(RANDOM.P), jnp.asarray(R), RANDOM.discount, tau).V)
    np.testing.assert_allclose(found.V, V, rtol=1e-5)
    np.testing.assert_allclose(found.policy, dp.soft_greedy(mdp.backup(mdp.rewards, found.V), tau), atol=1e-5)
    visits = dp.occupancy_measure(RANDOM.P, found.policy, RANDOM.initial, RANDOM.discount)
    np.testing.assert_allclose(found.visits, visits, atol=1e-8)
    np.testing.assert_allclose(visits_of(mdp, found.policy), visits, atol=1e-8)
    assert found.residual < 1e-9 and found.iterations < 12


def test_ends_are_paid_once_and_jax_agrees_with_numpy():
    mdp, tau = SparseMDP.from_gridworld(GRID, discount=0.9), 0.3
    reward = np.random.default_rng(1).normal(size=mdp.rewards.shape)
    found = soft_optimal(mdp, reward, tau)
    np.testing.assert_allclose(found.V[mdp.terminal], reward[mdp.terminal].mean(1))
    parts = jnp.asarray(mdp.successors), jnp.asarray(mdp.probabilities)
    end = jnp.asarray(mdp.terminal)
    solved = soft_value_iteration(*parts, jnp.asarray(reward), end, 0.9, tau)
    np.testing.assert_allclose(solved.V, found.V, atol=1e-4)
    visits = occupancy(*parts, jnp.asarray(found.policy), jnp.asarray(mdp.initial), end, 0.9)
    np.testing.assert_allclose(visits, found.visits, atol=1e-4)
    # what is discounted between: ends hold Σ γᵗ Pr(ending at t), all others Σ γᵗ Pr(there at t)
    going = found.visits[~mdp.terminal].sum()
    assert found.visits[mdp.terminal].sum() == pytest.approx(1 - 0.1 * going)


def test_soft_values_by_hand_and_their_gradient_is_the_visits():
    """One decision, then an end: V = τ log Σ exp((r + γ r_end)/τ), and dV/dr is the probability of the action."""
    mdp = SparseMDP(np.array([[[1], [2]], [[1], [1]], [[2], [2]]]), np.ones((3, 2, 1)), np.zeros((3, 2)),
                    np.array([1.0, 0, 0]), np.array([False, True, True]), 0.5)  # fmt: skip
    reward = np.array([[0.1, 0.4], [2.0, 2.0], [1.0, 1.0]])
    found = soft_optimal(mdp, reward, 0.7)
    q = np.array([0.1 + 1.0, 0.4 + 0.5])
    assert found.V[0] == pytest.approx(0.7 * np.log(np.exp(q / 0.7).sum()))
    p = np.exp(q / 0.7) / np.exp(q / 0.7).sum()
    np.testing.assert_allclose(found.visits, [p, [0.25 * p[0]] * 2, [0.25 * p[1]] * 2], atol=1e-12)
    random = SparseMDP.from_mdp(RANDOM)
    bump = np.zeros_like(random.rewards)
    bump[2, 1] = 1e-5
    worth = lambda r: random.initial @ soft_optimal(random, r, 0.5, tolerance=1e-13).V
    slope = (worth(random.rewards + bump) - worth(random.rewards - bump)) / 2e-5
    assert slope == pytest.approx(soft_optimal(random, random.rewards, 0.5).visits[2, 1], rel=1e-4)


def test_vmaps_over_temperatures():
    mdp = SparseMDP.from_gridworld(GRID, discount=0.9)
    to, p, reward, end = map(jnp.asarray, (mdp.successors, mdp.probabilities, mdp.rewards, mdp.terminal))
    V = jax.vmap(lambda tau: soft_value_iteration(to, p, reward, end, 0.9, tau).V)(jnp.array([0.1, 1.0]))
    one = soft_value_iteration(to, p, reward, end, 0.9, 1.0).V
    np.testing.assert_allclose(V[1], one, atol=1e-5)


def test_refusals():
    good = SparseMDP.from_gridworld(GRID)
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__}
    make = lambda **changed: SparseMDP(**fields | changed)
    with pytest.raises(DataError, match=r"expected successors and probabilities \(S, A, k\)"):
        make(rewards=np.zeros(3))
    with pytest.raises(DataError, match=r"successors in 0 … 7; got"):
        make(successors=good.successors + 1)
    with pytest.raises(DataError, match=r"sum to 1 over axis 2"):
        make(probabilities=good.probabilities * 0.5)
    with pytest.raises(DataError, match=r"sum to 1 over axis 2, .* initial sums to 2\. Divide"):
        make(initial=good.initial * 2.0)
    for poisoned in ({"probabilities": good.probabilities * np.nan}, {"initial": good.initial * np.nan}):
        with pytest.raises(DataError, match=r"sum to 1 over axis 2"):
            make(**poisoned)
    with pytest.raises(DataError, match=r"smallest -1, .* initial sums to 1"):
        make(initial=np.eye(len(good.initial))[0] * 2.0 - np.eye(len(good.initial))[1])
    with pytest.raises(DataError, match=r"expected finite rewards; got rewards\[0, 0\] = nan"):
        make(rewards=good.rewards * np.nan)
    with pytest.raises(SpecError, match=r"expected 0 ≤ discount < 1; got 1"):
        make(discount=1.0)
    with pytest.raises(SpecError, match=r"expected temperature > 0; got 0"):
        soft_optimal(good, good.rewards, 0.0)
    with pytest.raises(DataError, match=r"expected rewards"):
        soft_optimal(good, good.rewards[:, :2], 1.0)
