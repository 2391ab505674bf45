"""IQL's three losses and its targets by hand, and what they lead to on a bandit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.offline.iql import HEAVIEST, IQL, heads

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
OBS, NEXT = RNG.standard_normal((2, 1, 6, 3)).astype(np.float32)
ARM, KEYS = EnvSpec(Box((3,)), Box((2,), (-2.0, 0.0), (2.0, 1.0)), 10), EnvSpec(Box((3,)), Discrete(4), 10)
REACH = RNG.uniform([-2, 0], [2, 1], (1, 6, 2)).astype(np.float32)
PRESS = RNG.integers(0, 4, (1, 6))
ENDS = np.array([[False, True, False, False, True, False]])
PAID = RNG.standard_normal((1, 6)).astype(np.float32)


def batch(action):
    no = jnp.zeros((1, 6), bool)
    return Transition(OBS, jnp.asarray(action), jnp.full((1, 6), jnp.nan), jnp.asarray(ENDS), no, NEXT, {})


def dense(mlp, x):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(mlp)]
    return np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


@pytest.mark.parametrize("continuous", [True, False], ids=["continuous", "discrete"])
def test_losses_by_hand(continuous):
    spec, action = (ARM, REACH) if continuous else (KEYS, PRESS)
    learner = IQL(expectile=0.8, temperature=2.0, discount=0.9, hidden=(5,), tau=0.1)
    state = learner.init(spec, key=KEY)
    shifted = jax.tree.map(lambda x: x + 0.05, state.target)  # so that target and critic differ
    state = eqx.tree_at(lambda s: s.target, state, shifted)
    new, metrics = jax.jit(lambda s, b: learner.update(s, b, lambda _: jnp.asarray(PAID), key=KEY))(
        state, batch(action)
    )

    unit = np.stack([action[0, :, 0] / 2, 2 * action[0, :, 1] - 1], 1) if continuous else action[0]

    def q(params, out):
        if continuous:
            return dense(params.bodies[out], np.concatenate([OBS[0], unit], 1))[:, 0]
        return dense(params.bodies[out], OBS[0])[np.arange(6), unit]

    net = state.networks
    V, V_next = dense(net.value.head, OBS[0])[:, 0], dense(net.value.head, NEXT[0])[:, 0]
    u = np.minimum(q(shifted, 0), q(shifted, 1)) - V
    np.testing.assert_allclose(metrics["loss/value"], (np.where(u < 0, 0.2, 0.8) * u * u).mean(), rtol=1e-4)
    y = PAID[0] + 0.9 * np.where(ENDS[0], 0.0, V_next)
    critics = np.stack([q(net.critic, 0), q(net.critic, 1)])
    np.testing.assert_allclose(metrics["loss/critic"], (0.5 * (critics - y) ** 2).sum(0).mean(), rtol=1e-4)
    out = dense(net.policy.head, OBS[0])
    if continuous:
        log_pi = scipy.stats.norm(out, 1.0).logpdf(unit).sum(1)
    else:
        log_pi = (out - np.log(np.exp(out).sum(1, keepdims=True)))[np.arange(6), unit]
    weight = np.minimum(np.exp(2.0 * u), HEAVIEST)
    np.testing.assert_allclose(metrics["loss/policy"], -(weight * log_pi).mean(), rtol=1e-4)
    moved = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, shifted, new.networks.critic)
    for a, b in zip(jax.tree.leaves(new.target), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_each_loss_moves_its_own_network_only():
    """At temperature 0 and with a perfect value, the losses part: here the gradients of a sum are looked at."""
    state = IQL(hidden=(5,)).init(KEYS, key=KEY)
    far = eqx.tree_at(lambda b: b.terminated, batch(PRESS), jnp.ones((1, 6), bool))
    perfect = jax.vmap(lambda o, a: heads(state.networks.critic, o, a).mean())(OBS[0], jnp.asarray(PRESS[0]))
    learner = IQL(hidden=(5,), lr=1.0)
    update = lambda paid: jax.jit(lambda s: learner.update(s, far, lambda _: paid, key=KEY))(state)[0].networks
    one, other = update(perfect[None]), update(perfect[None] + 1.0)
    same = lambda a, b: all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
    assert same(one.value, other.value) and same(one.policy, other.policy) and not same(one.critic, other.critic)


def test_on_a_bandit_it_finds_the_expectile_and_the_better_action():
    """Action 1 pays 1, the others 0: V is the expectile of what was paid, and the policy prefers action 1."""
    press = np.arange(400) % 4
    paid = (press == 1).astype(np.float32)[None]
    yes, obs = jnp.ones((1, 400), bool), jnp.zeros((1, 400, 3))
    many = Transition(obs, jnp.asarray(press)[None], jnp.asarray(paid), yes, ~yes, obs, {})
    learner = IQL(expectile=0.9, temperature=3.0, hidden=(8,), lr=0.01, tau=0.1)
    once = lambda s, _: learner.update(s, many, lambda b: b.reward, key=KEY)
    state, _ = jax.jit(lambda s: jax.lax.scan(once, s, None, length=1500))(learner.init(KEYS, key=KEY))
    # 0.9 · ¼ (1 − V) = 0.1 · ¾ V
    assert float(state.networks.value(jnp.zeros(3))) == pytest.approx(0.9 / (0.9 + 0.3), abs=0.02)
    probs = state.networks.policy.distribution(jnp.zeros(3), jnp.zeros(3)).probs()
    weights = np.exp(3.0 * (np.array([0, 1, 0, 0]) - 0.75))
    np.testing.assert_allclose(probs, weights / weights.sum(), atol=0.02)


def test_refusals():
    for given, text in (
        ({"batch": 0}, r"expected IQL.batch ≥ 1; got 0"),
        ({"expectile": 1.0}, r"expected IQL.expectile in \[0.5, 1\); got 1"),
        ({"tau": 1.5}, r"expected IQL.tau in \[0, 1\]; got 1.5"),
    ):
        with pytest.raises(SpecError, match=text):
            IQL(**given)
    with pytest.raises(SpecError, match="expected for IQL: actions in a Box of float32 with finite bounds"):
        IQL().init(EnvSpec(Box((3,)), Box((2,)), None), key=KEY)
