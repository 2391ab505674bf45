"""What `operant audit` does: put together what is known of a subject, ask every audit it meets the needs of, say so.

A run is audited with what its folder holds; anyone's policy with the environment, the rewards, the base policy and the
data that the flags name; a dataset by itself. The exit code is 1 where `--fail-on` says so, for continuous integration.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rich.progress

from operant import config, study_run
from operant import study as studies
from operant.attacks import Delay, RandomNoise
from operant.audits import Deference, ObjectiveMismatch, Robustness
from operant.core import AbstractAudit, AbstractPolicy, Intent, Subject, Verdict
from operant.data import demos
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.io import policies
from operant.io import report as reports
from operant.io.reward_reports import entries_of
from operant.io.rewards import load_reward
from operant.loops import audit as loop
from operant.loops.host import run_host
from operant.loops.rollout import evaluate
from operant.loops.train import DATASET
from operant.reporting import NAME
from operant.rewards.task import Task

EPISODES = 32
"""Episodes of each seed, where neither a flag nor a study says how many."""
ALSO = (Robustness(RandomNoise()), Robustness(Delay(), (1.0, 2.0, 4.0), 2.0))
"""Audits that are asked with other settings too."""
GRAVITY = {verdict: i for i, verdict in enumerate((Verdict.holds, Verdict.unknown, Verdict.concern, Verdict.fails))}
"""How grave each verdict is."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """The flags of `operant audit`; empty ones were not given."""

    subject: str = ""
    policy: str = ""
    env: str = ""
    reward: str = ""
    true: str = ""
    base: str = ""
    dataset: str = ""
    held_out: str = ""
    audits: tuple[str, ...] = ()
    episodes: int = 0
    seed: int = 0
    trust: bool = False
    fail_on: str = ""
    json: bool = False


def audit(asked: Asked) -> int:
    """Audit what was asked for and print what was found; the exit code: 1 where a verdict is as grave as `fail_on`.

    Raises:
        SpecError: nothing to audit, or two things; a policy, reward, dataset or audit that is not there or does not
            fit; an environment that is not given, or given for a run.
    """
    console = study_run.stdout()
    limit = _limit(asked.fail_on)
    from_text = lambda a: config.from_plain(studies.read_table(a, "--audits"), AbstractAudit, "--audits", any_case=True)
    chosen = tuple(from_text(a) for a in asked.audits)
    subject, folder, own, episodes = _subject(asked)
    if not chosen:
        chosen, left = _met(own, subject)
    else:
        left = {}
    key = jax.random.fold_in(jax.random.key(asked.seed), 1)
    with Bar(len(chosen)) as tell:
        found = loop.audit(subject, chosen, key=key, episodes=episodes, tell=tell)
    if asked.reward or asked.true:
        folder = None  # of another intent than the run's, whose report says its own
    written = None
    if folder is not None:
        new, path = [reports.finding_to_dict(f) for f in found.findings], folder / "findings.json"
        before = json.loads(path.read_text()) if path.exists() else []
        again = {f["name"] for f in new}  # what was found before stays, unless it was asked again: no verdict is lost
        study_run.write_json(path, [*(f for f in before if f["name"] not in again), *new])
        written = reports.write(folder)
    if asked.json:
        print(json.dumps(found.to_plain(), indent=1))
    else:
        console.print(study_run.findings_table(found.findings))
        for need, names in left.items():
            console.print(f"not asked: {', '.join(names)}; needs {need}.", style="dim", markup=False, soft_wrap=True)
        if written is not None:
            console.print(f"report: {written}", markup=False, soft_wrap=True)
    return int(limit is not None and any(GRAVITY[f.verdict] >= limit for f in found.findings))


def _limit(fail_on: str) -> int | None:
    names = [str(v) for v in GRAVITY if v is not Verdict.holds]
    if fail_on and fail_on not in names:
        raise SpecError(
            f"--fail-on: expected one of {', '.join(names)}; got {fail_on!r}. Each stands for the graver too."
        )
    return GRAVITY[Verdict(fail_on)] if fail_on else None


# --- the subject ----------------------------------------------------------------------------------------------------


def _subject(asked: Asked) -> tuple[Subject, Path | None, tuple[AbstractAudit, ...], int]:
    """What is audited; the folder of its run, if it has one; the audits its study names; and how many episodes."""
    if asked.subject and asked.policy:
        raise SpecError(f"expected one thing to audit; got {asked.subject} and --policy {asked.policy}. Leave one out.")
    what = asked.subject or asked.policy
    path, key = Path(what), jax.random.key(asked.seed)
    folder, own, episodes = None, (), asked.episodes or EPISODES
    if what and path.is_dir() and not asked.policy:
        run, study = study_run.read(path), study_run.study_of(path)
        if asked.env:
            raise SpecError(
                f"--env: expected none for a run, which is audited where it was learned; got {asked.env}. Leave it "
                f"out, or audit its policy there: `--policy {what} --env '{asked.env}'`."
            )
        folder, own = path, study.audits if study else ()
        episodes = asked.episodes or (study.eval_episodes if study else EPISODES)
        subject = loop.subject_of(run, name=path.name)
        subject = dataclasses.replace(subject, document="" if asked.reward or asked.true else _document(path))
        if (path / DATASET).exists():
            subject = dataclasses.replace(subject, dataset=Dataset.load(path / DATASET))
    elif what:
        subject = _of_policy(what, asked, episodes, key)
    elif asked.dataset:
        env = studies.read_env(asked.env, "--env") if asked.env else None
        subject = Subject((), env, name=asked.dataset)
    else:
        raise SpecError(f"expected a run's folder, --policy, or --dataset to audit; got none. {study_run.known_runs()}")
    return _with_more(subject, asked, episodes, key), folder, own, episodes


def _document(run: Path) -> str:
    """The Reward Report that a run has an entry in, in its folder or beside it; empty where there is none."""
    for place in (run / NAME, run.parent / NAME):
        if place.exists() and any(entry.run == run.name for entry in entries_of(place.read_text())):
            return str(place)
    return ""


def _of_policy(what: str, asked: Asked, episodes: int, key: Any) -> Subject:
    if ".py:" not in what and Path(what).suffix.lower() not in (".onnx", ".zip") and not Path(what).is_dir():
        raise SpecError(
            f"expected a run's folder, or a policy as 'file.py:function', 'policy.onnx' or 'model.zip' "
            f"(Stable-Baselines3); there is no run at {what}. {study_run.known_runs()}"
        )
    if not asked.env:
        raise SpecError(f"--env: expected the environment that {what} acts in; add `--env Pendulum-v1`.")
    env, intent = studies.read_env(asked.env, "--env"), Intent(Task(), truth=Task())
    return policies.subject_from(what, env, episodes=episodes, key=key, trust=asked.trust, intent=intent)


def _with_more(subject: Subject, asked: Asked, episodes: int, key: Any) -> Subject:
    """The subject with the rewards, the base policy's episodes and the data that were named."""
    if (asked.reward or asked.true or asked.base) and subject.env is None:
        raise SpecError("--env: expected the environment that rewards and base policy are of; add `--env Pendulum-v1`.")
    changed: dict[str, Any] = {}
    if asked.reward or asked.true:
        intent, many = subject.intent or Intent(Task()), max(len(subject.policies), len(subject.episodes), 1)
        for name, flag, states in (("reward", asked.reward, "reward_states"), ("truth", asked.true, "truth_states")):
            if flag:
                spec = subject.env.spec  # type: ignore[union-attr]
                reward, found = load_reward(flag, spec, where="--true" if name == "truth" else "--reward")
                intent = dataclasses.replace(intent, **{name: reward})
                changed[states] = _one_each(found, many, flag)
        changed["intent"] = intent
    if asked.base:
        changed["base"] = _base(asked, subject, episodes, key)
    for name in ("dataset", "held_out"):
        if place := getattr(asked, name):
            changed[name] = demos.read(place, subject.env.spec if subject.env is not None else None)
    return dataclasses.replace(subject, **changed)


