"""`operant explain`: a linear policy's own weights come back; and what is refused."""

import json

import jax
import numpy as np
import pytest

from operant import cli, explaining
from operant.core import Intent
from operant.envs.toy import CartPole
from operant.learners import PPO
from operant.loops.rollout import evaluate
from operant.loops.train import train
from operant.rewards import Task

FILE = """
import jax.numpy as jnp
def linear(obs): return (0.5 * obs[0] - 0.25 * obs[1] + 0.1 * obs[2])[None]
def push(obs): return jnp.where(obs[2] > 10.0, 1, 0)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(FILE)
    return "my.py:linear"


def answer(capsys, *argv):
    code = cli.main(["explain", *argv])
    captured = capsys.readouterr()
    return code, captured.out, " ".join(captured.err.split())


def test_slopes_of_a_linear_policy(file, capsys):
    code, out, _ = answer(capsys, file, "--env", "Pendulum-v1", "--at", "3", "--method", "gradients", "--json")
    found = json.loads(out)
    assert code == 0 and found["names"] == ["cos", "sin", "velocity"] and found["step"] == 3
    assert found["slopes"] == pytest.approx([0.5, -0.25, 0.1], abs=1e-4)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--env: expected the environment that my.py:linear acts in"),
        (["--env", "Pendulum-v1", "--method", "lmie"], "expected a way to explain; got 'lmie': did you mean 'lime'?"),
        (["--env", "Pendulum-v1", "--at", "200"], "--at: expected a step in 0 … 199 of the episode; got 200."),
    ],
)
def test_what_is_refused(file, capsys, argv, said):
    code, _, err = answer(capsys, file, *argv)
    assert code == 2 and said in err


def test_a_choice_that_nothing_changes_is_not_said_to_depend_on_nothing(file, capsys):
    code, out, _ = answer(capsys, "my.py:push", "--env", "CartPole-v1")
    assert code == 0 and "no perturbation changed the answer" in out
    code, out, _ = answer(capsys, "my.py:push", "--env", "CartPole-v1", "--json")
    assert code == 0 and json.loads(out, parse_constant=pytest.fail)["faithfulness"] is None


def test_a_policy_with_memory_is_explained_with_what_it_remembered(tmp_path, monkeypatch, capsys):
    learner = PPO(rollout=16, epochs=1, minibatches=1, hidden=(8,), memory=4)
    run = train(
        learner, CartPole(), Intent(Task()), steps=64, num_envs=4, key=jax.random.key(0), folder=tmp_path / "run"
    )
    given, real = [], explaining.explain
    monkeypatch.setattr(explaining, "explain", lambda *a, **k: given.append((a, k)) or real(*a, **k))
    assert answer(capsys, str(tmp_path / "run"), "--at", "3")[0] == 0
    said = given[0][1]
    episodes = evaluate(run.policy(0), CartPole(), episodes=explaining.EPISODES, key=jax.random.key(0))
    carry = run.policy(0).init_carry()
    for obs in np.asarray(episodes.transitions.obs)[0, :3]:
        carry = run.policy(0)(obs, carry, key=None)[2]
    np.testing.assert_allclose(said["carry"], carry, rtol=1e-4)
    assert np.abs(carry).max() > 0


def test_a_run_that_is_not_there(file, capsys):
    code, _, err = answer(capsys, "runs/none")
    assert code == 2 and "there is no run at runs/none. There are no runs in ./runs either." in err


@pytest.mark.parametrize("subject", ["model.zip", "policy.onnx"])
def test_what_is_not_in_jax_is_refused_before_it_is_opened(file, capsys, subject):
    code, _, err = answer(capsys, subject, "--env", "Pendulum-v1")
    assert code == 2 and f"expected a policy in JAX, whose nearby actions can be asked for; got {subject}." in err
