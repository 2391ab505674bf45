"""CMA-ES on functions whose minima are known, and evolution of weights on a toy."""

import jax
import numpy as np
import pytest

from operant.core import Intent
from operant.design import Evolved
from operant.design._cma import CMAES
from operant.design.evolved import Weighted, true_return
from operant.envs.tabular import TabularMDP
from operant.errors import RunError, SpecError
from operant.learners.ppo import PPO
from operant.rewards import Table, Task, Terms
from operant.testing import check_learner, small_spec

SMALL = PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,))


@pytest.mark.parametrize(
    "f",
    [lambda x: (x**2).sum(1), lambda x: (10.0 ** np.array([0, 1.5, 3]) * x**2).sum(1)],
    ids=["sphere", "ellipsoid"],
)
def test_cma_finds_the_minimum(f):
    search, rng = CMAES(np.array([2.0, -1.0, 1.0]), 0.5), np.random.default_rng(0)
    for _ in range(250):
        x = search.ask(rng)
        search.tell(x, -f(x))
    assert f(search.mean[None])[0] < 1e-10


def test_cma_constants_are_the_tutorials():
    """n = 10, λ = 10: the values of its table 1, worked out by hand."""
    search = CMAES(np.zeros(10), 1.0)
    assert search.population == 10 and len(search.weights) == 5 and search.weights.sum() == pytest.approx(1.0)
    assert search.mu_w == pytest.approx(3.1672992814107017, rel=1e-6)
    assert search.c_sigma == pytest.approx((3.1672992814 + 2) / (10 + 3.1672992814 + 5))
    assert search.c_1 == pytest.approx(2 / (11.3**2 + 3.1672992814))


def test_cma_takes_what_is_not_finite_for_the_worst():
    search = CMAES(np.zeros(2), 1.0, 4)
    x = np.array([[1.0, 0.0], [9.0, 9.0], [2.0, 0.0], [9.0, 9.0]])
    search.tell(x, np.array([1.0, np.nan, 0.5, -np.inf]))
    assert 1.0 < search.mean[0] < 2.0 and search.mean[1] == 0.0


def test_weights_that_matter_are_found():
    """The stated reward pays mostly for walking away; what is wanted lies at the end."""
    env = TabularMDP.chain(4).as_env(10)
    reward = Terms({"away": Table(np.array([[1.0, 0.0]] * 4)), "task": Task(), "off": Task()}, {"off": 0.0})
    designer = Evolved(SMALL, steps=2048, num_envs=4, population=4, generations=2, spread=2.0, episodes=4)
    design = designer(env, Intent(reward, truth=Task()), key=jax.random.key(0))
    assert design.curves["scores"].shape == (8,) and design.curves["weights"].shape == (8, 3)
    np.testing.assert_allclose(design.curves["weights"][0], [1.0, 0.0, 1.0])  # as stated, by name
    assert design.record["return/designed"] == design.curves["scores"].max() and design.record["weight/off"] == 0.0
    assert isinstance(design.reward, Terms) and set(design.reward.weights) == {"away", "off", "task"}


def test_weighted_learner_keeps_the_contract():
    ppo = PPO(rollout=8, epochs=1, minibatches=2, hidden=(8,))
    learner = Weighted(learner=ppo, terms=Terms({"t": Table(np.ones((3, 2)))}))  # type: ignore[call-arg]
    check_learner(learner, small_spec(), plain=False)


def test_true_return_is_the_truths():
    env = TabularMDP.chain(3).as_env(5)
    policy = SMALL.policy(SMALL.init(env.spec, key=jax.random.key(0)))
    found = true_return(policy, env, Intent(Task(), truth=Table(np.full((3, 2), 2.0))), 4, jax.random.key(1))
    assert found in (4.0, 10.0)  # two steps to the end, or five until it is cut


def test_what_cannot_evolve_is_refused():
    env = TabularMDP.chain(3).as_env()
    with pytest.raises(SpecError, match="expected Terms"):
        Evolved()(env, Intent(Task()), key=jax.random.key(0))
    with pytest.raises(SpecError, match="not 0"):
        Evolved()(env, Intent(Terms({"t": Task()}, {"t": 0.0})), key=jax.random.key(0))
    with pytest.raises(SpecError, match=r"Evolved\.population"):
        Evolved(population=1)


def test_what_is_not_finite_is_not_the_best(monkeypatch):
    env, intent = TabularMDP.chain(3).as_env(), Intent(Terms({"t": Task()}))
    ends = lambda *scores: monkeypatch.setattr(Evolved, "_train", lambda *_: (["a", "b", "c"], np.array(scores)))
    designer = Evolved(SMALL, population=3, generations=2)
    ends(1.0, np.nan, 2.0)
    found = designer.search(env, intent, key=jax.random.key(0))
    assert found.best == 2 and found.policy == "c" and found.scores[1] == -np.inf
    ends(np.nan, -np.inf, np.nan)
    with pytest.raises(RunError, match="expected one of 6 trainings to end with a finite true return"):
        designer.search(env, intent, key=jax.random.key(0))
