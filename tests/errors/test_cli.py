"""The command line: what is refused, in one line and with which exit code; and that it is quick to say so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from operant import cli, doctor, study_run
from operant.core import AbstractLearner, Status
from operant.errors import RunError
from operant.io import card as cards
from operant.io import checkpoint
from operant.loops import train as training


def answer(capsys, *argv: str) -> tuple[int, str, str]:
    """Exit code, output, errors of `operant argv`."""
    try:
        code = cli.main(argv)
    except SystemExit as stop:  # how tyro ends
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, " ".join(captured.err.split())


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            "trian CartPole-v1",
            "error: operant has no command 'trian'; did you mean 'train'? Known: audit, coach, compare-rewards, ",
        ),
        ("run nope.toml", "error: expected a study at nope.toml; there is no such file."),
        ("train CartPole-v1 --learner pppo", "error: --learner: expected the name of a learner, or 'package.module"),
        ("train CartPole-v1 --learner pppo", "did you mean 'PPO'?"),
        ("train CartPol-v1", "error: ENV: unknown environment 'CartPol-v1'."),
        ("train CartPole-v1 --learner.lr fast", 'error: --learner.lr: expected a number (float) or a schedule, got "f'),
        ("train CartPole-v1 --learner.hidden 64 x", 'error: --learner.hidden[1]: expected a whole number (int), got "'),
        ("train CartPole-v1 --learner.epochs 0", "error: --learner: expected PPO.epochs ≥ 1; got 0."),
        (
            "train CartPole-v1 --steps 1e5",
            "error: --steps: expected a whole number (int), got 100000.0 (float). Write ",
        ),
        ("train CartPole-v1 --seeds 0", "error: seeds: expected a whole number ≥ 1, got 0 (int)."),
        ("train CartPole-v1 --audits retuns", "error: --audits.type: expected the name of an audit"),
        ("evaluate runs/none", "error: expected a checkpoint at runs/none/checkpoint.operant; there is no such file."),
        ("evaluate runs/none --episodes 0", "error: --episodes: expected a whole number ≥ 1; got 0."),
        ("audit runs/none", "error: expected a run's folder, or a policy as 'file.py:function', 'policy.onnx'"),
        ("report runs/none", "error: expected a run folder with card.json or study.toml; runs/none has neither."),
        ("resume runs/none", "error: expected a checkpoint at runs/none/checkpoint.operant; there is no such file."),
        ("coach CartPol-v1", "error: ENV: unknown environment 'CartPol-v1'."),
        ("coach CartPole-v1 --pace fast", 'error: --pace: expected a number (float), got "fast"'),
        ("coach CartPole-v1 --pace 0", "error: expected a pace from 0.1 to 60 steps a second; got 0. Try 5."),
        ("coach CartPole-v1 --delay 0.8 0.2", "error: expected 0 ≤ delay[0] < delay[1], in seconds; got (0.8, 0.2)."),
        ("coach CartPole-v1 --listen 0", "error: --listen: expected a whole number ≥ 1; got 0."),
        ("coach CartPole-v1 --port 99999", "error: expected to listen on 127.0.0.1, port 99999; "),
        ("record CartPol-v1", "error: ENV: unknown environment 'CartPol-v1'."),
        ("record CartPole-v1 --port 99999", "error: expected to listen on 127.0.0.1, port 99999; "),
        ("labels stats runs/none", "error: expected runs/none/labels.db, where people's answers are kept; it is not"),
        (
            "labels stats runs/x --labels typo.db",
            "error: --labels: expected a store of answers at typo.db; there is no",
        ),
        ("methods zebra crossing", "error: no method mentions 'zebra crossing': "),
        ("reproduce pppo", "did you mean 'ppo'?"),
    ],
)
def test_what_is_refused_in_a_line_and_with_two(capsys, argv, said):
    code, out, err = answer(capsys, *argv.split())
    assert code == 2
    assert said in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("train CartPole-v1 --learner.lrr 3", "--learner.lr FLOAT|TABLE"),
        ("train CartPole-v1 --stepps 3", "--steps INT"),
        ("evaluate runs/x --episods 3", "--episodes INT"),
        ("report", "RUN"),
    ],
)
def test_an_unknown_flag_gets_the_nearest(capsys, argv, said):
    code, _, err = answer(capsys, *argv.split())
    assert code == 2
    assert said in err


def test_help_comes_from_the_fields(capsys):
    code, out, _ = answer(capsys, "train", "--help")
    assert code == 0
    assert "--learner.discount FLOAT" in out
    assert "γ: weight of the next step's reward. (default: 0.99)" in " ".join(out.replace("│", " ").split())


def test_every_flag_of_train_reaches_its_field():
    said = "CartPole-v1 --learner ppo --steps 1_000 --seeds 2 --num-envs 3 --seed 4 --eval-episodes 6 --audits returns"
    said += " --name mine --learner.hidden 8 9 --learner.clip-value --learner.entropy -0.5 --learner.memory 7"
    said += " --learner.activation relu"
    schedule = '{ type = "Linear", start = 1e-3, end = 0, steps = 10 }'
    asked = cli._parse_train([*said.split(), "--statement", "Stay up.", "--learner.lr", schedule])
    learner = asked.learner
    assert (asked.name, asked.steps, asked.seeds, asked.num_envs, asked.seed, asked.eval_episodes, asked.statement) == (
        "mine", 1000, 2, 3, 4, 6, "Stay up."
    )  # fmt: skip
    assert [type(audit).__name__ for audit in asked.audits] == ["Returns"]
    assert (learner.hidden, learner.clip_value, learner.entropy, learner.memory, learner.activation) == (
        (8, 9), True, -0.5, 7, "relu"
    )  # fmt: skip
    assert (learner.lr.start, learner.lr.end) == (1e-3, 0.0)
    assert learner.discount == type(learner)().discount


def test_an_audit_of_train_may_be_a_table():
    asked = cli._parse_train(["CartPole-v1", "--audits", '{ type = "Returns", at_least = 3.0 }', "saturation"])
    assert [type(audit).__name__ for audit in asked.audits] == ["Returns", "Saturation"]
    assert asked.audits[0].at_least == 3.0


def test_every_learner_has_flags_that_give_back_its_defaults():
    from operant import config

    for cls in config.known(AbstractLearner).values():
        flags, plain_of = cli._flags(cls)
        assert plain_of(flags()) == {}


def test_help_and_version_do_not_wait_for_jax():
    script = (
        "import sys\nfrom operant import cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\nprint('jax' in sys.modules)"
    )
    for argv in (["--help"], ["--version"], ["run", "--help"]):
        done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False", argv


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch):
    def stopped(*_, **__):
        raise study_run.Stopped(Path("runs/x"))

    monkeypatch.setitem(cli.COMMANDS, "doctor", stopped)
    code, _, err = answer(capsys, "doctor")
    assert (code, err) == (130, "stopped: go on with: operant resume runs/x")


def test_ctrl_c_before_anything_was_kept(capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "doctor", stopped)
    code, _, err = answer(capsys, "doctor")
    assert (code, err) == (130, "stopped: nothing was kept.")


def test_labels_are_not_looked_for_where_there_are_none_and_exports_are_listed(capsys, tmp_path):
    from operant.data.comparisons import Store

    assert answer(capsys, "labels", "export", "runs/x", "--labels", "typo.db")[0] == 2
    assert not (tmp_path / "typo.db").exists(), "asking makes no store"
    Store(tmp_path / "answers.db").close()
    code, out, _ = answer(capsys, "labels", "export", "runs/x", "--labels", "answers.db", "--folder", "out")
    assert code == 0
    assert out.splitlines()[0] == "out/format.json" and all((tmp_path / line).is_file() for line in out.splitlines())


# --- run folders ----------------------------------------------------------------------------------------------------


def a_run(folder: Path, status: str) -> None:
    folder.mkdir(parents=True)
    checkpoint.save(folder / training.FILE, {}, {})
    cards.write(folder, {"status": [status, "done"]})


def test_a_finished_run_keeps_its_folder_and_the_next_gets_a_number(tmp_path):
    assert study_run.new_folder(tmp_path, "x") == tmp_path / "x"
    a_run(tmp_path / "x", "done")
    assert study_run.new_folder(tmp_path, "x") == tmp_path / "x-2"
    a_run(tmp_path / "x-2", "non_finite")
    assert study_run.new_folder(tmp_path, "x") == tmp_path / "x-3"


def test_what_is_no_folder_keeps_its_name_and_a_card_cut_short_is_said_in_words(capsys, tmp_path):
    (tmp_path / "x").write_text("")
    assert study_run.new_folder(tmp_path, "x") == tmp_path / "x-2"
    a_run(tmp_path / "runs" / "y", "done")
    (tmp_path / "runs" / "y" / "card.json").write_text("{")
    code, _, err = answer(capsys, "train", "CartPole-v1", "--name", "y")
    assert code == 2 and "error: expected JSON in runs/y/card.json; got: " in err


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_an_unfinished_run_is_resumed_not_overwritten(tmp_path, status):
    a_run(tmp_path / "x", status)
    with pytest.raises(RunError, match=r"x was stopped on its way\. Go on with it by `operant resume .*x`, or delete"):
        study_run.new_folder(tmp_path, "x")


def test_a_run_refused_before_it_began_leaves_no_folder(capsys, tmp_path):
    (tmp_path / "bad.py").write_text("def up(no_such_field):\n    return no_such_field\n")
    (tmp_path / "bad.toml").write_text(
        'environment = "Pendulum"\nsteps = 64\n[reward.up]\ntype = "Program"\nsource = "bad.py:up"\n'
        '[learner]\ntype = "PPO"\n'
    )
    code, _, err = answer(capsys, "run", "bad.toml")
    assert code == 2
    assert "bad.py:up asks for 'no_such_field', which Pendulum-v1 does not have" in err
    assert not (tmp_path / "runs" / "bad").exists()


def test_a_run_stopped_before_it_began_leaves_no_folder(capsys, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(study_run, "_train", stopped)
    code, _, err = answer(capsys, "train", "CartPole-v1", "--name", "early")
    assert (code, err) == (130, "stopped: nothing was kept.")
    assert not (tmp_path / "runs" / "early").exists()


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_the_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_installed", lambda package: package != "wandb")
    found = doctor.examine()
    assert found["extras"]["wandb"] == {
        "for": "Weights & Biases", "packages": ["wandb"], "missing": ["wandb"], "get": "pip install 'operant[wandb]'"
    }  # fmt: skip
    assert found["extras"]["onnx"]["get"] == ""
    doctor.show(found)
    assert "pip install 'operant[wandb]'" in capsys.readouterr().out


def test_the_doctor_as_json(capsys):
    code, out, _ = answer(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["versions"]["operant"]
    assert found["devices"]
    assert any("20–40× slower" in hint for hint in found["hints"]) == all(d.startswith("cpu") for d in found["devices"])


def test_the_doctor_warns_of_a_cache_that_is_off_or_read_only():
    found = {"devices": ["cpu:0"], "matmul_precision": "default", "extras": {}}
    off = doctor._hints(found | {"compilation_cache": doctor._cache(None)})
    assert any("The compilation cache is off" in hint for hint in off)
    fine = doctor._hints(found | {"compilation_cache": doctor._cache(os.getcwd())})
    assert not any("cache" in hint for hint in fine)


def test_a_policy_that_is_a_function_needs_its_environment(capsys, tmp_path):
    (tmp_path / "still.py").write_text("import jax.numpy as jnp\n\ndef act(obs):\n    return jnp.zeros(1)\n")
    code, _, err = answer(capsys, "audit", "still.py:act")
    assert (code, err) == (
        2,
        "error: --env: expected the environment that still.py:act acts in; add `--env Pendulum-v1`.",
    )
    code, _, err = answer(capsys, "audit", "still.py:atc", "--env", "Pendulum-v1")
    assert code == 2
    assert "did you mean 'act'?" in err


def test_statuses_that_mean_unfinished_are_the_ones_of_core():
    assert {s.name for s in Status} == {"running", "done", "stopped", "non_finite", "env_failed"}
