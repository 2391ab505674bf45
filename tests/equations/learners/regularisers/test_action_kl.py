"""ActionKL against log probabilities computed by hand, and what PPO makes of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import Intent
from operant.core import Box, Discrete, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.tabular import TabularMDP
from operant.errors import SpecError
from operant.learners import BC, PPO
from operant.learners.regularisers import ActionKL
from operant.loops.fit import fit
from operant.loops.train import DATASET, train
from operant.rewards import Task
from operant.testing import check_learner, small_spec
from operant.testing.checks import fake_batch

ARM = TabularMDP(np.ones((1, 3, 1)), np.array([[[1.0], [0.0], [0.5]]]), np.ones(1), 0.9).as_env(4)
KEY = jax.random.key(0)


def cloned(folder, spec, actions):
    """The folder of BC's run on these actions, observations all alike."""
    n = len(actions)
    ends = np.arange(n) % 4 == 3
    obs = np.ones((n, *spec.obs.shape), np.float32)
    steps = {"obs": obs, "action": actions, "reward": np.zeros(n), "terminated": ends & False, "truncated": ends}
    data = Dataset.from_numpy(spec, **steps, next_obs=obs)
    fit(BC(hidden=(8,), batch=64, lr=1e-2), data, Intent(Task()), steps=300, key=KEY, folder=folder)
    data.save(folder / DATASET)  # what a run learned from, it needs to be read
    return str(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Arms drawn with probabilities 0.25, 0.5, 0.25."""
    return cloned(tmp_path_factory.mktemp("runs") / "base", ARM.spec, np.tile([0, 1, 1, 2], 100))


def test_the_penalty_is_the_nats_by_hand(base):
    regulariser = ActionKL(base, weight=2.0)
    policy = regulariser.init(ARM.spec, key=KEY)
    assert np.allclose(policy.distribution(jnp.ones(1)).probs(), [0.25, 0.5, 0.25], atol=0.03)
    learner = PPO(rollout=8, minibatches=2, hidden=(8,))
    batch = fake_batch(ARM.spec, learner, learner.init(ARM.spec, key=KEY), 8, key=KEY)
    log_base = policy.distribution(jnp.ones(1)).log_probs()
    by_hand = 2.0 * (batch.extras["log_prob"] - log_base[batch.extras["choice"]])
    constant = eqx.tree_at(lambda b: b.obs, batch, jnp.ones_like(batch.obs))
    assert np.allclose(regulariser.penalty(policy, constant), by_hand, atol=1e-5)
    _, metrics = regulariser.update(policy, constant, key=KEY)
    assert float(metrics["regulariser/divergence"]) == pytest.approx(float(by_hand.mean()) / 2.0, abs=1e-5)


def test_ppo_ends_at_the_tilted_base(base):
    """One state, so the best is π ∝ π_base exp(r/λ): with λ = 1/2, arms (0.25 e², 0.5, 0.25 e)."""
    learner = PPO(
        rollout=64, epochs=4, minibatches=4, lr=3e-3, hidden=(8,), discount=0.0, trace=0.0, normalise_reward=False,
        regulariser=ActionKL(base, weight=0.5),
    )  # fmt: skip
    run = train(learner, ARM, Intent(Task()), steps=40_000, num_envs=16, key=KEY)
    found = run.policy().distribution(jnp.ones(1)).probs()
    tilted = np.array([0.25 * np.e**2, 0.5, 0.25 * np.e])
    assert np.allclose(found, tilted / tilted.sum(), atol=0.06)


def test_continuous_actions_are_compared_in_units_of_the_box(tmp_path):
    spec = EnvSpec(Box((3,)), Box((1,), -2.0, 2.0), 4, name="box")
    base = cloned(tmp_path / "base", spec, np.full((64, 1), 1.0, np.float32))
    policy = ActionKL(base).init(spec, key=KEY)
    dist = policy.distribution(jnp.ones(3))
    assert float(dist.mode()[0]) == pytest.approx(0.5, abs=0.1)  # 1 of ±2
    with pytest.raises(SpecError, match="Give a base policy of the same bounds"):
        ActionKL(base).init(EnvSpec(spec.obs, Box((1,), -1.0, 1.0), 4), key=KEY)  # its ½ would be another action


def test_contract(base, tmp_path):
    spec = small_spec(True)
    clone = cloned(tmp_path / "small", spec, np.zeros((64, 1), np.float32))
    check_learner(PPO(rollout=8, epochs=1, minibatches=2, hidden=(8,), regulariser=ActionKL(clone)), spec)


def test_without_a_regulariser_nothing_is_carried():
    state = PPO(rollout=8, minibatches=2, hidden=(8,)).init(small_spec(), key=KEY)
    assert state.regulariser is None


def test_weights_are_settings(base):
    """An array of weights trains each, as any number of a learner's."""
    learner = PPO(
        rollout=8, epochs=1, minibatches=2, hidden=(8,), regulariser=ActionKL(base, weight=jnp.array([0.0, 5.0]))
    )
    run = train(learner, ARM, Intent(Task()), steps=128, num_envs=2, seeds=2, key=KEY)
    assert run.seeds == 4 and np.isfinite(run.metrics["regulariser/divergence"]).all()


def test_bad_input(base, tmp_path):
    with pytest.raises(SpecError, match=r"ActionKL\.base"):
        ActionKL("")
    with pytest.raises(SpecError, match="weight ≥ 0"):
        ActionKL(base, weight=-1.0)
    with pytest.raises(SpecError, match="there is no run at"):
        ActionKL(str(tmp_path / "none")).init(ARM.spec, key=KEY)
    with pytest.raises(SpecError, match="a policy for"):
        ActionKL(base).init(EnvSpec(Box((1,)), Discrete(5), 4), key=KEY)
    memory = PPO(rollout=8, minibatches=1, hidden=(8,), memory=4, sequence=4)
    train(memory, ARM, Intent(Task()), steps=16, num_envs=2, key=KEY, folder=tmp_path / "memory")
    with pytest.raises(SpecError, match="says how likely an action is"):
        ActionKL(str(tmp_path / "memory")).init(ARM.spec, key=KEY)
