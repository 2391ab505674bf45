"""`train`: collect, update the reward, update the learner; again, on any environment, for all seeds at once.

    seeds over devices ∘ compiled chunk of iterations (collect → reward.update → learner.update)

Between chunks Python records, checkpoints, looks for non-finite numbers and for Ctrl-C. Killed at any moment and
resumed, a run ends with the parameters it would have had (see `resume` for the one exception).
"""

import contextlib
import dataclasses
import datetime
import fcntl
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant import config
from operant.core import (
    AbstractEnv,
    AbstractHostEnv,
    AbstractLearner,
    AbstractPolicy,
    EnvSpec,
    Intent,
    Status,
)
from operant.data.comparison_dataset import ComparisonDataset
from operant.data.dataset import Dataset
from operant.errors import EnvError, OperantError, RunError, SpecError, StoreError
from operant.io import card as cards
from operant.io import checkpoint
from operant.io.recorders import AbstractRecorder, Csv, Several, Silent
from operant.loops.asking import AbstractAsking, Asking, Questions, Teaching
from operant.loops.engines import HostEngine, JaxEngine, member, settings
from operant.loops.iteration import TrainState
from operant.loops.spread import place
from operant.math.random import child
from operant.rewards.constraints.lagrangian import Lagrangian
from operant.rewards.imitation.demonstrations import Demonstrations
from operant.rewards.preferences import AbstractPreferences
from operant.teachers import AbstractTeacher, Person

MAX_ROWS = 1000
"""Most rows a seed in the record of a run: iterations are averaged in windows to stay below."""
CHUNK_SECONDS = 1.0
"""How long a chunk should last: short enough for a live progress bar and Ctrl-C, long enough to cost nothing."""
PAUSE = 0.05
"""Seconds between looks for answers while training waits for them."""
CHECKPOINT_SECONDS = 20.0
"""Least time between two checkpoints."""
CHECKPOINT_SHARE = 0.1
"""Most of the time that may go into writing them."""
FILE = "checkpoint.operant"
DATASET = "dataset.operant"
"""Where a run's folder keeps the dataset it learns from, if it keeps it."""
STORED = (Dataset, ComparisonDataset)
"""What `fit` learns from, in place of an environment."""


class Run(eqx.Module):
    """What training gives: the settings, the state of every seed, what was measured, and how each seed ended."""

    learner: AbstractLearner
    env: AbstractEnv | AbstractHostEnv
    intent: Intent
    spec: EnvSpec = eqx.field(static=True)
    state: TrainState
    """Every leaf has a leading axis S."""
    metrics: dict[str, np.ndarray]
    """family/name -> (S, rows): means over windows of iterations; NaN where nothing was measured."""
    env_steps: np.ndarray
    """(rows,): environment steps of one seed up to the end of each row."""
    status: tuple[Status, ...]
    card: dict[str, Any]
    """Versions, device, configuration, seconds: what `card.json` holds."""
    snapshot: Any = None
    """What brings host environments back to where they were; None for JAX ones, or where that cannot be done."""

    @property
    def seeds(self) -> int:
        return len(self.status)

    def policy(self, seed: int = 0) -> AbstractPolicy:
        """The policy of one seed. Raises SpecError if there is no such seed."""
        if not 0 <= seed < self.seeds:
            raise SpecError(f"expected a seed in 0 … {self.seeds - 1}; got {seed}. This run has {self.seeds}.")
        state = jax.tree.map(
            lambda x: x[seed] if checkpoint.is_key(x) else jax.device_put(np.asarray(x)[seed]), self.state.learner
        )
        return member(self.learner, seed, self.seeds).policy(state)

    def policies(self) -> tuple[AbstractPolicy, ...]:
        """The policies of all seeds."""
        return tuple(self.policy(i) for i in range(self.seeds))

    def reward_states(self) -> tuple[Any, ...]:
        """The states of the stated reward, one a seed."""
        return tuple(jax.tree.map(lambda x, i=i: x[i], self.state.reward) for i in range(self.seeds))

    def save(self, folder: str | Path) -> Path:
        """Write a run folder that `operant.load` and `operant.resume` read.

        Raises:
            StoreError: it cannot be written, or holds a run already.
        """
        folder = Path(folder)
        csv = Csv(folder)
        csv.start(self.card)
        csv.record(0, self.metrics, self.env_steps)
        _save(folder, self)
        return folder


