"""Each learner on the probe environments: value, observation, discount, truncation, action, credit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import Intent, train
from operant.learners import PPO
from operant.rewards import Task
from operant.testing import (
    ActionProbe,
    CreditProbe,
    DiscountProbe,
    ObservationProbe,
    TruncationProbe,
    ValueProbe,
)

LEARNER = PPO(
    rollout=16, epochs=4, minibatches=4, lr=3e-3, hidden=(16,), discount=0.9, normalise_obs=False,
    normalise_reward=False, clip_value=False,
)  # fmt: skip


def trained(env, steps=16 * 16 * 60):
    return train(LEARNER, env, Intent(Task()), steps=steps, num_envs=16, key=jax.random.key(0))


def values(run, *observations):
    networks = jax.tree.map(lambda x: x[0], run.state.learner.networks)
    return [float(networks.value(networks.features(jnp.array([o]), ())[0])) for o in observations]


@pytest.mark.parametrize(
    ("env", "observations", "expected"),
    [
        (ValueProbe(), [0.0], [1.0]),
        (ObservationProbe(), [-1.0, 1.0], [-1.0, 1.0]),
        (DiscountProbe(), [0.0, 1.0], [0.9, 1.0]),
        (TruncationProbe(terminates=True), [0.0], [1.0]),
        (TruncationProbe(), [0.0], [10.0]),
    ],
    ids=["value", "observation", "discount", "termination", "truncation"],
)
def test_values(env, observations, expected):
    np.testing.assert_allclose(values(trained(env), *observations), expected, atol=0.1 * max(map(abs, expected)))


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
def test_actions(continuous):
    policy = trained(ActionProbe(continuous)).policy()
    action, _ = policy.predict(np.zeros(1, np.float32))
    np.testing.assert_allclose(action, [0.5] if continuous else 1, atol=0.15)


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
def test_credit(continuous):
    policy = trained(CreditProbe(continuous)).policy()
    actions, _ = policy.predict(np.array([[-1.0], [1.0]], np.float32))
    np.testing.assert_allclose(actions, [[-0.5], [0.5]] if continuous else [0, 1], atol=0.15)
