"""Policies written as ONNX: the same actions from onnxruntime, for any batch."""

import dataclasses
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractPolicy, Box, Composite, Discrete, EnvSpec
from operant.errors import SpecError
from operant.io import onnx as to_onnx
from operant.learners.bc import BC
from operant.learners.dqn import DQN
from operant.learners.ppo import PPO
from operant.learners.sac import SAC
from operant.learners.td3 import TD3
from operant.loops.rollout import act, carries

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

BOX = EnvSpec(Box((2, 2)), Box((2,), (-1.0, -3.0), (2.0, 3.0)), 10, num_envs=4)
LEVER = EnvSpec(Box((3,)), Discrete(4), 10, num_envs=4)
MASK = Box((5,), 0, 1)
MIXED = Composite(
    (("image", Box((16, 18, 3), 0, 255, "uint8")), ("kind", Discrete(4)), ("x", Box((3,))), ("action_mask", MASK))
)
SEEN = EnvSpec(MIXED, Discrete(5), 10, num_envs=4)
PIXELS = EnvSpec(Box((36, 36, 1), 0, 255, "uint8"), Box((1,), -2.0, 2.0), 10, num_envs=4)
CASES = {
    "ppo discrete": (PPO(hidden=(8,)), LEVER),
    "ppo continuous": (PPO(hidden=(8,)), BOX),
    "ppo unbounded": (PPO(hidden=(8,)), dataclasses.replace(BOX, action=Box((2,)))),
    "ppo gru": (PPO(hidden=(8,), memory=6, minibatches=4), LEVER),
    "ppo gru mixed": (PPO(hidden=(8,), memory=6, minibatches=4), SEEN),
    "ppo image": (PPO(hidden=(8,)), PIXELS),
    "dqn": (DQN(hidden=(8,), capacity=100), LEVER),
    "dqn dueling masked": (DQN(hidden=(8,), capacity=100, dueling=True), SEEN),
    "sac": (SAC(hidden=(8,), capacity=100, normalise_obs=True), BOX),
    "sac discrete": (SAC(hidden=(8,), capacity=100), LEVER),
    "td3": (TD3(hidden=(8,), capacity=100), BOX),
    "bc silu": (BC(hidden=(8,), activation="silu"), BOX),
    "bc gelu": (BC(hidden=(8,), activation="gelu"), LEVER),
    "bc elu": (BC(hidden=(8,), activation="elu"), LEVER),
}


def observations(space: Any, n: int) -> Any:
    obs = jax.tree.map(np.asarray, jax.vmap(space.sample)(jax.random.split(jax.random.key(1), n)))
    if isinstance(obs, dict):
        obs["action_mask"] = np.tile(np.float32([0, 1, 0, 1, 1]), (n, 1))
        return obs
    return obs if obs.dtype == np.uint8 else 2 * obs


def policy_of(learner: Any, spec: EnvSpec) -> AbstractPolicy:
    """With larger weights than fresh ones, so that actions differ, and moments that have seen something."""
    policy = learner.policy(learner.init(spec, key=jax.random.key(0)))
    scale = 1.0 if spec in (SEEN, PIXELS) else 3.0  # three times through convolutions is more than float32 compares
    policy = jax.tree.map(lambda x: scale * x if eqx.is_inexact_array(x) else x, policy)
    normaliser = getattr(policy, "normaliser", None)
    if normaliser is None:
        return policy
    return eqx.tree_at(lambda p: p.normaliser, policy, normaliser.update(observations(spec.obs, 50)))


