"""`fit`: sample the dataset, update the reward, update the learner; again, for all seeds at once.

    seeds over devices ∘ compiled chunk of updates (sample B → reward.update → learner.update on (1, B))

The driver is `train`'s: the same chunks, records, checkpoints and statuses; only where a batch comes from differs.
`operant.resume(folder, env=dataset)` goes on with an interrupted run, to the end it would have had.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

from operant.core import AbstractLearner, Intent, Metrics
from operant.data.dataset import Dataset
from operant.errors import RunError, SpecError
from operant.io.recorders import AbstractRecorder, Silent
from operant.loops.engines import _Engine
from operant.loops.iteration import TrainState, iteration_keys, learn
from operant.loops.spread import sharding
from operant.loops.train import FILE, Run, _check, _Job


def fit(
    learner: AbstractLearner,
    dataset: Dataset,
    intent: Intent,
    *,
    steps: int,
    seeds: int | Sequence[int] | None = None,
    key: PRNGKeyArray,
    recorder: AbstractRecorder | None = None,
    folder: str | Path | None = None,
    throw: bool = True,
) -> Run:
    """Learn a policy, or several side by side, from recorded transitions alone.

    Args:
        learner: one that learns from a dataset; its field `batch` says how many transitions an update sees.
        intent: its reward relabels what is sampled; a learner that only imitates never asks for it.
        steps: updates of each seed. `Run.env_steps` counts updates likewise, `Run.env` is the dataset.
        seeds, key, recorder, folder, throw: as `operant.train`.

    Raises:
        SpecError: settings that cannot be; spaces that do not fit; a learner that needs an environment.
        RunError: the folder holds a run already, or a seed's numbers became non-finite (`throw`).
    """
    chosen = [0] if seeds is None else list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    _check(learner, dataset, intent, steps, 1, chosen, key, ("dataset", Dataset))
    name, card = type(learner).__name__, getattr(learner, "card", None)
    if card is not None and "env" in card.needs:
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
    path = None if folder is None else Path(folder)
    if path is not None and (path / FILE).exists():
        raise RunError(
            f"expected a new run folder; {path} holds a run. Resume it with "
            f"operant.resume({str(path)!r}, env=dataset), or choose another folder."
        )
    source: Any = dataset  # stands where an environment does
    return _Job(learner, source, intent, steps, batch, chosen, key, recorder or Silent(), path).run(None, throw)


class FitEngine(_Engine):
    """Chunks of updates as one compiled function; the dataset is an argument of it, not a constant in it."""

    env: Any  # a Dataset

    def start(self) -> TrainState:
        return self._begin((), ())

    def compile(self, states: TrainState) -> None:
        """Trace and compile for states of this shape."""
        seeds = sharding(self.members)
        everywhere = jax.devices()[0] if seeds is None else NamedSharding(seeds.mesh, PartitionSpec())
        self._compile(states, self._step, jax.device_put(self.env, everywhere))

    def _step(self, learner: AbstractLearner, state: TrainState, dataset: Dataset) -> tuple[TrainState, Metrics]:
        learning, (sampling, *_) = iteration_keys(state.key, state.iteration, 1, 1)
        batch = dataset.sample(self.spec.num_envs, sampling.reshape(()))
        new, metrics = learn(learner, self.intent, state, jax.tree.map(lambda x: x[None], batch), learning)
        new = eqx.tree_at(lambda s: s.tally, new, state.tally)  # rows drawn at random make no episodes
        return new, {name: x for name, x in metrics.items() if not name.startswith("episode/")}

    def advance(self, states: TrainState, n: int) -> tuple[TrainState, np.ndarray, np.ndarray]:
        return self._advance(states, n)

    def snapshot(self) -> Any:
        return None
