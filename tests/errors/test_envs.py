"""What is said when an environment cannot be had, breaks its contract, or is asked for the impossible."""
# ruff: noqa: E501  (a table of messages reads best one a line)

import importlib.metadata
import sys

import numpy as np
import pytest

from operant.envs import make
from operant.envs.gymnasium import Gymnasium
from operant.errors import DataError, EnvError, SpecError
from operant.testing.broken_envs import IDS

# --- what cannot be had ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "text"),
    [
        ("Hoper-v5", "unknown environment 'Hoper-v5'. Nearest: 'Hopper-v5'"),
        ("cartpole-v1", "Nearest: 'CartPole-v1'"),
        ("GridWrld", "Nearest: 'GridWorld'"),
        ("Hopper", "Nearest: 'Hopper-v5'"),  # a name without a version would change under one's feet
        ("gym:Pendulun-v1", "unknown environment 'gym:Pendulun-v1'. Nearest: 'Pendulum-v1'"),
        ("nobody:Env-v0", "expected a module that registers 'Env-v0' with Gymnasium; importing 'nobody' failed"),
        ("operant.testing.broken_envs:operant/Flaw_man-v0", "Nearest: 'operant/Flaw_nan-v0'"),
        ("", "expected an environment's name, such as 'CartPole-v1'; got ''"),
        (IDS["obs:text"], "expected observations in a Box, Discrete, MultiBinary, MultiDiscrete, Dict or Tuple space; got Text"),
        (IDS["action:multi"], "got MultiDiscrete: MultiDiscrete([3 2]). Enumerate the combinations as one Discrete"),
        (IDS["action:dict"], "got Dict: Dict('a': Discrete(2)). Flatten its parts"),
        (IDS["action:unbounded"], "expected continuous actions between finite bounds; got Box(-inf, inf, (2,), float32)"),
    ],
)  # fmt: skip
def test_unknown_names_and_unusable_spaces(id, text):
    with pytest.raises(SpecError) as told:
        make(id)
    assert text in str(told.value)


def test_unknown_fields():
    with pytest.raises(SpecError, match=r"'CartPole-v1' has no field 'gravty'; did you mean 'gravity'"):
        make("CartPole-v1", gravty=3.0)
    with pytest.raises(SpecError, match=r"'CartPole-v1' does not take {'gravty': 3.0}"):
        make("gym:CartPole-v1", gravty=3.0)
    with pytest.raises(SpecError, match="expected environment arguments of numbers, words, lists and dicts"):
        make("gym:CartPole-v1", hook=print)
    with pytest.raises(SpecError, match='expected vector "sync" or "async"; got \'threads\''):
        Gymnasium("CartPole-v1", vector="threads")
    with pytest.raises(SpecError, match="expected max_steps ≥ 1, or none for the registered limit; got 0"):
        Gymnasium("CartPole-v1", max_steps=0)
    with pytest.raises(SpecError, match=r"observation \(4,\); got"):
        make("gym:CartPole-v1", names=("x",))
    with pytest.raises(SpecError, match="expected num_envs ≥ 1; got 0"):
        Gymnasium("CartPole-v1").open(0)


