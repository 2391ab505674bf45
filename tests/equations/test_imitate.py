"""`operant demos` and `operant imitate`: from a policy to demonstrations to a policy, and what is refused."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from operant import cli, study
from operant.data import demos
from operant.loops import train as training
from operant.rewards.imitation.demonstrations import Demonstrations

EXPERT = """
import jax.numpy as jnp

def hold(obs):
    return jnp.clip(-(12.0 * jnp.arctan2(obs[1], obs[0]) + 3.0 * obs[2]), -2.0, 2.0)[None]
"""
SMALL = ["--method.hidden", "8", "--steps", "20", "--seeds", "2", "--eval-episodes", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with demonstrations in it."""
    folder = tmp_path_factory.mktemp("imitate")
    (folder / "expert.py").write_text(EXPERT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = "demos record expert.py:hold --env Pendulum --episodes 2 --out demos/held.operant"
        assert cli.main(words.split()) == 0
        assert cli.main(["imitate", "Pendulum", "--demos", "demos/held.operant", "--name", "held", *SMALL]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


def test_the_run_holds_what_it_learned_from_and_where_it_acts(place):
    run = training.load("runs/held")
    assert run.env.source.sha256 == demos.read("demos/held.operant").source.sha256
    wish = study.load("runs/held").intent.reward
    assert isinstance(wish, Demonstrations) and wish.sha256 == run.env.source.sha256
    assert (place / "runs" / "held" / "report.html").exists() and (place / "runs" / "held" / "clips").exists()
    assert cli.main(["evaluate", "runs/held", "--episodes", "2"]) == 0


def test_the_study_gives_the_same_numbers_again(place):
    assert cli.main(["run", "runs/held/study.toml"]) == 0
    first, second = (training.load(f"runs/{name}") for name in ("held", "held-2"))
    assert np.array_equal(first.metrics["loss/policy"], second.metrics["loss/policy"])


def test_a_run_is_demonstrated_and_taken_out(place, capsys):
    assert cli.main(["demos", "record", "runs/held", "--episodes", "3", "--out", "demos/again.operant"]) == 0
    assert demos.read("demos/again.operant").episodes == 3
    assert cli.main(["demos", "export", "demos/again.operant", "--out", "out/again.npz"]) == 0
    assert cli.main(["demos", "import", "out/again.npz", "--env", "Pendulum", "--out", "demos/back.operant"]) == 0
    assert demos.read("demos/back.operant").source.sha256 == demos.read("demos/again.operant").source.sha256
    capsys.readouterr()
    assert cli.main(["demos", "stats", "demos/back.operant"]) == 0
    said = capsys.readouterr().out
    assert "200 (200 to 200)" in said and "Pendulum-v1" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("imitate Pendulum", "--demos: expected where the demonstrations are, which BC learns from"),
        ("imitate Pendulum --demos nowhere", "expected demonstrations at"),
        (
            "imitate Pendulum --method gial --demos demos/held.operant",
            "--method: expected the name of a learner or an imitation",
        ),
        ("imitate CartPole --demos demos/held.operant", "expected demonstrations with observations in"),
        ("demos import demos/held.operant", "--out: expected where to write"),
        ("demos record nowhere", "there is no run at nowhere"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(words, said, capsys):
    before = sorted(Path("runs").glob("*"))
    assert cli.main(words.split()) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert sorted(Path("runs").glob("*")) == before


def test_an_environment_may_be_a_table_of_its_fields(capsys):
    words = ["imitate", '{ type = "Pendulum", max_steps = 10 }', "--demos", "demos/held.operant", *SMALL]
    assert cli.main(words) == 0
    assert study.load("runs/type-pendulum-max_steps-10-bc").env.max_steps == 10


def test_a_cloning_learner_asks_for_demonstrations(tmp_path, capsys):
    path = tmp_path / "s.toml"
    path.write_text('environment = "Pendulum"\nsteps = 10\nlearner = "BC"\n')
    assert cli.main(["run", str(path)]) == 2
    assert "reward: expected Demonstrations for BC" in " ".join(capsys.readouterr().err.split())


def test_a_method_that_cannot_learn_from_them_leaves_no_folder(place, capsys):
    (place / "push.py").write_text("def push(obs):\n    return (obs[2] > 0).astype(int)\n")
    words = "demos record push.py:push --env CartPole --episodes 1 --out demos/push.operant"
    assert cli.main(words.split()) == 0
    capsys.readouterr()
    words = "imitate CartPole --demos demos/push.operant --method beso --steps 10 --seeds 1 --name wont"
    assert cli.main(words.split()) == 2
    assert "expected for BESO: actions in a Box" in " ".join(capsys.readouterr().err.split())
    assert not (place / "runs" / "wont").exists()


def test_an_sb3_zip_is_demonstrated_once_it_is_trusted(place, capsys):
    with zipfile.ZipFile(place / "model.zip", "w") as archive:
        archive.writestr("data", json.dumps({"policy_class": {"__module__": "nobody.knows"}}))
    words = ["demos", "record", "model.zip", "--env", "Pendulum"]
    assert cli.main(words) == 2
    assert "expected --trust (trust=True) to load model.zip" in " ".join(capsys.readouterr().err.split())
    assert cli.main([*words, "--trust"]) == 2
    assert "able_baselines3" in " ".join(capsys.readouterr().err.split()).partition("--trust")[0]
