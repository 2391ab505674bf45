"""A study: one small TOML file that says what is meant, how to learn it, and how to check that it was learned.

    name = "pendulum"
    statement = "Swing the pole up and hold it there, gently."
    environment = "Pendulum-v1"            # an id, a class's name, or a table: { type = "Pendulum", max_steps = 100 }
    steps = 150_000                        # environment steps of one seed
    seeds = 5
    num_envs = 16
    audits = ["Returns", "ProxyGap"]       # names, or tables: { type = "Returns", at_least = -200.0 }
    truth = "Task"                         # what success is judged by; measured, never learned from

    [reward.upright]                       # one table a named term: its weight, and the reward
    weight = 1.0
    type = "Program"
    source = "pendulum_rewards.py:upright"   # beside this file

    [constraints.effort]                   # mean cost a step kept at or below the limit
    limit = 0.5
    type = "Program"
    source = "pendulum_rewards.py:effort"

    [learner]
    type = "PPO"
    lr = 1e-3

Demonstrations are a wish too: `reward = { type = "Demonstrations", source = "demos/walk" }` for learners that clone
(then `steps` counts updates), with `by = "GAIL"` and the like for learners that act.

A reward that learns from comparisons (`reward = "BradleyTerry"`) needs a `teacher` ("Oracle", "Stochastic", "Person"),
and may say how much is asked in `[questions]`.

It is the configuration of Equinox modules, nothing besides: reading builds the modules, writing reads their fields
(`operant.config`). Reading a study imports the reward programs and classes that it names: read those of people you
trust.

>>> study = loads('environment = "Pendulum"\\nlearner = "PPO"\\nsteps = 1_000', name="swing")
>>> study.steps, type(study.learner).__name__, loads(study.dumps()) == study
(1000, 'PPO', True)
"""

import dataclasses
import difflib
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from operant import config
from operant.core import (
    AbstractAudit,
    AbstractEnv,
    AbstractHostEnv,
    AbstractLearner,
    AbstractReward,
    Constraint,
    Intent,
)
from operant.errors import SEEDS, SpecError, StoreError, nearest
from operant.io.checkpoint import write_atomically
from operant.loops.asking import Questions
from operant.rewards.imitation.demonstrations import Demonstrations
from operant.rewards.terms import Terms
from operant.teachers import AbstractTeacher

KEYS = (
    "name", "statement", "environment", "steps", "num_envs", "seeds", "seed", "eval_episodes", "audits",
    "reward", "constraints", "truth", "learner", "teacher", "questions",
)  # fmt: skip
_COUNTS = ("steps", "num_envs", "seeds", "eval_episodes")
_PROGRAM = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")


