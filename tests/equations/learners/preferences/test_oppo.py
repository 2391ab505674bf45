"""OPPO's three losses by hand, whose gradient goes where, and what it makes of two kinds of behaviour."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.preferences.oppo import OPPO

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
OBS = RNG.standard_normal((1, 3, 2, 4, 3)).astype(np.float32)
MASK = np.ones((1, 3, 2, 4), bool)
MASK[0, 0, 1, 2:] = False
TARGET, KNOWN = np.array([[1.0, 0.5, 0.0]], np.float32), np.array([[True, True, False]])
KEYS = EnvSpec(Box((3,)), Discrete(4), 10)
ACTION = RNG.integers(0, 4, (1, 3, 2, 4))


def comparisons(known=KNOWN):
    no = jnp.zeros((1, 3, 2, 4), bool)
    extras = {"mask": jnp.asarray(MASK), "target": jnp.asarray(TARGET), "known": jnp.asarray(known)}
    return Transition(jnp.asarray(OBS), jnp.asarray(ACTION), jnp.full((1, 3, 2, 4), jnp.nan), no, no, OBS, extras)


def update(learner, state, batch):
    return jax.jit(lambda s, b: learner.update(s, b, None, key=KEY))(state, batch)


def test_losses_by_hand():
    learner = OPPO(contexts=2, hidden=(5,), memory=4)
    state = learner.init(KEYS, key=KEY)
    z = np.asarray(state.networks.hindsight.all(comparisons()), np.float64)[0]
    _, metrics = update(learner, state, comparisons())
    apart = np.linalg.norm(z - np.asarray(state.best), axis=-1)  # (pair, side)
    first = max(apart[0, 1] - apart[0, 0] + 1.0, 0.0)  # the right one is better
    tie = abs(apart[1, 0] - apart[1, 1])
    np.testing.assert_allclose(metrics["loss/preference"], (first + tie) / 2, rtol=1e-4)
    assert float(metrics["preferences/ranked"]) == float(apart[0, 1] < apart[0, 0])
    x = np.concatenate([OBS[0], np.broadcast_to(z[:, :, None], (3, 2, 4, 2))], -1)  # every step sees its segment's z
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state.networks.policy.head)]
    logits = np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]
    log_p = np.take_along_axis(scipy.special.log_softmax(logits, -1), ACTION[0][..., None], -1)[..., 0]
    np.testing.assert_allclose(metrics["loss/policy"], -log_p[MASK[0]].mean(), rtol=1e-4)


def test_the_best_context_moves_by_known_preferences_alone():
    learner = OPPO(contexts=2, hidden=(5,), memory=4, context_lr=0.1)
    state = learner.init(KEYS, key=KEY)
    only = np.array([[True, False, False]])
    new, _ = update(learner, state, comparisons(only))
    z = np.asarray(new.networks.hindsight.all(comparisons()), np.float64)[0, 0]  # after the networks' own step
    toward = lambda point: (point - np.asarray(state.best)) / np.linalg.norm(point - np.asarray(state.best))
    gradient = -toward(z[1]) + toward(z[0])  # nearer the right one, farther from the left
    moved = np.asarray(state.best) - 0.1 * np.sign(gradient)  # Adam's first step
    np.testing.assert_allclose(new.best, moved / max(np.linalg.norm(moved), 1.0), atol=1e-4)  # within the unit ball
    still, _ = update(learner, state, comparisons(np.zeros((1, 3), bool)))
    np.testing.assert_allclose(still.best, state.best, rtol=1e-6)
    assert float(jnp.linalg.norm(state.best)) == pytest.approx(1.0)


def test_contexts_are_drawn_into_the_unit_ball():
    far = lambda s: eqx.tree_at(lambda s: s.networks.hindsight.head.bias, s, jnp.full(2, 3.0))
    size = lambda s: float(jnp.linalg.norm(s.networks.hindsight.all(comparisons()), axis=-1).mean())
    learner = OPPO(contexts=2, hidden=(5,), memory=4, preference_weight=0.0, norm_weight=10.0, lr=0.02)
    state = far(learner.init(KEYS, key=KEY))
    once = lambda s, _: learner.update(s, comparisons(), None, key=KEY)
    new, _ = jax.jit(lambda s: jax.lax.scan(once, s, None, length=300))(state)
    assert size(state) > 3.5 and size(new) < 1.1


def test_it_acts_as_the_preferred_of_two_kinds():
    """The right segment pushes to 1, the left one to −1, whatever is seen: cloning both would push nowhere."""
    spec = EnvSpec(Box((3,)), Box((1,), -1.0, 1.0), 10)
    obs = RNG.standard_normal((1, 40, 2, 4, 3)).astype(np.float32)
    push = np.broadcast_to(np.array([-1.0, 1.0])[None, None, :, None, None], (1, 40, 2, 4, 1)).astype(np.float32)
    yes = jnp.ones((1, 40, 2, 4), bool)
    extras = {"mask": yes, "target": jnp.ones((1, 40)), "known": jnp.arange(40)[None] < 8}
    batch = Transition(jnp.asarray(obs), jnp.asarray(push), jnp.zeros((1, 40, 2, 4)), ~yes, ~yes, obs, extras)
    learner = OPPO(contexts=2, hidden=(16,), memory=8, lr=0.01, context_lr=0.02, preference_weight=1.0)
    once = lambda s, _: learner.update(s, batch, None, key=KEY)
    state, metrics = jax.jit(lambda s: jax.lax.scan(once, s, None, length=600))(learner.init(spec, key=KEY))
    assert float(metrics["preferences/ranked"][-1]) == 1.0
    act = jax.vmap(lambda o: learner.policy(state)(o, (), key=None)[0])(obs[0, :, 0, 0])
    assert float(act.mean()) > 0.8


def test_refusals():
    for given, text in (
        ({"batch": 0}, r"expected OPPO.batch ≥ 1; got 0"),
        ({"contexts": 0}, r"expected OPPO.contexts ≥ 1; got 0"),
        ({"norm_weight": -1.0}, r"expected OPPO.norm_weight ≥ 0; got -1"),
    ):
        with pytest.raises(SpecError, match=text):
            OPPO(**given)
