"""The methods there are, with the evidence for each: what `operant methods` prints and `docs/methods` shows.

Evidence, one word a method:

    equation    contracts and equation tests pass
    claim       its own claims, quick tier, hold here: a committed result says so
    published   and a published number is reproduced within its interval

It is worked out from `claims/results` of a checkout (`assess`), and shipped in `operant/claims/evidence.json`, for an
installed wheel has no results to look at. `scripts/claims` writes that file and the pages; a test holds them to it.

>>> [m.name for m in all_methods() if m.stem == "ppo"]
['PPO']
"""

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from operant import claims, config
from operant.attacks import AbstractPerturbation
from operant.claims import REPRODUCED, Result
from operant.claims._samples import still
from operant.claims._tests import Published
from operant.core import AbstractAudit, AbstractLearner, AbstractReward, Card
from operant.design import AbstractDesigner, AbstractShaper
from operant.distances import AbstractDistance
from operant.errors import SpecError, nearest
from operant.explanations import AbstractExplanation
from operant.learners.preferences.losses import AbstractPreferenceLoss
from operant.learners.regularisers import AbstractRegulariser
from operant.learners.tabular import AbstractPlanner, AbstractTabularLearner
from operant.recognition import AbstractRecogniser
from operant.rewards.imitation import AbstractImitation
from operant.rewards.inverse import AbstractInverse
from operant.rewards.priors import AbstractPrior
from operant.rewards.queries import AbstractQuery
from operant.rewards.representations import AbstractRepresentation
from operant.teachers import AbstractSimilarity, AbstractTeacher

FAMILIES: dict[str, tuple[type, ...]] = {
    "learners": (AbstractLearner, AbstractPreferenceLoss, AbstractTabularLearner, AbstractPlanner, AbstractRegulariser),
    "rewards": (
        AbstractReward,
        AbstractImitation,
        AbstractInverse,
        AbstractQuery,
        AbstractRepresentation,
        AbstractPrior,
    ),
    "teachers": (AbstractTeacher, AbstractSimilarity),
    "recognition": (AbstractRecogniser,),
    "distances": (AbstractDistance,),
    "explanations": (AbstractExplanation,),
    "attacks": (AbstractPerturbation,),
    "audits": (AbstractAudit,),
    "design": (AbstractDesigner, AbstractShaper),
}
"""Folder of `operant`, and the abstract classes of what is in it, slots among them."""
EVIDENCE = Path(__file__).parent / "claims" / "evidence.json"


