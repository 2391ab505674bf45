"""Reward Reports: a living document of what is optimised, by which assumptions, and what changed from run to run.

One Markdown file with the sections of the paper's template. Of each section, what the runs themselves tell (reward,
constraints, environment, learner, findings, versions) is written between two marks and renewed; what people write below
it is kept. The change log has an entry a run, with the objective it was given, so that the next run is compared with it
even where the folder is gone.

Reference: Gilbert et al. 2022, Reward Reports for Reinforcement Learning, 2204.10817.

>>> before = {"reward": {"speed": {"weight": 1.0}}, "truth": "Task"}
>>> changes(before, {"reward": {"speed": {"weight": 2.0}, "energy": {"weight": -0.1}}})
['reward.energy was added: {"weight": -0.1}', 'reward.speed.weight: 1.0 → 2.0', 'truth was removed: "Task"']
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from operant.errors import DataError, SpecError
from operant.io import card as cards
from operant.io.checkpoint import write_atomically

OBJECTIVE = ("statement", "reward", "constraints", "truth", "environment")
"""The parts of a study that say what is optimised, and where."""


class Section(NamedTuple):
    """A heading of the template, and what it asks."""

    part: str
    title: str
    asks: str


SECTIONS = tuple(
    Section(part, title, asks)
    for part, rows in {
        "System details": {
            "System owner": "Who deploys it, and who writes this report?",
            "Dates": "From when to when is this reward optimised?",
            "Feedback and communication": "Whom does one write to?",
            "Other resources": "Where is more to read?",
        },
        "Optimisation intent": {
            "Goal of reinforcement": "What is it for, over which horizon, and why learn it rather than write it?",
            "Performance metrics": "What is in the reward, and who chose it? What is looked at that is not in it?",
            "Oversight metrics": "What is watched beside the reward, and why is it not part of it?",
            "Known failure modes": "Where was a reward like this hacked before, and what prevents it here?",
        },
        "Institutional interface": {
            "Deployment agency": "Whose decisions does it take over?",
            "Stakeholders": "Whose interests does it touch, and what is their part in this report?",
            "Explainability and transparency": "Can its decisions be understood, and by whom?",
            "Recourse": "How can a decision be contested?",
        },
        "Implementation": {
            "Reward details": "How was the reward made, and how were its terms scaled?",
            "Environment details": "What does it see and do, and which dynamics are left out?",
            "Measurement details": "How is each part of reward and observation measured, and when is that wrong?",
            "Algorithmic details": "Which algorithm, with which settings?",
            "Data flow": "Which data, from where, and how often is it trained again?",
            "Limitations": "What was given up for want of compute, data or measurement?",
            "Engineering tricks": "Which details matter more than they look?",
        },
        "Evaluation": {
            "Evaluation environment": "Where was it tried before it was deployed?",
            "Offline evaluations": "What did that show?",
            "Evaluation validity": "How far does that carry over to where it is used?",
            "Performance standards": "What must it reach, and who says so?",
        },
        "System maintenance": {
            "Reporting cadence": "When is this looked at again?",
            "Update triggers": "What would make one look sooner?",
            "Change log": "What changed, when, and why?",
        },
    }.items()
    for title, asks in rows.items()
)
HEAD = "# Reward Report: "
BEGIN, END, ENTRY = "<!-- operant:begin -->", "<!-- operant:end -->", "<!-- operant:entry "
"""What stands between the first two is written anew each time; an entry holds one run's objective as JSON."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run in the change log."""

    run: str
    date: str
    objective: dict[str, Any]
    """What of `OBJECTIVE` its study says, as plain values."""
    verdicts: dict[str, str]
    """What each audit found."""

    def plain(self) -> str:
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return text.replace("--", "-\\u002d").replace(">", "\\u003e")  # nothing may end the comment it stands in


