"""Modules → plain → modules: the same, for every public class, through JSON and through TOML."""

import dataclasses
import enum
import importlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tomli_w
from jaxtyping import Array, Float

from operant import config
from operant.core import (
    AbstractAudit,
    AbstractEnv,
    AbstractHostEnv,
    AbstractLearner,
    AbstractReward,
    Box,
    Constraint,
    Discrete,
    EnvSpec,
    Intent,
)
from operant.errors import SpecError
from operant.math import schedules
from operant.rewards.program import Program, load_program
from operant.rewards.task import Task
from operant.rewards.terms import Terms

FAMILIES = (AbstractLearner, AbstractReward, AbstractEnv, AbstractHostEnv, AbstractAudit, schedules.AbstractSchedule)
PUBLIC = [cls for family in FAMILIES for _, cls in sorted(config.known(family).items())]
REQUIRED = {AbstractReward: Task(), float: 0.5, int: 3, dict[str, AbstractReward]: {"a": Task(), "b": Task()}}
EXAMPLES: dict[str, Callable[[], Any]] = {
    "Program": lambda: Program(jnp.sum),
    "Lagrangian": lambda: config.find("Lagrangian", AbstractReward)(Task(), (Constraint(Task(), 0.25, "c"),)),
    "Gymnasium": lambda: config.find("Gymnasium", AbstractHostEnv)("CartPole-v1", {"sutton_barto_reward": True}),
    "TabularEnv": lambda: config.find("TabularEnv", AbstractEnv)(np.ones((1, 2, 1)), np.zeros((1, 2, 1)), np.ones(1)),
    "ADS": lambda: config.find("ADS", AbstractLearner)(config.find("SAC", AbstractLearner)(rollout=4), scheduled=False),
    "IterativeInversion": lambda: config.find("IterativeInversion", AbstractLearner)("demos/walk"),
    "DAgger": lambda: config.find("DAgger", AbstractLearner)(expert="runs/expert"),
    "Demonstrations": lambda: config.find("Demonstrations", AbstractReward)("demos/walk"),
    "Table": lambda: config.find("Table", AbstractReward)(np.array([[0.5, 1.0], [2.0, 3.0]])),
    "PreferenceAsReward": lambda: config.find("PreferenceAsReward", AbstractReward)(Task(), references=(0.5, 1.0)),
    "EnvPool": lambda: config.find("EnvPool", AbstractHostEnv)("CartPole-v1"),
    "MetaWorld": lambda: config.find("MetaWorld", AbstractHostEnv)("reach-v3"),
}


def an_example(cls: type) -> Any:
    """An instance: of defaults, of ordinary values where there are none, or the one given above."""
    if cls.__name__ in EXAMPLES:
        return EXAMPLES[cls.__name__]()
    needed = [f for f in config.fields(cls) if config.default(f) is dataclasses.MISSING]
    return cls(**{f.name: REQUIRED[config.hints(cls)[f.name]] for f in needed})


def variations(module: Any) -> list[Any]:
    """The module with each of its numbers and switches changed, as far as its class allows."""
    changed = [module]
    for field in config.fields(type(module)):
        value = getattr(module, field.name)
        if type(value) not in (bool, int, float):
            continue
        new = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * 0.75 + 0.1
        try:
            changed.append(dataclasses.replace(module, **{field.name: new}))
        except (SpecError, ValueError):
            continue
    return changed


def equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(eqx.tree_equal(a, b, typematch=True))


def test_there_are_public_classes_of_every_family_to_test():
    for family in FAMILIES:
        assert config.known(family), family


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_public_class_survives_the_round_trip(cls):
    for module in variations(an_example(cls)):
        plain = config.to_plain(module)
        assert plain["type"] == cls.__name__
        for carried in (plain, json.loads(json.dumps(plain)), tomllib.loads(tomli_w.dumps(plain))):
            assert equal(config.from_plain(carried, cls.__mro__[1]), module)
            assert equal(config.from_plain(carried, cls), module)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_public_field_says_what_it_is(cls):
    for field in config.fields(cls):
        assert config.docs(cls).get(field.name), f"{cls.__name__}.{field.name} has no docstring below it"


def test_a_program_is_its_source(tmp_path: Path):
    (tmp_path / "mine.py").write_text("def near(obs, k=2.0):\n    return -k * abs(obs).sum()\n")
    program = load_program("mine.py:near", tmp_path, constants={"k": 3.0})
    plain = config.to_plain(program)
    assert plain == {
        "type": "Program", "constants": {"k": 3.0}, "source": "mine.py:near", "sha256": program.sha256
    }  # fmt: skip
    again = config.from_plain(plain, AbstractReward, root=tmp_path)
    assert (again.source, again.sha256, again.constants) == (program.source, program.sha256, {"k": 3.0})
    assert equal(again, config.from_plain(plain, AbstractReward, root=tmp_path))  # so that nothing recompiles
    with pytest.raises(SpecError, match="changed since"):
        (tmp_path / "mine.py").write_text("def near(obs, k=2.0):\n    return 0.0\n")
        config.from_plain(plain, AbstractReward, root=tmp_path)


def test_a_program_edited_between_two_readings_is_read_anew(tmp_path: Path):
    plain = {"type": "Program", "source": "mine.py:f"}
    values = []
    for text in ("1.0", "2.0"):
        (tmp_path / "mine.py").write_text(f"def f(obs):\n    return {text}\n")
        values.append(config.from_plain(plain, AbstractReward, root=tmp_path).function(None))
    assert values == [1.0, 2.0]


def test_defaults_are_left_out():
    assert config.to_plain(schedules.Constant(2.0)) == {"type": "Constant", "value": 2.0}
    assert config.to_plain(Task()) == {"type": "Task"}
    assert config.to_plain(Intent(Task(), statement="x")) == {
        "type": "operant.core:Intent", "reward": {"type": "Task"}, "statement": "x"
    }  # fmt: skip


