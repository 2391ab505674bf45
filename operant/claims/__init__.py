"""Executable claims: what a paper says of its method, tried here against a baseline, over seeds, with an interval.

One file a method, named like the method's own; it lists `CLAIMS`. Budget and test are written before the run and are
not changed to make it pass: a claim that does not reproduce is kept and shown as such, its note saying what was tried.

    quick   minutes: toy problems, run by the tests too, but for the longest of them
    full    hours: published numbers, other libraries side by side; runs are kept in folders and resume

>>> "ppo" in methods()
True
"""

import dataclasses
import datetime
import importlib
import json
import pkgutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import jax
import numpy as np

from operant.claims._samples import AbstractSample, Bench, Figures, still
from operant.claims._tests import AbstractTest, Judged
from operant.errors import DataError, SpecError, nearest
from operant.io.card import versions
from operant.io.checkpoint import write_atomically
from operant.io.recorders import AbstractRecorder, Silent
from operant.math.stats import interquartile_mean

Tier = Literal["quick", "full"]
RUNS = Path("runs/claims")
"""Where run folders, and the results of `operant reproduce`, are kept."""
REPRODUCED, NOT_REPRODUCED, PARTLY = "reproduced", "not reproduced", "partly run"


class Measured:
    """Figures of one sitting, by what gave them: claims of one subject, or of one control, measure it once."""

    def __init__(self) -> None:
        self._have: list[tuple[tuple[int, ...], AbstractSample, Figures]] = []

    def figures(self, sample: AbstractSample, bench: Bench) -> Figures:
        """As `sample.figures(bench)`; a sample equal to it, drawn with the same key, steps and seeds, answers for it.

        Equal is every field: a function is equal to itself alone, whatever its sample's `plain` says of it.
        """
        drawn = (bench.steps, bench.seeds, *np.asarray(jax.random.key_data(bench.key)).tolist())
        for other, asked, figures in self._have:
            if other == drawn and type(asked) is type(sample) and asked == sample:
                return figures
        self._have.append((drawn, sample, sample.figures(bench)))
        return self._have[-1][-1]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One sentence that can be tried: subject against control, budget and test fixed."""

    name: str
    """What it is called in results and in `--only method/name`."""
    tier: Tier
    statement: str
    """What the paper says, in our words."""
    source: str
    """Where it says so."""
    baseline: str
    """What the subject is compared with, in words."""
    problem: str
    """The smallest problem on which it should show."""
    figure: str
    """What is measured of each seed."""
    steps: int
    """Environment steps of each seed; 0: nothing is trained."""
    seeds: int
    test: AbstractTest
    subject: AbstractSample
    control: AbstractSample | None
    """None where the test knows the number to be reached."""
    opt_in: bool = False
    """Whether it takes days: `make claims` leaves it out unless asked."""
    note: str = ""
    """What the reader should know: known differences, and what was tried where it does not reproduce."""

    def plain(self) -> dict[str, Any]:
        """JSON-able: the whole definition. A stored outcome of another definition is out of date."""
        words = ("name", "tier", "statement", "source", "baseline", "problem", "figure", "steps", "seeds")
        return {
            **{word: getattr(self, word) for word in words},
            "test": self.test.words,
            "subject": self.subject.plain(),
            "control": None if self.control is None else self.control.plain(),
        }

    def run(
        self, *, seed: int = 0, folder: Path | None = None, recorder: AbstractRecorder | None = None,
        measured: Measured | None = None,
    ) -> "Outcome":  # fmt: skip
        """Try it. With a folder, runs are kept there and taken up where they stopped; nothing `measured` is run again.

        Raises: what training raises; DataError where another library's runs are missing.
        """
        key = jax.random.key(seed)
        bench = lambda role, i: Bench(
            jax.random.fold_in(key, i),
            self.steps,
            self.seeds,
            None if folder is None else folder / f"{self.name}-{role}",
            recorder or Silent(),
        )
        measured = measured or Measured()
        began = time.process_time()
        subject = measured.figures(self.subject, bench("subject", 0))
        control = None if self.control is None else measured.figures(self.control, bench("control", 1))
        other = np.zeros(0) if control is None else control.values
        judged = self.test(subject.values, other, np.random.default_rng(seed))
        seconds = subject.seconds + (0.0 if control is None else control.seconds)
        return Outcome(
            claim=self.plain(),
            subject=tuple(subject.values.tolist()),
            control=tuple(other.tolist()),
            judged=judged,
            interval_of=self.test.of,
            seconds=round(seconds, 1),
            cpu_seconds=round(time.process_time() - began, 1),
            seed=seed,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            device=f"{len(jax.devices())} × {jax.devices()[0].device_kind} ({jax.devices()[0].platform})",
            versions=versions(),
            note=self.note,
        )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one claim."""

    claim: dict[str, Any]
    """The definition that was run."""
    subject: tuple[float, ...]
    """One figure a seed."""
    control: tuple[float, ...]
    judged: Judged
    interval_of: str
    seconds: float
    """Compiling and running, of subject and control, over all sittings."""
    cpu_seconds: float
    """Processor time of this sitting."""
    seed: int
    date: str
    device: str
    versions: dict[str, str]
    note: str = ""

    @property
    def name(self) -> str:
        return self.claim["name"]

    @property
    def verdict(self) -> str:
        return REPRODUCED if self.judged.holds else NOT_REPRODUCED

    def iqm(self) -> tuple[float, float | None]:
        """The interquartile means over seeds, of subject and control."""
        control = float(interquartile_mean(np.array(self.control))) if self.control else None
        return float(interquartile_mean(np.array(self.subject))), control

    def to_plain(self) -> dict[str, Any]:
        subject, control = self.iqm()
        plain = dataclasses.asdict(self) | {"judged": self.judged._asdict()}
        return {**plain, "verdict": self.verdict, "iqm": {"subject": subject, "control": control}}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        known = {f.name: plain[f.name] for f in dataclasses.fields(cls)}
        known |= {"subject": tuple(plain["subject"]), "control": tuple(plain["control"])}
        return cls(**known | {"judged": Judged(**plain["judged"])})


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a method's claims of one tier."""

    method: str
    tier: Tier
    outcomes: tuple[Outcome, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Claims of the tier that have not been run as they now stand; those that take days do not count."""
        run = {o.name: o for o in self.outcomes}
        current = lambda c: c.name in run and still(run[c.name].claim, c.plain())
        return tuple(c.name for c in claims_of(self.method, self.tier) if not c.opt_in and not current(c))

    @property
    def verdict(self) -> str:
        """`reproduced` where every claim is, `not reproduced` where one is not, else `partly run`."""
        if any(o.verdict == NOT_REPRODUCED for o in self.outcomes):
            return NOT_REPRODUCED
        return PARTLY if self.missing else REPRODUCED

    def with_outcome(self, outcome: Outcome) -> "Result":
        """With this outcome in the place of an older one, in the order of the claims."""
        by_name = {o.name: o for o in self.outcomes} | {outcome.name: outcome}
        order = [c.name for c in claims_of(self.method, self.tier) if c.name in by_name]
        return Result(self.method, self.tier, tuple(by_name[name] for name in order))

    def to_plain(self) -> dict[str, Any]:
        outcomes = [o.to_plain() for o in self.outcomes]
        return {"method": self.method, "tier": self.tier, "verdict": self.verdict, "outcomes": outcomes}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        return cls(plain["method"], plain["tier"], tuple(Outcome.from_plain(o) for o in plain["outcomes"]))

    def write(self, folder: Path) -> Path:
        """`<method>-<tier>.json` in the folder. Raises StoreError."""
        path = folder / f"{self.method}-{self.tier}.json"
        write_atomically(path, [json.dumps(self.to_plain(), indent=1).encode() + b"\n"])
        return path

    @classmethod
    def read(cls, folder: Path, method: str, tier: Tier) -> Self:
        """What is stored; without outcomes where there is no file. Raises DataError where it cannot be read."""
        path = folder / f"{method}-{tier}.json"
        if not path.exists():
            return cls(method, tier)
        try:
            return cls.from_plain(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"expected results as this operant writes them in {path}; they cannot be read ({error!r}). Delete the "
                "file: its claims are run again."
            ) from error


# --- which claims there are -----------------------------------------------------------------------------------------


def methods() -> tuple[str, ...]:
    """The methods that have claims: the files beside this one."""
    return tuple(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def claims_of(method: str, tier: Tier | None = None) -> tuple[Claim, ...]:
    """A method's claims, of one tier or of all. Raises SpecError for an unknown method."""
    name = method.lower()
    if name not in methods():
        raise SpecError(f"there are no claims for {method!r}: {nearest(name, methods())}")
    found = importlib.import_module(f"operant.claims.{name}").CLAIMS
    return tuple(c for c in found if tier in (None, c.tier))


def reproduce(
    method: str,
    full: bool = False,
    *,
    only: Iterable[str] = (),
    opt_in: bool = True,
    seed: int = 0,
    results: Path = RUNS,
    runs: Path = RUNS,
    recorder: AbstractRecorder | None = None,
) -> Result:
    """Run a method's claims; each outcome is written as soon as it is there, beside those already stored.

    Args:
        method: its stem, such as "ppo".
        full: the full tier, whose runs are kept under `runs`/<method> and resume there; else the quick one.
        only: names of claims; none: all of the tier.
        opt_in: whether claims that take days are run too.
        results: the folder of `<method>-<tier>.json`.

    Raises:
        SpecError: no such method or claim; no claims of this tier.
    """
    method, tier = method.lower(), "full" if full else "quick"
    known = claims_of(method, tier)
    if not known:
        raise SpecError(
            f"expected full claims of {method}; it has quick ones only. Leave --full out: they are all there is."
        )
    only = tuple(only)
    for name in only:
        if name not in (names := [c.name for c in known]):
            raise SpecError(f"{method} has no {tier} claim {name!r}: {nearest(name, names)}")
    chosen = [c for c in known if c.name in only] if only else [c for c in known if opt_in or not c.opt_in]
    result = Result.read(results, method, tier)
    folder, measured = runs / method if full else None, Measured()
    for claim in chosen:
        outcome = claim.run(seed=seed, folder=folder, recorder=recorder, measured=measured)
        result = result.with_outcome(outcome)
        result.write(results)
    return result


def show(result: Result, console: Any, *, missing: bool = True) -> None:
    """Print statement, both figures, interval, verdict and seconds of every outcome, to a rich Console.

    `missing`: whether to name the claims that have not been run, too.
    """
    from rich.markup import escape

    for o in result.outcomes:
        subject, control = o.iqm()
        colour = "green" if o.judged.holds else "red"
        console.print(f"[bold]{result.method}/{o.name}[/]  [{colour}]{o.verdict}[/]")
        against = f" against {control:,.4g}" if control is not None else ""
        chance = f", p = {o.judged.p:.2g}" if o.judged.p is not None else ""
        span = f"{o.judged.value:,.4g} [{o.judged.low:,.4g}, {o.judged.high:,.4g}]"
        for label, text in (
            ("claim", f"{o.claim['statement']} ({o.claim['source']})"),
            ("baseline", o.claim["baseline"]),
            ("problem", o.claim["problem"]),
            ("budget", f"{o.claim['steps']:,} steps, {len(o.subject)} seeds" if o.claim["steps"] else ""),
            ("figure", o.claim["figure"]),
            ("found", f"{subject:,.4g}{against}; {o.interval_of} {span}{chance}"),
            ("test", o.claim["test"]),
            ("took", f"{o.seconds:,.0f} s on {o.device}, {o.date}"),
            ("note", o.note),
        ):
            if text:
                console.print(f"  {label:<9}{escape(text)}", highlight=False)
    for name in result.missing if missing else ():
        console.print(f"[bold]{result.method}/{name}[/]  [yellow]not run[/]")