def renew(path: Path, runs: Sequence[Path]) -> tuple[str, ...]:
    """Write the document at `path` from runs, the oldest first; the titles of sections nobody has filled in.

    Runs the document knows already, by name and date, are not entered twice; what people wrote is kept.

    Raises:
        SpecError: no runs. DataError: a folder is no run, or the document's entries cannot be read. StoreError.
    """
    if not runs:
        raise SpecError("expected at least one run's folder to report on; got none. Give runs/NAME.")
    old = path.read_text() if path.exists() else ""
    entries = list(entries_of(old))
    for run in runs:
        entry = entry_of(run)
        if (entry.run, entry.date) not in {(e.run, e.date) for e in entries}:
            entries.append(entry)
    told = _told(runs[-1], entries)
    text = compose(told, prose_of(old), entries)
    write_atomically(path, [text.encode()])
    return missing(text)


def entry_of(run: Path) -> Entry:
    """What a run's folder says for the change log. Raises DataError where it holds no study and no card."""
    card, study = cards.read(run), run / "study.toml"
    if not card and not study.exists():
        raise DataError(f"expected a run's folder at {run}; it has no study.toml and no card.json. Give runs/NAME.")
    plain = tomllib.loads(study.read_text()) if study.exists() else {}
    objective = {name: plain[name] for name in OBJECTIVE if plain.get(name) not in (None, "", {})}
    if not plain:
        objective = {name: card[name] for name in ("statement", "environment", "intent", "constraints") if name in card}
    found = run / "findings.json"
    verdicts = {f["name"]: f["verdict"] for f in json.loads(found.read_text())} if found.exists() else {}
    return Entry(run.name, str(card.get("started", "")), objective, verdicts)


def changes(before: dict[str, Any], after: dict[str, Any], where: str = "") -> list[str]:
    """What differs between two objectives, a line each, by dotted path; empty where nothing does."""
    lines = []
    for name in sorted({*before, *after}):
        path, a, b = f"{where}{name}", before.get(name), after.get(name)
        if name not in before:
            lines.append(f"{path} was added: {json.dumps(b)}")
        elif name not in after:
            lines.append(f"{path} was removed: {json.dumps(a)}")
        elif isinstance(a, dict) and isinstance(b, dict):
            lines += changes(a, b, f"{path}.")
        elif a != b:
            lines.append(f"{path}: {json.dumps(a)} → {json.dumps(b)}")
    return lines


def entries_of(text: str) -> tuple[Entry, ...]:
    """The entries of a document's change log, the oldest first. Raises DataError where one cannot be read."""
    found = re.findall(re.escape(ENTRY) + r"(.*?) -->", text, re.DOTALL)
    try:
        return tuple(Entry(**json.loads(x)) for x in found)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"expected entries of a Reward Report as Operant wrote them; one cannot be read ({error}). Restore the "
            f"lines that begin with '{ENTRY.strip()}', or delete them."
        ) from error


def prose_of(text: str) -> dict[str, str]:
    """What people wrote, by title: all of a section but its question and what stands between the marks.

    Only the template's own headings divide it. Headings that people add belong to the section they stand in; what
    stands above the first section is found under "".
    """
    text = re.sub(re.escape(BEGIN) + r".*?" + re.escape(END) + r"\n?", "", text, flags=re.DOTALL)
    found: dict[str, str] = {}
    for title, asks, body in _sections(text):
        lines = [line for line in body.splitlines() if line.strip() != f"*{asks}*"]
        if body := "\n".join(lines).strip():
            found[title] = f"{found[title]}\n\n{body}" if title in found else body
    return found


def _sections(text: str) -> list[tuple[str, str, str]]:
    """Title, question and body of each section there is; the first is what stands above them, without the title."""
    asks = {s.title: s.asks for s in SECTIONS}
    parts = {s.part for s in SECTIONS}
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        level, _, title = line.rstrip().partition(" ")
        if level == "###" and title in asks:
            found.append((title, []))
        elif not (level == "##" and title in parts) and not line.startswith(HEAD):
            found[-1][1].append(line)
    return [(title, asks.get(title, ""), "\n".join(lines)) for title, lines in found]


def missing(text: str) -> tuple[str, ...]:
    """The titles of sections that say nothing, neither of themselves nor by people; all of them for an empty text."""
    filled = {*prose_of(text), *(title for title, _, body in _sections(text) if _told_in(body))}
    return tuple(s.title for s in SECTIONS if s.title not in filled)


