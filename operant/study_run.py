"""What the commands do: make a run folder, learn, evaluate, audit, write the report, print a table.

    runs/<name>/  study.toml and its programs · card.json · metrics.csv · checkpoint.operant
                  evaluation.json · findings.json · clips/ · report.html

A run learns from the copies in its folder, so that `operant run runs/<name>/study.toml` gives the same numbers again
whatever becomes of the originals.
"""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rich.box
import rich.console
import rich.table
from rich.markup import escape

from operant import config, teach
from operant import study as studies
from operant.audits.termination_bias import TerminationBias
from operant.core import AbstractAudit, AbstractReward, Finding, Status, Verdict
from operant.data import demos
from operant.data.dataset import Dataset
from operant.errors import EnvError, OperantError, RunError, SpecError
from operant.io import card as cards
from operant.io import report as reports
from operant.io.checkpoint import write_atomically
from operant.io.recorders import AbstractRecorder, Console, Several, Silent
from operant.io.report.summary import interval, iqm
from operant.loops import audit as auditing
from operant.loops import fit as fitting
from operant.loops import rollout
from operant.loops import train as training
from operant.loops.engines import settings
from operant.rewards.imitation.demonstrations import Demonstrations
from operant.study import Study
from operant.teach import Page
from operant.teachers import Person

EPISODES = 20
"""Greedy episodes of each seed, where no study says how many."""
FINAL = 0xE7A1
"""Set apart from every seed's key, so that evaluating draws nothing that training drew."""
LOOKS = {Verdict.holds: "green", Verdict.concern: "yellow", Verdict.fails: "red", Verdict.unknown: "dim"}


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with the folder that can be resumed; None where nothing was kept."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        super().__init__(str(folder))


# --- run and resume -------------------------------------------------------------------------------------------------


def run(study: Study, *, runs: str | Path = "runs", page: Page = Page()) -> int:  # noqa: B008
    """Learn, audit and report; the exit code: 1 where a seed or the environment failed (what there was is kept).

    Where people teach, their page is served at `page` meanwhile.

    Raises:
        SpecError, StoreError: what was asked for cannot be, or cannot be written.
        RunError: a run of this name is unfinished.
        Stopped: on Ctrl-C.
    """
    console = stdout()
    folder = new_folder(Path(runs), study.name)
    if folder.name != study.name:
        there = Path(runs) / study.name
        what = "holds a finished run" if (there / training.FILE).exists() else "is not empty"
        console.print(f"{there} {what}: this one goes to {folder}.", markup=False)
    study = _sealed(study).copy_into(folder)
    try:
        with _attended(study, folder, page, console) as live:
            return _go(study, folder, console, lambda recorder: _train(study, folder, Several(recorder, live)))
    except (OperantError, Stopped):
        if not (folder / training.FILE).exists():
            _remove(folder)  # refused or stopped before it began: leave no empty run behind
        raise


def _attended(study: Study | None, folder: Path, page: Page, console: rich.console.Console) -> Any:
    """What tells the studio how training stands, where people teach; else nobody."""
    if study is None or not isinstance(study.teacher, Person):
        return contextlib.nullcontext(Silent())
    return teach.studio(study, folder, page, lambda line: console.print(line, markup=False, soft_wrap=True))


def _train(study: Study, folder: Path, recorder: AbstractRecorder) -> training.Run:
    if fitting.learns_from_data(study.learner):
        return _fit(study, folder, recorder)
    return training.train(
        study.learner,
        study.env,
        study.intent,
        steps=study.steps,
        num_envs=study.num_envs,
        seeds=study.seeds,
        key=jax.random.key(study.seed),
        teacher=study.teacher,
        questions=study.questions,
        recorder=recorder,
        folder=folder,
    )


def _fit(study: Study, folder: Path, recorder: AbstractRecorder) -> training.Run:
    """Learn from demonstrations alone; the run's folder keeps them, since they are what it learned from."""
    wish = study.intent.reward
    if not isinstance(wish, Demonstrations):
        raise SpecError(
            f"reward: expected Demonstrations for {type(study.learner).__name__}, which learns from recorded behaviour "
            f'alone; got {type(wish).__name__}. Write [reward] with type = "Demonstrations" and source = "demos/…", '
            "or use a learner that acts, such as PPO."
        )
    dataset = wish.load(study.env.spec)
    dataset.save(folder / training.DATASET)
    run = fitting.fit(
        study.learner, dataset, study.intent, steps=study.steps, seeds=study.seeds, key=jax.random.key(study.seed),
        recorder=recorder, folder=folder,
    )  # fmt: skip
    return _in_its_env(run, study)


def _in_its_env(run: training.Run, study: Study | None) -> training.Run:
    """What learned from a dataset is judged where it was meant to act."""
    return run if study is None or not isinstance(run.env, Dataset) else dataclasses.replace(run, env=study.env)


