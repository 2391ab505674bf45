"""Sparse rewards by linear programs, against gaps computed by simulation and solvers of another kind."""

import jax
import numpy as np
import pytest

from operant.core import Intent
from operant.design import ExpRD
from operant.design import _exact as exact
from operant.design.expert_design import Program, margin, nearest
from operant.envs.tabular import TabularMDP
from operant.errors import DataError, SpecError
from operant.rewards import Table, Task
from operant.rewards.preferences.bradley_terry import BradleyTerry


@pytest.fixture(scope="module")
def mdp():
    return TabularMDP.random(np.random.default_rng(0), 5, 3, branching=2, discount=0.8)


@pytest.mark.parametrize("steps", [None, 0, 1, 7])
def test_gaps_are_linear_in_the_reward(mdp, steps):
    rng = np.random.default_rng(1)
    reward, actions = rng.normal(size=(5, 3)), rng.integers(3, size=5)
    V = np.zeros(5)
    for _ in range(500 if steps is None else steps):  # Q^{π,h} by h + 1 looks ahead
        V = (reward + mdp.discount * mdp.P @ V)[np.arange(5), actions]
    Q = reward + mdp.discount * mdp.P @ V
    expected = Q[np.arange(5), actions][:, None] - Q
    np.testing.assert_allclose(exact.gaps_of(mdp, actions, steps) @ reward.reshape(-1), expected, atol=1e-10)


def test_informativeness_by_hand():
    """A chain of 3, γ = 0.5, reward 1 at the end: gaps 0.25 far from the end and 0.75 at the last step (1 − 0.25)."""
    mdp = TabularMDP.chain(3, discount=0.5)
    truth = exact.expected(mdp)
    program = Program(mdp, truth, (0, 1))
    np.testing.assert_allclose(program.delta * (1 + 1e-5), [0.25, 0.75, 0.0])
    # h = 0: state 0 shows nothing of 0.25, state 1 all; h = 1: state 0 shows 0.5, state 1 shows 1 ≥ 0.75.
    assert program.informativeness(truth) == pytest.approx(-0.25 / 4, rel=1e-4)


def test_design_keeps_the_optimum_is_sparse_and_more_informative():
    mdp = TabularMDP.chain(8, discount=0.9)
    design = ExpRD(budget=2, discount=0.9).of(mdp)
    assert (np.abs(design.table).max(1) > 0).sum() == design.record["states"] <= 3
    assert np.abs(design.table).max() <= 1.0 + 1e-9
    assert design.record["informativeness"] > design.record["informativeness/true"]
    assert margin(mdp, exact.expected(mdp), design.table) > 0.0
    assert (np.diff(design.curves["informativeness"]) >= -1e-9).all()


def test_every_state_allowed_shows_everything_at_once():
    mdp = TabularMDP.chain(5, discount=0.9)
    assert ExpRD(budget=5, discount=0.9).of(mdp).record["informativeness"] == pytest.approx(0.0, abs=1e-9)


def test_from_an_environment_with_a_truth(mdp):
    intent = Intent(Task(), truth=Table(np.random.default_rng(2).normal(size=(5, 3))))
    design = ExpRD(budget=5, discount=0.8)(mdp.as_env(), intent, key=jax.random.key(0))
    wanted = exact.process_of(mdp.as_env(), intent, 0.8)
    assert margin(wanted, exact.expected(wanted), design.table) > 0.0 and isinstance(design.reward, Table)


def test_too_few_states_are_refused(mdp):
    with pytest.raises(DataError, match=r"Raise ExpRD\.budget"):
        ExpRD(budget=1, discount=0.8).of(mdp)


@pytest.mark.parametrize("bad", [{"budget": -1}, {"horizons": ()}, {"margin": 1.5}])
def test_settings_that_cannot_be_are_refused(bad):
    with pytest.raises(SpecError, match=r"ExpRD\.budget"):
        ExpRD(**bad)


def test_nearest_leaves_what_is_right_and_finds_none_where_there_is_none(mdp):
    truth = exact.expected(mdp)
    kept = nearest(mdp, truth, truth[None], np.ones(1), 0.5)
    assert kept is not None and kept.tolist() == pytest.approx([1.0])
    assert nearest(mdp, truth, np.zeros((1, 5, 3)), np.ones(1), 0.5) is None


def test_a_reward_that_learns_is_no_table():
    with pytest.raises(SpecError, match="BradleyTerry learns"):
        ExpRD()(TabularMDP.chain(3).as_env(), Intent(BradleyTerry()), key=jax.random.key(0))