def _told_in(body: str) -> bool:
    """Whether something stands between the marks."""
    inside = re.search(re.escape(BEGIN) + r"(.*?)" + re.escape(END), body, re.DOTALL)
    return inside is not None and bool(inside.group(1).strip())


def compose(told: dict[str, str], prose: dict[str, str], entries: Sequence[Entry]) -> str:
    """The document: what the runs tell by title, what people wrote by title, and the change log."""
    lines = [f"{HEAD}{entries[-1].run}", ""]
    lines += [prose[""], ""] if "" in prose else []
    part = ""
    for section in SECTIONS:
        if section.part != part:
            part = section.part
            lines += [f"## {part}", ""]
        text = _log(entries) if section.title == "Change log" else told.get(section.title, "")
        lines += [f"### {section.title}", "", f"*{section.asks}*", ""]
        lines += [BEGIN, text, END, ""] if text else []
        lines += [prose[section.title], ""] if section.title in prose else []
    return "\n".join(lines).rstrip() + "\n"


def _log(entries: Sequence[Entry]) -> str:
    lines = []
    for i, entry in enumerate(entries):
        lines += [f"{ENTRY}{entry.plain()} -->", f"**{entry.date or 'undated'}, {entry.run}**", ""]
        found = changes(entries[i - 1].objective, entry.objective) if i else ["the first entry"]
        lines += [f"- {line}" for line in found or ["the objective is as it was"]]
        if i:
            turned = {n: v for n, v in entry.verdicts.items() if entries[i - 1].verdicts.get(n, v) != v}
            lines += [f"- audit {n}: {entries[i - 1].verdicts[n]} → {v}" for n, v in turned.items()]
        lines.append("")
    return "\n".join(lines).rstrip()


def _told(run: Path, entries: Sequence[Entry]) -> dict[str, str]:
    """What the newest run says of itself, by title."""
    card, study = cards.read(run), run / "study.toml"
    plain = tomllib.loads(study.read_text()) if study.exists() else {}
    code = lambda x: f"```json\n{json.dumps(x, indent=1)}\n```"
    found = run / "findings.json"
    findings = json.loads(found.read_text()) if found.exists() else []
    lines = [f"- **{f['name']}** ({f['verdict']}): {f['why']}" for f in findings]
    bad = [line for f, line in zip(findings, lines, strict=True) if f["verdict"] in ("concern", "fails")]
    dates = [e.date for e in entries if e.date]
    terms = [f"- {t['name']}: {t.get('description', '')}" for t in card.get("intent", ())]
    limits = [f"- {c['name']} ≤ {c['limit']}" for c in card.get("constraints", ())]
    watched = [f"- {f['name']}" for f in findings]
    truth = f"- judged by, and never learned from: {card['truth']}" if card.get("truth") else ""
    return {
        "Dates": f"Runs from {dates[0]} to {dates[-1]}." if dates else "",
        "Goal of reinforcement": card.get("statement") or plain.get("statement", ""),
        "Performance metrics": "\n".join(x for x in (*terms, *limits, truth) if x),
        "Oversight metrics": "\n".join(watched),
        "Known failure modes": "\n".join(bad),
        "Reward details": code({n: plain[n] for n in ("reward", "constraints", "truth") if n in plain})
        if plain
        else "",
        "Environment details": code(plain.get("environment", card.get("environment", ""))),
        "Algorithmic details": code(plain.get("learner", card.get("learner", ""))),
        "Data flow": _data(card),
        "Evaluation environment": f"Fresh copies of {card.get('environment', '?')}; greedy episodes of each seed.",
        "Offline evaluations": "\n".join(lines),
    }


def _data(card: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in card.get("versions", {}).items())
    steps = card.get("env_steps", card.get("steps", ""))
    seeds = len(card.get("seeds", ())) or 1
    unit = "updates" if "batch" in card else "environment steps"
    return f"{steps} {unit} of each of {seeds} seeds, on {card.get('device', 'an unknown device')}; {versions}."
