"""Behavioural cloning's update against its equation, by hand in NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant import nn
from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners._density import LOG_STD, to_choice
from operant.learners.bc import BC
from operant.learners.ppo import to_action

KEY = jax.random.key(0)
OBS = np.random.default_rng(0).standard_normal((1, 6, 3)).astype(np.float32)
ARM = EnvSpec(Box((3,)), Box((2,), (-2.0, 0.0), (2.0, 1.0)), 10)
KEYS = EnvSpec(Box((3,)), Discrete(4), 10)


def batch(action, obs=OBS):
    no = jnp.zeros((1, 6), bool)
    return Transition(obs, jnp.asarray(action), jnp.full((1, 6), jnp.nan), no, no, obs, {})


def unread(_):
    raise AssertionError("behavioural cloning asked for a reward")


def update(learner, spec, b, state=None):
    state = learner.init(spec, key=KEY) if state is None else state
    return state, *jax.jit(lambda s, b: learner.update(s, b, unread, key=KEY))(state, b)


def forward(network, x):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(network.head)]
    return np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


def test_discrete_loss_and_adam_step():
    action = np.array([[0, 1, 2, 3, 0, 1]])
    learner = BC(hidden=(5,), lr=0.01, weight_decay=0.1)
    state, new, metrics = update(learner, KEYS, batch(action))
    logits = forward(state.network, OBS[0])
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(metrics["loss/policy"], -log_p[np.arange(6), action[0]].mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["policy/agreement"], (logits.argmax(1) == action[0]).mean(), rtol=1e-6)
    # Adam's first step is lr · sign of the gradient; the decay is decoupled from it. The gradient of the last bias:
    probs = np.exp(log_p)
    gradient = (probs - np.eye(4)[action[0]]).mean(0)
    old, stepped = state.network.head.layers[-1].bias, new.network.head.layers[-1].bias
    np.testing.assert_allclose(stepped, old - 0.01 * (np.sign(gradient) + 0.1 * np.asarray(old)), atol=1e-5)
    assert int(new.steps) == 1


def test_gaussian_loss_is_in_units_of_the_box():
    action = np.random.default_rng(1).uniform([-2, 0], [2, 1], (1, 6, 2)).astype(np.float32)
    state, _, metrics = update(BC(hidden=(5,), normalise_obs=True), ARM, batch(action))
    obs = (OBS[0] - OBS[0].mean(0)) / OBS[0].std(0)  # moments of the first batch, itself included
    mean = forward(state.network, obs)
    choice = np.stack([action[0, :, 0] / 2, 2 * action[0, :, 1] - 1], 1)
    expected = -scipy.stats.norm(mean, 1.0).logpdf(choice).sum(1).mean()
    np.testing.assert_allclose(metrics["loss/policy"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["policy/error"], np.sqrt(np.square(mean - choice).mean()), rtol=1e-4)
    space = ARM.action
    np.testing.assert_allclose(
        jax.vmap(lambda a: to_action(space, to_choice(space, a)))(action[0]), action[0], rtol=1e-5
    )


def test_deterministic_demonstrations_stay_finite():
    learner = BC(hidden=(8,), lr=0.05)
    action = np.tanh(OBS[..., :2]) * np.float32(0.5) + np.float32(0.5)
    state = learner.init(ARM, key=KEY)

    @jax.jit
    def many(state):
        once = lambda s, _: learner.update(s, batch(action), unread, key=KEY)
        return jax.lax.scan(once, state, None, length=400)

    state, metrics = many(state)
    loss = np.asarray(metrics["loss/policy"])
    assert np.isfinite(loss).all() and loss[-1] < -2
    dist = state.network.distribution(OBS[0, 0], OBS[0, 0])
    assert float(dist.scale.min()) >= np.exp(LOG_STD[0]) * 0.999
    greedy = jax.vmap(lambda o: learner.policy(state)(o, (), key=None)[0])(OBS[0])
    np.testing.assert_allclose(greedy, action[0], atol=0.05)


def test_masked_actions_are_never_cloned():
    spec = EnvSpec(Composite((("x", Box((3,))), ("action_mask", Box((4,), 0, 1, "int8")))), Discrete(4), 10)
    obs = {"x": OBS, "action_mask": np.broadcast_to(np.array([1, 0, 1, 0], np.int8), (1, 6, 4))}
    learner = BC(hidden=(5,), normalise_obs=True)
    state, new, metrics = update(learner, spec, batch(np.array([[0, 2, 0, 2, 0, 2]]), obs))
    x = (OBS[0] - OBS[0].mean(0)) / OBS[0].std(0)
    logits = forward(state.network, x)[:, [0, 2]]
    expected = -(logits - np.log(np.exp(logits).sum(1, keepdims=True)))[np.arange(6), [0, 1, 0, 1, 0, 1]].mean()
    np.testing.assert_allclose(metrics["loss/policy"], expected, rtol=1e-5)
    one = jax.tree.map(lambda x: x[0, 0], obs)
    policy = learner.policy(new)
    drawn = jax.vmap(lambda k: policy(one, (), key=k)[0])(jax.random.split(KEY, 200))
    assert set(np.asarray(drawn).tolist()) == {0, 2}


def test_a_mixture_keeps_two_demonstrators_apart():
    learner, spec = BC(hidden=(8,), lr=0.02, components=2), EnvSpec(Box((3,)), Box((1,), -1.0, 1.0), 10)
    action = np.where(np.arange(6) % 2, 0.7, -0.7)[None, :, None].astype(np.float32)
    obs = np.zeros((1, 6, 3), np.float32)
    state = learner.init(spec, key=KEY)
    logits, mean = np.split(forward(state.network, obs[0]), [2], axis=1)
    each = np.log(scipy.special.softmax(logits, axis=1)) + scipy.stats.norm(mean, 1.0).logpdf(action[0])

    @jax.jit
    def many(state):
        return jax.lax.scan(
            lambda s, _: learner.update(s, batch(action, obs), unread, key=KEY), state, None, length=400
        )

    state, metrics = many(state)
    np.testing.assert_allclose(metrics["loss/policy"][0], -scipy.special.logsumexp(each, axis=1).mean(), rtol=1e-5)
    assert "policy/entropy" not in metrics and metrics["policy/error"].shape == (400,)
    policy = learner.policy(state)
    drawn = np.asarray(jax.vmap(lambda k: policy(obs[0, 0], (), key=k)[0])(jax.random.split(KEY, 200)))[:, 0]
    assert (np.abs(np.abs(drawn) - 0.7) < 0.05).all() and 60 < (drawn > 0).sum() < 140
    assert abs(abs(float(policy(obs[0, 0], (), key=None)[0][0])) - 0.7) < 0.02
    assert BC(components=3).init(KEYS, key=KEY).network.components == 1  # a categorical has modes enough


def test_refusals():
    with pytest.raises(SpecError, match=r"expected BC.batch ≥ 1; got 0"):
        BC(batch=0)
    with pytest.raises(SpecError, match=r"expected BC.components ≥ 1; got 0"):
        BC(components=0)
    with pytest.raises(SpecError, match="expected actions Discrete, or a Box of float32"):
        BC().init(EnvSpec(Box((3,)), Box((2,), 0, 3, "int32"), None), key=KEY)
    assert nn.flat_size(BC(hidden=()).init(KEYS, key=KEY).network) == 3 * 4 + 4