def read(folder: Path) -> training.Run:
    """A run's folder, with the environment its study names. Raises as `training.load`."""
    return _in_its_env(training.load(folder), study_of(folder))


def _sealed(study: Study) -> Study:
    """The study with its demonstrations named by place and hash: those that are there now."""
    wish = study.intent.reward
    if not isinstance(wish, Demonstrations):
        return study
    return dataclasses.replace(study, intent=dataclasses.replace(study.intent, reward=wish.sealed()))


def resume(folder: str | Path, *, page: Page = Page()) -> int:  # noqa: B008
    """Go on with a run, then audit and report as `run` does. Of one that has ended, only the latter."""
    folder, console = Path(folder), stdout()
    study = study_of(folder)
    if _has_ended(folder):
        console.print(f"{folder} has ended: it is audited and reported again.", markup=False)
        return _go(study, folder, console, lambda recorder: read(folder))
    with _attended(study, folder, page, console) as live:
        return _go(
            study, folder, console, lambda r: _in_its_env(training.resume(folder, recorder=Several(r, live)), study)
        )


def _go(study: Study | None, folder: Path, console: rich.console.Console, train: Any) -> int:
    notes: tuple[str, ...] = ()
    try:
        try:
            run = train(Console(rich.console.Console(stderr=True)))
        except (EnvError, RunError) as error:
            if not _has_ended(folder):
                raise
            run, notes = read(folder), (str(error),)
        if Status.stopped in run.status:
            raise Stopped(folder)
        finish(study, folder, run, notes, console)
    except KeyboardInterrupt as stop:
        kept = (folder / training.FILE).exists()
        raise Stopped(folder if kept else None) from stop
    for note in notes:
        console.print(f"[bold red]failed:[/] {escape(note)}")
    return 1 if notes else 0


def new_folder(runs: Path, name: str) -> Path:
    """`runs/name`, or the first free of `runs/name-2`, `-3`, … where finished runs, or anything else, are.

    Raises:
        RunError: the last of them is unfinished: it can be resumed.
    """
    folder, n = runs / name, 1
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        if (folder / training.FILE).exists() and not _has_ended(folder):
            raise RunError(
                f"expected no unfinished run of this name; {folder} was stopped on its way. Go on with it by "
                f"`operant resume {folder}`, or delete the folder, or give the study another name."
            )
        n += 1
        folder = runs / f"{name}-{n}"
    return folder


def _has_ended(folder: Path) -> bool:
    """Whether the run in a folder came to an end, a good or a bad one."""
    status = cards.read(folder).get("status", [])
    return bool(status) and not {"running", "stopped"} & set(status)


def _remove(folder: Path) -> None:
    """Delete what `copy_into` and `_fit` wrote, and the folder if nothing else is in it."""
    for path in [*folder.glob("*.py"), folder / "study.toml", folder / training.DATASET, folder / ".lock"]:
        path.unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def study_of(folder: Path) -> Study | None:
    return studies.load(folder / "study.toml") if (folder / "study.toml").exists() else None


# --- after training -------------------------------------------------------------------------------------------------


def finish(
    study: Study | None, folder: Path, run: training.Run, notes: Sequence[str], console: rich.console.Console
) -> None:
    """Evaluate, audit, film and report a run; print the table."""
    key = jax.random.fold_in(jax.random.key(study.seed if study else 0), FINAL)
    evaluate_key, audit_key, clip_key = jax.random.split(key, 3)
    with console.status("evaluating"):
        episodes = _episodes(run, study.eval_episodes if study else EPISODES, evaluate_key)
    returns = [np.asarray(e.returns) for e in episodes]
    write_json(folder / "evaluation.json", {"returns": [r.tolist() for r in returns]})
    audits = study.audits if study else studies.default_audits(truth=run.intent.truth is not None)
    findings = _audit(run, episodes, audits, audit_key, folder.name, console)
    write_json(folder / "findings.json", [reports.finding_to_dict(f) for f in findings])
    with console.status("filming"):
        clips, missing = _film(run, returns, folder, clip_key)
    shown, mixed = _shown(run, folder), _mixed(run)
    card = cards.read(folder) | {
        "title": study.name if study else folder.name,
        "statement": run.intent.statement,
        "env": run.spec.name or type(run.env).__name__,
        "intent": _terms(run.intent.reward)
        + [{"name": "shown", "weight": None, "description": line} for line in shown],
        "constraints": _limits(run),
        "truth": _described(run.intent.truth) if run.intent.truth is not None else None,
        "notes": [*notes, *mixed, *missing],
        "clips": clips,
    }
    cards.write(folder, {name: value for name, value in card.items() if value is not None})
    page = reports.write(folder)
    for note in mixed:
        console.print(note, style="yellow", markup=False)
    _table(console, folder.name, run, returns, findings, shown, page)