@dataclasses.dataclass(frozen=True)
class Study:
    """What is meant, how to learn it and how to check it.

    Raises:
        SpecError: a count that is not a positive whole number, or a name that cannot name a folder.
    """

    name: str
    """What the run's folder is called."""
    env: AbstractEnv | AbstractHostEnv
    """Where it is learned."""
    intent: Intent
    """The wish: statement, reward, constraints, truth."""
    learner: AbstractLearner
    """How it is learned."""
    steps: int
    """Environment steps of one seed, summed over its environments."""
    num_envs: int = 16
    """Environments stepped side by side by each seed."""
    seeds: int = 5
    """Independent repetitions."""
    seed: int = 0
    """The number that all randomness comes from."""
    teacher: AbstractTeacher | None = None
    """Who compares, where the reward learns from comparisons."""
    questions: Questions | None = None
    """How much the teacher is asked."""
    audits: tuple[AbstractAudit, ...] = ()
    """Questions asked of the result."""
    eval_episodes: int = 20
    """Greedy episodes each seed is evaluated on at the end."""
    folder: Path = dataclasses.field(default=Path(), compare=False)
    """Where the files of its programs are found from."""

    def __post_init__(self):
        for name in _COUNTS:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise SpecError(f"{name}: expected a whole number ≥ 1, got {config.shown(value)}.")
        if type(self.seed) is not int or not 0 <= self.seed < SEEDS:
            raise SpecError(f"seed: expected a whole number in 0 … {SEEDS - 1}, got {config.shown(self.seed)}.")
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise SpecError(
                f"name: expected letters, digits, '.', '_' and '-', since a folder is named so; got {self.name!r}."
            )
        names = [x.name for x in self.intent.constraints]
        if not all(names) or len(set(names)) < len(names):
            raise SpecError(f"constraints: expected each to have a name of its own; got {names}. Name them.")

    @property
    def statement(self) -> str:
        """The wish in words."""
        return self.intent.statement

    def to_plain(self) -> dict[str, Any]:
        """As TOML's tables, in the order in which a person reads them; what is at its default is left out."""
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        counts = {name: getattr(self, name) for name in ("steps", "num_envs", "seeds", "seed", "eval_episodes")}
        plain: dict[str, Any] = {"name": self.name, "statement": self.statement, "environment": _short(self.env)}
        plain |= {name: x for name, x in counts.items() if name in ("steps", "num_envs", "seeds") or x != usual[name]}
        plain["audits"] = [_short(audit) for audit in self.audits]
        plain |= {name: x for name, x in plain_intent(self.intent).items() if name != "statement"}
        plain["learner"] = config.to_plain(self.learner)
        for name in ("teacher", "questions"):
            if (module := getattr(self, name)) is not None:
                plain[name] = config.to_plain(module)
        plain.get("questions", {}).pop("type", None)  # there is one kind
        return {key: x for key, x in plain.items() if x not in ("", [], {}) or key == "questions"}

    def dumps(self) -> str:
        """The study as TOML. Files of programs are written with the paths they have now."""
        return _toml(self.to_plain())

    def write(self, path: str | Path) -> Path:
        """Write the study; the files of programs are named relative to its folder.

        Raises:
            StoreError: the file cannot be written.
        """
        path = Path(path)
        folder = path.parent.resolve()

        def relative(file: Path) -> str:
            return Path(os.path.relpath((self.folder / file).resolve(), folder)).as_posix()

        write_atomically(path, [_toml(_programs(self.to_plain(), relative)).encode()])
        return path

    def copy_into(self, folder: str | Path) -> "Study":
        """Write `study.toml` and copies of its program files into `folder`; the study that uses the copies.

        A program's own imports of files beside it are not followed.

        Raises:
            StoreError: something cannot be written.
        """
        folder = Path(folder).resolve()
        taken: dict[str, Path] = {}

        def copied(file: Path) -> str:
            source, name, n = (self.folder / file).resolve(), file.name, 1
            while taken.setdefault(name, source) != source:
                n += 1
                name = f"{file.stem}_{n}{file.suffix}"
            target = folder / name
            if target != source:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
                except OSError as error:
                    raise StoreError(f"expected to copy {source} to {target}; the system answered: {error}.") from error
            return name

        write_atomically(folder / "study.toml", [_toml(_programs(self.to_plain(), copied)).encode()])
        return load(folder / "study.toml")


def load(path: str | Path) -> Study:
    """Read a study; relative paths in it are relative to its folder. Without a `name` it is called as its file is.

    Raises:
        SpecError: no such file, not TOML (the line is shown), an unknown key, or a wrong value; file and key are named.
    """
    path = Path(path)
    if path.is_dir() and (path / "study.toml").exists():
        path = path / "study.toml"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"expected a study at {path}; there is no such file. {_nearby(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"expected a study (TOML, UTF-8) at {path}; it cannot be read: {error}.") from error
    try:
        return loads(text, folder=path.parent, name=path.stem)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def _nearby(path: Path) -> str:
    there = [p.name for p in path.parent.glob("*.toml") if p.name != "pyproject.toml"] if path.parent.is_dir() else []
    if not path.parent.is_dir():
        return f"The folder {path.parent} is not there either."
    return f"In that folder: {nearest(path.name, there)}" if there else "No .toml file is in that folder."


def loads(text: str, *, folder: str | Path = ".", name: str = "study") -> Study:
    """Read a study from TOML text; `folder` is where relative paths start, `name` what it is called if it says nothing.

    Raises:
        SpecError: as `load`.
    """
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        lines = text.splitlines()
        line = lines[int(found[1]) - 1].strip() if found and int(found[1]) <= len(lines) else ""
        raise SpecError(f"expected TOML; {error}{f': `{line}`' if line else ''}.") from None
    return from_plain(plain, folder=folder, name=name)