@dataclasses.dataclass(frozen=True)
class Method:
    """One method: a public final class with a card."""

    name: str
    """Its class."""
    stem: str
    """Its file, and the name of its tests, claims and page."""
    folder: str
    """Of `FAMILIES`."""
    module: str
    card: Card
    evidence: str
    claims: tuple[int, int]
    """How many of its claims reproduced, and how many were run."""

    @property
    def cls(self) -> type:
        return public(self.folder)[self.name]

    @property
    def link(self) -> str:
        """The paper's address; empty without an identifier."""
        if not (id := self.card.arxiv.removeprefix("doi:")):
            return ""
        return ("https://arxiv.org/abs/" if re.fullmatch(r"\d{4}\.\d{4,5}", id) else "https://doi.org/") + id

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs of the user: from the card, and for an audit from its own list."""
        own = getattr(self.cls, "needs", ())
        return tuple(dict.fromkeys((*self.card.needs, *(sorted(own) if isinstance(own, frozenset) else ()))))


def all_methods() -> tuple[Method, ...]:
    """Every public class of the families that has a card, by folder, then by name."""
    evidence = json.loads(EVIDENCE.read_text()) if EVIDENCE.exists() else {}
    found = []
    for folder in FAMILIES:
        for name, cls in sorted(public(folder).items()):
            if (card := getattr(cls, "card", None)) is None:
                continue
            stem = cls.__module__.rpartition(".")[2]
            known = evidence.get(stem, {"evidence": "equation", "reproduced": 0, "of": 0})
            counts = known["reproduced"], known["of"]
            found.append(Method(name, stem, folder, cls.__module__, card, known["evidence"], counts))
    return tuple(found)


def public(folder: str) -> dict[str, type]:
    """The public final classes of a folder, by name; not those that belong to an environment."""
    found = (x for family in FAMILIES[folder] for x in config.known(family).items())
    return {name: cls for name, cls in found if cls.__module__.startswith(f"operant.{folder}.")}


def search(words: Sequence[str] = ()) -> tuple[Method, ...]:
    """The methods that mention all of these words. Raises SpecError where none does."""
    rows = all_methods()
    said = lambda m: " ".join((m.name, m.stem, m.folder, m.evidence, *map(str, dataclasses.astuple(m.card)))).lower()
    shown = tuple(m for m in rows if all(word.lower() in said(m) for word in words))
    if not shown:
        raise SpecError(f"no method mentions {' '.join(words)!r}: {nearest(' '.join(words), [m.name for m in rows])}")
    return shown


# --- evidence -------------------------------------------------------------------------------------------------------


def assess(results: Path) -> dict[str, dict[str, Any]]:
    """The evidence for every method that has claims, from the committed results. Outcomes out of date do not count."""
    return {method: _assess(method, results) for method in claims.methods()}


def _assess(method: str, results: Path) -> dict[str, Any]:
    quick, full = (Result.read(results, method, tier) for tier in ("quick", "full"))
    now = {c.name: c for c in claims.claims_of(method)}
    outcomes = [o for o in (*quick.outcomes, *full.outcomes) if o.name in now and still(o.claim, now[o.name].plain())]
    published = [o for o in outcomes if isinstance(now[o.name].test, Published)]
    word = "equation"
    if quick.outcomes and quick.verdict == REPRODUCED:
        word = "published" if published and all(o.judged.holds for o in published) else "claim"
    return {"evidence": word, "reproduced": sum(o.judged.holds for o in outcomes), "of": len(outcomes)}


# --- pages ----------------------------------------------------------------------------------------------------------


def pages(results: Path) -> dict[str, str]:
    """Every generated page: its path below `docs`, and its text."""
    rows = all_methods()
    return {"methods.md": _index(rows)} | {f"methods/{m.stem}.md": _page(m, results) for m in rows}


def _index(rows: Sequence[Method]) -> str:
    lines = [
        "# Methods",
        "",
        "<!-- Generated by `scripts/claims --docs`; do not edit. -->",
        "",
        "Evidence: `equation`, contracts and equation tests pass; `claim`, its own claim holds here, over seeds,",
        "against a baseline; `published`, and a published number is reproduced within its interval. A claim that did",
        "not reproduce is kept and shown on the method's page.",
    ]
    for folder in FAMILIES:
        lines += ["", f"## {folder.capitalize()}", "", "| method | evidence | claims | needs | paper |"]
        lines += ["|---|---|---|---|---|"]
        for m in rows:
            if m.folder == folder:
                ran = f"{m.claims[0]} of {m.claims[1]} reproduced" if m.claims[1] else ""
                lines.append(
                    f"| [{m.name}](methods/{m.stem}.md) | {m.evidence} | {ran} | {', '.join(m.needs)} | {_paper(m)} |"
                )
    return "\n".join(lines) + "\n"


def _paper(m: Method) -> str:
    return f"{m.card.paper} ([{m.card.arxiv}]({m.link}))" if m.link else m.card.paper


def _page(m: Method, results: Path) -> str:
    lines = [
        f"# {m.name}",
        "",
        "<!-- Generated by `scripts/claims --docs`; do not edit. -->",
        "",
        _first_sentence(m),
        "",
        "```python",
        *example(m).splitlines(),
        "```",
        "",
        f"- Paper: {_paper(m)}",
        f"- Family: {m.card.family}",
        *([f"- Needs: {', '.join(m.needs)}"] if m.needs else []),
        f"- Evidence: `{m.evidence}`",
        "",
    ]
    if m.stem in claims.methods():
        lines += _claims(m.stem, results)
    return "\n".join([*lines, "## Reference", "", f"::: {m.module}", ""])


def _first_sentence(m: Method) -> str:
    module = inspect.getmodule(m.cls)
    return " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())


def example(m: Method) -> str:
    """Five lines or so that can be run: training, by learners that need nothing but an environment to be good for
    something; what the class's own doctest does otherwise."""
    if m.name in ("PPO", "DQN", "SAC", "TD3"):
        env = "CartPole-v1" if "discrete" in m.needs else "Pendulum-v1"
        return "\n".join(
            [
                "import jax, operant",
                f"from {m.module} import {m.name}",
                "from operant.rewards import Task",
                "",
                f'env, intent = operant.make("{env}"), operant.Intent(Task())',
                f"run = operant.train({m.name}(), env, intent, steps=100_000, seeds=4, key=jax.random.key(0))",
                "print(operant.evaluate(run.policy(), env, episodes=20, key=jax.random.key(1)).returns.mean())",
            ]
        )
    module = inspect.getmodule(m.cls)
    source = inspect.getdoc(m.cls) or ""
    source = source if ">>>" in source else inspect.getdoc(module) or ""
    code = "\n".join(line[4:] for line in source.splitlines() if line.startswith((">>> ", "... ")))
    return "\n".join([*_imports(f"{code}\n{m.name}", vars(module)), code])


