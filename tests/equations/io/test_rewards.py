"""Rewards from anywhere: by name, by position, as an object, from a table; and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.errors import SpecError
from operant.io.rewards import load_reward
from operant.rewards import Task

SPEC = EnvSpec(Box((2,), names=("angle", "speed")), Box((1,)), None)
STEP = Transition(
    jnp.array([1.0, 2.0]),
    jnp.array([3.0]),
    jnp.array(7.0),
    jnp.array(False),
    jnp.array(False),
    jnp.array([5.0, 6.0]),
    {},
)
FILE = """
import jax.numpy as jnp
from operant.rewards import Scale, Task
def named(next_angle, action): return next_angle + action[0]
def placed(s, a, t): return t[0] - s[0] + a[0]
def half(s, action, t): return 0.0
mine = Task()
class Other: pass
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "r.py"
    path.write_text(FILE)
    return str(path)


def paid(source):
    reward, states = load_reward(source, SPEC)
    return float(np.asarray(reward(states[0] if states else (), STEP)))


def test_functions_by_name_and_by_position(file):
    assert paid(f"{file}:named") == 8.0
    assert paid(f"{file}:placed") == 7.0


def test_objects_names_and_tables(file):
    assert paid(f"{file}:mine") == 7.0
    assert isinstance(load_reward("Task", SPEC)[0], Task)
    assert paid('{ type = "Scale", reward = "Task", factor = 2.0 }') == 14.0


def test_what_is_refused(file):
    with pytest.raises(SpecError, match="asks for 's'"):
        load_reward(f"{file}:half", SPEC)
    with pytest.raises(
        SpecError, match=r"r\.py:Scale: Scale needs 'reward' \(The reward to scale\.\); it is not given"
    ):
        load_reward(f"{file}:Scale", SPEC)
    with pytest.raises(SpecError, match="got the class Other"):
        load_reward(f"{file}:Other", SPEC)
    with pytest.raises(SpecError, match=r"--true: expected a reward with nothing to learn.*BradleyTerry"):
        load_reward("BradleyTerry", SPEC, where="--true")
    with pytest.raises(SpecError, match="expected a name, or a table as TOML has it"):
        load_reward("{ type = ", SPEC)