@pytest.mark.mujoco
def test_missing_extras_name_their_install(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    for name in [n for n in sys.modules if n.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SpecError, match=r"pip install operant\[mujoco\]"):
        make("Walker2d-v5")


def test_missing_envpool_names_its_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(SpecError, match=r"pip install operant\[envpool\]"):
        make("envpool:Walker2d-v5")


def test_unknown_envpool_id():
    pytest.importorskip("envpool")
    with pytest.raises(SpecError, match=r"unknown EnvPool id 'Hoper-v5'. Nearest: 'Hopper-v5'"):
        make("envpool:Hoper-v5")


def test_mujoco_4_is_named_where_it_is_the_likely_cause(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.0.0")
    with pytest.raises(SpecError, match=r"MuJoCo 4.0.0 breaks gymnasium-robotics.*pip install mujoco==3.11.0"):
        make("no_such_robotics:Fetch-v4")


@pytest.mark.mujoco
def test_an_opengl_library_that_is_asked_for_and_missing_is_named(monkeypatch):
    def refuse(*args, **kwargs):
        raise AttributeError("'NoneType' object has no attribute 'glGetError'")  # what PyOpenGL says

    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr("gymnasium.make", refuse)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(EnvError, match="MUJOCO_GL=osmesa is set, but its library is not here: unset it"):
        make("Walker2d-v5")


@pytest.mark.mujoco
def test_drawing_without_a_library_names_the_package(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SpecError, match="apt-get install libegl1 libgl1-mesa-dri`, or `apt-get install libosmesa6"):
        make("Hopper-v5").open(1, render=True)


# --- what breaks while running --------------------------------------------------------------------------------------


def run(id, **fields):
    live = make(id, **fields).open(2)
    try:
        live.reset(seed=0)
        for _ in range(25):
            live.step(np.zeros(2, int))
    finally:
        live.close()


@pytest.mark.parametrize(
    ("flaw", "text"),
    [
        ("nan", "environment 0 of '{id}' at step 3 of its episode: expected finite observations; got observation[0] = nan"),
        ("shape", "at step 3 of its episode: expected observation of shape (4,); got shape (7,)"),
        ("dtype", "at step 3 of its episode: expected observation of dtype float32; got dtype complex128"),
        ("raise", "environment 0 of '{id}' at step 3 of its episode raised ValueError: the motor is on fire"),
        ("reset", "at reset raised ValueError: this environment cannot start twice"),
        ("tuple4", "Gym's old form has four values; Gymnasium's has five"),
        ("reward", "with one number and two booleans; got reward None, terminated False, truncated False"),
    ],
)  # fmt: skip
def test_broken_contracts(flaw, text):
    id = IDS[f"flaw:{flaw}"]
    with pytest.raises(EnvError) as told:
        run(id)
    assert text.replace("{id}", id) in str(told.value)
    if flaw in ("raise", "reset"):
        assert isinstance(told.value.__cause__, ValueError)


def test_an_exception_in_a_process_keeps_its_text():
    with pytest.raises(
        EnvError, match=r"environment 0 of .* at step 3 of its episode raised ValueError: the motor is on"
    ):
        run(IDS["flaw:raise"], vector="async")


def test_a_process_that_dies_is_named():
    with pytest.raises(EnvError, match=r"processes of environments \[.*\] of .* died without a word"):
        run(IDS["flaw:dies"], vector="async")


@pytest.mark.parametrize(
    ("id", "action", "text"),
    [
        ("gym:CartPole-v1", np.array([0, 2]), "expected integer actions 0 … 1 for 'CartPole-v1'; got [0, 2] (int64)"),
        ("gym:CartPole-v1", np.array([0, -1]), "expected integer actions 0 … 1 for 'CartPole-v1'; got [0, -1] (int64)"),
        ("gym:CartPole-v1", np.array([0.0, 1.0]), "got [0.0, 1.0] (float64)"),
        ("gym:CartPole-v1", np.array([0]), "expected actions of shape (2,) for 'CartPole-v1' (environments first); got (1,)"),
        ("gym:Pendulum-v1", np.array([[0], [2.5]], "f"), "expected actions of 'Pendulum-v1' in [-2, 2]; got 2.5 in environment 1"),
        ("gym:Pendulum-v1", np.array([[np.nan], [0]], "f"), "in [-2, 2]; got nan in environment 0, element [0]"),
    ],
)  # fmt: skip
def test_actions_that_do_not_fit(id, action, text):
    live = make(id).open(2)
    live.reset(seed=0)
    with pytest.raises(EnvError) as told:
        live.step(action)
    assert text in str(told.value)


def test_wrong_order_and_wrong_snapshots():
    live = make("gym:CartPole-v1").open(2)
    with pytest.raises(EnvError, match="expected a reset before the first step"):
        live.step(np.zeros(2, int))
    with pytest.raises(SpecError, match="expected a seed ≥ 0; got -1"):
        live.reset(seed=-1)
    with pytest.raises(DataError, match="expected a snapshot of 2 environments of 'CartPole-v1'; got 1"):
        live.restore([{}])
    with pytest.raises(SpecError, match="opened with render=True"):
        live.render()
