"""BeT's losses by hand in NumPy, its bins, its memory, and two ways kept apart."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.learners.imitation._history import History
from operant.learners.imitation._transformer import transformer
from operant.learners.imitation.bet import BeT, k_means

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((3,)), Box((2,), (-2.0, 0.0), (2.0, 1.0)), 10)
SMALL = BeT(bins=4, window=3, width=8, layers=1, heads=2, batch=6, lr=0.01)
RNG = np.random.default_rng(0)
OBS = RNG.standard_normal((1, 6, 3, 3)).astype(np.float32)
ACTION = RNG.uniform([-2, 0], [2, 1], (1, 6, 3, 2)).astype(np.float32)
MASK = np.arange(3)[None] >= np.array([0, 0, 1, 2, 0, 2])[:, None]


def windows(obs=OBS, action=ACTION, mask=MASK[None]):
    no = jnp.zeros(action.shape[:-1], bool)
    extras = {"mask": jnp.asarray(mask)}
    return Transition(
        jnp.asarray(obs), jnp.asarray(action), jnp.full(no.shape, jnp.nan), no, no, jnp.asarray(obs), extras
    )


def unread(_):
    raise AssertionError("it asked for a reward")


@pytest.fixture(scope="module")
def updated():
    state = SMALL.init(SPEC, key=KEY)
    centres = jnp.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    state = eqx.tree_at(lambda s: s.centres, state, centres)
    return state, *jax.jit(lambda s, b: SMALL.update(s, b, unread, key=KEY))(state, windows())


def test_losses_by_hand(updated):
    state, new, metrics = updated
    choice = np.stack([ACTION[0, ..., 0] / 2, 2 * ACTION[0, ..., 1] - 1], -1)
    centres = np.asarray(state.centres)
    which = np.square(choice[:, :, None] - centres).sum(-1).argmin(-1)
    logits, offsets = jax.vmap(state.network)(jnp.clip(OBS[0], -10, 10), jnp.asarray(MASK))
    logits, offsets = np.asarray(logits, np.float64), np.asarray(offsets)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    log_b = np.take_along_axis(log_p, which[..., None], -1)[..., 0]
    bins = -((1 - np.exp(log_b)) ** 2 * log_b)[MASK].mean()
    mine = np.take_along_axis(offsets, which[..., None, None], 2)[:, :, 0]
    error = np.square(mine - (choice - centres[which])).mean(-1)[MASK].mean()
    np.testing.assert_allclose(metrics["loss/bins"], bins, rtol=1e-4)
    np.testing.assert_allclose(metrics["loss/offsets"], error, rtol=1e-4)
    np.testing.assert_allclose(metrics["loss/policy"], bins + 10 * error, rtol=1e-4)
    assert int(new.steps) == 1 and logits.shape == (6, 3, 4) and offsets.shape == (6, 3, 4, 2)


def test_what_is_masked_or_later_is_not_seen(updated):
    network = updated[0].network
    mask = jnp.array([False, True, True])
    base = network(jnp.asarray(OBS[0, 0]), mask)[0]
    padded = network(jnp.asarray(OBS[0, 0]).at[0].set(99.0), mask)[0]
    np.testing.assert_allclose(padded[1:], base[1:], atol=1e-6)
    later = network(jnp.asarray(OBS[0, 0]).at[2].set(99.0), mask)[0]
    np.testing.assert_allclose(later[1], base[1], atol=1e-6)
    assert not np.allclose(later[2], base[2], atol=1e-6)


def test_the_policy_remembers_as_training_shows(updated):
    state = updated[0]
    policy = SMALL.policy(state)
    carry = policy.init_carry()
    for t in (1, 2):
        action, _, carry = policy(OBS[0, 2, t], carry, key=None)
    np.testing.assert_array_equal(carry.mask, [False, True, True])
    logits, offsets = state.network(jnp.asarray(OBS[0, 2]).at[0].set(0.0), carry.mask)
    which = int(np.argmax(logits[-1]))
    choice = np.clip(np.asarray(state.centres[which] + offsets[-1, which]), -1, 1)
    np.testing.assert_allclose(action, [2 * choice[0], (choice[1] + 1) / 2], atol=1e-5)
    assert int(History.init(SPEC, 3).count) == 0


def test_k_means_is_lloyds_fixed_point():
    x = np.concatenate([RNG.normal(c, 0.1, (50, 2)) for c in ([-1, -1], [1, 0], [0, 1])])
    centres = k_means(np.random.default_rng(1), x, 3)
    nearest = np.square(x[:, None] - centres[None]).sum(-1).argmin(1)
    np.testing.assert_allclose(centres, [x[nearest == i].mean(0) for i in range(3)], atol=1e-5)
    assert k_means(np.random.default_rng(1), x[:2], 5).shape == (5, 2)


def test_two_ways_are_kept_apart():
    spec = EnvSpec(Box((1,)), Box((1,), -1.0, 1.0), 10)
    rows = np.arange(400)
    action = np.where(rows // 2 % 2, 0.7, -0.7)[:, None].astype(np.float32)
    obs = np.zeros((400, 1), np.float32)
    ends = rows % 2 == 1
    data = Dataset.from_numpy(spec, obs=obs, action=action, reward=np.zeros(400), terminated=ends, next_obs=obs)
    learner = BeT(bins=2, window=2, width=8, layers=1, heads=1, batch=32, lr=0.01)
    state = learner.prepare(learner.init(spec, key=KEY), data, key=KEY)
    np.testing.assert_allclose(np.sort(state.centres, axis=0)[:, 0], [-0.7, 0.7], atol=1e-6)

    @jax.jit
    def many(state):
        def one(s, k):
            batch = jax.tree.map(lambda x: x[None], data.windows(32, 2, k))
            return learner.update(s, batch, unread, key=k)

        return jax.lax.scan(one, state, jax.random.split(KEY, 100))

    state, _ = many(state)
    policy = learner.policy(state)
    draw = lambda k: policy(jnp.zeros(1), policy.init_carry(), key=k)[0][0]
    drawn = np.asarray(jax.vmap(draw)(jax.random.split(KEY, 200)))
    assert (np.abs(np.abs(drawn) - 0.7) < 0.1).all() and 60 < (drawn > 0).sum() < 140


def test_refusals():
    with pytest.raises(SpecError, match=r"expected BeT.window ≥ 1; got 0"):
        BeT(window=0)
    with pytest.raises(SpecError, match="expected for BeT: actions in a Box of float32 with finite bounds"):
        SMALL.init(EnvSpec(Box((3,)), Discrete(2), 10), key=KEY)
    with pytest.raises(SpecError, match="expected layers ≥ 1 and heads ≥ 1 that divide the width"):
        transformer(np.random.default_rng(0), 8, 1, 3)
