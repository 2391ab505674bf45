"""Anyone's policy, in and audited: runs, functions, ONNX files, Stable-Baselines3 zips."""

import json
import sys
import types
import zipfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import cli
from operant.audits import Returns
from operant.core import AbstractPolicy, EnvSpec
from operant.envs.gymnasium import Gymnasium
from operant.envs.toy import CartPole, Pendulum
from operant.errors import DataError, OperantError, SpecError
from operant.io import onnx as to_onnx
from operant.io.policies import load_policy, subject_from
from operant.learners.ppo import PPO
from operant.loops.audit import FunctionPolicy, audit
from operant.loops.host import HostPolicy, run_host
from operant.loops.rollout import evaluate

KEY = jax.random.key(0)
LEAN = lambda obs: (obs[..., 2] + 0.3 * obs[..., 3] > 0).astype(int)


class Lean(AbstractPolicy):
    """Push where the pole leans."""

    spec: EnvSpec = eqx.field(static=True)

    def init_carry(self):
        return ()

    def __call__(self, obs, carry, *, key):
        return (obs[2] + 0.3 * obs[3] > 0).astype(jnp.int32), {}, carry


@pytest.fixture(scope="module")
def leaning(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    return to_onnx.export(Lean(CartPole().spec), tmp_path_factory.mktemp("onnx") / "lean.onnx")


def test_an_onnx_file_is_audited_by_its_recorded_episodes(leaning, capsys):
    env = CartPole(max_steps=80)
    subject = subject_from(leaning, env, episodes=20, key=KEY)
    (recorded,) = subject.episodes
    same = evaluate(Lean(env.spec), env, episodes=20, key=KEY)
    assert recorded.returns.shape == (20,)
    np.testing.assert_array_equal(recorded.returns, recorded.lengths)  # a reward of 1 a step
    ts, steps = recorded.transitions, recorded.mask
    np.testing.assert_array_equal(ts.action[steps], LEAN(ts.obs)[steps])
    follows = steps[:, 1:]
    np.testing.assert_array_equal(ts.obs[:, 1:][follows], ts.next_obs[:, :-1][follows])
    assert abs(recorded.returns.mean() - np.mean(same.returns)) < 15  # other starts, the same policy
    (finding,) = audit(subject, [Returns(at_least=30.0)], key=KEY).findings
    assert finding.verdict == "holds" and finding.value > 30
    assert cli.main(["audit", str(leaning), "--env", "CartPole-v1", "--audits", "Returns"]) == 0
    assert "returns" in capsys.readouterr().out.lower()


def test_memory_begins_anew_with_each_episode(tmp_path):
    pytest.importorskip("onnxruntime")
    env = CartPole(max_steps=7)
    learner = PPO(hidden=(4,), memory=3, minibatches=1)
    policy = learner.policy(learner.init(env.spec, key=KEY))
    host = load_policy(to_onnx.export(policy, tmp_path / "gru.onnx"), env)
    assert isinstance(host, HostPolicy) and [m.shape for m in host.memory] == [(3,)]
    seen = []

    def act(obs, memory):
        seen.append(np.array(memory[0]))
        return host.act(obs, memory)

    recorded = run_host(HostPolicy(env.spec, act, host.memory), env, episodes=20, key=KEY)
    assert (recorded.lengths == 7).all() and recorded.returns.shape == (20,)
    assert [not m.any() for m in seen] == [t % 7 == 0 for t in range(14)]


def test_host_environments_are_run_too():
    env = Gymnasium("CartPole-v1")
    recorded = run_host(HostPolicy.of(env.spec, LEAN), env, episodes=3, key=KEY)
    np.testing.assert_array_equal(recorded.returns, recorded.lengths)
    assert (recorded.lengths > 30).all()


def test_a_function_is_compiled(tmp_path):
    (tmp_path / "mine.py").write_text("def right(obs):\n    return (obs[2] > 0).astype(int)\n")
    assert isinstance(load_policy(f"{tmp_path}/mine.py:right", CartPole()), FunctionPolicy)
    assert isinstance(load_policy(f"{tmp_path}/mine.py:right", CartPole().spec), FunctionPolicy)


def zipped(path, module="stable_baselines3.common.policies", **more):
    data = {"policy_class": {":type:": "abc", ":serialized:": "gASV", "__module__": module}, **more}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(data))
    return path


