"""How training stands, through a file in the run's folder: written by training, read by a studio of its own process.

Two processes, so that a training that dies takes no page with it: the file then names a process that is gone.
"""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from operant.core import Status
from operant.data.comparisons import Store
from operant.errors import StoreError
from operant.io.checkpoint import write_atomically
from operant.io.recorders import AbstractRecorder, Recorded

FILE = "live.json"
EVERY = 0.5
"""Seconds between two writings."""
POINTS = 400
"""Returns kept: beyond that, every other one is dropped."""


class Live(AbstractRecorder):
    """Writes what the page shows of a training: phase, steps, return, agreement."""

    def __init__(self, folder: Path, *, statement: str, env: str, budget: int):
        self.path = folder / FILE
        self.now: dict[str, Any] = {
            "pid": os.getpid(), "phase": "training", "env_steps": 0, "steps": 0, "budget": budget, "return": [],
            "agreement": None, "statement": statement, "env": env, "error": None,
        }  # fmt: skip
        self._written = -math.inf

    def start(self, info: Mapping[str, Any]) -> None:
        self.now["steps"] = info.get("steps") or 0
        self._write()

    def phase(self, name: str) -> None:
        self.now["phase"] = "waiting" if name == "waiting" else "training"  # the page has no word for compiling
        self._write()

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        self.now["env_steps"] = int(env_steps[-1])
        returns = metrics.get("episode/return", np.zeros((1, 0)))[0]
        points = [[int(s), float(r)] for s, r in zip(env_steps, returns, strict=False) if math.isfinite(r)]
        self.now["return"] = self.now["return"] + points
        while len(self.now["return"]) > POINTS:
            self.now["return"] = self.now["return"][1::2]
        if "preferences/held_out" in metrics and metrics["preferences/held_out"][0, -1] > 0:
            self.now["agreement"] = float(metrics["preferences/agreement"][0, -1])
        if time.monotonic() - self._written > EVERY:
            self._write()

    def end(self, status: Sequence[Status]) -> None:
        done = all(s == Status.done for s in status)
        self.now["phase"] = "done" if done else "stopped"
        self.now["error"] = None if done else ", ".join(s.name for s in status)
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        write_atomically(self.path, [json.dumps(self.now).encode()])


def status(folder: Path, store: Store) -> dict[str, Any]:
    """What `operant.studio.app` asks for: the file, the store's count of answers, and whether training is alive."""
    try:
        now = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        now = {"phase": "training", "return": [], "env_steps": 0, "steps": 0, "budget": 0}
    error = now.get("error")
    phase = now["phase"]
    try:
        answers, waiting = store.answered(), store.waiting()
    except StoreError as failure:
        answers, waiting, error = 0, 0, str(failure)
    if phase in ("training", "waiting") and "pid" in now and not _alive(now["pid"]):
        phase = "stopped"
        error = "training ended without a word; answers are kept, and `operant resume` goes on with them"
    elif phase == "waiting" and not waiting:  # the questions it waits for are still being filmed
        phase = "training"
    return {**{k: v for k, v in now.items() if k != "pid"}, "phase": phase, "error": error, "answers": answers}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # a child that was killed and not yet waited for
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True
