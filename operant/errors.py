"""Every exception Operant raises on purpose.

    OperantError
    ├── SpecError     what you asked for cannot be: a name, a type, a value, a combination
    ├── DataError     what you gave cannot be used: shapes, dtypes, non-finite numbers, a file's contents
    ├── EnvError      an environment broke its contract, or cannot be had
    ├── RunError      something happened while running: a non-finite loss, a broken checkpoint, a busy run
    └── StoreError    something could not be written or read back: a full disk, a read-only folder

A message says what was expected (in symbols and numbers), what arrived, and what to change.
"""

import difflib
from collections.abc import Iterable
from typing import Any


class OperantError(Exception):
    """The root: `except OperantError` catches everything Operant raises on purpose."""


class SpecError(OperantError):
    """What you asked for cannot be: a name, a type, a value, a combination."""


class DataError(OperantError):
    """What you gave cannot be used: shapes, dtypes, non-finite numbers, a file's contents."""


class EnvError(OperantError):
    """An environment broke its contract, or cannot be had."""


class RunError(OperantError):
    """Something happened while running: a non-finite loss, a broken checkpoint, a busy run."""


class StoreError(OperantError):
    """Something could not be written or read back: a full disk, a read-only folder."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the nearest known name, and all of them.

    >>> nearest("lerning_rate", ["learning_rate", "discount"])
    "did you mean 'learning_rate'? Known: discount, learning_rate."
    """
    known = sorted(known)
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    listed = f"Known: {', '.join(known)}." if known else "None are known."
    return f"did you mean '{lower[close[0]]}'? {listed}" if close else listed


SEEDS = 2**32
"""How many seeds there are: JAX's keys hold 32 bits, and larger numbers would repeat smaller ones."""


def check_counts(module: Any, *names: str) -> None:
    """Raise SpecError unless these fields of a module are whole numbers of at least 1, where they are given."""
    for name in names:
        value = getattr(module, name)
        if value is None:
            continue
        if isinstance(value, bool) or not hasattr(value, "__index__") or getattr(value, "ndim", 0):
            raise SpecError(
                f"expected {type(module).__name__}.{name} to be a whole number ≥ 1; got {value!r:.60}. Shapes hang on "
                "it: write 1_000_000 for 1e6, and train several settings one after another."
            )
        if value < 1:
            raise SpecError(f"expected {type(module).__name__}.{name} ≥ 1; got {value}. Raise it.")