@pytest.mark.parametrize("case", CASES)
def test_the_file_acts_as_the_policy_does(case, tmp_path):
    learner, spec = CASES[case]
    policy = policy_of(learner, spec)
    session = onnxruntime.InferenceSession(
        to_onnx.export(policy, tmp_path / "p.onnx"), providers=["CPUExecutionProvider"]
    )
    acts, remembers = eqx.filter_jit(act), "gru" in case
    obs, carry = observations(spec.obs, 33), carries(policy, 33)
    for _ in range(2 if remembers else 1):
        want, _, next_carry = acts(policy, obs, carry, None)
        feed = (dict(obs) if isinstance(obs, dict) else {"obs": obs}) | (
            {"carry": np.asarray(carry)} if remembers else {}
        )
        for n in (33, 1):
            results = session.run(None, {name: x[:n] for name, x in feed.items()})
            got = dict(zip([o.name for o in session.get_outputs()], results, strict=True))
            assert set(got) == ({"action", "next_carry"} if remembers else {"action"})
            if isinstance(spec.action, Discrete):
                assert got["action"].dtype == np.int64
                np.testing.assert_array_equal(got["action"], want[:n])
            else:
                np.testing.assert_allclose(got["action"], want[:n], rtol=1e-5, atol=1e-5)
                assert all(spec.action.contains(a) for a in got["action"])
            if remembers:
                np.testing.assert_allclose(got["next_carry"], next_carry[:n], rtol=1e-5, atol=1e-5)
        carry = next_carry
    assert len(np.unique(np.round(np.asarray(want, float), 5))) > 1, "a constant policy shows nothing"


class Odd(AbstractPolicy):
    """Whatever `function` says."""

    spec: EnvSpec = eqx.field(static=True)
    function: Any = eqx.field(static=True)
    carry: Any = ()

    def init_carry(self) -> Any:
        return self.carry

    def __call__(self, obs, carry, *, key):
        return self.function(obs, carry), {"unused": jnp.sort(obs)}, carry


def ran(function: Any, x: np.ndarray, path: Any) -> np.ndarray:
    spec = EnvSpec(Box(x.shape[1:]), Box(jax.eval_shape(function, x[0]).shape), 10)
    to_onnx.export(Odd(spec, lambda o, c: function(o)), path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"obs": x})[0]


MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4) / 10


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.full(2, 0.5),  # a constant, which the batch must still be given
        lambda x: jnp.einsum("ij,kj->ki", x, x),
        lambda x: x.T[1:3, ::2] ** 3,
        lambda x: jnp.where((x > 0).all(0) | (x != 0).any(0), jnp.log1p(x**2).sum(0), x.min(0)),
        lambda x: jax.lax.rsqrt(1 + x * x) - jnp.expm1(x) + jnp.arange(4.0)[None] * jnp.clip(x, -0.5, 0.5),
        lambda x: jnp.stack([x.prod(), x.mean(), jax.nn.softmax(x, 0)[1, 2], jnp.argmin(x.ravel()).astype(float)]),
        lambda x: jnp.tanh(x.reshape(-1)) @ MATRIX.reshape(-1),
    ],
)
def test_primitives_are_those_of_jax(function, tmp_path):
    x = np.random.default_rng(0).standard_normal((5, 3, 4)).astype(np.float32)
    want = np.stack([np.asarray(function(row)) for row in x])
    np.testing.assert_allclose(ran(function, x, tmp_path / "p.onnx"), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Odd(LEVER, lambda o, c: jnp.argmax(jnp.sort(o))), r"that ONNX export knows; got 'sort' on f.*3\]"),
        (lambda: Odd(LEVER, lambda o, c: jnp.argmax(o + c), jnp.ones(3)), "a memory that begins with zeros"),
        (lambda: PPO, "expected a policy, such as run.policy\\(\\); got "),
    ],
)
def test_what_cannot_be_written_is_named(make, message, tmp_path):
    with pytest.raises(SpecError, match=message):
        to_onnx.export(make(), tmp_path / "p.onnx")
    assert not (tmp_path / "p.onnx").exists()


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SpecError, match=r"pip install 'operant\[onnx\]'"):
        to_onnx.export(Odd(LEVER, lambda o, c: jnp.argmax(o)), tmp_path / "p.onnx")
