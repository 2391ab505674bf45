"""Tabular processes: their constructors against hand-computed values, and their checks."""

import numpy as np
import pytest

from operant.envs.tabular.mdp import TabularMDP
from operant.envs.toy.gridworld import GridWorld
from operant.errors import DataError, SpecError
from operant.math.dynamic_programming import policy_iteration


def test_the_chain_is_worth_its_distance():
    mdp = TabularMDP.chain(5, discount=0.5)
    V, _, policy, _ = policy_iteration(mdp.P, mdp.R, mdp.discount)
    np.testing.assert_allclose(V, [0.125, 0.25, 0.5, 1.0, 0.0])
    assert policy[:4].argmax(1).tolist() == [1, 1, 1, 1]
    assert mdp.terminal.tolist() == [False] * 4 + [True]
    assert mdp.initial.tolist() == [1.0, 0, 0, 0, 0]
    assert mdp.P[0, 0].tolist() == [1.0, 0, 0, 0, 0]


def test_random_processes_have_the_branching_asked_for_and_repeat():
    mdp = TabularMDP.random(np.random.default_rng(0), 6, 3, branching=2)
    assert ((mdp.P > 0).sum(-1) == 2).all()
    assert not mdp.terminal.any()
    again = TabularMDP.random(np.random.default_rng(0), 6, 3, branching=2)
    assert (mdp.P == again.P).all()
    assert (mdp.R == again.R).all()
    full = TabularMDP.random(np.random.default_rng(1), 4, 2)
    assert full.P.shape == (4, 2, 4)
    assert (full.P > 0).all()
    assert len(np.unique(mdp.P > 0, axis=0)) > 1  # supports differ from state to state


def test_a_gridworld_becomes_its_tables():
    """One row, the goal two steps off: V = γ then 1, then nothing."""
    mdp = TabularMDP.from_gridworld(GridWorld("S.G"), discount=0.9)
    V, _, policy, _ = policy_iteration(mdp.P, mdp.R, mdp.discount)
    np.testing.assert_allclose(V, [0.9, 1.0, 0.0], atol=1e-12)
    assert policy[:2].argmax(1).tolist() == [1, 1]
    assert mdp.terminal.tolist() == [False, False, True]


def test_an_absorbing_state_that_pays_is_not_terminal():
    P, R = np.ones((1, 1, 1)), np.ones((1, 1, 1))
    assert not TabularMDP(P, R, np.ones(1), 0.9).terminal.any()
    assert TabularMDP(P, 0 * R, np.ones(1), 0.9).terminal.all()


def test_the_arrays_are_read_only_copies():
    P = np.ones((1, 1, 1))
    mdp = TabularMDP(P, P, np.ones(1), 0.9)
    P[:] = 5.0
    assert mdp.P.item() == 1.0
    with pytest.raises(ValueError, match="read-only"):
        mdp.P[:] = 2.0


def test_errors_say_which_row_and_its_sum():
    P = np.tile(np.eye(3)[:, None, :], (1, 2, 1))
    R, initial = np.zeros((3, 2, 3)), np.ones(3) / 3
    bad = P.copy()
    bad[1, 0] = [0.5, 0.6, 0.0]
    with pytest.raises(DataError, match=r"P\[1, 0\] to sum to 1; its sum is 1\.1"):
        TabularMDP(bad, R, initial, 0.9)
    with pytest.raises(DataError, match=r"initial to sum to 1; its sum is 3"):
        TabularMDP(P, R, np.ones(3), 0.9)
    bad[1, 0] = [1.5, -0.5, 0.0]
    with pytest.raises(DataError, match=r"P\[1, 0\] ≥ 0; its smallest number is -0\.5"):
        TabularMDP(bad, R, initial, 0.9)
    bad[1, 0] = np.nan
    with pytest.raises(DataError, match=r"P\[1, 0\] to sum to 1; its sum is nan"):
        TabularMDP(bad, R, initial, 0.9)
    with pytest.raises(DataError, match=r"expected P \(S, A, S\).* got \(2, 3, 3\)"):
        TabularMDP(np.zeros((2, 3, 3)), np.zeros((2, 3, 3)), np.ones(2) / 2, 0.9)
    with pytest.raises(DataError, match=r"R \(3, 2, 3\) and initial \(3,\) .* got \(3, 2\) and \(3,\)"):
        TabularMDP(P, R[..., 0], initial, 0.9)
    with pytest.raises(DataError, match=r"finite rewards; got R\[2, 1, 0\] = inf"):
        TabularMDP(P, np.where(np.arange(18).reshape(3, 2, 3) == 15, np.inf, R), initial, 0.9)
    with pytest.raises(SpecError, match=r"0 ≤ discount ≤ 1; got 1\.5"):
        TabularMDP(P, R, initial, 1.5)
    with pytest.raises(SpecError, match=r"1 ≤ branching ≤ S = 3; got 4"):
        TabularMDP.random(np.random.default_rng(0), 3, 2, branching=4)
    with pytest.raises(SpecError, match=r"n ≥ 2 states.*; got 1"):
        TabularMDP.chain(1)
