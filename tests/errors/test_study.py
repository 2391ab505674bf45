"""What a wrong study is answered: the file, the key, what was expected, what arrived, what to change."""

import re
from pathlib import Path

import pytest

from operant import config, study
from operant.core import AbstractHostEnv, AbstractLearner, AbstractReward, Constraint, Intent
from operant.envs.toy.pendulum import Pendulum
from operant.errors import SpecError, StoreError
from operant.learners.ppo import PPO
from operant.math.schedules import AbstractSchedule
from operant.rewards.task import Task

GOOD = 'environment = "Pendulum"\nsteps = 100\n{}\n[learner]\ntype = "PPO"\n{}'


def refused(text: str, **where) -> str:
    with pytest.raises(SpecError) as caught:
        study.loads(text, **where)
    return str(caught.value)


TOP = [  # what stands above [learner], and the answer; ~ is anything
    ("stpes = 3", "stpes: a study has no key 'stpes'; did you mean 'steps'? Known: audits, constraints, ~"),
    ("seeds = 0", "seeds: expected a whole number ≥ 1, got 0 (int)."),
    ("seed = -1", "seed: expected a whole number in 0 … 4294967295, got -1 (int)."),
    ("seeds = 5.0", "seeds: expected a whole number (int), got 5.0 (float). Write 5."),
    ("num_envs = true", "num_envs: expected a whole number (int), got true (bool)."),
    ('eval_episodes = "ten"', 'eval_episodes: expected a whole number (int), got "ten" (str).'),
    ("seeds = [1, 2]", "seeds: expected one whole number, got [1, 2] (list)."),
    ("statement = 3", "statement: expected text (str), got 3 (int)."),
    ('name = "a/b"', "name: expected letters, digits, '.', '_' and '-', since a folder is named so; got 'a/b'."),
    ('audits = "Returns"', 'audits: expected an array, got "Returns" (str).'),
    ('audits = ["Retuns"]', 'audits[0].type: expected the name of an audit, ~; got "Retuns": ~'),
    ('reward = "Tsk"', "reward.type: expected the name of a reward, ~; got \"Tsk\": did you mean 'Task'? Known: ~"),
    ("reward = 3", "reward: expected a table describing a reward, or its name, got 3 (int)."),
    ("[reward]\nup = 1.0", "reward.up: expected a term (a table, or a reward's name), got 1.0 (float)."),
    ("[reward.up]\nweight = 2", 'reward.up: expected a reward, named by `type = "…"`. Known: ~Task~'),
    ('[reward.up]\ntype = "Task"\nweight = "big"', 'reward.up.weight: expected a number (float), got "big" (str).'),
    (
        '[reward.up]\ntype = "Task"\nwieght = 2.0',
        "reward.up.wieght: a term has no key 'wieght'; did you mean 'weight'?",
    ),
    ('[reward.up_raw]\ntype = "Task"', "reward: expected term names without '/' that do not end in '_raw' ~"),
    ('[constraints.spin]\ntype = "Task"', "constraints.spin: expected a table with `limit` and a cost, got ~type."),
    ("[constraints]\nspin = 1", "constraints.spin: expected a table with `limit` and a cost, got 1 (int)."),
    ('[constraints.spin]\nlimit = "low"', 'constraints.spin.limit: expected a number (float), got "low" (str).'),
    ('truth = "Tusk"', "truth.type: expected the name of a reward, ~did you mean 'Task'? ~"),
]
LEARNER = [  # what stands in [learner], and the answer
    ('lr = "fast"', 'learner.lr: expected a number (float) or a schedule, got "fast" (str). The default is 0.000~'),
    ("lerning_rate = 1.0", "learner.lerning_rate: PPO has no field 'lerning_rate'; ~Known: ~lr,~"),
    ("epochs = 2.5", "learner.epochs: expected a whole number (int), got 2.5 (float). The default is 10."),
    ("clip_value = 1", "learner.clip_value: expected true or false (bool), got 1 (int). The default is false."),
    ("hidden = 64", "learner.hidden: expected an array, got 64 (int)."),
    ("hidden = [64, 0.5]", "learner.hidden[1]: expected a whole number (int), got 0.5 (float)."),
    ('activation = "tahn"', 'learner.activation: expected one of "tanh", ~ "tahn" (str). did you mean \'tanh\'? ~'),
    ("epochs = 0", "learner: expected PPO.epochs ≥ 1; got 0. Raise it."),
    ('lr = { type = "Linaer" }', "learner.lr.type: expected the name of a schedule, ~did you mean 'Linear'? ~"),
    ('lr = { type = "Linear", start = 1.0 }', "learner.lr: Linear needs 'end' (Value from `steps` on.); it is not ~"),
    (
        "seeds = 3",
        "learner.seeds: 'seeds' is a key of the study, and stands below [learner], which takes it. Move it ~",
    ),
]


@pytest.mark.parametrize(
    ("text", "said"),
    [(GOOD.format(top, ""), said) for top, said in TOP] + [(GOOD.format("", own), said) for own, said in LEARNER],
    ids=[given.replace("\n", " ") for given, _ in TOP + LEARNER],
)
def test_a_wrong_value_is_named(text, said):
    pattern = ".*".join(map(re.escape, said.split("~")))
    assert re.fullmatch(pattern, refused(text)), refused(text)


def test_what_is_right_is_not_refused():
    assert study.loads(GOOD.format("seeds = 2", "lr = 0.1")).seeds == 2  # else the table above would prove nothing


