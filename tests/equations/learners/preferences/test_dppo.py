"""DPPO's predictor and policy by hand: distances, the contrast over all pairs, crops, and the two stages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners.preferences.dppo import DPPO, crop, distances

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
OBS = RNG.standard_normal((1, 3, 2, 4, 3)).astype(np.float32)
MASK = np.ones((1, 3, 2, 4), bool)
MASK[0, 0, 1, 2:] = False
TARGET, KNOWN = np.array([[1.0, 0.5, 0.0]], np.float32), np.array([[True, True, False]])
KEYS, ARM = EnvSpec(Box((3,)), Discrete(4), 10), EnvSpec(Box((3,)), Box((2,), (-2.0, 0.0), (2.0, 1.0)), 10)
ACTION = RNG.integers(0, 4, (1, 3, 2, 4))
REACH = RNG.uniform([-2, 0], [2, 1], (1, 3, 2, 4, 2)).astype(np.float32)
SMALL = DPPO(hidden=(5,), memory=4, shift=2, predictor_steps=2, smoothness=0.7, temperature=0.2, conservatism=0.5)


def comparisons(action):
    no = jnp.zeros((1, 3, 2, 4), bool)
    extras = {"mask": jnp.asarray(MASK), "target": jnp.asarray(TARGET), "known": jnp.asarray(KNOWN)}
    return Transition(jnp.asarray(OBS), jnp.asarray(action), jnp.full((1, 3, 2, 4), jnp.nan), no, no, OBS, extras)


def update(learner, state, batch, key=KEY):
    return jax.jit(lambda s, b, k: learner.update(s, b, None, key=k))(state, batch, key)


def forward(network):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(network.head)]
    return np.maximum(OBS[0] @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


def mean_own(x):
    return np.where(MASK[0], x, 0.0).sum(-1) / MASK[0].sum(-1)


def test_distances():
    reach = DPPO(hidden=(5,), memory=4).init(ARM, key=KEY).policy
    unit = np.stack([REACH[0, ..., 0] / 2, 2 * REACH[0, ..., 1] - 1], -1)
    apart = np.sqrt(np.square((forward(reach) - unit) / 2).sum(-1))  # a box's width is 2 in its units
    np.testing.assert_allclose(distances(reach, comparisons(REACH))[0], mean_own(apart), rtol=1e-5)
    press = DPPO(hidden=(5,), memory=4).init(KEYS, key=KEY).policy
    p = np.take_along_axis(scipy.special.softmax(forward(press), -1), ACTION[0][..., None], -1)[..., 0]
    np.testing.assert_allclose(distances(press, comparisons(ACTION))[0], mean_own(1 - p), rtol=1e-5)


def test_the_predictor_reads_own_steps_in_order():
    """The recurrence by hand, in NumPy, for one segment of which two steps are its own."""
    net = SMALL.init(KEYS, key=KEY).predictor
    x = np.concatenate([OBS[0, 0, 1], np.eye(4)[ACTION[0, 0, 1]]], -1).astype(np.float64)
    W, b, U = (np.asarray(z, np.float64) for z in (net.gru.inputs.weight, net.gru.inputs.bias, net.gru.hidden.weight))
    h, seen = np.zeros(4), []
    for t in range(2):
        (xr, xz, xn), (hr, hz, hn) = np.split(x[t] @ W + b, 3), np.split(h @ U, 3)
        r, z = scipy.special.expit(xr + hr), scipy.special.expit(xz + hz)
        h = (1 - z) * np.tanh(xn + r * hn) + z * h
        seen.append(h)
    expected = np.mean(seen, 0) @ np.asarray(net.head.weight, np.float64) + np.asarray(net.head.bias)
    np.testing.assert_allclose(net.all(comparisons(ACTION))[0, 0, 1], expected, rtol=1e-4)


def test_predictor_first_then_policy():
    state, batch = SMALL.init(KEYS, key=KEY), comparisons(ACTION)
    score = np.asarray(state.predictor.all(batch), np.float64)[0, ..., 0]
    log_right = scipy.special.log_expit(score[:, 1] - score[:, 0])
    log_left = scipy.special.log_expit(score[:, 0] - score[:, 1])
    one, metrics = update(SMALL, state, batch)
    expected = np.mean([-log_right[0], -0.5 * (log_right + log_left)[1]])  # the third is not known
    np.testing.assert_allclose(metrics["loss/preference"], expected, rtol=1e-5)
    assert float(metrics["loss/policy"]) == 0.0
    same = lambda a, b: all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
    assert same(one.policy, state.policy) and not same(one.predictor, state.predictor)
    two, _ = update(SMALL, one, batch)
    three, metrics = update(SMALL, two, batch)  # predictor_steps are over
    assert same(three.predictor, two.predictor) and not same(three.policy, two.policy) and int(three.steps) == 3

    score = np.asarray(two.predictor.all(batch), np.float64).reshape(-1)
    distance = np.asarray(distances(two.policy, batch), np.float64).reshape(-1)
    order = np.argsort(-score)  # best first, as the reference code ranks a batch
    d = distance[order] / 0.2
    loss = [-np.log(np.exp(-d[i]) / (np.exp(-d[i]) + np.exp(-0.5 * d[j]))) for i in range(6) for j in range(i + 1, 6)]
    np.testing.assert_allclose(metrics["loss/policy"], np.mean(loss), rtol=1e-4)


def test_smoothness_pulls_crops_together():
    batch = comparisons(ACTION)
    state = SMALL.init(KEYS, key=KEY)
    net, k = state.predictor, jax.random.split(KEY)
    a, b = (np.asarray(net.all(crop(batch, key, 2)), np.float64) for key in k)
    rough = (
        SMALL._predictor_loss(net, batch, KEY)[0] - DPPO(smoothness=0.0, shift=2)._predictor_loss(net, batch, KEY)[0]
    )
    assert a.shape == (1, 3, 2, 1)
    np.testing.assert_allclose(rough, 0.7 * np.square(a - b).mean(), rtol=1e-3)


def test_crops_are_stretches():
    batch = comparisons(ACTION)
    for seed in range(5):
        cut = crop(batch, jax.random.key(seed), 2)
        assert cut.obs.shape == (1, 3, 2, 2, 3)
        for i, j in np.ndindex(3, 2):
            starts = [t for t in range(3) if np.array_equal(cut.obs[0, i, j], OBS[0, i, j, t : t + 2])]
            assert len(starts) == 1
            np.testing.assert_array_equal(cut.action[0, i, j], ACTION[0, i, j, starts[0] : starts[0] + 2])
            np.testing.assert_array_equal(cut.extras["mask"][0, i, j], MASK[0, i, j, starts[0] : starts[0] + 2])


def test_it_acts_as_preferred_segments_do():
    """The right segment pushes to 1, the left one to −1, whatever is seen; of most pairs nothing is known."""
    spec = EnvSpec(Box((3,)), Box((1,), -1.0, 1.0), 10)
    obs = RNG.standard_normal((1, 40, 2, 4, 3)).astype(np.float32)
    push = np.broadcast_to(np.array([-1.0, 1.0])[None, None, :, None, None], (1, 40, 2, 4, 1)).astype(np.float32)
    yes = jnp.ones((1, 40, 2, 4), bool)
    extras = {"mask": yes, "target": jnp.ones((1, 40)), "known": jnp.arange(40)[None] < 8}
    batch = Transition(jnp.asarray(obs), jnp.asarray(push), jnp.zeros((1, 40, 2, 4)), ~yes, ~yes, obs, extras)
    learner = DPPO(hidden=(8,), memory=4, shift=1, predictor_steps=200, lr=0.01)
    once = lambda s, k: learner.update(s, batch, None, key=k)
    state, metrics = jax.jit(lambda s, k: jax.lax.scan(once, s, k))(
        learner.init(spec, key=KEY), jax.random.split(KEY, 500)
    )
    assert float(metrics["preferences/ranked"][-1]) == 1.0
    act = jax.vmap(lambda o: learner.policy(state)(o, (), key=None)[0])(obs[0, :, 0, 0])
    assert float(act.mean()) > 0.8


def test_refusals():
    for given, text in (
        ({"batch": 0}, r"expected DPPO.batch ≥ 1; got 0"),
        ({"conservatism": 1.5}, r"expected DPPO.conservatism in \(0, 1\]; got 1.5"),
        ({"temperature": 0.0}, r"expected DPPO.temperature > 0; got 0"),
    ):
        with pytest.raises(SpecError, match=text):
            DPPO(**given)


def test_a_crop_of_a_short_segment_keeps_a_step_of_its_own():
    own = jnp.arange(1, 9)
    mask = jnp.arange(8)[None] < own[:, None]
    x, no = jnp.zeros((8, 8)), jnp.zeros((8, 8), bool)
    batch = Transition(x[..., None], x, x, no, no, x[..., None], {"mask": mask})
    for i in range(5):
        assert crop(batch, jax.random.key(i), 5).extras["mask"].any(-1).all()
