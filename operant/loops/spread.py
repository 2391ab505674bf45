"""The seed axis over the devices there are: cores of a CPU, or GPUs. One program, compiled once for all of them."""

import functools
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


def compiler_options() -> dict[str, Any]:
    """For XLA. On a CPU LLVM's first level of optimisation: 6 % sooner compiled (PPO) and no slower measured."""
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}


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


def _replays(tree: Any) -> list[Replay]:
    return [x for x in jax.tree.leaves(tree, is_leaf=_is_replay) if _is_replay(x)]


def _one_by_one(f: Callable, tree: Any) -> Any:
    """`f` of each member of a leading axis, in turn; replays are handed over whole and written in place.

    `lax.map` alone would copy every replay out of the stack and back, for each call: where a call is one step of a host
    environment, that takes ten times as long as learning. Replays in `f`'s answer, if there are any, stand for those in
    its argument, in the same order.
    """
    each = lambda change, tree: jax.tree.map(lambda x: change(x) if _is_replay(x) else x, tree, is_leaf=_is_replay)
    bare = lambda tree: each(lambda r: Replay(None, r.cursor, r.filled), tree)  # type: ignore[arg-type]

    def whole(tree: Any, stacks: list[Any], member: Array | None) -> Any:
        left = iter(stacks)
        return each(lambda r: Replay(next(left), r.cursor, r.filled, member), tree)

    def one(stacks: list[Any], now: tuple[Array, Any]) -> tuple[list[Any], Any]:
        member, rest = now
        answer = f(whole(rest, stacks, member))
        return [r.data for r in _replays(answer)] or stacks, bare(answer)

    stacks, members = [r.data for r in _replays(tree)], len(jax.tree.leaves(tree)[0])
    stacks, answers = jax.lax.scan(one, stacks, (jnp.arange(members), bare(tree)))
    return whole(answers, stacks, None)


def over_seeds(f: Callable, seeds: int) -> Callable:
    """`f(tree, shared)` for each seed of `tree`'s leading axis; `shared` is the same for all.

    Several seeds on one device run under `vmap` on an accelerator and one after another on a CPU core: there it is as
    fast, compiles once for any number of seeds, keeps `lax.cond` a branch, and gives each seed the very bits that it
    would have had alone.
    """
    devices = devices_for(seeds)

    def local(tree: Any, shared: Any) -> Any:
        alone = seeds == devices
        if alone and not _replays(tree):  # with one, x[0] and x[None] would copy it, each time
            out = f(jax.tree.map(lambda x: x[0], tree), shared)
            return jax.tree.map(lambda x: x[None], out)
        if alone or jax.default_backend() == "cpu":
            return _one_by_one(lambda t: f(t, shared), tree)
        return jax.vmap(lambda t: f(t, shared))(tree)

    if devices == 1:
        return local
    spec = PartitionSpec("seeds")
    return jax.shard_map(local, mesh=_mesh(devices), in_specs=(spec, PartitionSpec()), out_specs=spec, check_vma=False)
