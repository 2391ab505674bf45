"""`operant explain`: a linear policy's own weights come back; and what is refused."""

import json

import pytest

from operant import cli

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


def test_a_run_that_is_not_there(file, capsys):
    code, _, err = answer(capsys, "runs/none")
    assert code == 2 and "there is no run at runs/none. There are no runs in ./runs either." in err


@pytest.mark.parametrize("subject", ["model.zip", "policy.onnx"])
def test_what_is_not_in_jax_is_refused_before_it_is_opened(file, capsys, subject):
    code, _, err = answer(capsys, subject, "--env", "Pendulum-v1")
    assert code == 2 and f"expected a policy in JAX, whose nearby actions can be asked for; got {subject}." in err