def from_plain(plain: Mapping[str, Any], *, folder: str | Path = ".", name: str = "study") -> Study:
    """The study that TOML's tables describe. Raises SpecError as `load`."""
    for key in plain:
        if key not in KEYS:
            raise SpecError(f"{key}: a study has no key '{key}'; {nearest(key, KEYS)}")
    for key in ("environment", "learner", "steps"):
        if key not in plain:
            raise SpecError(f"{key}: a study needs this key; it is not given. Add `{_SHAPES[key]}`.")
    _check_placement(plain)
    root = Path(folder)
    constraints = config.read(plain.get("constraints", {}), dict, "constraints")
    truth = plain.get("truth")
    intent = Intent(
        read_reward(plain.get("reward", "Task"), "reward", root),
        tuple(_constraint(x, key, root) for key, x in constraints.items()),
        config.read(plain.get("statement", ""), str, "statement"),
        None if truth is None else read_reward(truth, "truth", root),
    )
    numbers = (*_COUNTS, "seed")
    return Study(
        name=config.read(plain.get("name", name), str, "name"),
        env=read_env(plain["environment"], root=root),
        intent=intent,
        learner=config.from_plain(plain["learner"], AbstractLearner, "learner", root=root),
        teacher=_optional(plain.get("teacher"), AbstractTeacher, "teacher", root),
        questions=_optional(plain.get("questions"), Questions, "questions", root),
        audits=config.read(plain.get("audits", []), tuple[AbstractAudit, ...], "audits", root=root),
        folder=root,
        **{key: _count(plain[key], key) for key in numbers if key in plain},
    )


def _optional(plain: Any, kind: type, where: str, root: Path) -> Any:
    return None if plain is None else config.from_plain(plain, kind, where, root=root)


_SHAPES = {"environment": 'environment = "Pendulum-v1"', "learner": 'learner = "PPO"', "steps": "steps = 100_000"}


def _count(value: Any, where: str) -> int:
    if isinstance(value, list):
        raise SpecError(f"{where}: expected one whole number, got {config.shown(value)}.")
    return config.read(value, int, where)


def _check_placement(plain: Mapping[str, Any]) -> None:
    """TOML gives every key below a [table] to that table: say so where a study's own key ended up in one."""
    for table in ("learner", "reward", "constraints", "truth", "teacher", "questions"):
        inside = plain.get(table)
        for key in ("steps", "seeds", "num_envs", "eval_episodes", "audits", "environment", "statement"):
            if isinstance(inside, Mapping) and key in inside and not isinstance(inside[key], Mapping):
                cls = inside.get("type") if table == "learner" else None
                if not (isinstance(cls, str) and key in config.declared(cls, AbstractLearner)):
                    raise SpecError(
                        f"{table}.{key}: '{key}' is a key of the study, and stands below [{table}], which takes it. "
                        "Move it above the first [table]."
                    )


def read_env(plain: Any, where: str = "environment", *, root: Path = Path()) -> AbstractEnv | AbstractHostEnv:
    """An environment from an id, a class's name, or a table, also one that stands in text, as flags give it.

    Raises SpecError, or EnvError from `operant.envs.make`.
    """
    if isinstance(plain, str):
        plain = read_table(plain, where)
    if isinstance(plain, str):
        from operant import envs

        try:
            return envs.make(plain)
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from error
    return config.from_plain(plain, AbstractEnv | AbstractHostEnv, where, root=root)


