"""What a report shows, and how it is read from a run folder.

    study.toml        the study, shown as text
    card.json         title, statement, intent, constraints, status, notes, and everything the card table shows
    metrics.csv       training metrics (`operant.io.recorders.Csv`)
    findings.json     a list of findings, with those of their arrays that are drawn
    evaluation.json   {"returns": one list of episode returns a seed}
    clips/*.webp      animations; titles, captions and alternative texts under "clips" in card.json

Whatever is missing leaves its section saying so: a run killed after a minute still has a report.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from operant.core import Finding, Status, Verdict
from operant.errors import DataError
from operant.io.recorders import Csv

SHOWN_APART = ("title", "statement", "intent", "constraints", "status", "notes", "clips", "config")


@dataclasses.dataclass(frozen=True)
class Term:
    """One named part of the reward."""

    name: str
    weight: float | None = None
    description: str = ""


@dataclasses.dataclass(frozen=True)
class Limit:
    """One constraint: the mean cost a step, its limit, and what was measured (interval over seeds)."""

    name: str
    limit: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    description: str = ""


@dataclasses.dataclass(frozen=True)
class ClipFile:
    """An animation on disk, and the words that stand for it where it cannot be seen."""

    title: str
    caption: str
    path: Path
    alt: str


@dataclasses.dataclass(frozen=True)
class ReportData:
    """Everything one page shows. Axes: seeds S · iterations I · evaluation episodes E (may differ between seeds)."""

    title: str
    statement: str = ""
    intent: tuple[Term, ...] = ()
    constraints: tuple[Limit, ...] = ()
    verdicts: tuple[Finding, ...] = ()
    env_steps: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    """(I,): environment steps of one seed done at the end of each iteration."""
    metrics: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """name -> (S, I)."""
    evaluation: tuple[np.ndarray, ...] = ()
    """Returns of the greedy policy's evaluation episodes, (E,) a seed."""
    status: tuple[Status, ...] = ()
    clips: tuple[ClipFile, ...] = ()
    card: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Versions, device, compile_seconds, run_seconds, hashes, date, seeds, …: shown as a table."""
    config: str = ""
    """The study as TOML."""
    notes: tuple[str, ...] = ()


def finding_to_dict(finding: Finding) -> dict[str, Any]:
    """JSON-able; of the arrays only what is drawn, and a number that is not finite is None.

    >>> finding_to_dict(Finding("return", Verdict.holds, "above the limit", 3.0))["verdict"]
    'holds'
    """
    fields = {f.name: getattr(finding, f.name) for f in dataclasses.fields(finding) if f.name not in ("arrays", "axes")}
    fields["verdict"] = str(finding.verdict)
    plain = {name: _plain(x) for name, x in fields.items()}
    if curves := drawn(finding):
        plain["axes"] = list(finding.axes)
        plain["arrays"] = {f"curve/{name}": [_plain(v) for v in x.tolist()] for name, x in curves.items()}
    return plain


def finding_from_dict(fields: Mapping[str, Any]) -> Finding:
    arrays = {name: np.array(x, float) for name, x in fields.get("arrays", {}).items()}
    axes = tuple(fields.get("axes", ("", "")))
    return Finding(**{**fields, "verdict": Verdict(fields["verdict"]), "arrays": arrays, "axes": axes})


def drawn(finding: Finding) -> dict[str, np.ndarray]:
    """The arrays of a finding that its report draws, (n,) each: "x", and all others; none without axes."""
    found = {name.removeprefix("curve/"): x for name, x in finding.arrays.items() if name.startswith("curve/")}
    if not any(finding.axes) or "x" not in found or np.ndim(found["x"]) != 1:
        return {}
    return {name: np.asarray(x, float) for name, x in found.items() if np.shape(x) == np.shape(found["x"])}


def from_folder(folder: Path) -> ReportData:
    """Read a run folder.

    Raises:
        DataError: neither `card.json` nor `study.toml` is there, or a file does not say what it should.
    """
    folder = Path(folder)
    card = _json(folder / "card.json", {})
    study = folder / "study.toml"
    config = study.read_text() if study.exists() else str(card.get("config", ""))
    if not card and not config:
        raise DataError(
            f"expected a run folder with card.json or study.toml; {folder} has neither. "
            "Give the folder that `operant run` wrote, for instance runs/pendulum."
        )
    metrics, env_steps = Csv.read(folder) if (folder / "metrics.csv").exists() else ({}, np.zeros(0, np.int64))
    returns = _json(folder / "evaluation.json", {}).get("returns", [])
    make = lambda what, cls, key: tuple(_build(folder / "card.json", what, cls, x) for x in card.get(key, ()))
    return ReportData(
        title=card.get("title") or folder.name,
        statement=card.get("statement", ""),
        intent=make("a term", Term, "intent"),
        constraints=make("a constraint", Limit, "constraints"),
        verdicts=tuple(
            _build(folder / "findings.json", "a finding", finding_from_dict, x)
            for x in _json(folder / "findings.json", [])
        ),
        env_steps=env_steps,
        metrics=metrics,
        evaluation=tuple(np.array(x, float).ravel() for x in returns),
        status=tuple(_build(folder / "card.json", "a status", _status, x) for x in card.get("status", ())),
        clips=_clips(folder, card.get("clips", ())),
        card={name: x for name, x in card.items() if name not in SHOWN_APART},
        config=config,
        notes=tuple(card.get("notes", ())),
    )


def _status(x: Any) -> Status:
    return Status[x] if isinstance(x, str) else Status(x)


def _clips(folder: Path, described: Any) -> tuple[ClipFile, ...]:
    """Those the card describes, in its order, then any other file in `clips/`."""
    clips = []
    for x in described:
        fields = {**x, "path": folder / "clips" / Path(x["path"]).name}
        clips.append(_build(folder / "card.json", "a clip", ClipFile, fields))
    known = {clip.path for clip in clips}
    for path in sorted((folder / "clips").glob("*.webp")):
        if path not in known:
            title = path.stem.replace("_", " ").replace("-", " ").capitalize()
            clips.append(ClipFile(title, "", path, f"Animation: {title}"))
    return tuple(clip for clip in clips if clip.path.exists())


def _build(path: Path, what: str, make: Any, fields: Any) -> Any:
    try:
        return make(**fields) if isinstance(make, type) else make(fields)
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"expected {what} in {path}; got {fields!r} ({error}). Write the file again.") from error


def _json(path: Path, default: Any) -> Any:
    if not path.exists():
        return default
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"expected JSON in {path}; got: {error}. Write the file again, or delete it.") from error
    if not isinstance(found, type(default)):
        raise DataError(f"expected a JSON {type(default).__name__} in {path}; got a {type(found).__name__}.")
    return found


def _plain(x: Any) -> Any:
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x
