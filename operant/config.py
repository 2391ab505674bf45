"""Modules as plain data and back: `to_plain` and `from_plain` read the fields a class declares, and nothing else.

Plain data is what TOML and JSON can say: a module is a table with its class's name under `type` and the fields that
differ from their defaults. There is no registry: `type` is looked up among the public names of the family's package
(`operant.learners`, `operant.rewards`, `operant.envs`, `operant.audits`, or wherever the abstract class lives), or
imported, for classes of your own, from `"package.module:Class"`. So

    from_plain(to_plain(m), type(m)) == m

| Python | plain |
|---|---|
| module or dataclass | table with `type`, which is left out where only one class is possible; or the name alone |
| tuple, list, array | array; an array for a number is one setting a training (a sweep) |
| dict | table |
| None | left out; `"none"` where the default is something else |
| function | `"tanh"` (of `jax.nn` or `jax.numpy`), `"file.py:function"`, `"package.module:function"` |
| enum | its name |

>>> from operant.math.schedules import AbstractSchedule, Linear
>>> to_plain(Linear(1.0, 0.1, 1e5))
{'type': 'Linear', 'start': 1.0, 'end': 0.1, 'steps': 100000.0}
>>> from_plain({"type": "Constant", "value": 3}, AbstractSchedule)
Constant(value=3.0)
"""

import ast
import collections.abc
import contextlib
import dataclasses
import enum
import functools
import hashlib
import importlib
import inspect
import itertools
import json
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import AbstractArray

from operant import core
from operant.errors import SpecError, nearest

NONE = "none"
_HOMES = {
    core.AbstractLearner: ("operant.learners",),
    core.AbstractReward: ("operant.rewards", "operant.envs.hacking"),
    core.AbstractEnv: ("operant.envs.toy", "operant.envs.tabular", "operant.envs.hacking"),
    core.AbstractHostEnv: ("operant.envs.gymnasium", "operant.envs.envpool", "operant.envs.metaworld"),
    core.AbstractAudit: ("operant.audits",),
}


# --- which classes there are ----------------------------------------------------------------------------------------


def known(expected: type) -> dict[str, type]:
    """The public final classes that are an `expected`, by name."""
    found = {}
    for base in (expected, *expected.__mro__):
        for home in _homes(base):
            module = importlib.import_module(home)
            for name in getattr(module, "__all__", None) or vars(module):
                value = getattr(module, name)
                if isinstance(value, type) and issubclass(value, expected) and not _abstract(value):
                    found.setdefault(name, value)
    return found


def _homes(base: type) -> Iterator[str]:
    if base in _HOMES:
        yield from _HOMES[base]
    elif base.__module__.startswith("operant.") and base.__module__ != "operant.core":
        parts = base.__module__.split(".")
        for end in range(len(parts), 1, -1):  # the module, then the packages around it, but not `operant` itself
            yield ".".join(parts[:end])


def _abstract(cls: type) -> bool:
    return inspect.isabstract(cls) or cls.__name__.startswith("Abstract") or getattr(cls, "_is_protocol", False)


def find(name: str, expected: type | tuple[type, ...], where: str = "type", *, any_case: bool = False) -> type:
    """The class called `name` among those that are an `expected`; `"package.module:Class"` is imported.

    Raises:
        SpecError: there is no such class, or it is something else; the nearest name is suggested.
    """
    bases = expected if isinstance(expected, tuple) else (expected,)
    if ":" in name:
        cls = imported(name, where)
        if not (isinstance(cls, type) and issubclass(cls, bases)):
            raise SpecError(
                f"{where}: expected {_one_of(bases)}; {name} is {cls!r}. Name a class that derives from it."
            )
        return cls
    classes = {}
    for base in bases:
        classes |= known(base)
        if not _abstract(base):
            classes.setdefault(base.__name__, base)
        if name in classes:  # before the next base's package is imported
            return classes[name]
    if any_case and name.lower() in (lower := {n.lower(): cls for n, cls in classes.items()}):
        return lower[name.lower()]
    raise SpecError(
        f"{where}: expected the name of {_one_of(bases)}, or 'package.module:Class'; got {json.dumps(name)}: "
        f"{nearest(name, classes)}"
    )


_SPOKEN = {core.AbstractEnv: "an environment", core.AbstractHostEnv: "an environment"}