def train(
    learner: AbstractLearner,
    env: AbstractEnv | AbstractHostEnv,
    intent: Intent,
    *,
    steps: int,
    num_envs: int = 16,
    seeds: int | Sequence[int] | None = None,
    key: PRNGKeyArray,
    teacher: AbstractTeacher | None = None,
    questions: Questions | None = None,
    recorder: AbstractRecorder | None = None,
    folder: str | Path | None = None,
    throw: bool = True,
) -> Run:
    """Train a policy, or several side by side.

    Args:
        steps: environment steps of each seed, summed over its environments; rounded up to whole iterations of
            `learner.rollout` × `num_envs`.
        num_envs: environments stepped side by side, N.
        seeds: how many, or which; None: one. Seed i uses `fold_in(key, i)`, alone or among others.
        key: decides everything: same key, same result, bit for bit, on the same machine and backend.
        teacher: who answers which of two segments is better, where the reward learns from that
            (`rewards.preferences`); each seed asks questions of its own.
        questions: how much the teacher is asked, and when.
        recorder: where numbers go while it runs; `operant.io.recorders`.
        folder: a run folder for checkpoints, metrics and the card; what is needed to `resume`.
        throw: raise at the end if a seed failed (the run is saved first); else read `Run.status`.

    Raises:
        SpecError: settings that cannot be; spaces that do not fit.
        RunError: the folder holds a run already, or a seed's numbers became non-finite (`throw`).
        EnvError: the environment raised or broke its contract (`throw`).
    """
    chosen = [0] if seeds is None else list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    _check(learner, env, intent, steps, num_envs, chosen, key)
    if isinstance(intent.reward, Demonstrations) and intent.reward.by is None:
        raise SpecError(
            f"expected Demonstrations.by, how being like them is paid, for {type(learner).__name__}, which acts and "
            "asks for rewards; got none. Give by=GAIL(), or learn from them alone by operant.fit."
        )
    job = _Job(
        learner,
        env,
        intent,
        steps,
        num_envs,
        chosen,
        key,
        recorder or Silent(),
        None if folder is None else Path(folder),
        teaching=_teaching(intent, teacher, questions),
    )
    if job.folder is not None and (job.folder / FILE).exists():
        raise RunError(
            f"expected a new run folder; {job.folder} holds a run. Resume it with operant.resume({str(job.folder)!r}), "
            "or choose another folder."
        )
    if job.teaching is not None:
        job.teaching.teacher.check(job.teaching.questions.budget)
    return job.run(None, throw)


def resume(
    folder: str | Path,
    *,
    steps: int | None = None,
    learner: AbstractLearner | None = None,
    env: AbstractEnv | AbstractHostEnv | None = None,
    intent: Intent | None = None,
    teacher: AbstractTeacher | None = None,
    recorder: AbstractRecorder | None = None,
    throw: bool = True,
) -> Run:
    """Go on with a run from its last checkpoint, to the end it would have had, bit for bit.

    The exception: EnvPool's environments cannot be brought back to a state; they start new episodes, and the card
    then says `resumed_exactly: false`. A Gymnasium environment that keeps state outside its `np_random` is found out
    and refused.

    Args:
        steps: a new total, to train longer than planned.
        learner, env, intent, teacher: needed only where they hold Python functions, which no file describes.

    Raises:
        SpecError: `steps` that cannot be.
        RunError: no checkpoint, a damaged one, one of other settings, or a run that another process is writing.
        EnvError: a host environment did not come back to the state it was left in.
    """
    if steps is not None and (not isinstance(steps, int | np.integer) or steps < 1):
        raise SpecError(f"expected steps, the new total, to be a whole number ≥ 1; got {steps!r}.")
    path = Path(folder)
    header = checkpoint.read_header(path / FILE)
    job = _job(path, header, learner, env, intent, teacher, steps, recorder or Silent())
    return job.run(header, throw)


def load(
    folder: str | Path,
    *,
    learner: AbstractLearner | None = None,
    env: AbstractEnv | AbstractHostEnv | None = None,
    intent: Intent | None = None,
    teacher: AbstractTeacher | None = None,
) -> Run:
    """Read a run folder, finished or not; never runs code from it except reward programs its study names.

    Raises: as `resume`.
    """
    path = Path(folder)
    header = checkpoint.read_header(path / FILE)
    return _job(path, header, learner, env, intent, teacher, None, Silent()).read(header)


