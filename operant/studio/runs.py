"""The run folders beside this one, as the runs page shows them."""

import dataclasses
import math
import threading
import zlib
from pathlib import Path

import numpy as np
from markupsafe import Markup

from operant.core import Status
from operant.errors import OperantError
from operant.io.report import ReportData, charts, from_folder
from operant.io.report.page import STANDS, headline
from operant.io.report.summary import curve

FILES = ("card.json", "study.toml", "metrics.csv", "evaluation.json", "findings.json")
"""What makes a folder a run, and whose change makes it be read again."""
COMPARED = 8
"""As many colours as there are."""
RETURN = "episode/return"


@dataclasses.dataclass(frozen=True)
class Row:
    """A run in the list; `error`: why it cannot be read."""

    name: str
    learner: str = "–"
    env: str = "–"
    look: str = "unknown"
    status: str = "Not begun"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    steps: int = 0
    error: str = ""


class Runs:
    """Reads run folders, each again only when it has changed."""

    def __init__(self, parent: Path):
        self.parent = parent.resolve()
        self._read: dict[str, tuple[tuple, ReportData]] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Folders that hold a run, the latest first; links that lead elsewhere are left out."""
        found = []
        for path in self.parent.iterdir() if self.parent.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and any((path / name).is_file() for name in FILES[:2]):
                found.append((max((path / n).stat().st_mtime for n in FILES if (path / n).is_file()), path.name))
        return [name for _, name in sorted(found, reverse=True)]

    def marks(self) -> dict[str, str]:
        """A word a run, the latest first, that changes whenever its files do."""
        return {name: str(zlib.crc32(repr(self._key(name)).encode())) for name in self.names()}

    def _key(self, name: str) -> tuple:
        stats = []
        for file in (*FILES, "clips"):
            try:
                stat = (self.parent / name / file).stat()
                stats.append((stat.st_mtime_ns, stat.st_size))
            except OSError:
                stats.append(None)
        return tuple(stats)

    def folder(self, name: str) -> Path | None:
        """Where the run of this name lies: one that `names` lists, so never outside."""
        return self.parent / name if name in self.names() else None

    def data(self, name: str) -> ReportData:
        """What the run's files say. Raises OperantError."""
        folder, key = self.parent / name, self._key(name)
        with self._lock:
            known = self._read.get(name)
        if known is not None and known[0] == key:
            return known[1]
        data = from_folder(folder)
        with self._lock:
            self._read[name] = (key, data)
        return data

    def rows(self) -> list[Row]:
        return [self.row(name) for name in self.names()]

    def row(self, name: str) -> Row:
        try:
            data = self.data(name)
        except OperantError as error:
            return Row(name, look="fails", status="Cannot be read", error=str(error))
        head = headline(data) or {}
        look, word = _worst(data.status)
        number = lambda key: head[key] if math.isfinite(head.get(key, math.nan)) else None
        return Row(
            name,
            str(data.card.get("learner", "–")),
            str(data.card.get("env") or data.card.get("environment") or "–"),
            look,
            word,
            number("value"),
            number("low"),
            number("high"),
            int(head.get("seeds", 0)),
            int(data.env_steps[-1]) if len(data.env_steps) else 0,
        )

    def metrics(self, names: list[str]) -> list[str]:
        """What at least one of these runs has recorded, the return first."""
        found: set[str] = set()
        for name in names:
            found |= {m for m, x in self._metrics(name).items() if np.isfinite(x).any()}
        return sorted(found, key=lambda m: (m != RETURN, m))

    def chart(self, names: list[str], metric: str) -> tuple[Markup, list[str]] | None:
        """One metric of several runs, and which of them have it, in the order of the colours; None: none has."""
        curves = []
        for name in names:
            values = self._metrics(name).get(metric)
            if values is not None and np.isfinite(values).any():
                curves.append((name, curve(self.data(name).env_steps, values)))
        if not curves:
            return None
        title = f"{metric} over environment steps: {', '.join(name for name, _ in curves)}"
        drawn = charts.learning(curves, title=title, y_label=metric, x_label="environment steps of one seed")
        return drawn, [name for name, _ in curves]

    def _metrics(self, name: str) -> dict[str, np.ndarray]:
        try:
            return dict(self.data(name).metrics)
        except OperantError:
            return {}


def _worst(status: tuple[Status, ...]) -> tuple[str, str]:
    """(look, word) of the seed that stands worst.

    >>> _worst((Status.done, Status.stopped)), _worst(())
    (('concern', 'Stopped'), ('unknown', 'Running'))
    """
    if not status:
        return STANDS[Status.running][:2]
    order = ("fails", "concern", "unknown", "holds")
    return min((STANDS[s][:2] for s in status), key=lambda x: order.index(x[0]))