def _one_of(bases: tuple[type, ...]) -> str:
    def spoken(base: type) -> str:
        if not _abstract(base):
            return base.__name__
        name = base.__name__.removeprefix("Abstract").lower()
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    return " or ".join(dict.fromkeys(_SPOKEN.get(base) or spoken(base) for base in bases))


def imported(name: str, where: str) -> Any:
    """What `"package.module:attribute"` names."""
    module_name, _, attribute = name.rpartition(":")
    try:
        value = importlib.import_module(module_name)
    except ImportError as error:
        raise SpecError(
            f"{where}: expected an importable 'package.module:Name'; importing {module_name!r} failed: {error}. "
            "Install the package, or put its folder on PYTHONPATH."
        ) from error
    for part in attribute.split("."):
        if not hasattr(value, part):
            names = [n for n in dir(value) if not n.startswith("_")]  # of a package, also what it has yet to import
            raise SpecError(f"{where}: {module_name!r} has no {attribute!r}; {nearest(attribute, names)}")
        value = getattr(value, part)
    return value


def type_name(cls: type) -> str:
    """What `type` says for this class: its name where that finds it again, its import path otherwise."""
    found = any(known(base).get(cls.__name__) is cls for base in cls.__mro__[1:])
    return cls.__name__ if found else f"{cls.__module__}:{cls.__qualname__}"


# --- what a class declares ------------------------------------------------------------------------------------------


@functools.cache
def hints(cls: type) -> dict[str, Any]:
    """Each field's annotation, resolved."""
    resolved = typing.get_type_hints(cls)
    return {field.name: resolved[field.name] for field in fields(cls)}


def fields(cls: type) -> tuple[dataclasses.Field, ...]:
    """The fields that configure a class."""
    return tuple(field for field in dataclasses.fields(cls) if field.init)


def default(field: dataclasses.Field) -> Any:
    """A field's default, or `dataclasses.MISSING`."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def declared(name: str, expected: type) -> tuple[str, ...]:
    """The field names of the class called `name`; () where there is no such class."""
    cls = known(expected).get(name)
    return () if cls is None else tuple(hints(cls))


@functools.cache
def docs(cls: type) -> dict[str, str]:
    """The docstring below each field, on one line: help for the command line."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        for statement, after in itertools.pairwise(tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else ()):
            match statement, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    found[name] = " ".join(text.split())
    return found


# --- module to plain ------------------------------------------------------------------------------------------------


def to_plain(module: Any) -> dict[str, Any]:
    """A module, or any dataclass, as a table: its `type` and the fields that are not at their defaults.

    Raises:
        SpecError: a field holds something plain data cannot say, such as a lambda; the field is named.
    """
    return _table(module, type_name(type(module)), type(module).__name__)