def _job(
    folder: Path, header: dict[str, Any], learner: Any, env: Any, intent: Any, teacher: Any, steps: int | None,
    recorder: Any,
) -> "_Job":  # fmt: skip
    """The settings of a stored run, from its header or the caller."""
    if "run" not in header:
        raise RunError(f"expected a run's checkpoint in {folder}; it holds something else. Give a run folder.")
    run = header["run"]
    given: dict[str, Any] = {"learner": learner, "env": env, "intent": intent}
    types = {"learner": AbstractLearner, "env": AbstractEnv | AbstractHostEnv, "intent": Intent}
    if run["questions"] is not None:
        given["teacher"], types["teacher"] = teacher, AbstractTeacher
    if "sha256" in (run["env"] or {}):
        if env is None and (folder / DATASET).exists():
            env = given["env"] = _stored(folder)
        _check_data(folder, run["env"]["sha256"], env)
    for name, value in given.items():
        if value is None:
            if run[name] is None:
                raise RunError(
                    f"expected the {name} of {folder} to be described in its checkpoint; it holds Python functions, "
                    f"which no file describes. Pass {name}=… as it was given to train."
                )
            given[name] = config.from_plain(run[name], types[name], where=name, root=folder)
    teaching = None
    if run["questions"] is not None:
        questions = config.from_plain(run["questions"], Questions, where="questions", root=folder)
        teaching = Teaching(given["teacher"], questions)
    data = np.asarray(run["key"]["data"], np.uint32)
    key = jax.random.wrap_key_data(jnp.asarray(data), impl=run["key"]["impl"])
    return _Job(
        given["learner"], given["env"], given["intent"], steps or run["steps"], run["num_envs"], run["seeds"], key,
        recorder, folder, run["window"], teaching,
    )  # fmt: skip


def _teaching(intent: Intent, teacher: AbstractTeacher | None, questions: Questions | None) -> Teaching | None:
    """Raise SpecError where a reward has nobody to learn from, or nobody asks the questions."""
    learns = isinstance(intent.reward, AbstractPreferences)
    if teacher is None and (learns or questions is not None):
        what = f"{type(intent.reward).__name__}, which learns from comparisons," if learns else "questions"
        raise SpecError(f"expected a teacher beside {what}; got none. Pass teacher=operant.teachers.Oracle(), say.")
    return None if teacher is None else Teaching(teacher, questions or Questions())


def _stored(folder: Path) -> Any:
    """The dataset that a run's folder keeps."""
    return Dataset.load(folder / DATASET)


def _check_data(folder: Path, expected: str, dataset: Any) -> None:
    """Raise RunError unless `dataset` is the one this run learned from."""
    got = dataset.source.sha256[:12] + "…" if isinstance(dataset, STORED) else type(dataset).__name__
    if not isinstance(dataset, STORED) or dataset.source.sha256 != expected:
        raise RunError(
            f"expected the dataset of {folder}, whose arrays hash to {expected[:12]}…; got {got}. "
            "Pass it as env=Dataset.load(…): this run folder does not hold its dataset."
        )


def _check(
    learner: Any, env: Any, intent: Any, steps: int, num_envs: int, seeds: list[int], key: Any,
    source: tuple[str, Any] = ("env", AbstractEnv | AbstractHostEnv),
) -> None:  # fmt: skip
    for what, value, kind in (
        ("learner", learner, AbstractLearner),
        (source[0], env, source[1]),
        ("intent", intent, Intent),
    ):
        if not isinstance(value, kind):
            hint = " Wrap it: Intent(reward)." if what == "intent" else ""
            hint = " Make one with operant.make(id)." if what == "env" else hint
            raise SpecError(f"expected {what} to be {kind}; got {type(value).__name__}.{hint}")
    for name, value in (("steps", steps), ("num_envs", num_envs), ("seeds", len(seeds))):
        if not isinstance(value, int | np.integer) or value < 1:
            raise SpecError(f"expected {name} to be a whole number ≥ 1; got {value!r}.")
    if len(set(seeds)) < len(seeds):
        raise SpecError(f"expected different seeds; got {seeds}. Repeated seeds give the same run twice.")
    if not checkpoint.is_key(key):
        raise SpecError(f"expected key to be a JAX key, jax.random.key(0); got {type(key).__name__} {key!r:.40}.")


