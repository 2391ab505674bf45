"""`fit`: sample the dataset, update the reward, update the learner; again, for all seeds at once.

    seeds over devices ∘ compiled chunk of updates (sample B → reward.update → learner.update on (1, B))

The driver is `train`'s: the same chunks, records, checkpoints and statuses; only where a batch comes from differs.
`operant.resume(folder, env=dataset)` goes on with an interrupted run, to the end it would have had.

What a learner sees of stored comparisons (`ComparisonDataset`), its card says:

    needs "comparisons"               the answered pairs, (1, B, 2, L): left and right; extras "mask", "target", "known"
    needs "comparisons", "dataset"    all pairs, answered or not
    needs "dataset"                   the segments' own steps, (1, B)

What it is given of a `Dataset`, it may say itself: transitions drawn uniformly (1, B) unless it has

    window: int > 1                             windows of that many steps (1, B, L), `Dataset.windows`; extras "mask"
    draw(dataset, n, key) -> Transition         whatever this gives, one axis added: goals, rows, windows with goals
    prepare(state, dataset, *, key) -> state    called once a seed, outside jit, before the first update: bins, moments

Rewards are shown single steps (1, B), the last of each window; `prepare` may change the shapes of a state.

A reward that learns from comparisons is taught by them before the first update, by as many lessons as training with
a teacher would give for K known answers, ⌈K/20⌉ (`Questions.at_once`), each about all of them; then it stays as it is.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractLearner, AbstractReward, EnvSpec, Intent, Metrics, RewardState, Transition
from operant.data.comparison_dataset import ComparisonDataset
from operant.data.dataset import Dataset
from operant.errors import RunError, SpecError
from operant.io.recorders import AbstractRecorder, Silent
from operant.learners.offline.iql import IQL
from operant.loops.asking import Questions
from operant.loops.engines import _Engine, member
from operant.loops.iteration import TrainState, iteration_keys, learn
from operant.loops.spread import compiler_options, over_seeds, place, sharding
from operant.loops.train import FILE, Run, _check, _Job
from operant.math import random
from operant.rewards.constraints.lagrangian import Lagrangian
from operant.rewards.imitation.demonstrations import Demonstrations
from operant.rewards.preferences import AbstractPreferences


def fit(
    learner: AbstractLearner,
    dataset: Dataset | ComparisonDataset,
    intent: Intent,
    *,
    steps: int,
    seeds: int | Sequence[int] | None = None,
    key: PRNGKeyArray,
    recorder: AbstractRecorder | None = None,
    folder: str | Path | None = None,
    throw: bool = True,
) -> Run:
    """Learn a policy, or several side by side, from recorded transitions or stored comparisons alone.

    Args:
        learner: one that learns from a dataset; its field `batch` says how many transitions (or pairs, where it learns
            from comparisons) an update sees.
        intent: its reward relabels what is sampled; a learner that only imitates, or that learns from comparisons,
            never asks for it. One that learns from comparisons (`rewards.preferences`) is taught by the dataset's.
        steps: updates of each seed. `Run.env_steps` counts updates likewise, `Run.env` is the dataset.
        seeds, key, recorder, folder, throw: as `operant.train`.

    Raises:
        SpecError: settings that cannot be; spaces that do not fit; a learner that needs an environment; a learner or
            reward that learns from comparisons, and a dataset without any.
        DataError: comparisons are needed, and none has an answer.
        RunError: the folder holds a run already, or a seed's numbers became non-finite (`throw`).
    """
    chosen = [0] if seeds is None else list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    _check(learner, dataset, intent, steps, 1, chosen, key, ("dataset", Dataset | ComparisonDataset))
    name, needs = type(learner).__name__, _needs(learner)
    if "env" in needs:
        raise SpecError(
            f"expected a learner that learns from a dataset alone; {name} needs an environment: it learns from what it "
            "does itself. Use operant.train, or a learner whose card needs only a dataset, such as learners.bc.BC."
        )
    batch = getattr(learner, "batch", None)
    if not isinstance(batch, int) or batch < 1:
        raise SpecError(
            f"expected {name}.batch, the transitions an update sees, to be a whole number ≥ 1; got {batch!r}. "
            "Give the learner that field."
        )
    _check_comparisons(name, needs, dataset, intent)
    if isinstance(learner, IQL) and isinstance(intent.reward, Demonstrations) and intent.reward.by is None:
        raise SpecError(
            f"expected a reward for {name}, which asks for it; Demonstrations without `by` pay nothing. Use "
            "Intent(Task()) for the recorded rewards, or a learner that clones, such as BC."
        )
    path = None if folder is None else Path(folder)
    if path is not None and (path / FILE).exists():
        raise RunError(
            f"expected a new run folder; {path} holds a run. Resume it with "
            f"operant.resume({str(path)!r}, env=dataset), or choose another folder."
        )
    source: Any = dataset  # stands where an environment does
    return _Job(learner, source, intent, steps, batch, chosen, key, recorder or Silent(), path).run(None, throw)


def learns_from_data(learner: AbstractLearner) -> bool:
    """Whether a learner is for `fit` on a `Dataset`, and not for `train`."""
    needs = _needs(learner)
    return "dataset" in needs and not {"env", "comparisons"} & set(needs)


def _needs(learner: AbstractLearner) -> tuple[str, ...]:
    card = getattr(learner, "card", None)
    return () if card is None else card.needs


def _check_comparisons(name: str, needs: tuple[str, ...], dataset: Any, intent: Intent) -> None:
    """Raise SpecError where learner or reward needs comparisons that are not there, or that do not fit."""
    reward = intent.reward
    if not isinstance(dataset, ComparisonDataset):
        who = name if "comparisons" in needs else type(reward).__name__
        if "comparisons" in needs or isinstance(reward, AbstractPreferences):
            raise SpecError(
                f"expected a ComparisonDataset for {who}, which learns from which of two segments was better; got a "
                "Dataset, which holds none. Give operant.data.comparison_dataset.ComparisonDataset.from_store(…) or "
                "from_pairs(…)."
            )
        return
    if "comparisons" in needs or isinstance(reward, AbstractPreferences):
        _ = dataset.labelled  # raises DataError where none has an answer
    if not isinstance(reward, AbstractPreferences):
        return
    who, room = type(reward).__name__, getattr(reward, "capacity", dataset.size)
    if reward.segment != dataset.length:
        raise SpecError(
            f"expected {who}.segment = {dataset.length}, the steps of the dataset's segments; got {reward.segment}. "
            f"Use {who}(segment={dataset.length})."
        )
    if room < dataset.size:
        raise SpecError(
            f"expected {who}.capacity ≥ {dataset.size}, the dataset's pairs; got {room}: later answers would replace "
            f"earlier ones. Use {who}(capacity={dataset.size})."
        )


def _drawn(learner: Any, dataset: Any, n: int, key: PRNGKeyArray) -> Transition:
    """What an update is given (n, …): see the module's docstring."""
    if hasattr(learner, "draw"):
        return learner.draw(dataset, n, key)
    window = getattr(learner, "window", 1)
    return dataset.windows(n, window, key) if isinstance(window, int) and window > 1 else dataset.sample(n, key)


