"""Where a claim's figures come from: training here, another library's committed runs, or an exact computation.

>>> Greedy(episodes=20).words
'mean return of 20 greedy episodes after training'
"""

import abc
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.core import AbstractEnv, AbstractHostEnv, AbstractLearner, AbstractReward, Intent, Status
from operant.envs import make
from operant.errors import DataError
from operant.io import card as cards
from operant.io.recorders import AbstractRecorder
from operant.loops.asking import Teaching
from operant.loops.rollout import evaluate
from operant.loops.train import FILE, Run, load, resume, train
from operant.rewards.task import Task

REFERENCE = Path("benchmarks/results/sb3_reference")
"""Where `benchmarks/reference_sb3.py` writes, from the root of a checkout."""


class Figures(NamedTuple):
    """One figure a seed, and the seconds they took (compiling and running, over all sittings)."""

    values: np.ndarray
    seconds: float


class Bench(NamedTuple):
    """What a sample is drawn with."""

    key: PRNGKeyArray
    steps: int
    seeds: int
    folder: Path | None
    """Where runs are kept, so that they resume; None: they are not."""
    recorder: AbstractRecorder


class AbstractSample(abc.ABC):
    """A source of figures."""

    @abc.abstractmethod
    def figures(self, bench: Bench) -> Figures: ...

    @abc.abstractmethod
    def plain(self) -> dict[str, Any]:
        """JSON-able: what a result says of it."""


# --- figures of a run -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Greedy:
    """Mean return of fresh greedy episodes, judged by the environment's own reward."""

    episodes: int = 20

    @property
    def words(self) -> str:
        return f"mean return of {self.episodes} greedy episodes after training"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        return _returns(run, key, self.episodes, deterministic=True)


@dataclasses.dataclass(frozen=True)
class Acted:
    """Mean return of fresh episodes in which actions are drawn from the policy as learned."""

    episodes: int = 20

    @property
    def words(self) -> str:
        return f"mean return of {self.episodes} episodes drawn from the learned policy"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        return _returns(run, key, self.episodes, deterministic=False)


@dataclasses.dataclass(frozen=True)
class LastEpisodes:
    """Mean return of the training episodes that ended in the last share of the steps, exploration and all."""

    share: float = 0.1

    @property
    def words(self) -> str:
        return f"mean return of the training episodes that ended in the last {self.share:.0%} of the steps"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        late = run.env_steps > (1.0 - self.share) * run.env_steps[-1]
        returns, counts = run.metrics["episode/return"][:, late], run.metrics["episode/count"][:, late]
        weights = np.where(np.isfinite(returns), counts, 0.0)
        if not (weights.sum(1) > 0).all():
            raise DataError(
                f"expected every seed to end an episode in the last {self.share:.0%} of {run.env_steps[-1]} steps; "
                f"got {weights.sum(1).tolist()}. Raise the steps or the share."
            )
        return (np.where(weights > 0, returns, 0.0) * weights).sum(1) / weights.sum(1)


def _returns(run: Run, key: PRNGKeyArray, episodes: int, deterministic: bool) -> np.ndarray:
    means = []
    for i, policy in enumerate(run.policies()):
        found = evaluate(
            policy, run.env, episodes=episodes, key=jax.random.fold_in(key, i), deterministic=deterministic
        )
        means.append(float(np.asarray(found.returns).mean()))
    return np.array(means)


Figure = Callable[[Run, PRNGKeyArray], np.ndarray]


