"""DQN against one step in NumPy, and on a chain it must solve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.learners.dqn import DQN

SPEC = EnvSpec(Box((2,)), Discrete(3), 50, num_envs=4)


def test_one_gradient_step_by_hand():
    learner = DQN(hidden=(), batch=2, capacity=16, double=False, lr=0.1, discount=0.5, error="squared", target_every=2)
    state = learner.init(SPEC, key=jax.random.key(0))
    networks = state.networks
    obs, action = np.array([[1.0, 2.0], [0.5, -1.0]], np.float32), np.array([0, 2])
    gain, follow = np.array([1.0, -2.0], np.float32), np.array([0.5, 0.0], np.float32)
    next_obs = np.array([[0.0, 1.0], [3.0, 3.0]], np.float32)
    layer = networks.critic.advantage.layers[0]
    w, b = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    y = gain + follow * (next_obs @ w + b).max(1)
    error = (obs @ w + b)[[0, 1], action] - y
    gradient = np.zeros_like(w)
    for i in range(2):
        gradient[:, action[i]] += obs[i] * error[i] / 2
    expected = w - 0.1 * gradient / (np.abs(gradient) + 1e-8)  # Adam's first step
    data = tuple(map(jnp.asarray, (obs, action, gain, follow, next_obs)))
    step = jax.jit(lambda n: learner.gradient_step(n, data, (), learner.slots(SPEC), 0.1))
    after = step(networks)
    np.testing.assert_allclose(after.critic.advantage.layers[0].weight, expected, atol=1e-5)
    assert float(after.metrics["loss/critic"]) == pytest.approx(0.5 * (error**2).mean(), rel=1e-5)
    weight = lambda tree: np.asarray(tree.advantage.layers[0].weight)
    np.testing.assert_array_equal(weight(after.target_critic), w.astype(np.float32))  # not yet
    second = step(after)
    np.testing.assert_array_equal(weight(second.target_critic), weight(second.critic))  # copied


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_chain_is_worth_what_its_discounts_say(n_step):
    """Two states in a row, then reward 1 and the end: V = γ, 1; the wrong action ends with nothing.

    Three steps ahead, uncorrected: the second action is the one that was taken, not the best one.
    """
    learner = DQN(
        hidden=(16,), batch=32, capacity=256, learning_starts=0, gradient_steps=1000, lr=3e-3, discount=0.8,
        target_every=20, n_step=n_step,
    )  # fmt: skip
    spec = EnvSpec(Box((2,)), Discrete(2), 50, num_envs=16)
    rng = np.random.default_rng(0)
    action = rng.integers(2, size=(8, 16))
    where = np.zeros((9, 16), int)
    for t in range(8):
        where[t + 1] = (where[t] == 0) & (action[t] == 1)
    ended = (where[:8] == 1) | (action == 0)
    one_hot = lambda s: jnp.asarray(np.eye(2, dtype=np.float32)[s])
    batch = Transition(
        one_hot(where[:8]), jnp.asarray(action), jnp.asarray((where[:8] == 1) & (action == 1), jnp.float32),
        jnp.asarray(ended), jnp.zeros((8, 16), bool), one_hot(np.minimum(where[:8] + 1, 1)), {},
    )  # fmt: skip
    state = learner.init(spec, key=jax.random.key(0))
    state, _ = jax.jit(lambda s, k: learner.update(s, batch, lambda b: b.reward, key=k))(state, jax.random.key(1))
    critic = learner.slots(spec)[1]
    q = jax.vmap(lambda o: critic.heads(state.networks.critic, o, None)[0])(jnp.eye(2))
    went_on = [action[t + 1, n] for t in range(6) for n in range(16) if where[t, n] == 0 and action[t, n] == 1]
    first = 0.8 if n_step == 1 else 0.8 * np.mean(went_on)
    np.testing.assert_allclose(q, [[0.0, first], [0.0, 1.0]], atol=0.06)