def test_a_whole_intent_goes_round():
    reward = Terms({"a": Task(), "b": Task()}, {"b": 0.25})
    intent = Intent(reward, (Constraint(Task(), 0.5),), "go", Task())
    assert equal(config.from_plain(json.loads(json.dumps(config.to_plain(intent))), Intent, "intent"), intent)


# --- every kind of field --------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    red = 1
    blue = 2


class Everything(eqx.Module):
    number: float = 1.0
    """A number."""
    count: int = 2
    """A count,
    over two lines."""
    switch: bool = False
    word: str = "x"
    choice: Literal["one", "two", 3] = "one"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    table: dict[str, float] = eqx.field(default_factory=dict)
    maybe: int | None = None
    surely: float | None = 0.5
    either: int | float | str = 1
    rate: float | schedules.AbstractSchedule = 0.1
    one: schedules.Constant = schedules.Constant(1.0)
    one_or_none: schedules.Constant | None = None
    space: Box = Box((2,))
    activation: Callable[[Array], Array] = jnp.tanh
    colour: Colour = Colour.red
    some: frozenset[str] = frozenset()
    weights: Float[Array, " n"] = eqx.field(default_factory=lambda: jnp.zeros(2))
    anything: Any = None


CASES = {
    "number": (0.25, 0.25),
    "count": (7, 7),
    "switch": (True, True),
    "word": ("none", "none"),
    "choice": (3, 3),
    "sizes": ((4, 5, 6), [4, 5, 6]),
    "pair": ((3, "b"), [3, "b"]),
    "table": ({"p": 0.5}, {"p": 0.5}),
    "maybe": (3, 3),
    "surely": (None, "none"),
    "either": (2.5, 2.5),
    "rate": (schedules.Linear(1.0, 0.0, 10.0), {"type": "Linear", "start": 1.0, "end": 0.0, "steps": 10.0}),
    "one": (schedules.Constant(3.0), {"value": 3.0}),
    "one_or_none": (schedules.Constant(4.0), {"value": 4.0}),
    "space": (Box((3,), -1.0, 1.0), {"shape": [3], "low": -1.0, "high": 1.0}),
    "activation": (jax.nn.relu, "relu"),
    "colour": (Colour.blue, "blue"),
    "some": (frozenset({"b", "a"}), ["a", "b"]),
    "weights": (jnp.array([0.1, 0.2]), [0.1, 0.2]),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_field(name):
    value, said = CASES[name]
    module = Everything(**{name: value})
    plain = config.to_plain(module)
    assert plain[name] == said
    assert set(plain) == {"type", name}
    assert equal(config.from_plain({name: said}, Everything), module)


def test_all_fields_at_once_through_toml():
    module = Everything(**{name: value for name, (value, _) in CASES.items()})
    plain = config.to_plain(module)
    del plain["type"]
    assert equal(config.from_plain(tomllib.loads(tomli_w.dumps(plain)), Everything), module)


def test_a_whole_number_stands_for_a_float_and_not_the_other_way():
    read = config.from_plain({"number": 3, "rate": 2, "either": 4}, Everything)
    assert (read.number, type(read.number)) == (3.0, float)
    assert (read.rate, type(read.rate)) == (2.0, float)
    assert (read.either, type(read.either)) == (4, int)
    with pytest.raises(SpecError):
        config.from_plain({"count": 3.0}, Everything)


def test_an_array_for_a_number_is_a_sweep_and_float32_is_written_shortly():
    module = config.from_plain({"number": [1e-3, 3e-4], "rate": [0.1, 1]}, Everything)
    np.testing.assert_array_equal(module.number, np.array([1e-3, 3e-4], np.float32))
    assert config.to_plain(module)["number"] == [0.001, 0.0003]
    assert equal(config.from_plain({"number": [0.001, 0.0003], "rate": [0.1, 1.0]}, Everything), module)


def test_names_may_be_in_any_case_only_where_that_is_asked_for():
    assert config.find("task", AbstractReward, any_case=True) is Task
    with pytest.raises(SpecError):
        config.find("task", AbstractReward)


def test_classes_and_functions_of_other_packages_by_their_import_path(tmp_path, monkeypatch):
    (tmp_path / "other_people.py").write_text(
        "from operant.core import AbstractFixedReward\nimport jax.numpy as jnp\n\n"
        "class Flat(AbstractFixedReward):\n    height: float = 1.0\n"
        "    def __call__(self, state, batch):\n        return jnp.full(batch.reward.shape, self.height)\n\n"
        "def bend(x):\n    return x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs = importlib.import_module("other_people")
    plain = {"type": "other_people:Flat", "height": 2.0}
    assert config.to_plain(theirs.Flat(2.0)) == plain
    assert equal(config.from_plain(plain, AbstractReward), theirs.Flat(2.0))
    assert config.from_plain({"activation": "other_people:bend"}, Everything).activation is theirs.bend
    assert config.to_plain(Everything(activation=theirs.bend))["activation"] == "other_people:bend"


def test_docstrings_below_fields_become_help():
    assert config.docs(Everything) == {"number": "A number.", "count": "A count, over two lines."}


def test_bounds_of_each_element_stay_what_they_were():
    """A tuple of numbers is no sweep where a tuple is welcome: `Dataset.load` reads its environment's spec so."""
    spec = EnvSpec(Box((2,), (-1.0, -2.0), (1.0, 2.0)), Discrete(2), 10)
    assert config.from_plain(config.to_plain(spec), EnvSpec) == spec
    assert hash(config.from_plain(config.to_plain(spec), EnvSpec)) == hash(spec)