def _table(module: Any, name: str | None, where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {} if name is None else {"type": name}
    sourced = _is_program(type(module)) and module.source
    for field in fields(type(module)):
        if sourced and field.name == "function":
            continue  # the file says it
        value, usual = getattr(module, field.name), default(field)
        if not same(value, usual):
            plain[field.name] = _write(value, hints(type(module))[field.name], f"{where}.{field.name}")
    return plain


def same(a: Any, b: Any) -> bool:
    """Equal in structure, type and value."""
    return type(a) is type(b) and bool(eqx.tree_equal(a, b, typematch=True))


def _write(value: Any, hint: Any, where: str) -> Any:
    hint = _bare(hint)
    match value:
        case None:
            return NONE
        case enum.Enum():
            return value.name
        case bool() | int() | float() | str():
            return value
        case np.ndarray() | np.generic() | jax.Array():
            return _write_array(np.asarray(value))
        case Mapping():
            inner = (typing.get_args(hint) or (str, Any))[1]
            return {key: _write(x, inner, f"{where}.{key}") for key, x in value.items()}
        case tuple() | list():
            return [_write(x, _element(hint, i), f"{where}[{i}]") for i, x in enumerate(value)]
        case frozenset() | set():
            return sorted(_write(x, _element(hint, 0), where) for x in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        choices = [m for m in _members(hint) if dataclasses.is_dataclass(m)]
        if type(value) in choices:  # a final class, listed: it can be only this one, or one of a few
            return _table(value, None if len(choices) == 1 else type(value).__name__, where)
        return _table(value, type_name(type(value)), where)
    if callable(value):
        return _write_function(value, where)
    raise SpecError(
        f"{where}: expected a number, text, array, function or module; got {type(value).__name__}, which a study "
        "cannot say. Make it a module whose fields are its configuration."
    )


def scalar(value: Any) -> Any:
    """A number, or an array of settings, as plain data."""
    return _write(value, Any, "value")


def _write_array(x: np.ndarray) -> Any:
    if x.dtype == np.float32:  # the shortest decimal that gives the same float32: 0.001, not 0.0010000000474974513
        return np.array([float(str(v)) for v in x.ravel()]).reshape(x.shape).tolist()
    return x.tolist()


def _write_function(function: Callable, where: str) -> str:
    name = getattr(function, "__name__", "")
    for namespace in (jax.nn, jnp):
        if name and getattr(namespace, name, None) is function:
            return name
    module = getattr(function, "__module__", None) or ""
    try:
        if imported(f"{module}:{name}", where) is function:
            return f"{module}:{name}"
    except (SpecError, ValueError):
        pass
    source = getattr(function, "__code__", None)
    if source is not None and name.isidentifier() and source.co_filename.endswith(".py"):
        return f"{source.co_filename}:{name}"
    raise SpecError(
        f"{where}: expected a function with a name that can be found again (of jax.nn, jax.numpy, a module or a file); "
        f"got {function!r}. Define it with `def` at the top of a file."
    )


# --- plain to module ------------------------------------------------------------------------------------------------


def from_plain(
    plain: Any, expected: Any, where: str = "learner", *, root: str | Path = ".", any_case: bool = False
) -> Any:
    """The module that `plain` describes.

    Args:
        plain: a table, or a class's name alone.
        expected: an abstract class, a final class, or a union of them.
        where: what messages call it.
        root: the folder that programs' files are found from.
        any_case: find `ppo` for `PPO`, as the command line does.

    Raises:
        SpecError: an unknown type or field (the nearest is suggested), a field missing or of the wrong type, or a
            value that the class refuses; the field is named.
    """
    return _Reader(Path(root), any_case).module(plain, _members(expected), where)


def read(plain: Any, hint: Any, where: str, *, root: str | Path = ".") -> Any:
    """Plain data as the type that an annotation declares. Raises SpecError if it is not of that type."""
    return _Reader(Path(root)).read(plain, hint, where)


_SCALARS = {float: "a number (float)", int: "a whole number (int)", bool: "true or false (bool)", str: "text (str)"}


@dataclasses.dataclass(frozen=True)
class _Reader:
    root: Path
    any_case: bool = False

    # --- modules ---

    def module(self, plain: Any, bases: tuple[type, ...], where: str) -> Any:
        if isinstance(plain, str):
            plain = {"type": plain}
        if not isinstance(plain, Mapping):
            raise _wrong(where, f"a table describing {_one_of(bases)}, or its name", plain)
        rest = dict(plain)
        name = rest.pop("type", None)
        if name is None and len(bases) == 1 and not _abstract(bases[0]):
            cls = bases[0]
        elif name is None:
            listed = f"Known: {', '.join(sorted({n for base in bases for n in known(base)}))}."
            raise SpecError(f'{where}: expected {_one_of(bases)}, named by `type = "…"`. {listed}')
        elif not isinstance(name, str):
            raise _wrong(f"{where}.type", "a name (str)", name)
        else:
            cls = find(name, bases, f"{where}.type", any_case=self.any_case)
        if _is_program(cls) and "function" not in rest:
            return self.program(rest, cls, where)
        return self.build(cls, rest, where)

    def build(self, cls: type, plain: Mapping[str, Any], where: str) -> Any:
        declared = {field.name: field for field in fields(cls)}
        _check_names(plain, declared, cls, where)
        values = {}
        for name, field in declared.items():
            if name in plain:
                values[name] = self.field(plain[name], cls, field, f"{where}.{name}")
            elif default(field) is dataclasses.MISSING:
                said = f" ({docs(cls)[name]})" if name in docs(cls) else ""
                raise SpecError(f"{where}: {cls.__name__} needs '{name}'{said}; it is not given.")
        with _naming(where, cls):
            return cls(**values)

    def field(self, value: Any, cls: type, field: dataclasses.Field, where: str) -> Any:
        try:
            return self.read(value, hints(cls)[field.name], where)
        except SpecError as error:
            usual = default(field)
            if not isinstance(usual, bool | int | float | str) or not str(error).startswith(f"{where}: expected"):
                raise
            raise SpecError(f"{error} The default is {json.dumps(usual)}.") from None

    def program(self, plain: Mapping[str, Any], cls: type, where: str) -> Any:
        """A reward program: its function comes from its file."""
        declared = {field.name: field for field in fields(cls) if field.name != "function"}
        _check_names(plain, declared, cls, where)
        if "source" not in plain:
            raise SpecError(f'{where}: a program needs its source; add `source = "file.py:function"`.')
        text = {name: self.read(plain.get(name, ""), str, f"{where}.{name}") for name in ("source", "sha256")}
        constants = self.read(plain.get("constants", {}), hints(cls)["constants"], f"{where}.constants")
        with _naming(where, cls):
            return dataclasses.replace(_program(self.root, text["source"], text["sha256"]), constants=constants)

    # --- everything else ---

    def read(self, value: Any, hint: Any, where: str) -> Any:
        hint = _bare(hint)
        if hint is Any or isinstance(hint, typing.TypeVar):
            return tuple(value) if isinstance(value, list) else value
        members = _members(hint)
        if len(members) > 1:
            return self.union(value, members, where)
        if hint is None or hint is type(None):
            if value == NONE:
                return None
            raise _wrong(where, f'"{NONE}"', value)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Literal:
            if any(type(value) is type(a) and value == a for a in arguments):
                return value
            error = _wrong(where, f"one of {', '.join(json.dumps(a) for a in arguments)}", value)
            raise SpecError(f"{error} {nearest(value, map(str, arguments))}") if isinstance(value, str) else error
        if origin in (tuple, list, frozenset, set) or hint in (tuple, list):
            return self.sequence(value, origin or hint, hint, where)
        if origin in (dict, collections.abc.Mapping) or hint is dict:
            if not isinstance(value, Mapping):
                raise _wrong(where, "a table", value)
            inner = (arguments or (str, Any))[1]
            return {key: self.read(x, inner, f"{where}.{key}") for key, x in value.items()}
        if origin is collections.abc.Callable or hint in (Callable, collections.abc.Callable):
            return self.function(value, where)
        if not isinstance(hint, type):
            raise SpecError(f"{where}: expected a field that plain data can fill; it is declared {hint}.")
        if issubclass(hint, AbstractArray) or hint in (jax.Array, np.ndarray):
            return _read_array(value, where)
        if issubclass(hint, enum.Enum):
            if isinstance(value, str) and value in hint.__members__:
                return hint[value]
            raise SpecError(f"{_wrong(where, f'a {hint.__name__}', value)} {nearest(str(value), hint.__members__)}")
        if dataclasses.is_dataclass(hint) or issubclass(hint, eqx.Module):
            return self.module(value, (hint,), where)
        return _read_scalar(value, hint, where)

    def union(self, value: Any, members: tuple[Any, ...], where: str) -> Any:
        modules = tuple(m for m in members if isinstance(m, type) and dataclasses.is_dataclass(m))
        if modules and isinstance(value, Mapping):
            return self.module(value, modules, where)
        if modules and isinstance(value, str) and set(members) <= {*modules, type(None)} and value != NONE:
            return self.module(value, modules, where)
        first = lambda m: m is type(value)  # 3 stays a whole number where both kinds are welcome
        if isinstance(value, list | tuple):  # numbers are a sweep only where no tuple of them is welcome
            first = lambda m: typing.get_origin(_bare(m)) in (tuple, list)
        for member in sorted(members, key=first, reverse=True):
            try:
                return self.read(value, member, where)
            except SpecError:
                continue
        raise _wrong(where, " or ".join(dict.fromkeys(_spoken(m) for m in members)), value)

    def sequence(self, value: Any, kind: type, hint: Any, where: str) -> Any:
        if not isinstance(value, list | tuple):
            raise _wrong(where, "an array", value)
        arguments = typing.get_args(hint)
        if kind is tuple and arguments and Ellipsis not in arguments and len(arguments) != len(value):
            raise SpecError(f"{where}: expected {len(arguments)} values, got {len(value)}: {shown(value)}.")
        return kind(self.read(x, _element(hint, i), f"{where}[{i}]") for i, x in enumerate(value))

    def function(self, value: Any, where: str) -> Callable:
        if not isinstance(value, str):
            raise _wrong(where, 'a function\'s name, such as "tanh" or "file.py:function"', value)
        if ".py:" in value:
            with _naming(where, None):
                return _program(self.root, value, "").function
        if ":" in value:
            return imported(value, where)
        for namespace in (jax.nn, jnp):
            function = getattr(namespace, value, None)
            if callable(function) and not isinstance(function, type):
                return function
        names = [n for n in vars(jax.nn) if not n.startswith("_") and callable(getattr(jax.nn, n))]
        raise SpecError(
            f'{where}: expected a function of jax.nn or jax.numpy, or "file.py:function"; got {shown(value)}: '
            f"{nearest(value, names)}"
        )


def _is_program(cls: type) -> bool:
    from operant.rewards.program import Program

    return issubclass(cls, Program)


def _program(root: Path, source: str, sha256: str) -> Any:
    """A program from its file: the same object as long as the file's bytes are the same, so that it equals itself."""
    from operant.rewards.program import load_program

    file = (root / source.rpartition(":")[0]).resolve()
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    if not found or (sha256 and sha256 != found):
        return load_program(source, root, sha256)  # says what is wrong
    return dataclasses.replace(_loaded(str(file), source.rpartition(":")[2], found), source=source)


@functools.cache
def _loaded(file: str, name: str, sha256: str) -> Any:
    from operant.rewards.program import load_program

    return load_program(f"{Path(file).name}:{name}", Path(file).parent, sha256)


@contextlib.contextmanager
def _naming(where: str, cls: type | None) -> Iterator[None]:
    """Say where in the data it was that a class refused."""
    try:
        yield
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error
    except ValueError as error:  # classes of others need not know our errors
        raise SpecError(f"{where}: {cls.__name__ if cls else 'it'} refused these fields: {error}") from error


def _check_names(plain: Mapping[str, Any], declared: Mapping[str, Any], cls: type, where: str) -> None:
    for name in plain:
        if name not in declared:
            raise SpecError(f"{where}.{name}: {cls.__name__} has no field '{name}'; {nearest(name, declared)}")


def _read_scalar(value: Any, hint: type, where: str) -> Any:
    if hint not in _SCALARS:
        raise SpecError(f"{where}: expected a field that plain data can fill; it is declared {hint.__name__}.")
    if type(value) is hint:
        return value
    if hint is float and type(value) is int:
        return float(value)
    if hint in (float, int) and isinstance(value, list) and value and all(_numeric(x, hint) for x in value):
        return jnp.asarray(value, jnp.float32 if hint is float else jnp.int32)  # a sweep: one setting a training
    error = _wrong(where, _SCALARS[hint], value)
    if hint is int and type(value) is float and value.is_integer():
        raise SpecError(f"{error} Write {int(value):_}.")
    raise error


def _numeric(x: Any, hint: type) -> bool:
    return type(x) is int or (hint is float and type(x) is float)


def _read_array(value: Any, where: str) -> jax.Array:
    try:
        array = np.asarray(value)
    except ValueError:
        raise SpecError(f"{where}: expected rows of one length; got {shown(value)}.") from None
    if array.dtype.kind not in "bif":
        raise _wrong(where, "numbers", value)
    return jnp.asarray(array, {"b": bool, "i": jnp.int32, "f": jnp.float32}[array.dtype.kind])


def _spoken(member: Any) -> str:
    member = _bare(member)
    if member in _SCALARS:
        return _SCALARS[member]
    if member is type(None):
        return f'"{NONE}"'
    origin = typing.get_origin(member)
    if origin in (tuple, list, set, frozenset) or (isinstance(member, type) and issubclass(member, AbstractArray)):
        return "an array"
    if origin is typing.Literal:
        return " or ".join(json.dumps(a) for a in typing.get_args(member))
    if origin is collections.abc.Callable:
        return "a function's name"
    return _one_of((member,)) if isinstance(member, type) else str(member)


def _element(hint: Any, i: int) -> Any:
    arguments = typing.get_args(_bare(hint))
    if not arguments or typing.get_origin(_bare(hint)) not in (tuple, list, set, frozenset):
        return Any
    if len(arguments) == 1 or Ellipsis in arguments:
        return arguments[0]
    return arguments[i]


def _bare(hint: Any) -> Any:
    """An annotation without `Annotated`."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return hint if isinstance(hint, tuple) else (hint,)


def shown(value: Any) -> str:
    """A plain value as a message shows it: `"fast" (str)`."""
    if isinstance(value, Mapping):
        return f"a table with {', '.join(map(str, value)) or 'nothing in it'}"
    text = json.dumps(value, default=str)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"


def _wrong(where: str, expected: str, value: Any) -> SpecError:
    return SpecError(f"{where}: expected {expected}, got {shown(value)}.")