def _episodes(run: training.Run, episodes: int, key: Any) -> tuple[rollout.Episodes, ...]:
    """Greedy episodes in fresh environments, on the host, one `Episodes` a seed."""
    return tuple(
        jax.tree.map(np.asarray, rollout.evaluate(policy, run.env, episodes=episodes, key=jax.random.fold_in(key, i)))
        for i, policy in enumerate(run.policies())
    )


def _audit(
    run: training.Run,
    episodes: tuple[rollout.Episodes, ...],
    audits: Sequence[AbstractAudit],
    key: Any,
    name: str,
    console: rich.console.Console,
) -> tuple[Finding, ...]:
    subject = dataclasses.replace(auditing.subject_of(run, name=name), episodes=episodes)
    wish = run.intent.reward
    if (
        isinstance(wish, Demonstrations)
        and wish.by is not None
        and not any(isinstance(a, TerminationBias) for a in audits)
    ):
        audits = (*audits, TerminationBias())  # a reward for being alike is not to be believed without
    with console.status("auditing"):
        return auditing.audit(subject, audits, key=key, episodes=len(episodes[0].returns)).findings


def _film(run: training.Run, returns: list[np.ndarray], folder: Path, key: Any) -> tuple[list[dict], list[str]]:
    """Clips of the median seed's median and worst episodes, described; and a note where there are none."""
    from operant.io.clips import median_and_worst, write_webp

    means = [r.mean() for r in returns]
    seed = int(np.argsort(means)[(len(means) - 1) // 2])
    try:
        clips = median_and_worst(run.policy(seed), run.env, key=key)
    except OperantError as error:
        return [], [f"There are no clips: {error}"]
    described = []
    for name, clip in clips.items():
        path = write_webp(clip.frames, folder / "clips" / f"{name}.webp")
        caption = f"Return {clip.episode_return:,.4g} in {clip.length:,} steps; seed {seed}, greedy."
        alt = f"Animation of the {name} episode of seed {seed}: return {clip.episode_return:,.4g}."
        described.append({"title": f"{name.capitalize()} episode", "caption": caption, "path": path.name, "alt": alt})
    return described, []


def _shown(run: training.Run, folder: Path) -> list[str]:
    """What the demonstrations themselves were worth, where there are some: what a return is to be held against."""
    wish = run.intent.reward
    if not isinstance(wish, Demonstrations):
        return []
    kept = folder / training.DATASET  # the run's own copy: the original may have gone since
    found = demos.stats(Dataset.load(kept) if kept.exists() else wish.load(run.env.spec))
    least, mean, most = (found["return"][name] for name in ("least", "mean", "most"))
    count = found["episodes"]
    return [
        f"{count} episode{'s' if count > 1 else ''}, {found['steps']:,} steps, with a return of "
        f"{_number(mean)} ({_number(least)} to {_number(most)})."
    ]


def _mixed(run: training.Run) -> list[str]:
    """Where a field is an array, the trainings differ by more than chance: say so, for all that counts seeds."""
    if (k := settings(run.learner)) == 1:
        return []
    n = len(run.status) // k
    return [
        f"{k} settings × {n} seed{'s' if n > 1 else ''}, the first setting's first. All {k * n} are counted as seeds "
        "here, in the report and by the audits, so that what is said of seeds is due to the settings too. Train one "
        "setting at a time to tell what chance does."
    ]


def _terms(reward: AbstractReward) -> list[dict[str, Any]]:
    """The stated reward as the report shows it: a row a term."""
    from operant.rewards.terms import Terms

    if not isinstance(reward, Terms):
        return [{"name": "reward", "weight": None, "description": _described(reward)}]
    weights = {name: config.scalar(reward.weights.get(name, 1.0)) for name in reward.terms}
    return [
        {"name": name, "weight": weights[name], "description": _described(term)} for name, term in reward.terms.items()
    ]


def _described(module: Any) -> str:
    """A module in a line: its class and the fields that are not at their defaults."""
    try:
        plain = config.to_plain(module)
    except SpecError:
        return type(module).__name__
    shown = [f"{key} = {json.dumps(x, default=str)}" for key, x in plain.items() if key not in ("type", "sha256")]
    return f"{plain['type']}({', '.join(shown)})" if shown else plain["type"]


def _limits(run: training.Run) -> list[dict[str, Any]]:
    """Each constraint with the mean cost a step at the end of training, and its interval over seeds."""
    rows = []
    for i, constraint in enumerate(run.intent.constraints):
        name = constraint.name or str(i)
        measured = run.metrics.get(f"constraint/{name}_cost")
        row: dict[str, Any] = {"name": name, "limit": config.scalar(constraint.limit)}
        if measured is not None and measured.shape[1]:
            last = measured[:, -1].astype(float)
            if np.isfinite(last).any():
                low, high = interval(last)
                row |= {"value": float(iqm(last)), "low": float(low), "high": float(high)}
        rows.append(row | {"description": _described(constraint.cost)})
    return rows


def write_json(path: Path, data: Any) -> None:
    """Raises StoreError."""
    write_atomically(path, [json.dumps(data).encode()])


# --- printing -------------------------------------------------------------------------------------------------------


def stdout() -> rich.console.Console:
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=140)


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:,.4g}"


