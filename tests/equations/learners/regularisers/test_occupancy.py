"""Occupancy against densities that are known: log w, the penalties by hand, and PPO kept at its base."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import Intent
from operant.core import Transition
from operant.data.dataset import Dataset
from operant.envs.tabular import TabularMDP
from operant.errors import DataError, SpecError
from operant.learners import BC, PPO
from operant.learners.regularisers import Occupancy
from operant.learners.regularisers.occupancy import OccupancyState
from operant.loops.fit import fit
from operant.loops.train import DATASET, train
from operant.rewards import Task
from operant.testing import check_learner, small_spec

KEY = jax.random.key(0)
ARM = TabularMDP(np.ones((1, 3, 1)), np.array([[[1.0], [0.0], [0.5]]]), np.ones(1), 0.9).as_env(4)
SPEC = ARM.spec


def steps(actions):
    """Transitions of ARM's only state, (n,)."""
    n = len(actions)
    obs, ends = np.ones((n, 1), np.float32), np.arange(n) % 4 == 3
    return Transition(obs, np.asarray(actions), np.zeros(n, np.float32), ends & False, ends, obs, {})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Recorded actions, with frequencies 1/4, 1/2, 1/4."""
    path = tmp_path_factory.mktemp("base") / "base.operant"
    t = steps(np.tile([0, 1, 1, 2], 500))
    names = ("obs", "action", "reward", "terminated", "truncated", "next_obs")
    data = Dataset.from_numpy(SPEC, **{name: getattr(t, name) for name in names})
    return str(data.save(path))


def learned(regulariser, frequencies, rounds=40):
    """Its state after rollouts with these frequencies of actions, and the last rollout."""
    batch = jax.tree.map(
        lambda x: jnp.asarray(x).reshape(40, 10, *x.shape[1:]), steps(np.repeat([0, 1, 2], frequencies))
    )
    state = regulariser.init(SPEC, key=KEY)
    update = jax.jit(lambda s, k: regulariser.update(s, batch, key=k))
    for i in range(rounds):
        state, metrics = update(state, jax.random.fold_in(KEY, i))
    return state, batch, metrics


SHARED = {"hidden": (16,), "steps": 16, "lr": 3e-3}
W = {0: 2.0, 1: 0.5, 2: 1.0}  # π = (½, ¼, ¼) over base (¼, ½, ¼)


@pytest.mark.parametrize(
    ("divergence", "penalty", "whole"),
    [
        ("kl", lambda w: np.log(w), 0.25 * np.log(2.0)),
        ("chi2", lambda w: 2.0 * (w - 1.0), 0.375),  # Σ π²/base − 1 = 1 + 1/8 + 1/4 − 1
        ("sqrt_chi2", lambda w: (w - 1.0) / np.sqrt(0.375), np.sqrt(0.375)),
    ],
)
def test_penalties_by_hand(base, divergence, penalty, whole):
    regulariser = Occupancy(base, 3.0, divergence, **SHARED)
    state, batch, metrics = learned(regulariser, [200, 100, 100])
    found, action = np.asarray(regulariser.penalty(state, batch)), np.asarray(batch.action)
    for a, w in W.items():
        assert found[action == a].mean() == pytest.approx(3.0 * penalty(w), abs=0.75), a
    assert float(metrics["regulariser/divergence"]) == pytest.approx(whole, abs=0.15)


def test_the_same_visits_cost_nothing(base):
    regulariser = Occupancy(base, 1.0, "kl", **SHARED)
    state, batch, metrics = learned(regulariser, [100, 200, 100])
    assert np.abs(regulariser.penalty(state, batch)).max() < 0.2
    assert float(metrics["regulariser/told"]) == pytest.approx(0.5, abs=0.2)


def test_states_alone_do_not_see_actions(base):
    regulariser = Occupancy(base, 1.0, "kl", "state", **SHARED)
    state, batch, _ = learned(regulariser, [400, 0, 0], rounds=10)
    assert np.ptp(regulariser.penalty(state, batch)) < 1e-6


def test_ratios_are_clipped(base):
    regulariser = Occupancy(base, 1.0, "chi2", clip=0.5, **SHARED)
    state, batch, _ = learned(regulariser, [400, 0, 0])
    assert np.allclose(regulariser.penalty(state, batch), 2.0 * (np.exp(0.5) - 1.0), atol=1e-4)


def test_the_root_is_trimmed(base):
    """√χ² is of the middle 98% of w − 1; where it is not above 0 the penalty is that of √χ² = 1, as in its code."""
    regulariser = Occupancy(base, 1.0, "sqrt_chi2", **SHARED)
    state, batch, _ = learned(regulariser, [200, 100, 100], rounds=5)
    w = np.sort(np.exp(np.asarray(regulariser._log_ratio(state.adversary, batch)).ravel()) - 1.0)[4:-4]
    assert float(state.root) == pytest.approx(np.sqrt(w.mean()), rel=1e-4)
    assert isinstance(state, OccupancyState)


def test_ppo_stays_where_the_base_goes(base):
    """Arm 0 pays most; at a high price PPO goes on pulling arms as the base does, at none it pulls arm 0."""
    learner = PPO(
        rollout=64, epochs=4, minibatches=4, lr=3e-3, hidden=(8,), discount=0.0, trace=0.0, normalise_reward=False,
        regulariser=Occupancy(base, jnp.array([0.0, 3.0]), "chi2", **SHARED),
    )  # fmt: skip
    run = train(learner, ARM, Intent(Task()), steps=30_000, num_envs=16, seeds=2, key=KEY)
    probabilities = [np.asarray(policy.distribution(jnp.ones(1)).probs()) for policy in run.policies()]
    assert min(p[0] for p in probabilities[:2]) > 0.9
    assert np.allclose(probabilities[2:], [[0.25, 0.5, 0.25]] * 2, atol=0.12)


def test_episodes_of_a_run_are_recorded(tmp_path):
    run = tmp_path / "run"
    train(PPO(rollout=8, minibatches=2, hidden=(8,)), ARM, Intent(Task()), steps=32, num_envs=2, key=KEY, folder=run)
    found = Occupancy(str(run), episodes=5).recorded(SPEC, key=KEY)
    assert found.episodes == 5 and found.size == 20 and len(np.unique(found.data.action)) > 1
    fit(BC(hidden=(8,), batch=4), found, Intent(Task()), steps=2, key=KEY, folder=tmp_path / "cloned")
    found.save(tmp_path / "cloned" / DATASET)
    with pytest.raises(SpecError, match="acted in an environment"):
        Occupancy(str(tmp_path / "cloned")).recorded(SPEC, key=KEY)


@pytest.mark.parametrize("continuous", [False, True])
def test_contract(tmp_path, continuous):
    spec, n = small_spec(continuous), 20
    action = np.zeros((n, 1), np.float32) if continuous else np.arange(n) % 2
    ends, obs = np.arange(n) == n - 1, np.linspace(-1, 1, 3 * n, dtype=np.float32).reshape(n, 3)
    data = Dataset.from_numpy(spec, obs=obs, action=action, reward=np.zeros(n), terminated=ends & False,
                              truncated=ends, next_obs=obs)  # fmt: skip
    path = str(data.save(tmp_path / "base.operant"))
    for divergence in ("chi2", "sqrt_chi2", "kl"):
        regulariser = Occupancy(path, 0.1, divergence, hidden=(8,), steps=1, batch=4)
        check_learner(PPO(rollout=8, epochs=1, minibatches=2, hidden=(8,), regulariser=regulariser), spec)


def test_bad_input(base):
    Occupancy(base, clip=np.array([5.0, 10.0]))  # two settings
    with pytest.raises(SpecError, match=r"Occupancy\.base"):
        Occupancy("")
    with pytest.raises(SpecError, match="did you mean 'chi2'"):
        Occupancy(base, 1.0, "chi")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="did you mean 'state"):
        Occupancy(base, of="states")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="steps ≥ 1"):
        Occupancy(base, steps=0)
    with pytest.raises(SpecError, match="clip > 0"):
        Occupancy(base, clip=0.0)
    with pytest.raises(DataError, match="there is nothing"):
        Occupancy("nowhere").init(SPEC, key=KEY)