def test_a_zip_needs_trust_and_then_its_library(tmp_path, monkeypatch, capsys):
    path = zipped(tmp_path / "model.zip", n_epochs=10)
    with pytest.raises(SpecError, match=r"unpickles 1 entries .* \(policy_class\), .* torch.load"):
        load_policy(path, CartPole())
    assert cli.main(["audit", str(path), "--env", "CartPole-v1"]) == 2
    assert "--trust" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(SpecError, match="pip install stable-baselines3"):
        load_policy(path, CartPole(), trust=True)

    asked = []

    def model(name, n):
        spaces = types.SimpleNamespace(shape=(4,)), types.SimpleNamespace(n=n, shape=())
        predict = lambda obs, deterministic: (LEAN(obs), None)
        load = lambda p, device: (
            asked.append(name)
            or types.SimpleNamespace(observation_space=spaces[0], action_space=spaces[1], predict=predict)
        )
        return types.SimpleNamespace(load=load)

    # A stand-in: only what is asked of the library is shown here, not that a real file loads.
    library = types.SimpleNamespace(PPO=model("PPO", 2), A2C=model("A2C", 2), DQN=model("DQN", 3))
    monkeypatch.setitem(sys.modules, "stable_baselines3", library)
    subject = subject_from(path, CartPole(), episodes=2, key=KEY, trust=True)
    assert subject.episodes[0].returns.min() > 30
    load_policy(zipped(tmp_path / "a2c.zip"), CartPole(), trust=True)
    with pytest.raises(SpecError, match=r"made for actions in Discrete\(n=2\); got namespace\(n=3"):
        load_policy(zipped(tmp_path / "dqn.zip", "stable_baselines3.dqn.policies"), CartPole(), trust=True)
    assert asked == ["PPO", "A2C", "DQN"]
    with pytest.raises(SpecError, match=r"got one of 'sb3_contrib.tqc'. Export it as ONNX"):
        load_policy(zipped(tmp_path / "tqc.zip", "sb3_contrib.tqc"), CartPole(), trust=True)


@pytest.mark.parametrize(
    ("name", "content", "env", "error", "message"),
    [
        ("run", None, None, SpecError, "expected a run's folder, or a policy as 'file.py:function', 'policy.onnx'"),
        ("p.onnx", None, None, SpecError, "--env: expected the environment that .*p.onnx acts in"),
        ("p.onnx", None, CartPole(), SpecError, "expected a policy's file at .*p.onnx; there is none."),
        ("p.onnx", b"nonsense", CartPole(), DataError, "expected an ONNX file at .*; onnxruntime said: "),
        ("p.zip", b"nonsense", CartPole(), DataError, r"expected a Stable-Baselines3 zip \(with an entry 'data'"),
    ],
)
def test_what_cannot_be_loaded_says_why(name, content, env, error, message, tmp_path):
    if content:
        pytest.importorskip("onnxruntime")
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        load_policy(tmp_path / name, env)


def test_spaces_and_actions_must_fit(leaning):
    with pytest.raises(SpecError, match=r"input 'obs' to be of shape \(batch, 3\), .*; got \('batch', 4\)"):
        load_policy(leaning, Pendulum())
    env, swing = CartPole(max_steps=3), Pendulum(max_steps=3)
    runs = lambda env, f: run_host(HostPolicy.of(env.spec, f), env, episodes=2, key=KEY)
    for place, function, message in [
        (env, lambda o: np.zeros((len(o), 2)), r"actions of shape \(2,\) .* gave \(2, 2\) \(float64\). .* its index"),
        (env, lambda o: np.full(len(o), 2), r"integers 0 … 1; the policy gave \[2 2\]"),
        (swing, lambda o: np.full((len(o), 1), 9.0), r"gave \[9.\]. Clip them"),
        (swing, lambda o: np.full((len(o), 1), np.nan), r"gave \[nan\]. Clip them"),
    ]:
        with pytest.raises(DataError, match=message):
            runs(place, function)
    with pytest.raises(OperantError, match="expected episodes ≥ 1; got 0"):
        run_host(HostPolicy.of(env.spec, LEAN), env, episodes=0, key=KEY)
