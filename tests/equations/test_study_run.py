"""From a study file to a report: what a run leaves behind, that it can be repeated, stopped and resumed."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from operant import cli, study_run
from operant.core import Status
from operant.io.recorders import Csv
from operant.learners import PPO

STUDY = """
name = "tiny"
statement = "Up, gently."
environment = { type = "Pendulum", max_steps = 20 }
steps = 768
num_envs = 4
seeds = 2
eval_episodes = 3
audits = ["Returns", "ProxyGap"]
truth = "Task"
[reward.upright]
weight = 2.0
type = "Program"
source = "mine.py:upright"
[constraints.effort]
limit = 0.5
type = "Program"
source = "mine.py:effort"
[learner]
type = "PPO"
rollout = 32
epochs = 1
minibatches = 2
hidden = [4]
"""
PROGRAMS = "def upright(next_cos):\n    return next_cos\n\ndef effort(torque):\n    return torque**2\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "tiny.toml").write_text(STUDY)
    (folder / "mine.py").write_text(PROGRAMS)
    return folder


@pytest.fixture(scope="module")
def run(place) -> Path:
    """One run, shared by the tests below."""
    runs = place / "runs"
    assert cli.main(["run", str(place / "tiny.toml"), "--runs", str(runs)]) == 0
    return runs / "tiny"


def numbers(folder: Path) -> tuple[bytes, str]:
    return (folder / "metrics.csv").read_bytes(), (folder / "evaluation.json").read_text()


def test_a_run_leaves_what_it_promises(run):
    left = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert left == {
        "study.toml", "mine.py", "card.json", "metrics.csv", "checkpoint.operant", "evaluation.json", "findings.json",
        "report.html", "clips/median.webp", "clips/worst.webp",
    }  # fmt: skip


def test_its_card_says_what_was_asked(run):
    card = json.loads((run / "card.json").read_text())
    assert (card["title"], card["statement"], card["truth"]) == ("tiny", "Up, gently.", "Task")
    assert card["intent"] == [
        {"name": "upright", "weight": 2.0, "description": 'Program(source = "mine.py:upright")'}
    ]  # fmt: skip
    (limit,) = card["constraints"]
    assert (limit["name"], limit["limit"]) == ("effort", 0.5)
    assert limit["low"] <= limit["value"] <= limit["high"]


def test_terms_and_costs_are_logged_apart(run):
    metrics, _ = Csv.read(run)
    assert np.allclose(metrics["reward/upright"], 2.0 * metrics["reward/upright_raw"], rtol=1e-5)
    assert any(name.startswith("constraint/") and name.endswith("_cost") for name in metrics)


def test_it_is_evaluated_and_audited_and_the_report_says_so(run):
    returns = json.loads((run / "evaluation.json").read_text())["returns"]
    assert np.shape(returns) == (2, 3)
    findings = json.loads((run / "findings.json").read_text())
    assert [f["name"] for f in findings] == ["returns", "proxy gap"]
    page = (run / "report.html").read_text()
    assert "Up, gently." in page
    assert findings[0]["why"].split(":")[0] in page


def test_the_run_s_own_study_gives_the_same_numbers_again(run, place, capsys):
    (place / "mine.py").write_text(PROGRAMS.replace("return next_cos", "return 0 * next_cos"))
    try:
        assert cli.main(["run", str(run / "study.toml"), "--runs", str(run.parent)]) == 0
    finally:
        (place / "mine.py").write_text(PROGRAMS)
    assert f"this one goes to {run.parent / 'tiny-2'}" in " ".join(capsys.readouterr().out.split())
    assert numbers(run.parent / "tiny-2") == numbers(run)


def test_stopped_by_ctrl_c_and_resumed_it_ends_as_if_it_had_not_been(run, place, monkeypatch, capsys):
    record = study_run.Console.record

    def record_then_stop(self, *args):
        record(self, *args)
        signal.raise_signal(signal.SIGINT)

    runs = place / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(study_run.Console, "record", record_then_stop)
        assert cli.main(["run", str(place / "tiny.toml"), "--runs", str(runs)]) == 130
    assert f"operant resume {runs / 'tiny'}" in " ".join(capsys.readouterr().err.split())
    assert not (runs / "tiny" / "report.html").exists()
    assert len(Csv.read(runs / "tiny")[1]) < len(Csv.read(run)[1])
    assert cli.main(["resume", str(runs / "tiny")]) == 0
    assert numbers(runs / "tiny") == numbers(run)
    assert (runs / "tiny" / "report.html").exists()


def test_a_run_that_has_ended_is_only_reported_again(run, capsys):
    before = numbers(run)
    (run / "report.html").unlink()
    assert cli.main(["resume", str(run)]) == 0
    assert "has ended: it is audited and reported again" in " ".join(capsys.readouterr().out.split())
    assert (run / "report.html").exists()
    assert numbers(run) == before


def test_evaluate_audit_and_report_read_a_run(run, capsys):
    assert cli.main(["evaluate", str(run), "--episodes", "2"]) == 0
    assert "2 seeds × 2 greedy episodes" in capsys.readouterr().out
    assert cli.main(["audit", str(run), "--audits", "saturation"]) == 0
    assert "saturation" in capsys.readouterr().out
    names = [f["name"] for f in json.loads((run / "findings.json").read_text())]
    assert names == ["returns", "proxy gap", "saturation"]  # what was found before stays
    assert cli.main(["report", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")


def test_a_seed_that_fails_is_said_and_what_there_was_is_kept(place, capsys):
    (place / "nan.py").write_text(
        "import jax.numpy as jnp\n\ndef upright(next_cos, next_velocity):\n"
        "    return jnp.where(jnp.abs(next_velocity) > 2.0, jnp.nan, next_cos)\n"
        "\ndef effort(torque):\n    return torque**2\n"
    )
    (place / "nan.toml").write_text(STUDY.replace("mine.py", "nan.py").replace('"tiny"', '"nan"'))
    runs = place / "failed"
    assert cli.main(["run", str(place / "nan.toml"), "--runs", str(runs)]) == 1
    assert "failed: expected finite losses and parameters" in " ".join(capsys.readouterr().out.split())
    card = json.loads((runs / "nan" / "card.json").read_text())
    assert "non_finite" in card["status"]
    assert card["notes"][0].startswith("expected finite losses")
    assert (runs / "nan" / "report.html").exists()


def test_a_run_is_audited_where_it_learned_and_explained_wherever_is_asked(run, capsys):
    assert cli.main(["audit", str(run), "--env", "Pendulum-v1"]) == 2
    assert f"--policy {run} --env 'Pendulum-v1'" in " ".join(capsys.readouterr().err.split())
    at = ["explain", str(run), "--at", "30", "--method", "gradients", "--json"]
    assert cli.main(at) == 2  # its own episodes have 20 steps
    assert cli.main([*at, "--env", "Pendulum-v1"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 30


def test_settings_beside_each_other_are_not_passed_off_as_seeds():
    run = lambda lr, n: SimpleNamespace(learner=PPO(lr=lr), status=(Status.done,) * n)
    assert study_run._mixed(run(1e-3, 2)) == []
    (note,) = study_run._mixed(run(jnp.array([1e-3, 1e-4]), 4))
    assert note.startswith("2 settings × 2 seeds, the first setting's first. All 4 are counted as seeds")