def read_table(text: str, where: str) -> Any:
    """A table as TOML writes it in one line; text that is none, as it is. Raises SpecError."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{where}: expected a name, or a table as TOML has it; got {text} ({error}).") from None


def read_reward(plain: Any, where: str, root: Path = Path()) -> AbstractReward:
    """A reward from its name, its table, or a table of named terms, each with a weight."""
    if not isinstance(plain, Mapping) or isinstance(plain.get("type"), str):
        return _beside(config.from_plain(plain, AbstractReward, where, root=root), root)
    terms, weights = {}, {}
    for name, term in plain.items():
        place = f"{where}.{name}"
        if isinstance(term, Mapping):
            term = dict(term)
            wrong = difflib.get_close_matches("weight", term, 1)
            known = set() if "weight" in term else config.declared(str(term.get("type")), AbstractReward)
            if wrong and wrong[0] != "weight" and wrong[0] not in known:
                raise SpecError(f"{place}.{wrong[0]}: a term has no key '{wrong[0]}'; did you mean 'weight'?")
            if "weight" in term:
                weights[name] = config.read(term.pop("weight"), float, f"{place}.weight")
        elif not isinstance(term, str):
            raise SpecError(f"{place}: expected a term (a table, or a reward's name), got {config.shown(term)}.")
        terms[name] = _beside(config.from_plain(term, AbstractReward, place, root=root), root)
    try:
        return Terms(terms, weights)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _beside(reward: AbstractReward, root: Path) -> AbstractReward:
    """Demonstrations are looked for beside the study first, as programs are, then from the current folder."""
    if isinstance(reward, Demonstrations) and (root / reward.source).exists():
        return dataclasses.replace(reward, source=(root / reward.source).as_posix())
    return reward


LACKING = frozenset({"base", "baseline", "modes", "model", "dataset", "held_out", "document"})
"""What of an audit's needs most runs lack."""


def default_audits(truth: bool) -> tuple[AbstractAudit, ...]:
    """Every audit that is cheap, needs no settings, and needs nothing that most runs lack.

    Args:
        truth: whether a true reward is stated, or known to be the stated one.
    """
    lacking = LACKING if truth else LACKING | {"true_reward"}
    ready = []
    for cls in config.known(AbstractAudit).values():
        set_up = all(config.default(field) is not dataclasses.MISSING for field in config.fields(cls))
        if set_up and not cls.by_name and not lacking & cls.needs:
            ready.append(cls())
    return tuple(ready)


def plain_intent(intent: Intent) -> dict[str, Any]:
    """An intent as a study's tables: statement, reward, constraints, and truth where it is stated."""
    limits = {x.name: {"limit": config.scalar(x.limit), **config.to_plain(x.cost)} for x in intent.constraints}
    plain = {"statement": intent.statement, "reward": _plain_reward(intent.reward), "constraints": limits}
    return plain | ({"truth": _plain_reward(intent.truth)} if intent.truth is not None else {})


def _constraint(plain: Any, name: str, root: Path) -> Constraint:
    where = f"constraints.{name}"
    if not isinstance(plain, Mapping) or "limit" not in plain:
        raise SpecError(f"{where}: expected a table with `limit` and a cost, got {config.shown(plain)}.")
    rest = dict(plain)
    limit = config.read(rest.pop("limit"), float, f"{where}.limit")
    return Constraint(config.from_plain(rest, AbstractReward, where, root=root), limit, name)


def _plain_reward(reward: AbstractReward) -> Any:
    if not isinstance(reward, Terms):
        return _short(reward)
    clash = any("weight" in config.hints(type(term)) for term in reward.terms.values())
    if clash or "type" in reward.terms:  # the terms' tables cannot be told from the weights beside them
        return config.to_plain(reward)
    weights = {name: {"weight": config.scalar(w)} for name, w in reward.weights.items()}
    return {name: weights.get(name, {}) | config.to_plain(term) for name, term in reward.terms.items()}


def _short(module: Any) -> Any:
    """A module as its name alone where every field is at its default."""
    plain = config.to_plain(module)
    return plain["type"] if list(plain) == ["type"] else plain


def _programs(plain: Any, change: Callable[[Path], str]) -> Any:
    """The same data with the file of every `file.py:function` renamed."""
    match plain:
        case Mapping():
            return {key: x if key in ("name", "statement") else _programs(x, change) for key, x in plain.items()}
        case list():
            return [_programs(x, change) for x in plain]
        case str() if found := _PROGRAM.fullmatch(plain):
            return f"{change(Path(found['file']))}:{found['name']}"
    return plain


def _toml(plain: Mapping[str, Any]) -> str:
    text = tomli_w.dumps(plain)
    text = re.sub(r"^steps = (\d+)$", lambda m: f"steps = {int(m[1]):_}", text, flags=re.MULTILINE)
    return re.sub(r"= \[\n((?:    [^\n\[{]*,\n)+)\]", _one_line, text)


def _one_line(array: re.Match[str]) -> str:
    """Short arrays on one line."""
    words = [line.strip().rstrip(",") for line in array[1].splitlines()]
    line = f"= [{', '.join(words)}]"
    return line if len(line) <= 100 else array[0]
