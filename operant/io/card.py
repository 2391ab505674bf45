"""The card of a run: what ran, with which versions, on which device, for how long. `card.json` in the run folder."""

import datetime
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import operant
from operant.core import AbstractEnv, AbstractHostEnv, AbstractLearner, Intent
from operant.errors import DataError
from operant.io.checkpoint import write_atomically

PACKAGES = ("jax", "jaxlib", "equinox", "optax", "gymnasium", "numpy", "mujoco", "envpool")


def versions() -> dict[str, str]:
    """Versions of Operant, Python, and of every package that can change a number and is installed."""
    found = {"operant": operant.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def make(
    learner: AbstractLearner, env: AbstractEnv | AbstractHostEnv, intent: Intent, settings: dict[str, Any]
) -> dict[str, Any]:
    """The card as it stands before training."""
    device = jax.devices()[0]
    return {
        "learner": type(learner).__name__,
        "environment": env.spec.name or type(env).__name__,
        "statement": intent.statement,
        **settings,
        "versions": versions(),
        "device": f"{len(jax.devices())} × {device.device_kind} ({device.platform})",
        "machine": f"{platform.system()} {platform.machine()}",
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def write(folder: Path, card: dict[str, Any]) -> None:
    """Write `card.json`, atomically. Raises StoreError."""
    write_atomically(folder / "card.json", [json.dumps(card, indent=2, default=str).encode()])


def read(folder: Path) -> dict[str, Any]:
    """Read `card.json`; empty where there is none. Raises DataError where it is no JSON."""
    path = folder / "card.json"
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise DataError(f"expected JSON in {path}; got: {error}. Restore the file, or delete it.") from error
