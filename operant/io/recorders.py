"""Recorders: where a run's numbers go while it runs: nowhere, the terminal, CSV, Parquet, TensorBoard, W&B.

A loop calls, in this order: `start(info)` · `resume(iteration)` where the run is being resumed · `phase(name)` when
compiling begins or ends · `record(first_iteration, metrics, env_steps)` after each chunk · `end(status)`.

`info` is JSON-able. What is read of it, all optional: `title`, `steps` (environment steps of one seed, in all),
`seeds`, `config`.

>>> import tempfile
>>> recorder = Csv(tempfile.mkdtemp())
>>> recorder.start({})
>>> recorder.record(0, {"episode/return": np.array([[1.0, 2.0]], np.float32)}, np.array([64, 128]))
>>> print(recorder.path.read_text(), end="")
seed,iteration,env_steps,episode/return
0,0,64,1.0
0,1,128,2.0
"""

import abc
import collections
import contextlib
import csv
import importlib
import io
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import rich.console
import rich.markup
import rich.progress
import rich.text

from operant.core import Status
from operant.errors import DataError, SpecError, StoreError
from operant.io.checkpoint import write_atomically
from operant.math.stats import interquartile_mean

Recorded = Mapping[str, np.ndarray]  # family/name -> (S, iterations)
INDEX = ("seed", "iteration", "env_steps")


