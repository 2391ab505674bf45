"""The seed axis over the devices there are: cores of a CPU, or GPUs. One program, compiled once for all of them."""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from operant.data.replay import Replay


def devices_for(seeds: int) -> int:
    """The most devices that `seeds` divide over evenly.

    >>> devices_for(1)
    1
    """
    return max(d for d in range(1, len(jax.devices()) + 1) if seeds % d == 0)


_EMITTERS = "xla_cpu_use_fusion_emitters"


def compiler_options(seldom: bool = False) -> dict[str, Any]:
    """For XLA. On a CPU LLVM's first level of optimisation: 6 % sooner compiled (PPO) and no slower measured.

    What runs `seldom` goes without XLA's newer way of compiling fusions: ready in half of the time, and as much as
    twice as long to run, of little work (20 episodes of CartPole-v1 are seen first after 0.34 s for 0.71, later after
    6.6 ms for 3.5). A level asked for in `XLA_FLAGS` goes before all of this.
    """
    asked = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    if asked or jax.default_backend() != "cpu":
        return {}
    quick = {_EMITTERS: False} if seldom and _has_emitters() else {}
    return {"xla_backend_optimization_level": 1, **quick}


@functools.cache
def _has_emitters() -> bool:
    """Whether this XLA knows the option; such come and go."""
    try:
        jax.jit(lambda x: x, compiler_options={_EMITTERS: False})(np.int32(0))
    except jax.errors.JaxRuntimeError:
        return False
    return True


@functools.cache
def _mesh(devices: int) -> Mesh:
    return Mesh(np.array(jax.devices()[:devices]), ("seeds",))


def sharding(seeds: int) -> NamedSharding | None:
    """Where an array with a leading axis `seeds` lies; None: on the only device it needs."""
    devices = devices_for(seeds)
    return None if devices == 1 else NamedSharding(_mesh(devices), PartitionSpec("seeds"))


def place(tree: Any, seeds: int) -> Any:
    """Every leaf (seeds, …) onto its devices, as a buffer of its own (donation forbids aliases)."""
    where = sharding(seeds)
    return jax.tree.map(lambda x: jax.device_put(x, where or jax.devices()[0]), tree)


def _is_replay(x: Any) -> bool:
    return isinstance(x, Replay)


def _holds_replay(tree: Any) -> bool:
    return any(_is_replay(x) for x in jax.tree.leaves(tree, is_leaf=_is_replay))


def _take(tree: Any, i: Array) -> Any:
    """Member i of (seeds, …); of a replay its place in the stack."""
    one = lambda x: Replay(x.data, x.cursor[i], x.filled[i], i) if _is_replay(x) else x[i]
    return jax.tree.map(one, tree, is_leaf=_is_replay)


def _put(tree: Any, new: Any, i: Array) -> Any:
    """(seeds, …) with member i replaced; a replay's stack has been written already."""
    put = lambda x, y: x.at[i].set(y)
    ring = lambda r, s: Replay(s.data, put(r.cursor, s.cursor), put(r.filled, s.filled))
    return jax.tree.map(lambda x, y: ring(x, y) if _is_replay(x) else put(x, y), tree, new, is_leaf=_is_replay)


def _one_by_one(f: Callable, state: Any, own: Any) -> Any:
    """`f` of each member of a leading axis, in turn, its state written in place.

    `lax.map` would have the answers' stack filled beside the states' and copied over it: with three seeds of 6 MB of
    networks two thirds as long again as learning, for memory that is asked of the system anew at each call. Nor is a
    replay taken out of its stack: where a call is one step of a host environment, that takes ten times as long.
    """

    def one(state: Any, i: Array) -> Any:
        new, answer = f(_take(state, i), _take(own, i))
        return _put(state, new, i), answer

    members = len(jax.tree.leaves((state, own))[0])
    return jax.lax.scan(one, state, jnp.arange(members))


def over_seeds(f: Callable, seeds: int) -> Callable:
    """`f(state, own, shared) -> (state, answer)` for each seed of the leading axis of `state` and `own`.

    `state` comes back as it went, to be donated; `own` is only read; `shared` is the same for all seeds.

    Several seeds on one device run under `vmap` on an accelerator and one after another on a CPU core: there it is as
    fast, compiles once for any number of seeds, keeps `lax.cond` a branch, and gives each seed the very bits that it
    would have had alone.
    """
    devices = devices_for(seeds)

    def local(state: Any, own: Any, shared: Any) -> Any:
        alone = seeds == devices
        if alone and not _holds_replay((state, own)):  # with one, x[0] and x[None] would copy it, each time
            out = f(*jax.tree.map(lambda x: x[0], (state, own)), shared)
            return jax.tree.map(lambda x: x[None], out)
        if alone or jax.default_backend() == "cpu":
            return _one_by_one(lambda s, o: f(s, o, shared), state, own)
        return jax.vmap(lambda s, o: f(s, o, shared))(state, own)

    if devices == 1:
        return local
    spec = PartitionSpec("seeds")
    specs = (spec, spec, PartitionSpec())
    return jax.shard_map(local, mesh=_mesh(devices), in_specs=specs, out_specs=spec, check_vma=False)