class _Job:
    """One training job: what `train` and `resume` share."""

    def __init__(
        self,
        learner: AbstractLearner,
        env: AbstractEnv | AbstractHostEnv,
        intent: Intent,
        steps: int,
        num_envs: int,
        seeds: list[int],
        key: PRNGKeyArray,
        recorder: AbstractRecorder,
        folder: Path | None,
        window: int | None = None,
        teaching: Teaching | None = None,
    ):
        # NumPy's scalars are numbers here, not arrays of settings
        learner = jax.tree.map(lambda x: x.item() if isinstance(x, np.generic) else x, learner)
        steps, num_envs = int(steps), int(num_envs)
        self.learner, self.env, self.intent, self.steps = learner, env, intent, steps
        self.num_envs, self.seeds, self.key, self.folder = num_envs, seeds, key, folder
        self.spec = _with_envs(env.spec, num_envs)
        engine, steps_each = _engine(env)
        self.per_iteration = steps_each or learner.rollout * num_envs
        self.iterations = -(-steps // self.per_iteration)
        self.window = window or -(-self.iterations // MAX_ROWS)
        self.rows = min(MAX_ROWS, -(-self.iterations // self.window) + 1)
        self.recorder = recorder if folder is None else Several(Csv(folder), recorder)
        reward = Lagrangian(intent.reward, intent.constraints) if intent.constraints else intent.reward
        self.effective = Intent(reward, (), intent.statement, intent.truth)
        members = [child(key, s) for _ in range(settings(learner)) for s in seeds]
        self.engine = engine(learner, env, self.effective, self.spec, members, self.window, self.rows)
        self.members = len(members)
        self.teaching = teaching
        self.asking = None if teaching is None else self._asks(teaching, members)

    def _asks(self, teaching: Teaching, keys: list[PRNGKeyArray]) -> AbstractAsking:
        about = (self.intent, teaching, self.spec, keys, self.iterations, self.window)
        if not isinstance(teaching.teacher, Person):
            return Asking(*about)
        from operant.loops.attending import Attending  # SQLAlchemy takes long to import, and few runs need it

        return Attending(*about, learner=self.learner, env=self.env, steps_each=self.per_iteration, folder=self.folder)

    # --- running ---

    def run(self, header: dict[str, Any] | None, throw: bool) -> Run:
        with _locked(self.folder), _interruptible() as interrupted:
            try:
                run, error = self._run(header, interrupted)
            finally:
                self._close()
        if error is not None and throw:
            raise error
        bad = [i for i, s in enumerate(run.status) if s == Status.non_finite]
        if bad and throw:
            raise RunError(
                f"expected finite losses and parameters; member(s) {bad} of {run.seeds} met NaN or infinity and "
                "stopped with their last finite parameters; the others went on. Lower the learner's lr, or check the "
                "reward for NaN. Pass throw=False to get the run all the same."
            )
        return run

    def _close(self) -> None:
        self.engine.close()
        if self.asking is not None:
            self.asking.close()

    def _run(self, header: dict[str, Any] | None, interrupted: threading.Event) -> tuple[Run, OperantError | None]:
        about = {"steps": self.steps, "num_envs": self.num_envs, "seeds": self.seeds}
        if isinstance(self.env, STORED):
            about = {"steps": self.steps, "batch": self.num_envs, "seeds": self.seeds, "dataset": vars(self.env.source)}
        card = cards.make(self.learner, self.env, self.intent, about)
        self.recorder.start(
            {"title": card["learner"], "steps": self.iterations * self.per_iteration, "seeds": self.members}
        )
        self.recorder.phase("compiling")
        began = time.perf_counter()
        states = self.engine.start()
        history: list[tuple[dict[str, np.ndarray], np.ndarray]] = []
        done = rows = 0
        if header is not None:
            states, done, rows = self._restore(header, states, card, history)
        self.engine.compile(states)
        card["compile_seconds"] = card.get("compile_seconds", 0.0) + time.perf_counter() - began
        self.recorder.phase("training")

        status, error = Status.done, None
        pace, saved, cost = None, -float("inf"), 0.0  # the first chunk is kept: from then on a run can be resumed
        run_seconds = card.get("run_seconds", 0.0)
        most = self.window * self.rows
        while done < self.iterations:
            # A run that goes on may stand within a window: its chunks end where windows do, too.
            n = min(self.iterations - done, min(most, self._chunk(pace)) - done % self.window)
            if self.asking is not None:
                n = min(n, self.asking.until_next(done) or n)
            began = time.perf_counter()
            try:
                states, sums, counts = self.engine.advance(states, n)
            except EnvError as failure:
                status, error = Status.env_failed, failure
                break
            seconds = time.perf_counter() - began
            run_seconds += seconds
            n = int(np.asarray(states.iteration)[0]) - done  # fewer where the environment failed on the way
            pace = seconds / n
            done += n
            block = self._rows(sums, counts, done, n)
            history.append(block)
            self.recorder.record(rows, *block)
            rows += len(block[1])
            if self.asking is not None:
                try:
                    states = self.asking.after(states, done)
                    if self.asking.waits(done):
                        if self.folder is not None:  # who waits for people may wait long
                            self._save(states, card, history, rows, Status.running)
                        self.recorder.phase("waiting")
                        while self.asking.waits(done) and not interrupted.wait(PAUSE):
                            states = self.asking.after(states, done)
                        self.recorder.phase("training")
                except OperantError as failure:  # of the teacher, the store, the films: what was learned is kept
                    status, error = Status.stopped, failure
                    break
            card.update(run_seconds=run_seconds, env_seconds=self.engine.env_seconds)
            now = time.perf_counter()
            due = now - saved > max(CHECKPOINT_SECONDS, cost / CHECKPOINT_SHARE)
            if interrupted.is_set():
                status = Status.stopped
                break
            if not np.asarray(states.finite).any():
                break
            if self.folder is not None and due and done < self.iterations:
                self._save(states, card, history, rows, Status.running)
                saved, cost = time.perf_counter(), time.perf_counter() - now
        run = self._finish(states, card, history, rows, status)
        self.recorder.end(run.status)
        return run, error

    def _chunk(self, pace: float | None) -> int:
        """Iterations of the next chunk: whole windows, about `CHUNK_SECONDS` of them."""
        windows = 1 if pace is None else max(1, int(CHUNK_SECONDS / max(pace, 1e-9) / self.window))
        return windows * self.window

    def _rows(
        self, sums: np.ndarray, counts: np.ndarray, done: int, n: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Means of each window of the last n iterations, and the environment steps at each one's end."""
        first = (done - n) // self.window
        rows = -(-done // self.window) - first
        with np.errstate(invalid="ignore"):
            means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
        metrics = {name: means[:, :rows, i] for i, name in enumerate(self.engine.names)}
        ends = np.minimum((first + 1 + np.arange(rows)) * self.window, done)
        return metrics, ends.astype(np.int64) * self.per_iteration

    # --- storing ---

    @property
    def _home(self) -> Path:
        assert self.folder is not None, "only a job with a folder is read back"
        return self.folder

    def _gather(self, states: Any, card: dict, history: list, status: Status) -> Run:
        metrics = {
            name: np.concatenate([block[0][name] for block in history], axis=1) for name in history[0][0]
        } if history else {}  # fmt: skip
        steps = np.concatenate([block[1] for block in history]) if history else np.zeros(0, np.int64)
        finite = np.asarray(states.finite)
        each = tuple(status if ok else Status.non_finite for ok in finite)
        snapshot = self.engine.snapshot()
        card = {**card, "status": [s.name for s in each], "env_steps": int(steps[-1]) if len(steps) else 0}
        return Run(self.learner, self.env, self.intent, self.spec, states, metrics, steps, each, card, snapshot)

    def _header(self, rows: int) -> dict[str, Any]:
        impl, data = str(jax.random.key_impl(self.key)), np.asarray(jax.random.key_data(self.key)).tolist()
        return {
            "learner": _plain(self.learner),
            "env": _plain(self.env),
            "intent": _plain(self.intent),
            "teacher": None if self.teaching is None else _plain(self.teaching.teacher),
            "questions": None if self.teaching is None else _plain(self.teaching.questions),
            "steps": self.steps,
            "num_envs": self.num_envs,
            "seeds": self.seeds,
            "key": {"impl": impl, "data": data},
            "asking": None if self.asking is None else self.asking.snapshot(),
            "window": self.window,
            "rows": rows,
        }

    def _save(self, states: Any, card: dict, history: list, rows: int, status: Status) -> Run:
        run = self._gather(states, card, history, status)
        run.card["run"] = self._header(rows)
        if self.folder is not None:
            _save(self.folder, run)
        return run

    def _finish(self, states: Any, card: dict, history: list, rows: int, status: Status) -> Run:
        card["finished"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return self._save(states, card, history, rows, status)

    def _restore(self, header: dict[str, Any], states: Any, card: dict, history: list) -> tuple[Any, int, int]:
        """Bring back states, environments and records; returns `(states, iterations done, rows recorded)`."""
        states = self._load(header, states)
        done = int(np.asarray(states.iteration)[0])
        rows = header["run"]["rows"]
        if self.asking is not None:
            self.asking.restore(header["run"]["asking"])
        old = header["card"]
        card.update(
            {name: old[name] for name in ("compile_seconds", "run_seconds", "env_seconds", "started") if name in old}
        )
        self.engine.env_seconds = card.get("env_seconds", 0.0)
        exact = True
        if isinstance(self.engine, HostEngine):
            if header["snapshot"] is not None:
                self.engine.restore(header["snapshot"])
            else:
                exact = False
                states = self.engine.new_episodes(states)
        card["resumed_exactly"] = exact and old.get("resumed_exactly", True)
        self.recorder.resume(rows)
        if rows:
            history.append(self._recorded(rows))
        return states, done, rows

    def _recorded(self, rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The first `rows` rows of the record on disk."""
        metrics, steps = Csv.read(self._home)
        return {name: x[:, :rows] for name, x in metrics.items()}, steps[:rows]

    def _load(self, header: dict[str, Any], states: Any) -> Any:
        return place(checkpoint.load(self._home / FILE, states), self.members)

    def read(self, header: dict[str, Any]) -> Run:
        """The stored run, without going on."""
        try:
            states = self._load(header, self.engine.start())
        finally:
            self._close()
        rows = header["run"]["rows"]
        metrics, steps = self._recorded(rows) if rows else ({}, np.zeros(0, np.int64))
        status = tuple(Status[name] for name in header["card"]["status"])
        return Run(
            self.learner, self.env, self.intent, self.spec, states, metrics, steps, status,
            {**header["card"], "run": header["run"]}, header["snapshot"],
        )  # fmt: skip


def _engine(env: Any) -> tuple[Any, int | None]:
    """The engine for what experience comes from, and its steps an iteration (None: rollout × environments)."""
    if isinstance(env, STORED):
        from operant.loops.fit import FitEngine  # it stands on this module

        return FitEngine, 1
    return (JaxEngine if isinstance(env, AbstractEnv) else HostEngine), None


def _with_envs(spec: EnvSpec, num_envs: int) -> EnvSpec:
    return dataclasses.replace(spec, num_envs=num_envs)


def _plain(module: Any) -> dict[str, Any] | None:
    """What a file can say of a module; None where it holds Python functions."""
    if isinstance(module, STORED):  # arrays belong in files of their own
        return {"sha256": module.source.sha256}
    try:
        return config.to_plain(module)
    except SpecError:
        return None


def _save(folder: Path, run: Run) -> None:
    card = {name: value for name, value in run.card.items() if name != "run"}
    header = {"run": run.card["run"], "card": card, "snapshot": run.snapshot}
    checkpoint.save(folder / FILE, run.state, header)
    cards.write(folder, card)


@contextlib.contextmanager
def _locked(folder: Path | None) -> Iterator[None]:
    """One process a run: the second is refused. The lock goes with the process, however it ends."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a+")  # noqa: SIM115  (held until the end)
    except OSError as error:
        raise StoreError(
            f"expected to write in the run folder {folder}; the system answered: {error.strerror}. "
            "Choose a folder that can be written."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"expected to be the only process writing {folder}; another one holds it. Wait for it to end, or stop "
                "it (Ctrl-C leaves a checkpoint), then resume."
            ) from None
        yield


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C asks for a stop after the chunk under way; a second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handle(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
