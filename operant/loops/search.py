"""`search`: ask an emitter, evaluate, offer to an archive, tell the emitter; again, compiled.

solutions ← emitter.ask(elites);  fitness, descriptor ← evaluate(solutions);  elites ← archive.insert(…);  tell
"""

import datetime
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from operant.archives import AbstractArchive, Elites
from operant.core import Metrics, Status
from operant.emitters import AbstractEmitter
from operant.errors import SpecError
from operant.io import card as cards
from operant.io.recorders import AbstractRecorder, Silent
from operant.loops.chunks import run_chunks
from operant.math.random import unrolled

Evaluate = Callable[[PyTree[Array], PRNGKeyArray], tuple[Float[Array, ""], Float[Array, " D"]]]
"""One solution and a key, to its fitness and its descriptor: pure, in JAX; `search` runs it over batches."""


class SearchRun(eqx.Module):
    """What a search gives: the elites it found, and how their number and quality grew."""

    emitter: AbstractEmitter
    archive: AbstractArchive
    state: PyTree[Array]
    """The emitter's."""
    elites: Elites
    metrics: dict[str, np.ndarray]
    """family/name -> (rows,): the value at the end of each row's iterations."""
    evaluations: np.ndarray
    """(rows,): solutions evaluated up to the end of each row."""
    card: dict[str, Any]
    """Versions, device, seconds."""

    @property
    def status(self) -> Status:
        """`done`, or `stopped` by Ctrl-C: what was found until then is here."""
        return Status[self.card["status"]]

    def best(self) -> PyTree[Array]:
        """The solution of the highest fitness."""
        return self.elites.best()

    @property
    def coverage(self) -> float:
        """Share of cells occupied."""
        return float(self.archive.metrics(self.elites)["archive/coverage"])

    @property
    def qd_score(self) -> float:
        """Σ (fitness − archive.worst) over occupied cells."""
        return float(self.archive.metrics(self.elites)["archive/qd_score"])


def search(
    emitter: AbstractEmitter,
    archive: AbstractArchive,
    evaluate: Evaluate,
    *,
    steps: int,
    key: PRNGKeyArray,
    recorder: AbstractRecorder | None = None,
) -> SearchRun:
    """Fill an archive with the best solution of each kind.

    Args:
        evaluate: one solution and a key, to `(fitness (), descriptor (D,))`; a pure JAX function.
        steps: evaluations; rounded up to whole batches of `emitter.batch`.
        key: decides everything: same key, same result, bit for bit, on the same machine and backend.

    Raises:
        SpecError: settings that cannot be; an `evaluate` that answers with other shapes.
    """
    for what, value, kind in (("emitter", emitter, AbstractEmitter), ("archive", archive, AbstractArchive)):
        if not isinstance(value, kind):
            raise SpecError(f"expected {what} to be an {kind.__name__}; got {type(value).__name__}.")
    if not isinstance(steps, int) or steps < 1:
        raise SpecError(f"expected steps to be a whole number ≥ 1; got {steps!r}. Steps are evaluations.")
    _check_evaluate(evaluate, emitter, archive)
    start_key, run_key = jax.random.split(unrolled(key))

    def step(carry: Any, i: Array) -> tuple[Any, Metrics]:
        elites, state, run_key = carry
        ask_key, evaluate_key = jax.random.split(jax.random.fold_in(run_key, i))
        solutions, state = emitter.ask(state, elites, key=ask_key)
        keys = jax.random.split(evaluate_key, emitter.batch)
        fitness, descriptor = jax.vmap(evaluate)(solutions, keys)
        elites, added = archive.insert(elites, solutions, fitness, descriptor)
        state = emitter.tell(state, solutions, fitness, descriptor, added)
        return (elites, state, run_key), archive.metrics(elites) | {"emitter/added": (added.status > 0).mean()}

    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    start = (archive.init(emitter.example()), emitter.init(key=start_key), run_key)
    title = f"{type(emitter).__name__} · {type(archive).__name__}"
    iterations = -(-steps // emitter.batch)
    (elites, state, _), metrics, done, seconds = run_chunks(
        step, start, iterations, emitter.batch, title, recorder or Silent()
    )
    card = {"search": title, "steps": steps, "started": began, "versions": cards.versions()} | seconds
    return SearchRun(emitter, archive, state, elites, metrics, done, card)


def _check_evaluate(evaluate: Any, emitter: AbstractEmitter, archive: AbstractArchive) -> None:
    """Raise SpecError unless one solution's answer is a number and a descriptor of the archive's size."""
    if not callable(evaluate):
        raise SpecError(
            f"expected evaluate(solution, key) -> (fitness, descriptor); got {type(evaluate).__name__}. Write one."
        )
    answer = jax.eval_shape(evaluate, emitter.example(), jax.random.key(0))
    shapes = jax.tree.map(lambda x: x.shape, answer)
    if not (isinstance(answer, tuple) and shapes == ((), (archive.dims,))):
        raise SpecError(
            f"expected evaluate(solution, key) to return (fitness (), descriptor ({archive.dims},)) of one solution, "
            f"as {type(archive).__name__} has {archive.dims} dimension(s); got shapes {shapes}. "
            "Mend evaluate, or the archive's bounds."
        )
    if any(not jnp.issubdtype(x.dtype, jnp.floating) for x in answer):
        raise SpecError(f"expected floats from evaluate; got {[str(x.dtype) for x in answer]}. Cast them to float32.")
