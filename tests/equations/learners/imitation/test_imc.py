"""IMC: curricula by hand, weights of one update, and data that nobody can represent."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.learners.imitation.imc import IMC, curriculum

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((1,)), Box((1,), -1.0, 1.0), 10)
RNG = np.random.default_rng(0)


def test_curricula_by_hand():
    fit, q = RNG.normal(size=(5, 3)), RNG.dirichlet(np.ones(3), 5)
    joint = np.exp(fit / 0.5) * q
    log_w, log_q = curriculum(jnp.asarray(fit, jnp.float32), jnp.log(jnp.asarray(q, jnp.float32)), 0.5)
    np.testing.assert_allclose(np.exp(log_w), 5 * joint / joint.sum(), rtol=1e-4)
    np.testing.assert_allclose(np.exp(log_q), joint / joint.sum(1, keepdims=True), rtol=1e-4)


def test_one_update_by_hand():
    learner = IMC(experts=3, hidden=(4,), passes=1.0, pacing=0.5, std=0.5)
    state = learner.init(SPEC, key=KEY)
    state = eqx.tree_at(lambda s: s.log_q, state, jnp.log(jnp.asarray(RNG.dirichlet(np.ones(3), 9), jnp.float32)))
    obs, action = (RNG.uniform(-1, 1, (1, 4, 1)).astype(np.float32) for _ in range(2))
    no, row = jnp.zeros((1, 4), bool), jnp.array([[7, 2, 0, 5]])
    batch = Transition(obs, action, jnp.full((1, 4), jnp.nan), no, no, obs, {"row": row})
    new, metrics = jax.jit(lambda s: learner.update(s, batch, lambda b: 1 / 0, key=KEY))(state)
    means = np.asarray(jax.vmap(state.network.actions)(obs[0]))[..., 0]
    fit = -0.5 * np.square((means - action[0]) / 0.5)
    joint = np.exp(fit / 0.5) * np.exp(np.asarray(state.log_q))[row[0]]
    w = 4 * joint / joint.sum()
    logits = np.asarray(jax.vmap(state.network.logits)(obs[0]))
    log_g = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(metrics["loss/policy"], -(w * fit).sum(1).mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["loss/gate"], -(w * log_g).sum(1).mean(), rtol=1e-4)
    np.testing.assert_allclose(np.exp(new.log_q)[row[0]], joint / joint.sum(1, keepdims=True), rtol=1e-4)
    np.testing.assert_array_equal(new.log_q[jnp.array([1, 3, 4, 6, 8])], state.log_q[jnp.array([1, 3, 4, 6, 8])])


def data(actions):
    rows = len(actions)
    zero = np.zeros((rows, 1), np.float32)
    return Dataset.from_numpy(
        SPEC, obs=zero, action=np.asarray(actions, np.float32)[:, None], reward=np.zeros(rows),
        terminated=np.ones(rows, bool), next_obs=zero,
    )  # fmt: skip


def learned(learner, dataset, updates=300):
    state = learner.prepare(learner.init(SPEC, key=KEY), dataset, key=KEY)

    @jax.jit
    def many(state):
        def one(s, k):
            draw, update = jax.random.split(k)
            batch = jax.tree.map(lambda x: x[None], learner.draw(dataset, 32, draw))
            return learner.update(s, batch, lambda b: 1 / 0, key=update)

        return jax.lax.scan(one, state, jax.random.split(KEY, updates))

    return many(state)


def test_experts_share_the_ways_out():
    state, metrics = learned(IMC(experts=4, hidden=(8,), lr=0.02), data(np.tile([-0.8, 0.8], 50)))
    policy = IMC(experts=4).policy(state)
    drawn = np.asarray(jax.vmap(lambda k: policy(jnp.zeros(1), (), key=k)[0][0])(jax.random.split(KEY, 200)))
    assert (np.abs(np.abs(drawn) - 0.8) < 0.1).mean() > 0.95 and 60 < (drawn > 0).sum() < 140
    assert metrics["policy/heeded"][-1] > 0.8 and state.log_q.shape == (100, 4)


def test_one_expert_ignores_what_it_cannot_represent():
    """Four in five push to 0.8: their mean is 0.48, and a curriculum leaves the others out."""
    one = lambda pacing: IMC(experts=1, hidden=(8,), lr=0.02, pacing=pacing)
    rows = data(np.tile([0.8, 0.8, 0.8, 0.8, -0.8], 20))
    action = lambda state: float(one(1.0).policy(state)(jnp.zeros(1), (), key=None)[0][0])
    assert action(learned(one(0.05), rows)[0]) == pytest.approx(0.8, abs=0.05)
    assert action(learned(one(100.0), rows)[0]) == pytest.approx(0.48, abs=0.1)


def test_refusals():
    IMC(passes=jnp.array([2.0, 5.0]))  # two settings
    with pytest.raises(SpecError, match=r"expected IMC.passes ≥ 1; got 0"):
        IMC(passes=0.5)
    with pytest.raises(SpecError, match=r"expected IMC.pacing > 0; got 0"):
        IMC(pacing=0.0)
    with pytest.raises(SpecError, match=r"expected IMC.experts ≥ 1; got 0"):
        IMC(experts=0)
