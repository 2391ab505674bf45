"""A compiled loop in chunks, recorded between them: what `search` and `play` share.

One compiled function does any number of iterations; Python sees the state about once a second, records, and stops
there at Ctrl-C with what was done so far.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from operant.core import Metrics, Status
from operant.io.recorders import AbstractRecorder
from operant.loops.train import CHUNK_SECONDS, MAX_ROWS, _interruptible

Step = Callable[[PyTree[Array], Array], tuple[PyTree[Array], Metrics]]


def run_chunks(
    step: Step, state: PyTree[Array], iterations: int, per_iteration: int, title: str, recorder: AbstractRecorder
) -> tuple[PyTree[Array], dict[str, np.ndarray], np.ndarray, dict[str, Any]]:
    """Iterate `step(state, i) -> (state, metrics)` for i = 0 … iterations − 1; `state` is donated.

    Returns `(state, metrics, steps, card)`: metrics (rows,) are those of the last iteration of each of at most
    `MAX_ROWS` windows, `steps` (rows,) is what was done up to there, in units of `per_iteration` an iteration; the
    card says compile and run seconds, iterations and status.
    """
    window = -(-iterations // MAX_ROWS)
    most = -(-iterations // window)
    recorder.start({"title": title, "steps": iterations * per_iteration, "seeds": 1})
    recorder.phase("compiling")
    began = time.perf_counter()
    state = jax.tree.map(lambda x: jnp.array(x), state)  # buffers of its own: donation forbids aliases
    names = sorted(jax.eval_shape(step, state, jax.ShapeDtypeStruct((), jnp.int32))[1])

    def chunk(state: PyTree[Array], first: Array, n: Array) -> tuple[PyTree[Array], Array]:
        def body(i: Array, carry: Any) -> Any:
            state, rows = carry
            state, metrics = step(state, i)
            values = jnp.stack([jnp.asarray(metrics[name], jnp.float32) for name in names])
            return state, rows.at[i // window - first // window].set(values)

        return jax.lax.fori_loop(first, first + n, body, (state, jnp.full((most, len(names)), jnp.nan)))

    compiled = jax.jit(chunk, donate_argnums=(0,)).lower(state, np.int32(0), np.int32(0)).compile()
    card: dict[str, Any] = {"compile_seconds": time.perf_counter() - began}
    recorder.phase("training")
    blocks, ends = [], []
    done, pace, run_seconds, status = 0, None, 0.0, Status.done
    with _interruptible() as interrupted:
        while done < iterations and not interrupted.is_set():
            windows = 1 if pace is None else max(1, int(CHUNK_SECONDS / max(pace, 1e-9) / window))
            n = min(iterations - done, windows * window)
            began = time.perf_counter()
            state, rows = compiled(state, np.int32(done), np.int32(n))
            values = np.asarray(rows)[: -(-n // window)]
            seconds = time.perf_counter() - began
            run_seconds, pace = run_seconds + seconds, seconds / n
            end = np.minimum(done + window * (1 + np.arange(len(values))), done + n).astype(np.int64) * per_iteration
            recorder.record(sum(map(len, blocks)), {name: values[None, :, i] for i, name in enumerate(names)}, end)
            blocks.append(values)
            ends.append(end)
            done += n
        if done < iterations:
            status = Status.stopped
    recorder.end([status])
    table, steps = np.concatenate(blocks), np.concatenate(ends)
    card |= {"run_seconds": run_seconds, "iterations": done, "status": status.name}
    return state, {name: table[:, i] for i, name in enumerate(names)}, steps, card
