"""Iterative inversion: of functions, where it converges; intents, memory and policy of the control one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.learners.imitation.iterative_inversion import (
    InversionPolicy,
    IterativeInversion,
    Memory,
    context,
    invert,
    knotted,
    remember,
)
from operant.testing import check_learner

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,), -9.0, 9.0), Box((1,), -2.0, 2.0), 4, num_envs=3, fixed_horizon=True)


# --- of functions ---------------------------------------------------------------------------------------------------


def test_an_affine_function_is_inverted_in_one_step():
    rng = np.random.default_rng(0)
    matrix, shift = rng.standard_normal((2, 2)), rng.standard_normal(2)
    wanted = jnp.asarray(rng.standard_normal((4, 2)) * 10, jnp.float32)
    forward = lambda x: x @ jnp.asarray(matrix.T, jnp.float32) + jnp.asarray(shift, jnp.float32)[None]
    found = invert(forward, wanted, jnp.asarray(rng.standard_normal((4, 2)), jnp.float32), steps=1)
    np.testing.assert_allclose(found, (np.asarray(wanted) - shift) @ np.linalg.inv(matrix).T, rtol=1e-3, atol=1e-3)


def test_a_vector_function_is_inverted_by_iterating_though_nothing_desired_was_seen():
    forward = lambda x: x + 0.3 * jnp.sin(x[:, ::-1])
    wanted = jnp.array([[3.0, 2.0], [3.5, 2.2], [3.1, 2.7]])
    start = jnp.array([[0.0, 0.0], [0.5, 0.1], [0.0, 0.6]])
    miss = [float(jnp.abs(forward(invert(forward, wanted, start, steps=k)) - wanted).max()) for k in (1, 3, 10)]
    assert miss[0] > miss[1] > miss[2] and miss[2] < 1e-3


def test_what_no_input_leads_to_is_not_found():
    forward = lambda x: jnp.sin(3.0 * x)
    wanted = jnp.array([[-1.5], [0.0], [1.5]])
    found = invert(forward, wanted, jnp.array([[0.0], [0.1], [0.3]]), steps=20)
    assert not float(jnp.abs(forward(found) - wanted).max()) < 0.5


# --- of a system ----------------------------------------------------------------------------------------------------


def demonstrations(folder, lengths=(4, 8)):
    """From 0 straight to (4, 8), and as far the other way at half the speed."""
    obs, after, ends = [], [], []
    for sign, n in zip((1.0, -1.0), lengths, strict=True):
        track = sign * np.linspace(0, 1, n + 1)[:, None] * np.array([4.0, 8.0])
        obs.append(track[:-1])
        after.append(track[1:])
        ends.append(np.arange(n) == n - 1)
    rows = sum(lengths)
    data = Dataset.from_numpy(
        SPEC, obs=np.concatenate(obs), action=np.zeros((rows, 1)), reward=np.zeros(rows),
        terminated=np.zeros(rows, bool), truncated=np.concatenate(ends), next_obs=np.concatenate(after),
    )  # fmt: skip
    return str(data.save(folder / "tracks"))


def test_contract(tmp_path):
    source = demonstrations(tmp_path)
    check_learner(
        IterativeInversion(source, rollout=4, knots=2, memory=4, gradient_steps=2, batch=8, hidden=(8,)), SPEC
    )


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    source = demonstrations(tmp_path_factory.mktemp("demos"))
    return IterativeInversion(
        source, rollout=4, watched=(0,), knots=2, memory=4, gradient_steps=300, batch=16, hidden=(16,), lr=0.01
    )


def test_knots():
    assert knotted(np.arange(9.0)[:, None], 4)[:, 0].tolist() == [2, 4, 6, 8]
    assert knotted(np.arange(5.0)[:, None], 4)[:, 0].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(context(jnp.array([5.0]), jnp.int32(1), 4), [5.0, -0.5])


def test_desired_intents_whatever_their_length(learner):
    intents = learner.init(SPEC, key=KEY).intents
    raw = np.array([[2.0, 4.0], [-2.0, -4.0]])  # the first number, at half time and at the end
    np.testing.assert_allclose(intents.mean, [0.0], atol=1e-6)
    np.testing.assert_allclose(intents.scale, [raw.std()], rtol=1e-6)
    np.testing.assert_allclose(intents.desired, raw / raw.std(), rtol=1e-6)


def test_memory_is_a_ring_of_episodes():
    memory = Memory(jnp.zeros((3, 2)), jnp.zeros((3, 2)), jnp.zeros((3, 1)), jnp.zeros((), jnp.int32))
    put = lambda m, x: remember(m, jnp.array([[x, x + 1]] * 2), jnp.zeros((2, 2)), jnp.array([[x], [x + 1]]))
    memory = put(put(memory, 1.0), 3.0)
    assert memory.intent[:, 0].tolist() == [4.0, 2.0, 3.0] and int(memory.count) == 4
    assert memory.obs.tolist() == [[4.0, 4.0], [2.0, 2.0], [3.0, 3.0]]


def test_an_intent_is_drawn_where_an_episode_begins_and_kept(learner):
    policy = learner.policy(learner.init(SPEC, key=KEY))
    obs = jnp.zeros(2)
    _, extras, carry = policy(obs, policy.init_carry(), key=KEY)
    assert any(np.allclose(extras["intent"], z) for z in policy.intents.desired)
    _, again, (_, t) = policy(obs, carry, key=jax.random.key(9))
    np.testing.assert_array_equal(again["intent"], extras["intent"])
    assert int(t) == 2
    for i in (0, 1):
        drawn = policy.only(i)(obs, policy.init_carry(), key=KEY)[1]["intent"]
        np.testing.assert_array_equal(drawn, policy.intents.desired[i])
    free = InversionPolicy(
        policy.spec, policy.network, policy.normaliser, policy.intents, jnp.full((4, 2), 7.0), jnp.int32(2), 0.0, 4
    )
    np.testing.assert_array_equal(free(obs, policy.init_carry(), key=KEY)[1]["intent"], [7.0, 7.0])


def test_the_policy_becomes_the_inverse_of_what_it_did(learner):
    """Three episodes whose constant action is what the first number ends at: asked for that, it gives the action."""
    state = learner.init(SPEC, key=KEY)
    action = jnp.broadcast_to(jnp.array([-1.5, 0.0, 1.5])[None, :, None], (4, 3, 1))
    track = jnp.cumsum(jnp.concatenate([jnp.zeros((1, 3, 1)), action]), 0)
    seen = jnp.concatenate([track, jnp.zeros_like(track)], -1)
    no = jnp.zeros((4, 3), bool)
    commanded = jnp.zeros((4, 3, 2))
    batch = Transition(seen[:-1], action, jnp.full((4, 3), jnp.nan), no, no, seen[1:], {"intent": commanded})
    new, metrics = jax.jit(lambda s: learner.update(s, batch, None, key=KEY))(state)
    z = np.stack([track[2, :, 0], track[4, :, 0]], 1) / float(state.intents.scale[0])
    np.testing.assert_allclose(new.memory.intent[:3], z, rtol=1e-5)
    np.testing.assert_allclose(new.memory.action[:3, :, 0], np.array([[-0.75] * 4, [0] * 4, [0.75] * 4]), atol=1e-6)
    np.testing.assert_allclose(metrics["inversion/miss"], np.sqrt(np.square(z).mean()), rtol=1e-5)
    policy = learner.policy(new)
    for i, wanted in enumerate((-1.5, 0.0, 1.5)):
        carry = (jnp.asarray(z[i], jnp.float32), jnp.int32(1))
        assert abs(float(policy(seen[1, i], carry, key=None)[0][0]) - wanted) < 0.3


def test_refusals(learner):
    with pytest.raises(SpecError, match=r"expected IterativeInversion.rollout = 7, the environment's max_steps"):
        learner.init(EnvSpec(SPEC.obs, SPEC.action, 7), key=KEY)
    with pytest.raises(SpecError, match=r"memory ≥ num_envs = 9"):
        learner.init(EnvSpec(SPEC.obs, SPEC.action, 4, 9, fixed_horizon=True), key=KEY)
    with pytest.raises(SpecError, match="an environment of fixed horizon"):
        learner.init(EnvSpec(SPEC.obs, SPEC.action, 4, 3), key=KEY)
    with pytest.raises(SpecError, match=r"observations of numbers for IterativeInversion; got images"):
        learner.init(EnvSpec(Box((16, 16, 3), 0, 255, "uint8"), SPEC.action, 4, 3, fixed_horizon=True), key=KEY)
    with pytest.raises(SpecError, match=r"watched among 0 … 1"):
        IterativeInversion(learner.source, rollout=4, watched=(2,)).init(SPEC, key=KEY)
    with pytest.raises(SpecError, match=r"steer in \[0, 1\]; got 2"):
        IterativeInversion("x", steer=2.0)
    with pytest.raises(SpecError, match=r"noise > 0"):
        IterativeInversion("x", noise=0.0)
    with pytest.raises(SpecError, match=r"knots ≥ 1"):
        IterativeInversion("x", knots=0)