@pytest.mark.parametrize("key", ["environment", "learner", "steps"])
def test_a_missing_key_is_named_and_shown(key):
    lines = {"environment": 'environment = "Pendulum"', "steps": "steps = 100", "learner": 'learner = "PPO"'}
    text = "\n".join(line for name, line in lines.items() if name != key)
    assert refused(text).startswith(f"{key}: a study needs this key; it is not given. Add `{key} = ")


def test_an_unknown_learner_and_environment_get_the_nearest():
    assert "did you mean 'PPO'?" in refused('environment = "Pendulum"\nsteps = 1\nlearner = "PPPO"')
    said = refused('environment = "Pendulun-v1"\nsteps = 1\nlearner = "PPO"')
    assert said.startswith("environment: unknown environment 'Pendulun-v1'.")
    assert "Pendulum-v1" in said


def test_broken_toml_shows_its_line(tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_text('name = "x"\nsteps 100\n')
    with pytest.raises(SpecError, match=re.escape(str(path))) as caught:
        study.load(path)
    assert "line 2" in str(caught.value)
    assert "`steps 100`" in str(caught.value)


def test_a_missing_file_gets_the_nearest_in_its_folder(tmp_path: Path):
    (tmp_path / "pendulum.toml").write_text("")
    with pytest.raises(SpecError, match=r"there is no such file\. In that folder: did you mean 'pendulum\.toml'\?"):
        study.load(tmp_path / "pendulm.toml")
    with pytest.raises(SpecError, match="is not there either"):
        study.load(tmp_path / "nowhere" / "x.toml")
    with pytest.raises(SpecError, match="it cannot be read"):
        study.load(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="TOML, UTF-8"):
        study.load(tmp_path / "bytes.toml")


def test_a_wrong_key_names_the_file(tmp_path: Path):
    (tmp_path / "x.toml").write_text(GOOD.format("steeps = 3", ""))
    with pytest.raises(SpecError, match=rf"{re.escape(str(tmp_path / 'x.toml'))}: steeps: "):
        study.load(tmp_path / "x.toml")


def test_a_missing_program_is_named(tmp_path: Path):
    (tmp_path / "mine.py").write_text("def up(cos):\n    return cos\n")
    asked = lambda source: GOOD.format(f'[reward.up]\ntype = "Program"\nsource = "{source}"', "")
    assert "reward.up: expected a file 'mien.py'" in refused(asked("mien.py:up"), folder=tmp_path)
    assert "did you mean 'up'?" in refused(asked("mine.py:upp"), folder=tmp_path)
    assert refused(GOOD.format('[reward.up]\ntype = "Program"', "")) == (
        'reward.up: a program needs its source; add `source = "file.py:function"`.'
    )


def test_a_study_made_in_python_is_checked_too():
    with pytest.raises(SpecError, match=r"steps: expected a whole number ≥ 1, got 0 \(int\)"):
        study.Study("x", Pendulum(), Intent(Task()), PPO(), 0)
    with pytest.raises(SpecError, match=r"constraints: expected each to have a name of its own; got \[''\]"):
        study.Study("x", Pendulum(), Intent(Task(), (Constraint(Task(), 1.0),)), PPO(), 10)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write in")
def test_a_folder_that_cannot_be_written():
    asked = study.Study("x", Pendulum(), Intent(Task()), PPO(), 10)
    for write in (asked.write, lambda path: asked.copy_into(path.parent)):
        with pytest.raises(StoreError, match=r"expected to write .* bytes to /proc/nowhere/study\.toml"):
            write(Path("/proc/nowhere/study.toml"))


# --- config alone ---------------------------------------------------------------------------------------------------


def test_a_lambda_cannot_be_written():
    from operant.rewards.program import Program

    with pytest.raises(SpecError, match=r"Program\.function: expected a function with a name that can be found again"):
        config.to_plain(Program(lambda obs: 0.0))


def test_what_cannot_be_imported_or_is_something_else():
    for name, said in [
        ("no_such_package:Thing", "importing 'no_such_package' failed"),
        ("operant.errors:SpekError", "did you mean 'SpecError'?"),
        ("operant.learners:PP0", "did you mean 'PPO'?"),  # imported when first used
        ("operant.errors:SpecError", "expected a learner; operant.errors:SpecError is <class"),
    ]:
        with pytest.raises(SpecError, match=re.escape(said)):
            config.from_plain({"type": name}, AbstractLearner)


def test_a_type_that_is_not_a_name_and_a_table_that_is_not_one():
    with pytest.raises(SpecError, match=r"learner\.type: expected a name \(str\), got 3 \(int\)"):
        config.from_plain({"type": 3}, AbstractLearner)
    with pytest.raises(SpecError, match="learner: expected a table describing a learner, or its name"):
        config.from_plain([1], AbstractLearner)
    with pytest.raises(SpecError, match="Known: Constant, Linear"):
        config.from_plain({}, AbstractSchedule, "lr")


def test_the_class_that_refuses_is_named_with_its_place():
    with pytest.raises(SpecError, match="environment: expected max_steps ≥ 1"):
        config.from_plain({"type": "Gymnasium", "id": "CartPole-v1", "max_steps": 0}, AbstractHostEnv, "environment")
    with pytest.raises(SpecError, match=r'environment\.vector: expected one of "sync", "async", got "snyc" \(str\)'):
        config.from_plain({"type": "Gymnasium", "id": "CartPole-v1", "vector": "snyc"}, AbstractHostEnv, "environment")


def test_a_field_that_is_required_is_asked_for():
    with pytest.raises(SpecError, match=r"reward: Scale needs 'reward' \(The reward to scale\.\); it is not given\."):
        config.from_plain("Scale", AbstractReward, "reward")