# --- samples --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Trained(AbstractSample):
    """Train on an environment and take a figure of every seed.

    With a folder the run is kept there, and taken up again where it stopped. A seed whose numbers became non-finite
    counts with its last finite parameters.
    """

    learner: AbstractLearner
    env: str | AbstractEnv
    """An id for `operant.make`, or the environment."""
    figure: Figure = Greedy()
    reward: AbstractReward = Task()  # noqa: RUF009
    num_envs: int = 16
    teaching: Teaching | None = None
    """Who teaches the reward, and how much is asked."""

    def plain(self) -> dict[str, Any]:
        plain = {
            "learner": plain_fields(self.learner),
            "env": self.env if isinstance(self.env, str) else plain_fields(self.env),
            "reward": plain_fields(self.reward),
            "num_envs": self.num_envs,
            "figure": getattr(self.figure, "words", ""),
        }
        return plain if self.teaching is None else plain | {"teaching": plain_fields(self.teaching)}

    def figures(self, bench: Bench) -> Figures:
        env = make(self.env) if isinstance(self.env, str) else self.env
        train_key, figure_key = jax.random.split(bench.key)
        run = self._run(env, train_key, bench)
        seconds = run.card.get("compile_seconds", 0.0) + run.card.get("run_seconds", 0.0)
        return Figures(self.figure(run, figure_key), seconds)

    def _run(self, env: AbstractEnv | AbstractHostEnv, key: PRNGKeyArray, bench: Bench) -> Run:
        intent = Intent(self.reward)
        folder = None if bench.folder is None else bench.folder / self._digest(bench)
        if folder is not None and (folder / FILE).exists():
            given = {"learner": self.learner, "env": env, "intent": intent}
            ended = "running" not in cards.read(folder)["status"] and "stopped" not in cards.read(folder)["status"]
            run = load(folder, **given) if ended else resume(folder, **given, recorder=bench.recorder, throw=False)
        else:
            run = train(
                self.learner, env, intent, steps=bench.steps, num_envs=self.num_envs, seeds=bench.seeds, key=key,
                recorder=bench.recorder, folder=folder, throw=False,
                teacher=None if self.teaching is None else self.teaching.teacher,
                questions=None if self.teaching is None else self.teaching.questions,
            )  # fmt: skip
        if Status.stopped in run.status:
            stop = KeyboardInterrupt(f"stopped; what was learned is in {folder}")
            stop.folder = folder  # type: ignore[attr-defined]  (what the command line says to resume)
            raise stop
        if Status.env_failed in run.status:
            raise DataError(
                f"expected {env.spec.name} to run to the end; it failed in {[s.name for s in run.status]}. "
                "Mend the environment, delete the run's folder and start again."
            )
        return run

    def _digest(self, bench: Bench) -> str:
        """Eight letters that change with the settings: a run of other settings is never taken for this one."""
        number = np.asarray(jax.random.key_data(bench.key)).tolist()
        env = self.env if isinstance(self.env, str) else plain_fields(self.env)
        settings = [
            plain_fields(self.learner),
            env,
            plain_fields(self.reward),
            self.num_envs,
            bench.steps,
            bench.seeds,
            number,
            *([] if self.teaching is None else [plain_fields(self.teaching)]),
        ]
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class StableBaselines(AbstractSample):
    """Stable-Baselines3's runs of the same budget, from the files of `benchmarks/reference_sb3.py`."""

    algorithm: str
    env: str
    folder: Path = REFERENCE

    def plain(self) -> dict[str, Any]:
        return {"library": "stable_baselines3", "algorithm": self.algorithm, "env": self.env}

    def figures(self, bench: Bench) -> Figures:
        found = [
            json.loads(path.read_text()) for path in sorted(self.folder.glob(f"{self.algorithm}-{self.env}-*.json"))
        ]
        runs = [record for record in found if record["steps"] == bench.steps]
        if len(runs) < 2:
            raise DataError(
                f"expected at least 2 runs of Stable-Baselines3's {self.algorithm} on {self.env} over {bench.steps} "
                f"steps in {self.folder}; got {len(runs)}. Run `python benchmarks/reference_sb3.py --all`, from the "
                "root of a checkout."
            )
        return Figures(np.array([r["return_mean"] for r in runs]), sum(r["seconds"] for r in runs))


@dataclasses.dataclass(frozen=True)
class Exact(AbstractSample):
    """What a function computes, with nothing left to chance."""

    function: Callable[[], np.ndarray]
    words: str

    def plain(self) -> dict[str, Any]:
        return {"exact": self.words}

    def figures(self, bench: Bench) -> Figures:
        return Figures(np.asarray(self.function(), float), 0.0)


def plain_fields(module: Any) -> Any:
    """Every field of a module, defaults too, JSON-able and the same in every process; functions by their names."""
    if dataclasses.is_dataclass(module):
        fields = {f.name: plain_fields(getattr(module, f.name)) for f in dataclasses.fields(module)}
        return {"type": type(module).__name__, **fields}
    if isinstance(module, tuple | list):
        return [plain_fields(x) for x in module]
    if isinstance(module, dict):
        return {str(name): plain_fields(x) for name, x in module.items()}
    if isinstance(module, float) and not np.isfinite(module):
        return str(module)
    if module is None or isinstance(module, bool | int | float | str):
        return module
    if isinstance(module, np.ndarray | jax.Array):
        return np.asarray(module).tolist()
    return getattr(module, "__qualname__", type(module).__name__)


def still(stored: Any, now: Any) -> bool:
    """Whether what was stored still says what is so: fields that are new since then do not count.

    >>> still({"a": 1}, {"a": 1, "b": 2}), still({"a": 1}, {"a": 2})
    (True, False)
    """
    if isinstance(stored, dict) and isinstance(now, dict):
        return all(name in now and still(x, now[name]) for name, x in stored.items())
    if isinstance(stored, list | tuple) and isinstance(now, list | tuple):
        return len(stored) == len(now) and all(map(still, stored, now))
    return bool(stored == now)