class FitEngine(_Engine):
    """Chunks of updates as one compiled function; the dataset is an argument of it, not a constant in it."""

    env: Any  # a Dataset or a ComparisonDataset

    def __init__(self, learner: AbstractLearner, env: Any, intent: Intent, *about: Any):
        self.taught = isinstance(env, ComparisonDataset) and isinstance(_stated(intent), AbstractPreferences)
        if self.taught:
            intent = eqx.tree_at(_stated, intent, _Taught(_stated(intent)))
        given: Any = env
        super().__init__(learner, given, intent, *about)
        self.compares = isinstance(env, ComparisonDataset) and "comparisons" in _needs(learner)
        self.source: Any = env
        if isinstance(env, ComparisonDataset) and not self.compares:
            self.source = env.steps
        elif self.compares and "dataset" not in _needs(learner):
            self.source = env.labelled

    def start(self) -> TrainState:
        states = self._begin((), ())
        if not hasattr(self.learner, "prepare"):
            return states
        prepared = []
        for i, key in enumerate(self.keys):
            learner: Any = member(self.learner, i, self.members)
            state = jax.tree.map(lambda x, i=i: np.asarray(x[i]), states.learner)
            prepared.append(learner.prepare(state, self.source, key=random.children(key, 7)[6]))
        stacked = jax.tree.map(lambda *x: np.stack([np.asarray(one) for one in x]), *prepared)
        return eqx.tree_at(lambda s: s.learner, states, place(stacked, self.members))

    def compile(self, states: TrainState) -> None:
        """Trace and compile for states of this shape."""
        seeds = sharding(self.members)
        everywhere = jax.devices()[0] if seeds is None else NamedSharding(seeds.mesh, PartitionSpec())
        self._compile(states, self._step, jax.device_put(self.source, everywhere))

    def _step(self, learner: AbstractLearner, state: TrainState, dataset: Any) -> tuple[TrainState, Metrics]:
        learning, (sampling, *_) = iteration_keys(state.key, state.iteration, 1, 1)
        batch = _drawn(learner, dataset, self.spec.num_envs, sampling.reshape(()))
        batch = shown = jax.tree.map(lambda x: x[None], batch)
        if self.compares:  # what measures rewards takes steps, so it is shown the first of each left segment
            shown = _first(batch)
        elif batch.reward.ndim == 3:  # and the last of each window
            shown = jax.tree.map(lambda x: x[:, :, -1], eqx.tree_at(lambda t: t.extras, batch, {}))
        pupil: Any = learner if shown is batch else _Handed(learner, batch)
        new, metrics = learn(pupil, self.intent, state, shown, learning)
        new = eqx.tree_at(lambda s: s.tally, new, state.tally)  # rows drawn at random make no episodes
        return new, {name: x for name, x in metrics.items() if not name.startswith("episode/")}

    def advance(self, states: TrainState, n: int) -> tuple[TrainState, np.ndarray, np.ndarray]:
        if self.taught and int(np.asarray(states.iteration)[0]) == 0:
            states = self._teach(states)
        return self._advance(states, n)

    def _teach(self, states: TrainState) -> TrainState:
        """The states with every seed's reward having learned from all answers (see the module's docstring)."""
        reward, answers = _stated(self.intent).reward, self.env.answers
        lessons = math.ceil(int(np.asarray(self.env.known).sum()) / Questions().at_once)

        def teach(state: Any, keys: Any, answers: Any) -> Any:
            return jax.lax.scan(lambda s, k: (reward.teach(s, answers, key=k)[0], None), state, keys)

        keys = [random.children(random.children(key, 6)[5], lessons) for key in self.keys]  # the engine uses five
        spread = over_seeds(teach, self.members)
        run = jax.jit(spread, donate_argnums=(0,), compiler_options=compiler_options())
        where = (lambda s: s.reward.reward) if _constrained(self.intent) else (lambda s: s.reward)
        stacked = place(random.stack([random.stack(k) for k in keys]), self.members)
        return eqx.tree_at(where, states, run(where(states), stacked, answers)[0])

    def snapshot(self) -> Any:
        return None