class AbstractRecorder(abc.ABC):
    """Receives a run's numbers. Only `record` must be written; the rest may stay silent."""

    def start(self, info: Mapping[str, Any]) -> None:  # noqa: B027
        """The run begins, or begins again."""

    def resume(self, iteration: int) -> None:  # noqa: B027
        """The run goes on from `iteration`: forget what was recorded of it and later."""

    def phase(self, name: str) -> None:  # noqa: B027
        """What the run does from now on: "compiling", "training", or "waiting" for people."""

    @abc.abstractmethod
    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        """One chunk: metrics (S, iterations), and env_steps (iterations,) that one seed has done at each one's end."""

    def end(self, status: Sequence[Status]) -> None:  # noqa: B027
        """The run is over, with one status a seed."""

    def close(self) -> None:  # noqa: B027
        """Let go of files and of the terminal, also when the run broke off; `with recorder:` does it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Silent(AbstractRecorder):
    """Records nothing."""

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        pass


class Several(AbstractRecorder):
    """Passes everything to each of its recorders, in order."""

    def __init__(self, *recorders: AbstractRecorder):
        self.recorders = recorders

    def start(self, info: Mapping[str, Any]) -> None:
        for recorder in self.recorders:
            recorder.start(info)

    def resume(self, iteration: int) -> None:
        for recorder in self.recorders:
            recorder.resume(iteration)

    def phase(self, name: str) -> None:
        for recorder in self.recorders:
            recorder.phase(name)

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        for recorder in self.recorders:
            recorder.record(first_iteration, metrics, env_steps)

    def end(self, status: Sequence[Status]) -> None:
        for recorder in self.recorders:
            recorder.end(status)

    def close(self) -> None:
        for recorder in self.recorders:
            recorder.close()


class Console(AbstractRecorder):
    """A progress bar: steps done of how many, steps a second over all seeds, time left, return so far.

    Compiling is a phase of its own and is left out of the rate. The return is the interquartile mean over seeds of
    the last finite `episode/return`. Where the output is not a terminal, one line at the
    end.
    """

    def __init__(self, console: rich.console.Console | None = None):
        self.console = console or rich.console.Console(stderr=True)
        self._progress: rich.progress.Progress | None = None

    def start(self, info: Mapping[str, Any]) -> None:
        self._seeds, self._total = int(info.get("seeds") or 1), info.get("steps")
        self._done, self._return = 0, math.nan
        self._from: int | None = None
        self._latest = np.full(self._seeds, np.nan)
        self._began: float | None = None
        self.close()
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("[bold]{task.description}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.BarColumn(bar_width=16),
            rich.progress.TextColumn("{task.fields[shown]}"),
            console=self.console,
            refresh_per_second=5,
        )
        self._title = rich.markup.escape(str(info.get("title", "run")))
        self._task = self._progress.add_task(f"{self._title} · compiling", total=None, shown="")
        self._progress.start()

    def phase(self, name: str) -> None:
        if self._progress is None:
            return
        if name == "training" and self._began is None:
            self._began = time.perf_counter()
        self._progress.update(
            self._task,
            description=f"{self._title} · {name}" if name != "training" else self._title,
            total=None if name == "compiling" else self._total,
        )

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        if self._progress is None:
            return
        self._done = int(env_steps[-1])
        if self._began is None:  # nobody said when compiling ended: only what comes after this chunk can be timed
            self.phase("training")
            self._from = self._done
        elif self._from is None:
            self._from = int(env_steps[0]) * first_iteration // (first_iteration + 1)  # iterations are equally long
        self._remember(metrics.get("episode/return"))
        self._progress.update(self._task, completed=self._done, shown=self.line())

    def line(self) -> str:
        """What stands beside the bar.

        >>> console = Console(rich.console.Console(file=io.StringIO()))
        >>> console.start({"steps": 200, "seeds": 2})
        >>> console.record(0, {"episode/return": np.array([[1.0], [3.0]])}, np.array([100]))
        >>> console.line()
        '100 of 200 steps × 2 seeds · return 2'
        >>> console.end([])
        """
        total = f" of {_short(self._total)}" if self._total else ""
        parts = [f"{_short(self._done)}{total} steps" + (f" × {self._seeds} seeds" if self._seeds > 1 else "")]
        took = time.perf_counter() - self._began if self._began is not None else 0.0
        fresh = self._done - self._from if self._from is not None else 0
        if fresh > 0 and took > 0:
            parts.append(f"{_short(fresh * self._seeds / took)} steps/s")
            if self._total and self._total > self._done:
                parts.append(f"{_clock((self._total - self._done) * took / fresh)} left")
        if math.isfinite(self._return):
            parts.append(f"return {self._return:,.4g}")
        return " · ".join(parts)

    def end(self, status: Sequence[Status]) -> None:
        if self._progress is None:
            return
        counts = collections.Counter(Status(int(x)).name for x in status)
        ended = ", ".join(f"{n} {name}" for name, n in counts.items() if name != "done" or len(counts) > 1)
        self.close()
        if ended:
            self.console.print(rich.text.Text(f"seeds: {ended}", style="yellow"))

    def _remember(self, returns: np.ndarray | None) -> None:
        if returns is None:
            return
        for seed, row in enumerate(np.asarray(returns)):
            finite = row[np.isfinite(row)]
            if len(finite):
                self._latest[seed] = finite[-1]
        self._return = _middle(self._latest)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Csv(AbstractRecorder):
    """`metrics.csv` in a folder: a row an iteration and seed; the first record fixes the columns; only ever appended.

    Numbers are float32 in the shortest form that reads back to the same bits. Each chunk is flushed to the disk, so a
    killed process loses at most the chunk it was in; `resume` and `read` drop a row or an iteration cut short.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder) / "metrics.csv"
        self._names: tuple[str, ...] | None = None

    def start(self, info: Mapping[str, Any]) -> None:
        with storing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._names = None

    def resume(self, iteration: int) -> None:
        """Drop the rows of `iteration` and later."""
        if not self.path.exists():
            return
        header, *rows = _whole_lines(self.path) or [""]
        kept = [row for row in rows if int(row.split(",", 2)[1]) < iteration]
        self._names = None
        if kept:
            self._names = tuple(next(csv.reader([header]))[len(INDEX) :])
            write_atomically(self.path, ["\n".join([header, *kept, ""]).encode()])
        else:
            with storing(self.path):
                self.path.unlink()

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        if not metrics:
            return
        names = tuple(metrics) if self._names is None else self._names
        if set(names) != set(metrics):
            missing, new = set(names) - set(metrics), set(metrics) - set(names)
            raise DataError(
                f"expected the metrics of the first record in every later one; got {sorted(new) or 'none'} more and "
                f"{sorted(missing) or 'none'} fewer. Report the same names from every update (NaN where there is none)."
            )
        if self._names is None and self.path.exists() and self.path.stat().st_size:
            raise StoreError(
                f"expected no metrics yet at {self.path}; a run is recorded there. "
                "Resume that run if it has a checkpoint; else delete the file, or choose another folder."
            )
        table = np.stack([_rows(metrics[name], name, len(env_steps)) for name in names], -1)  # (S, iterations, names)
        text = io.StringIO()
        if self._names is None:
            csv.writer(text, lineterminator="\n").writerow([*INDEX, *names])
        for i, steps in enumerate(env_steps):
            for seed in range(len(table)):
                numbers = ",".join(map(str, table[seed, i]))
                text.write(f"{seed},{first_iteration + i},{int(steps)},{numbers}\n")
        with storing(self.path), open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        self._names = names

    @staticmethod
    def read(folder: str | Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """`(metrics: name -> float32 (S, iterations), env_steps int64 (iterations,))`.

        Raises:
            StoreError: there is no `metrics.csv`.
            DataError: a line is not numbers, or the seeds do not agree.
        """
        path = Path(folder) / "metrics.csv"
        with storing(path, "read"):
            header, *rows = _whole_lines(path) or [""]
        names = next(csv.reader([header]), [])
        if tuple(names[: len(INDEX)]) != INDEX:
            raise DataError(f"expected {path} to begin with {','.join(INDEX)}; got {header[:80]!r}.")
        if not rows:
            return {name: np.zeros((0, 0), np.float32) for name in names[len(INDEX) :]}, np.zeros(0, np.int64)
        try:
            table = np.loadtxt(rows, delimiter=",", ndmin=2, comments=None)
        except ValueError as error:
            raise DataError(f"expected {len(names)} numbers a line in {path}; {error}.") from error
        if table.shape[1] != len(names):
            raise DataError(f"expected {len(names)} numbers a line in {path}; got {table.shape[1]}.")
        seeds = int(table[:, 0].max()) + 1
        whole = len(table) // seeds * seeds  # a chunk cut short may lack seeds of its last iteration
        grid = table[:whole].reshape(-1, seeds, len(names))
        if not (np.all(grid[:, :, 0] == np.arange(seeds)[None]) and np.all(grid[:, :, 1] == grid[:, :1, 1])):
            raise DataError(f"expected each iteration in {path} once, with seeds 0 … {seeds - 1} in order.")
        metrics = {
            name: grid[:, :, k].T.astype(np.float32) for k, name in enumerate(names[len(INDEX) :], start=len(INDEX))
        }
        return metrics, grid[:, 0, 2].astype(np.int64)


class Parquet(AbstractRecorder):
    """`metrics.parquet` in a folder, written when the run ends: the columns of `Csv`. Needs `operant[parquet]`.

    What came before a resume is taken from the `metrics.csv` beside it, which is written as the run goes on, or else
    from `metrics.parquet`.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder) / "metrics.parquet"
        _extra("pyarrow", "parquet")
        self._chunks: list[dict[str, np.ndarray]] = []

    def start(self, info: Mapping[str, Any]) -> None:
        self._chunks = []

    def resume(self, iteration: int) -> None:
        if self.path.with_suffix(".csv").exists():
            metrics, env_steps = Csv.read(self.path.parent)
            before = _columns(0, metrics, env_steps)
        elif self.path.exists():
            table = _extra("pyarrow.parquet", "parquet").read_table(self.path)
            before = {name: table[name].to_numpy() for name in table.column_names}
        else:
            return
        keep = before["iteration"] < iteration
        self._chunks = [{name: column[keep] for name, column in before.items()}]

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        if metrics:
            self._chunks.append(_columns(first_iteration, metrics, env_steps))

    def end(self, status: Sequence[Status]) -> None:
        if not self._chunks:
            return
        pyarrow, parquet = _extra("pyarrow", "parquet"), _extra("pyarrow.parquet", "parquet")
        whole = {name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in self._chunks[0]}
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table(whole), buffer)
        write_atomically(self.path, [buffer.getvalue()])


class TensorBoard(AbstractRecorder):
    """Event files under `folder/seed_0`, `folder/seed_1`, …, by environment steps. Needs `operant[tensorboard]`."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._module = _extra("tensorboardX", "tensorboard")
        self._writers: list[Any] = []
        self._resumed = False

    def start(self, info: Mapping[str, Any]) -> None:
        self._writers, self._resumed = [], False

    def resume(self, iteration: int) -> None:
        self._resumed = True

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        if not metrics:
            return
        with storing(self.folder):
            if not self._writers:
                seeds = len(next(iter(metrics.values())))
                purge = int(env_steps[0]) if self._resumed else None  # TensorBoard hides what lies beyond
                self._writers = [
                    self._module.SummaryWriter(str(self.folder / f"seed_{seed}"), purge_step=purge)
                    for seed in range(seeds)
                ]
            for name, values in metrics.items():
                for writer, row in zip(self._writers, np.asarray(values), strict=True):
                    for value, step in zip(row, env_steps, strict=True):
                        if np.isfinite(value):
                            writer.add_scalar(name, float(value), int(step))
            for writer in self._writers:
                writer.flush()

    def end(self, status: Sequence[Status]) -> None:
        self.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers = []


class WandB(AbstractRecorder):
    """One Weights & Biases run: each metric's interquartile mean over seeds, and each seed's. Needs `operant[wandb]`.

    Keywords go to `wandb.init`; to resume, give `id` and `resume="allow"`.
    """

    def __init__(self, project: str, **options: Any):
        self._module = _extra("wandb", "wandb")
        self._project, self._options, self._run = project, options, None

    def start(self, info: Mapping[str, Any]) -> None:
        self._run = self._module.init(project=self._project, **{"config": dict(info), **self._options})

    def record(self, first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> None:
        if self._run is None:
            raise SpecError("expected start(info) before record(…) on WandB; got none. Call start first.")
        for i, steps in enumerate(env_steps):
            shown = {name: _middle(np.asarray(values)[:, i]) for name, values in metrics.items()}
            for name, values in metrics.items():
                shown |= {f"seed_{seed}/{name}": float(row[i]) for seed, row in enumerate(np.asarray(values))}
            self._run.log({name: x for name, x in shown.items() if math.isfinite(x)}, step=int(steps))

    def end(self, status: Sequence[Status]) -> None:
        if self._run is not None:
            failed = any(x in (Status.non_finite, Status.env_failed) for x in status)
            self._run.finish(exit_code=int(failed))


@contextlib.contextmanager
def storing(path: Path, verb: str = "write") -> Iterator[None]:
    """Turn the system's refusals into a StoreError with the path and the free space."""
    try:
        yield
    except OSError as error:
        there = next((p for p in [path, *path.parents] if p.exists()), Path())
        free = shutil.disk_usage(there).free
        raise StoreError(
            f"expected to {verb} {path}; the system answered: {error.strerror or error} ({free:,} bytes free). "
            "Free space, or choose a folder you may write to."
        ) from error


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SpecError(
            f"expected the package {module.split('.')[0]}; it is not installed in {sys.prefix}. "
            f"Install it with: pip install 'operant[{extra}]'"
        ) from error


def _rows(values: np.ndarray, name: str, iterations: int) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or values.shape[1] != iterations:
        raise DataError(f"expected metric {name!r} of shape (S, {iterations}), seeds × iterations; got {values.shape}.")
    return values


def _columns(first_iteration: int, metrics: Recorded, env_steps: np.ndarray) -> dict[str, np.ndarray]:
    """The table of `Csv` as flat columns: iterations, and within each of them seeds."""
    rows = {name: _rows(values, name, len(env_steps)) for name, values in metrics.items()}
    seeds, iterations = next(iter(rows.values())).shape
    return {
        "seed": np.tile(np.arange(seeds), iterations),
        "iteration": np.repeat(first_iteration + np.arange(iterations), seeds),
        "env_steps": np.repeat(np.asarray(env_steps, np.int64), seeds),
        **{name: values.T.ravel() for name, values in rows.items()},
    }


def _whole_lines(path: Path) -> list[str]:
    """The lines that end; a last one without a newline was cut short."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _middle(x: np.ndarray) -> float:
    """Interquartile mean over the seeds that have a number."""
    finite = x[np.isfinite(x)]
    return float(interquartile_mean(finite)) if len(finite) else math.nan


def _short(n: float) -> str:
    """
    >>> _short(950), _short(102400), _short(2e6)
    ('950', '102k', '2M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{unit}"
    return f"{n:.0f}"


def _clock(seconds: float) -> str:
    """
    >>> _clock(75), _clock(3700)
    ('1:15', '1:01:40')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
