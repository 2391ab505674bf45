"""COACH's step against the softmax's gradient by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.coach import COACH

SPEC = EnvSpec(Box((3,)), Discrete(2), 10)
LINEAR = {"hidden": (), "lr": 0.5}


def steps(obs, action, done=None) -> Transition:
    """(T, 1)"""
    obs = jnp.asarray(obs, jnp.float32)[:, None]
    over = jnp.zeros(len(obs), bool) if done is None else jnp.asarray(done)
    no = jnp.zeros((len(obs), 1), bool)
    return Transition(obs, jnp.asarray(action)[:, None], jnp.full((len(obs), 1), jnp.nan), over[:, None], no, obs, {})


def logits(learner: COACH, state, obs) -> np.ndarray:
    return np.asarray(learner.policy(state).network.distribution(jnp.asarray(obs), jnp.asarray(obs)).logits)


def gradient(obs: np.ndarray, action: int, p: np.ndarray) -> np.ndarray:
    """∇ log π of a linear softmax with a bias, as the change of logits it makes at `obs`: (1[a] − p) (|s|² + 1)."""
    return (np.eye(2)[action] - p) * (obs @ obs + 1.0)


@pytest.mark.parametrize("feedback", [1.0, -1.0, 0.0])
def test_a_step_follows_the_score_by_the_feedback(feedback):
    learner = COACH(**LINEAR)
    state = learner.init(SPEC, key=jax.random.key(0))
    obs = np.array([1.0, -2.0, 0.5], np.float32)
    before = logits(learner, state, obs)
    p = np.exp(before) / np.exp(before).sum()
    new, metrics = learner.update(state, steps([obs], [1]), lambda b: jnp.full((1, 1), feedback), key=jax.random.key(1))
    np.testing.assert_allclose(logits(learner, new, obs) - before, 0.5 * feedback * gradient(obs, 1, p), atol=1e-5)
    assert float(metrics["feedback/share"]) == (feedback != 0)


def test_a_trace_gives_late_feedback_to_earlier_actions_and_ends_with_the_episode():
    learner = COACH(trace=0.5, rollout=2, **LINEAR)
    state = learner.init(SPEC, key=jax.random.key(0))
    first, second = np.array([1.0, 0.0, 0.0], np.float32), np.array([0.0, 1.0, 0.0], np.float32)
    late = lambda b: jnp.array([[0.0], [1.0]])
    before = logits(learner, state, first)
    p = np.exp(before) / np.exp(before).sum()
    new, _ = learner.update(state, steps([first, second], [0, 1]), late, key=jax.random.key(1))
    q = np.exp(logits(learner, state, second))
    q /= q.sum()
    # at `first`, the trace's half of its own score, and of the second's only the bias
    wanted = 0.5 * (0.5 * gradient(first, 0, p) + (np.eye(2)[1] - q))
    np.testing.assert_allclose(logits(learner, new, first) - before, wanted, atol=1e-5)
    cut, _ = learner.update(state, steps([first, second], [0, 1], [True, False]), late, key=jax.random.key(1))
    np.testing.assert_allclose(logits(learner, cut, first) - before, 0.5 * (np.eye(2)[1] - q), atol=1e-5)


def test_entropy_is_climbed_without_feedback():
    learner = COACH(entropy=1.0, **LINEAR)
    state = learner.init(SPEC, key=jax.random.key(0))
    steep = eqx.tree_at(lambda s: s.network.head.layers[-1].bias, state, jnp.array([2.0, 0.0]))
    obs = np.zeros(3, np.float32)
    new, _ = learner.update(steep, steps([obs], [0]), lambda b: jnp.zeros((1, 1)), key=jax.random.key(0))
    gap = lambda s: float(np.subtract(*logits(learner, s, obs)))
    assert 0.0 < gap(new) < gap(steep)


def test_arrays_are_settings():
    """Inside a compiled training they are traced, and none can be asked whether it is 0."""
    obs, action = np.array([[1.0, -2.0, 0.5], [0.5, 1.0, 0.0]], np.float32), [1, 0]
    feedback = lambda b: jnp.array([[0.0], [1.0]])

    def learned(trace, entropy):
        learner = COACH(**LINEAR, trace=trace, entropy=entropy)
        state = learner.init(SPEC, key=jax.random.key(0))
        return learner.update(state, steps(obs, action), feedback, key=jax.random.key(0))[0].network.head.layers[0]

    COACH(trace=jnp.array([0.0, 0.5]), entropy=jnp.array([0.0, 0.1]))
    several = jax.vmap(learned)(jnp.array([0.0, 0.5]), jnp.array([0.0, 0.1]))
    for i, (trace, entropy) in enumerate(((0.0, 0.0), (0.5, 0.1))):
        np.testing.assert_allclose(several.weight[i], learned(trace, entropy).weight, atol=1e-6)


def test_bad_settings_are_told():
    with pytest.raises(SpecError, match=r"trace in \[0, 1\); got 1"):
        COACH(trace=1)
    with pytest.raises(SpecError, match=r"trace in \[0, 1\); got 1"):
        COACH(trace=1.0)
    with pytest.raises(SpecError, match="rollout ≥ 1; got 0"):
        COACH(rollout=0)