def _imports(code: str, known: dict[str, Any]) -> list[str]:
    """What a doctest takes from its module without saying so, as imports."""
    tree = ast.parse(code)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
    modules, members = [], {}
    for name in sorted((names - own) & set(known)):
        value = known[name]
        if inspect.ismodule(value):
            modules.append(f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else ""))
        else:
            members.setdefault(value.__module__, []).append(name)
    return [*modules, *(f"from {home} import {', '.join(found)}" for home, found in sorted(members.items()))]


def _claims(stem: str, results: Path) -> list[str]:
    """The section on a method's claims: what was tried, with what result; what has not been run."""
    lines = ["## Claims", ""]
    for tier in ("quick", "full"):
        known = claims.claims_of(stem, tier)
        if not known:
            continue
        command = f"operant reproduce {stem}" + (" --full" if tier == "full" else "")
        found = {o.name: o for o in Result.read(results, stem, tier).outcomes}
        lines += [f"### {tier.capitalize()}", "", f"`{command}`", ""]
        lines += ["| claim | subject | control | interval | p | verdict |", "|---|---|---|---|---|---|"]
        for c in known:
            outcome = found.get(c.name)
            if outcome is None:
                lines.append(f"| {c.name} | | | | | not run{' (takes days: opt-in)' if c.opt_in else ''} |")
                continue
            subject, control = outcome.iqm()
            j = outcome.judged
            old = "" if still(outcome.claim, c.plain()) else ", of an earlier definition"
            cells = [
                c.name,
                f"{subject:,.4g}",
                "" if control is None else f"{control:,.4g}",
                f"{outcome.interval_of} {j.value:,.4g} [{j.low:,.4g}, {j.high:,.4g}]",
                "" if j.p is None else f"{j.p:.2g}",
                f"**{outcome.verdict}**{old}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
        for c in known:
            lines += [f"**{c.name}.** {c.statement} ({c.source})", "", f"- baseline: {c.baseline}"]
            budget = f"; {c.steps:,} steps, {c.seeds} seeds" if c.steps else ""
            lines += [f"- problem: {c.problem}{budget}", f"- figure: {c.figure}", f"- test: {c.test.words}"]
            if (outcome := found.get(c.name)) is not None:
                with_ = ", ".join(f"{name} {outcome.versions[name]}" for name in ("operant", "jax"))
                lines.append(f"- ran: {outcome.date} on {outcome.device}, {with_}; {outcome.seconds:,.0f} s")
            lines += [f"- note: {c.note}"] if c.note else []
            lines.append("")
    return lines


def write(root: Path) -> None:
    """Write evidence and pages from the results of a checkout; pages of methods that are gone are removed."""
    from operant.io.checkpoint import write_atomically

    results, docs = root / "claims" / "results", root / "docs"
    write_atomically(EVIDENCE, [json.dumps(assess(results), indent=1, sort_keys=True).encode() + b"\n"])
    wanted = pages(results)
    for path, text in wanted.items():
        if not (docs / path).exists() or (docs / path).read_text() != text:
            write_atomically(docs / path, [text.encode()])
    for path in (docs / "methods").glob("*.md"):
        if f"methods/{path.name}" not in wanted and "Generated by `scripts/claims" in path.read_text():
            path.unlink()
