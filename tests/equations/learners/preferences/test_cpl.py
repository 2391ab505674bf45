"""CPL's update against its equation, in NumPy: scores, masks, the warm start, and the reference it leaves."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.preferences.cpl import CPL
from operant.learners.preferences.losses import IPO, Logistic

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
OBS = RNG.standard_normal((1, 3, 2, 4, 3)).astype(np.float32)
MASK = np.ones((1, 3, 2, 4), bool)
MASK[0, 0, 1, 2:] = False
TARGET, KNOWN = np.array([[1.0, 0.5, 0.0]], np.float32), np.array([[True, True, False]])
KEYS, ARM = EnvSpec(Box((3,)), Discrete(4), 10), EnvSpec(Box((3,)), Box((2,), (-2.0, 0.0), (2.0, 1.0)), 10)
ACTION = RNG.integers(0, 4, (1, 3, 2, 4))
REACH = RNG.uniform([-2, 0], [2, 1], (1, 3, 2, 4, 2)).astype(np.float32)


def comparisons(action, known=KNOWN):
    no = jnp.zeros((1, 3, 2, 4), bool)
    extras = {"mask": jnp.asarray(MASK), "target": jnp.asarray(TARGET), "known": jnp.asarray(known)}
    return Transition(jnp.asarray(OBS), jnp.asarray(action), jnp.full((1, 3, 2, 4), jnp.nan), no, no, OBS, extras)


def unread(_):
    raise AssertionError("CPL asked for a reward")


def update(learner, state, batch):
    return jax.jit(lambda s, b: learner.update(s, b, unread, key=KEY))(state, batch)


def forward(network):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(network.head)]
    return np.maximum(OBS[0] @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


def log_probs(network):
    logits = forward(network)
    log_p = logits - scipy.special.logsumexp(logits, -1, keepdims=True)
    return np.take_along_axis(log_p, ACTION[0][..., None], -1)[..., 0]


def test_discrete_scores_and_loss():
    learner = CPL(Logistic(0.3, 0.6), discount=0.9, bc_steps=0, hidden=(5,), lr=0.01)
    state = learner.init(KEYS, key=KEY)
    new, metrics = update(learner, state, comparisons(ACTION))
    log_pi = log_probs(state.network)
    score = (0.9 ** np.arange(4) * log_pi * MASK[0]).sum(-1)
    prefer = lambda a, b: -scipy.special.log_expit(0.3 * (a - 0.6 * b))
    left, right = score[:, 0], score[:, 1]
    expected = [prefer(right, left)[0], 0.5 * (prefer(right, left) + prefer(left, right))[1]]
    np.testing.assert_allclose(metrics["loss/preference"], np.mean(expected), rtol=1e-5)  # the third is not known
    np.testing.assert_allclose(metrics["loss/policy"], -log_pi[MASK[0]].mean(), rtol=1e-5)
    assert float(metrics["preferences/ranked"]) == float(right[0] > left[0])  # a tie is not decided
    assert int(new.steps) == 1 and new.reference is None


def test_fixed_deviation_counts_from_the_mode_and_in_units_of_the_box():
    learner = CPL(Logistic(0.1, 0.5), bc_steps=0, hidden=(5,), std=0.5)
    state = learner.init(ARM, key=KEY)
    _, metrics = update(learner, state, comparisons(REACH))
    choice = np.stack([REACH[0, ..., 0] / 2, 2 * REACH[0, ..., 1] - 1], -1)
    log_pi = -np.square(forward(state.network) - choice).sum(-1) / (2 * 0.25)
    np.testing.assert_allclose(metrics["loss/policy"], -log_pi[MASK[0]].mean(), rtol=1e-5)
    score = (log_pi * MASK[0]).sum(-1)
    assert state.network.log_std is None
    expected = -scipy.special.log_expit(0.1 * (score[0, 1] - 0.5 * score[0, 0]))
    only = update(learner, state, comparisons(REACH, np.array([[True, False, False]])))[1]
    np.testing.assert_allclose(only["loss/preference"], expected, rtol=1e-4)


def test_learned_deviation_is_learned():
    learner = CPL(bc_steps=100, hidden=(5,), std=None, lr=0.01)
    state = learner.init(ARM, key=KEY)
    new, _ = update(learner, state, comparisons(REACH))
    assert (np.asarray(new.network.log_std) < 0).all()  # uniform actions have deviation 0.58, and it starts at 1


def test_warm_start_clones_then_leaves_a_reference_and_begins_anew():
    learner = CPL(IPO(0.5), reference=True, bc_steps=2, hidden=(5,), lr=0.01)
    state = learner.init(KEYS, key=KEY)
    flipped = eqx.tree_at(lambda b: b.extras["target"], comparisons(ACTION), jnp.asarray(1 - TARGET))
    for _ in range(2):
        there, _ = update(learner, state, comparisons(ACTION))
        other, _ = update(learner, state, flipped)  # cloning does not look at the answers
        for a, b in zip(jax.tree.leaves(there.network), jax.tree.leaves(other.network), strict=True):
            np.testing.assert_array_equal(a, b)
        state = there
    last, metrics = update(learner, state, comparisons(ACTION))
    for a, b in zip(jax.tree.leaves(last.reference), jax.tree.leaves(state.network), strict=True):
        np.testing.assert_array_equal(a, b)
    # at the reference every margin is 0: the known pairs' targets are 1/2τ = 1 and, for the tie, 0
    np.testing.assert_allclose(metrics["loss/preference"], (1.0 + 0.0) / 2, rtol=1e-5)
    assert int(last.adam.count) == 1  # Adam began anew
    again, _ = update(learner, last, comparisons(ACTION))
    for a, b in zip(jax.tree.leaves(again.reference), jax.tree.leaves(state.network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(again.network.head.layers[0].weight, last.network.head.layers[0].weight)


def test_what_is_not_a_segments_own_is_not_read():
    learner = CPL(bc_steps=0, hidden=(5,))
    state, batch = learner.init(KEYS, key=KEY), comparisons(ACTION)
    other = eqx.tree_at(lambda b: b.obs, batch, jnp.where(MASK[..., None], batch.obs, 7.0))
    found = [jax.tree.leaves(update(learner, state, b)) for b in (batch, other)]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_learns_to_rank():
    learner = CPL(Logistic(1.0, 1.0), bc_steps=0, hidden=(16,), lr=0.02)
    state, batch = learner.init(KEYS, key=KEY), comparisons(ACTION, np.ones((1, 3), bool))
    once = lambda s, _: learner.update(s, batch, unread, key=KEY)
    state, metrics = jax.jit(lambda s: jax.lax.scan(once, s, None, length=200))(state)
    assert float(metrics["preferences/ranked"][-1]) == 1.0 and float(metrics["loss/preference"][-1]) < 0.3


def test_refusals():
    for given, text in (
        ({"batch": 0}, "expected CPL.batch ≥ 1; got 0"),
        ({"bc_steps": -1}, "expected CPL.bc_steps ≥ 0; got -1"),
        ({"std": 0.0}, "expected CPL.std > 0; got 0"),
    ):
        with pytest.raises(SpecError, match=text):
            CPL(**given)
    with pytest.raises(SpecError, match="expected actions Discrete, or a Box of float32"):
        CPL().init(EnvSpec(Box((3,)), Box((2,), 0, 3, "int32"), None), key=KEY)


def test_steps_are_refused():
    learner, batch = CPL(hidden=(5,)), comparisons(ACTION)
    steps = eqx.tree_at(lambda b: b.extras, batch, {"log_prob": batch.reward})
    with pytest.raises(SpecError, match=r"comparisons for CPL: .* got \(1, 3, 2, 4\) .*'log_prob'.*operant.fit"):
        learner.update(learner.init(KEYS, key=KEY), steps, unread, key=KEY)