def _span(value: float | None, low: float | None, high: float | None) -> str:
    """
    >>> _span(1.0, 0.5, 1.5), _span(2.0, None, None)
    ('1 [0.5, 1.5]', '2')
    """
    return _number(value) if low is None or high is None else f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _table(
    console: rich.console.Console,
    title: str,
    run: training.Run,
    returns: list[np.ndarray],
    findings: Sequence[Finding],
    shown: Sequence[str],
    page: Path,
) -> None:
    console.print(f"[bold]{escape(title)}[/] {escape(run.intent.statement)}")
    console.print(_return(returns))
    if findings:
        console.print(findings_table(findings))
    for line in shown:
        console.print(f"shown: {line}", markup=False)
    failed = [f"seed {i}: {status.name}" for i, status in enumerate(run.status) if status != Status.done]
    if failed:
        console.print(f"[yellow]{escape('; '.join(failed))}[/]")
    seconds = (run.card.get("compile_seconds", 0.0), run.card.get("run_seconds", 0.0))
    console.print(f"compiled in {seconds[0]:.1f} s, trained in {seconds[1]:.1f} s")
    console.print(f"report: {page}", markup=False, soft_wrap=True)


def _return(returns: Sequence[np.ndarray]) -> str:
    """
    >>> _return([np.array([1.0, 3.0])])
    'return 2 (1 seed × 2 greedy episodes)'
    """
    means = np.array([r.mean() for r in returns], float)
    counts = f"{len(means)} seed{'s' if len(means) > 1 else ''} × {len(returns[0])} greedy episodes"
    if len(means) == 1:
        return f"return {_number(float(means[0]))} ({counts})"
    low, high = interval(means)
    return f"return {_span(float(iqm(means)), float(low), float(high))} (interquartile mean, 95 % interval; {counts})"


def findings_table(findings: Sequence[Finding]) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in ("audit", "verdict", "value [95 %]", "why"):
        table.add_column(column, overflow="fold", no_wrap=column == "verdict")
    for f in findings:
        verdict = f"[{LOOKS[f.verdict]}]{f.verdict}[/]"
        table.add_row(escape(f.name), verdict, _span(f.value, f.low, f.high), escape(f.why))
    return table


# --- evaluate -------------------------------------------------------------------------------------------------------


def evaluate(folder: str | Path, *, episodes: int, seed: int) -> int:
    """Evaluate each seed's policy and print the returns."""
    run = read(Path(folder))
    returns = [np.asarray(e.returns) for e in _episodes(run, episodes, jax.random.key(seed))]
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=escape(str(folder)), title_justify="left", pad_edge=False)
    for column in ("seed", "mean", "median", "worst", "status"):
        table.add_column(column, justify="left" if column == "status" else "right")
    for i, (r, status) in enumerate(zip(returns, run.status, strict=True)):
        table.add_row(str(i), *(_number(float(f(r))) for f in (np.mean, np.median, np.min)), status.name)
    console = stdout()
    console.print(table)
    console.print(_return(returns))
    return 0


def known_runs() -> str:
    there = sorted(str(p) for p in Path("runs").glob("*") if p.is_dir()) if Path("runs").is_dir() else []
    return f"Runs here: {', '.join(there)}." if there else "There are no runs in ./runs either."


# --- methods, reproduce ---------------------------------------------------------------------------------------------


def methods(words: Sequence[str] = ()) -> int:
    """Print the methods that mention all of these words. Raises SpecError where none does."""
    from operant.methods import search

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in ("method", "of", "evidence", "claims", "paper", "arXiv or DOI"):
        table.add_column(column, overflow="fold", no_wrap=column in ("method", "evidence"))
    for m in search(words):
        claims = f"{m.claims[0]} of {m.claims[1]}" if m.claims[1] else ""
        table.add_row(m.name, m.folder, m.evidence, claims, escape(m.card.paper), m.card.arxiv)
    stdout().print(table)
    return 0


def reproduce(method: str, *, full: bool = False) -> int:
    """Run a method's claims and print what became of them; the exit code: 1 where one does not reproduce."""
    from operant import claims

    result = claims.reproduce(method, full, recorder=Console(rich.console.Console(stderr=True)))
    claims.show(result, stdout())
    return 0 if result.verdict == claims.REPRODUCED else 1
