"""Behavior Retrieval: VAE loss, distances and similarity by hand, the bank, and what is cloned."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import nn
from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.learners.imitation.behavior_retrieval import VAE, Bank, BehaviorRetrieval, distance, kept
from operant.testing import check_learner, small_spec

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Box((1,), -1.0, 1.0), 10)
SMALL = {"embedding": (16,), "hidden": (16,), "latent": 2, "batch": 64, "bank": 64, "lr": 0.01}
LEARNER = BehaviorRetrieval(threshold=0.8, embedding_steps=200, **SMALL)
RNG = np.random.default_rng(0)
PRIOR = np.arange(64)[None] >= 8
GOOD = ~PRIOR | (np.arange(64)[None] < 32)


def batch():
    """Demonstrations push to 0.8; a part of the prior does, the rest pushes to −0.8."""
    obs = np.random.default_rng(1).standard_normal((1, 64, 2)).astype(np.float32)
    action = np.where(GOOD[..., None], 0.8, -0.8).astype(np.float32)
    no = jnp.zeros((1, 64), bool)
    extras = {"prior": PRIOR, "task": np.where(GOOD, 3, 1)}
    return Transition(obs, jnp.asarray(action), jnp.full((1, 64), jnp.nan), no, no, obs, extras)


def unread(_):
    raise AssertionError("asked for a reward")


STEPS = batch()
START = LEARNER.init(SPEC, key=KEY)


@jax.jit
def many(state):
    return jax.lax.scan(lambda s, _: LEARNER.update(s, STEPS, unread, key=KEY), state, None, length=200)


EMBEDDED, FIRST = many(START)
CLONED, THEN = many(EMBEDDED)


@pytest.mark.parametrize("continuous", [False, True])
def test_contract(continuous):
    learner = BehaviorRetrieval(
        embedding_steps=1, **SMALL | {"hidden": (8,), "embedding": (8,), "batch": 8, "bank": 16}
    )
    check_learner(learner, small_spec(continuous), extras={"prior": np.array([[True, False]])})


def mlp(net, x):
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(net)]
    return np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]


def test_vae_loss():
    rng = np.random.default_rng(0)
    vae = VAE(nn.mlp(rng, (3, 5, 4), activation="relu"), nn.mlp(rng, (2, 5, 3), activation="relu"))
    x, noise = np.array([0.5, -1.0, 2.0]), np.array([0.3, -0.7])
    out = mlp(vae.encoder, x)
    mean, log_std = out[:2], out[2:]
    error = np.square(mlp(vae.decoder, mean + np.exp(log_std) * noise) - x).mean()
    kl = (0.5 * (mean**2 + np.exp(2 * log_std) - 1) - log_std).sum()
    np.testing.assert_allclose(vae.loss(jnp.asarray(x), jnp.asarray(noise), 0.1), error + 0.1 * kl, rtol=1e-5)


def test_the_bank_keeps_the_last_demonstrations():
    zeros = jnp.zeros(())
    bank = Bank(jnp.zeros((3, 1)), jnp.zeros((), jnp.int32), jnp.zeros((3, 2)), zeros, zeros, zeros)
    x, mine = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([True, False, True])
    bank = kept(bank, x, jnp.full(3, 5.0), mine)
    assert bank.rows[:, 0].tolist() == [1.0, 3.0, 0.0] and int(bank.count) == 2 and float(bank.task) == 5.0
    z = jnp.array([[3.0, 4.0]])
    near = Bank(bank.rows, bank.count, jnp.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]), zeros, zeros, zeros)
    np.testing.assert_allclose(distance(near, z), [4.0], rtol=1e-6)  # the third row is empty
    bank = kept(bank, x, jnp.zeros(3), jnp.array([True, True, False]))
    assert bank.rows[:, 0].tolist() == [2.0, 3.0, 1.0]


def test_similarity_by_hand():
    look = jax.vmap(lambda x: CLONED.vae.embed(CLONED.moments.normalise(x)))
    z = np.asarray(look(jnp.concatenate([STEPS.obs[0], STEPS.action[0]], 1)))
    far = np.linalg.norm(z[:, None] - z[None, :8], axis=-1).min(1)
    other = far[8:]
    alike = 1 - (other - other.min()) / (other.max() - other.min())
    np.testing.assert_allclose(THEN["retrieval/share"][-1], (alike >= 0.8).mean(), atol=1.1 / 56)
    np.testing.assert_allclose(CLONED.bank.least, other.min(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(CLONED.bank.most, other.max(), rtol=1e-3)


def test_what_is_like_the_demonstrations_is_retrieved_and_cloned():
    np.testing.assert_array_equal(THEN["loss/embedding"], FIRST["loss/embedding"][-1])
    assert FIRST["loss/embedding"][-1] < FIRST["loss/embedding"][0] / 2
    assert THEN["retrieval/precision"][-1] == 1.0 and 0.05 < THEN["retrieval/share"][-1] < 0.45
    policy = LEARNER.policy(CLONED)
    greedy = np.asarray(jax.vmap(lambda o: policy(o, (), key=None)[0])(STEPS.obs[0]))
    assert np.abs(greedy - 0.8).mean() < 0.1


def test_a_threshold_of_0_takes_everything():
    all_of_it = BehaviorRetrieval(threshold=0.0, embedding_steps=1, **SMALL)
    once = jax.jit(lambda s: all_of_it.update(s, STEPS, unread, key=KEY))
    _, metrics = once(once(all_of_it.init(SPEC, key=KEY))[0])
    assert float(metrics["retrieval/share"]) == 1.0
    np.testing.assert_allclose(metrics["retrieval/precision"], 24 / 56, rtol=1e-5)


def test_refusals():
    with pytest.raises(SpecError, match=r"expected BehaviorRetrieval.bank ≥ batch = 256"):
        BehaviorRetrieval(bank=8)
    with pytest.raises(SpecError, match=r"threshold in \[0, 1\]; got 2"):
        BehaviorRetrieval(threshold=2.0)
    with pytest.raises(SpecError, match=r"latent ≥ 1; got 0"):
        BehaviorRetrieval(latent=0)
    images = EnvSpec(Box((16, 16, 3), 0, 255, "uint8"), Box((1,), -1.0, 1.0), None)
    both = EnvSpec(Composite((("camera", images.obs), ("arm", SPEC.obs))), SPEC.action, None)
    with pytest.raises(SpecError, match="expected observations of numbers"):
        LEARNER.init(both, key=KEY)
    with pytest.raises(SpecError, match="expected observations of numbers"):
        LEARNER.init(images, key=KEY)
    bare = Transition(STEPS.obs, STEPS.action, STEPS.reward, STEPS.terminated, STEPS.truncated, STEPS.obs, {})
    with pytest.raises(SpecError, match=r"expected extras\['prior'\] for BehaviorRetrieval"):
        LEARNER.update(START, bare, unread, key=KEY)


def test_half_of_what_is_learned_from_are_demonstrations_however_few():
    rows, n = 2_050, 64
    marks = np.arange(rows) >= 50
    no, x = np.zeros(rows, bool), np.zeros((rows, 1), np.float32)
    data = Transition(x, marks.astype(np.int32), np.zeros(rows, np.float32), ~no, no, x, {"prior": marks})
    data = Dataset(data, np.arange(rows), EnvSpec(Box((1,)), Discrete(2), None))
    learner = BehaviorRetrieval(batch=n, bank=n, hidden=(8,))
    drawn = learner.draw(data, n, jax.random.key(0))
    assert int((~drawn.extras["prior"]).sum()) == n // 2
    with pytest.raises(DataError, match="expected demonstrations and earlier data for BehaviorRetrieval; got 0 of"):
        alone = Dataset(dataclasses.replace(data.data, extras={"prior": no}), data.episode, data.spec)
        learner.prepare(learner.init(data.spec, key=jax.random.key(0)), alone, key=jax.random.key(0))