def _one_each(states: tuple[Any, ...], many: int, source: str) -> tuple[Any, ...]:
    if len(states) in (0, many):
        return states
    if len(states) == 1:
        return states * many
    counts = "1 seed" if many == 1 else f"1 seed, or {many} as the subject has"
    raise SpecError(
        f"expected the reward of {source} to have {counts}; got {len(states)}, each of which learned one of its own. "
        "Give a run of one seed, or audit as many policies."
    )


def _base(asked: Asked, subject: Subject, episodes: int, key: Any) -> Any:
    """Episodes of the base policy, as many as of the subject."""
    env: Any = subject.env
    policy = policies.load_policy(asked.base, env, trust=asked.trust)
    key = jax.random.fold_in(key, 2)
    if isinstance(policy, AbstractPolicy):
        run = evaluate(policy, env, episodes=episodes, key=key)
        return jax.tree.map(np.asarray, run)
    return run_host(policy, env, episodes=episodes, key=key)


# --- what is asked --------------------------------------------------------------------------------------------------


def _met(own: Sequence[AbstractAudit], subject: Subject) -> tuple[tuple[AbstractAudit, ...], dict[str, list[str]]]:
    """A study's own audits and every other that is ready and whose needs are met or will be; and the rest by need."""
    has = set(subject.has())
    if subject.env is not None:
        has |= {"control"} | ({"episodes"} if subject.policies else set())
    ready, left = list(own), {}
    for cls in config.known(AbstractAudit).values():
        if any(type(one) is cls for one in own):
            continue
        unset = [f.name for f in config.fields(cls) if config.default(f) is dataclasses.MISSING]
        needs = [str(loop.SUPPLY.get(need, need)).partition(":")[0] for need in sorted(cls.needs - has)]
        if unset and not needs:
            needs = [f"its {', '.join(unset)}: --audits '{{type = \"{cls.__name__}\", …}}'"]
        if not needs and cls is ObjectiveMismatch and "model" not in has:
            needs = ["models, or " + loop.SUPPLY["model"].partition(":")[0]]
        if not needs and cls is Deference and not jax.tree.leaves(subject.reward_states):
            needs = ["a belief: a reward that was learned"]
        if needs:
            left.setdefault(" and ".join(needs), []).append(cls.__name__)
        else:
            differentiates = cls is Robustness  # its own perturbation does, ALSO's do not
            ready += [cls()] if "policies" in has or not differentiates else []
            ready += [more for more in ALSO if isinstance(more, cls)]
    return tuple(ready), left


class Bar:
    """A bar on the error stream: an audit a step."""

    def __init__(self, audits: int):
        columns = (
            rich.progress.TextColumn("auditing"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.description}"),
        )
        self.bar = rich.progress.Progress(*columns, console=rich.console.Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=audits + 1)
        self.begun = False

    def __enter__(self) -> Any:
        self.bar.start()
        return self

    def __call__(self, name: str) -> None:
        self.bar.update(self.task, advance=float(self.begun), description=name)
        self.begun = True

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
