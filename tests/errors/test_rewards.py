"""What the rewards say when they are asked for what cannot be."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Constraint, EnvSpec, Transition
from operant.errors import SpecError
from operant.rewards import Clip, Lagrangian, Normalise, PotentialShaping, Program, Scale, Task, Terms, load_program

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,), names=("angle", "velocity")), Box((1,)), None, name="Pendulum-v1")


def refused(*parts):
    """Expects a SpecError whose text holds every part, in this order."""
    return pytest.raises(SpecError, match="(?s)" + ".*".join(map(re.escape, parts)))


# --- fields ---------------------------------------------------------------------------------------------------------


def test_terms():
    with refused("at least one reward term", "got none", "Add one"):
        Terms({})
    with refused("weights only for reward terms", "'taks'", "did you mean 'task'? Known: task."):
        Terms({"task": Task()}, {"taks": 2.0})
    for name in ("", "a/b", "speed_raw"):
        with refused("term names without '/'", repr(name), "Rename it"):
            Terms({name: Task()})


def test_numbers_out_of_range():
    with refused("Normalise.discount in [0, 1]; got 1.5"):
        Normalise(Task(), discount=1.5)
    with refused("Normalise.clip in [0, inf]; got -1"):
        Normalise(Task(), clip=-1.0)
    with refused("Normalise.epsilon > 0; got 0", "1e-8"):
        Normalise(Task(), epsilon=0.0)
    with refused("PotentialShaping.discount in [0, 1]; got nan"):
        PotentialShaping(Task(), Program(lambda obs: 0.0), discount=float("nan"))
    with refused("Clip.low <= Clip.high; got low=1, high=-1", "Swap"):
        Clip(Task(), 1.0, -1.0)
    with refused("Lagrangian.lr in [0, inf]; got -0.1"):
        Lagrangian(Task(), (Constraint(Task(), 1.0),), lr=-0.1)


def test_an_array_that_was_not_swept():
    no = jnp.zeros(2, bool)
    with refused("Scale.factor as one number, shape (); got shape (3,)", "train once for each"):
        Scale(Task(), jnp.ones(3))((), Transition(no, no, jnp.ones(2), no, no, no, {}))


def test_lagrangian():
    with refused("at least one constraint", "got none"):
        Lagrangian(Task(), ())
    with refused("expected 2 different names, one a constraint; got ['a', 'a']"):
        Lagrangian(Task(), (Constraint(Task(), 1.0, "a"), Constraint(Task(), 2.0, "a")))


# --- programs -------------------------------------------------------------------------------------------------------


def start(function, spec=SPEC):
    return Program(function).init(spec, key=KEY)


def test_unknown_field_names_the_nearest_what_is_known_and_shapes():
    with refused("asks for 'velocty', which Pendulum-v1 does not", "did you mean 'velocity'?", "Known: action, angle"):
        start(lambda velocty: velocty)
    with refused("shape=(2,)", "shape=(1,)", "Rename the parameter, or give it a default"):
        start(lambda height: height)


def test_ambiguous_names():
    spec = EnvSpec(Composite((("left", Box((1,), names=("x",))), ("right", Box((1,), names=("x",))))), Box((1,)), None)
    with refused("'x', which may be obs['left'][0], obs['right'][0]", "by index"):
        start(lambda x: x, spec)


def test_parameters_without_names():
    def star(*fields):
        return 0.0

    def positional(obs, /):
        return 0.0

    with refused("named parameters in star", "*fields"):
        Program(star)
    with refused("named parameters in positional", "positional-only"):
        Program(positional)
    with refused("expected a function", "'obs'"):
        Program("obs")


def test_constants():
    function = lambda obs, gain=1.0: gain * obs[0]
    with refused("no constant 'gian'", "did you mean 'gain'? Known: gain."):
        Program(function, {"gian": 2.0})
    with refused("'obs' has none: it is a field"):
        Program(function, {"obs": 2.0})


def test_output_that_is_no_scalar():
    with refused("return one number, shape (); got shape (2,)", "jnp.sum"):
        start(lambda obs: obs**2)
    with refused("expected <lambda> to run on a transition of zeros (obs (2,))", "raised", "None"):
        start(lambda obs: None)


def test_not_finite_on_zeros():
    with refused("finite number", "zeros (angle (), velocity ())", "got nan", "1e-6"):
        start(lambda angle, velocity: angle / velocity)
    with refused("got -inf"):
        start(lambda angle: jnp.log(angle))


def test_zeros_lie_within_bounds():
    spec = EnvSpec(Box((1,), 0.5, 2.0, names=("mass",)), Box((1,)), None)
    start(lambda mass: jnp.log(mass), spec)  # log 0.5, not log 0


def test_python_control_flow_and_numpy():
    def branch(angle):
        return 1.0 if angle > 0 else 0.0

    with refused("branch to be a pure JAX function", "jnp.where"):
        start(branch)
    with refused("pure JAX function", "jnp.sin for np.sin"):
        start(lambda angle: np.sin(angle))


def test_a_program_that_raises():
    with refused("on a transition of zeros (obs (2,))", "IndexError"):
        start(lambda obs: obs[0][1])


def test_used_before_init():
    no = jnp.zeros((), bool)
    with refused("the state that Program.init(spec) gives; got ()", "Call init first"):
        Program(lambda obs: 0.0)((), Transition(no, no, jnp.zeros(()), no, no, no, {}))


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rewards.py").write_text("from math import sqrt\ndef upright(angle):\n    return -angle\nlimit = 3\n")
    (tmp_path / "broken.py").write_text("def upright(angle):\n    return (\n")
    (tmp_path / "missing.py").write_text("import no_such_module_anywhere\n")
    return tmp_path


def test_program_sources(folder):
    for source in ("rewards.py", "rewards.py:", ":upright", "rewards.py:not a name"):
        with refused("'file.py:function'", repr(source)):
            load_program(source, folder)


def test_missing_file(folder):
    with refused("expected a file 'reward.py' in", "did you mean 'rewards.py'?"):
        load_program("reward.py:upright", folder)
    with refused("expected a file 'nowhere/reward.py'", "None are known"):
        load_program("nowhere/reward.py:upright", folder)


def test_missing_function(folder):
    with refused("expected a function 'uprigth' in 'rewards.py'", "did you mean 'upright'? Known: upright."):
        load_program("rewards.py:uprigth", folder)
    with refused("expected a function 'limit'"):
        load_program("rewards.py:limit", folder)


def test_files_that_do_not_run(folder):
    with refused("expected 'broken.py' to run; it raised SyntaxError", "line 2"):
        load_program("broken.py:upright", folder)
    with refused("'missing.py' to run; it raised ModuleNotFoundError", "no_such_module_anywhere"):
        load_program("missing.py:upright", folder)


def test_a_file_that_changed(folder):
    before = load_program("rewards.py:upright", folder)
    with open(folder / "rewards.py", "a") as file:
        file.write("# changed\n")
    with refused("'rewards.py' with sha256", "it changed since", "remove the hash"):
        load_program("rewards.py:upright", folder, before.sha256)