def _constrained(intent: Intent) -> bool:
    """Whether the stated reward stands inside what constraints made of it (`train` wraps it so)."""
    return isinstance(intent.reward, Lagrangian)


def _stated(intent: Intent) -> Any:
    """The reward as it was stated, without what constraints make of it."""
    return intent.reward.reward if isinstance(intent.reward, Lagrangian) else intent.reward


class _Taught(AbstractReward):
    """A reward that learned from stored comparisons, and no longer learns: rows drawn at random are no behaviour."""

    reward: AbstractPreferences

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        return self.reward.init(dataclasses.replace(spec, num_envs=1), key=key)  # it watches nobody

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        return self.reward(state, batch)

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        _, metrics = self.reward.update(state, jax.tree.map(lambda x: x[:, :1], batch), key=key)
        return state, {name: x for name, x in metrics.items() if name.startswith("preferences/")}


class _Handed(eqx.Module):
    """A learner that is handed these comparisons, whatever the loop shows it."""

    learner: AbstractLearner
    batch: Transition

    def update(self, state: Any, batch: Transition, reward: Any, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        return self.learner.update(state, self.batch, reward, key=key)


def _first(batch: Transition) -> Transition:
    """The first step of each left segment (1, B)."""
    return jax.tree.map(lambda x: x[:, :, 0, 0], eqx.tree_at(lambda t: t.extras, batch, {}))
