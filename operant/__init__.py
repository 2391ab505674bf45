"""Operant: teach agents behaviour from what you mean, and check that they learned it.

Six functions: `train`, `fit`, `search`, `evaluate`, `audit`, `play`; with them `make` (an environment by its id), and
`load` and `resume` (run folders). They are imported when first used, so that `import operant` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from operant import _devices as _devices  # first: it configures JAX before XLA can start

__version__ = "0.1.0"

if TYPE_CHECKING:
    from operant.core import Constraint, Intent
    from operant.envs import make
    from operant.loops.audit import audit
    from operant.loops.fit import fit
    from operant.loops.play import play
    from operant.loops.rollout import evaluate
    from operant.loops.search import search
    from operant.loops.train import load, resume, train

_HOMES = {
    "Constraint": "operant.core",
    "Intent": "operant.core",
    "audit": "operant.loops.audit",
    "evaluate": "operant.loops.rollout",
    "fit": "operant.loops.fit",
    "load": "operant.loops.train",
    "make": "operant.envs",
    "play": "operant.loops.play",
    "resume": "operant.loops.train",
    "search": "operant.loops.search",
    "train": "operant.loops.train",
}

__all__ = [
    "Constraint",
    "Intent",
    "__version__",
    "audit",
    "evaluate",
    "fit",
    "load",
    "make",
    "play",
    "resume",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'operant' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
