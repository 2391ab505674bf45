"""Acting without learning: `evaluate`, `predict`, and the rollout that training shares.

Compiled here, pure everywhere else. Batched policies are `vmap` of unbatched ones; a JAX environment runs inside one
compiled scan, a host environment in a Python loop around one compiled `act`.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import (
    AbstractEnv,
    AbstractHostEnv,
    AbstractPolicy,
    Box,
    Carry,
    Composite,
    EnvSpec,
    Obs,
    Space,
    Transition,
)
from operant.errors import DataError, SpecError
from operant.loops.spread import compiler_options
from operant.math.random import unrolled

WIDTH = 16
"""Host environments evaluated side by side, at most."""


class Episodes(eqx.Module):
    """What a policy did, episode by episode, padded to the longest T; `mask` says which steps took place."""

    returns: Float[Array, " n"]
    """Sum of the environment's own reward, undiscounted."""
    lengths: Int[Array, " n"]
    transitions: Transition
    """(n, T); `extras` holds what the policy said."""
    mask: Bool[Array, "n T"]

    def sum(self, values: Float[Array, "n T"]) -> Float[Array, " n"]:
        """Sum over each episode's own steps, e.g. of another reward."""
        return jnp.where(self.mask, values, 0.0).sum(axis=1)


def where(mask: Bool[Array, " n"], new: Any, old: Any) -> Any:
    """Leaf by leaf, `new` where `mask`, along the first axis."""
    choose = lambda a, b: jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim)), a, b)
    return jax.tree.map(choose, new, old)


def carries(policy: AbstractPolicy, n: int) -> Carry:
    """`n` fresh carries side by side."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *jnp.shape(x))), policy.init_carry())


def act(policy: AbstractPolicy, obs: Obs, carry: Carry, keys: PRNGKeyArray | None) -> tuple[Any, dict, Carry]:
    """The policy over a batch of observations (N, …); `keys=None` is greedy."""
    return jax.vmap(lambda o, c, k: policy(o, c, key=k))(obs, carry, keys)


def collect(
    env: AbstractEnv, policy: AbstractPolicy, env_state: Any, obs: Obs, carry: Carry, keys: tuple[Any, Any], fresh: Any
) -> tuple[tuple[Any, Obs, Carry], Transition]:
    """Act in N environments for T steps; returns the new `(env_state, obs, carry)` and the rollout (T, N).

    `keys`, each (T, N): for the policy (None is greedy), for the environment's own noise. `fresh` (T, N, …): where an
    episode begins that follows one that ended at t, as `env.initial` gives it.
    """

    def step(state: Any, now: Any) -> tuple[Any, Transition]:
        env_state, obs, carry = state
        policy_keys, env_keys, fresh = now
        action, extras, carry = act(policy, obs, carry, policy_keys)
        env_state, s = jax.vmap(lambda e, a, f, k: env.step_into(e, a, f, key=k))(env_state, action, fresh, env_keys)
        t = Transition(obs, action, s.reward, s.terminated, s.truncated, s.final_obs, extras)
        carry = where(t.done, carries(policy, t.done.shape[0]), carry)
        return (env_state, s.obs, carry), t

    return jax.lax.scan(step, (env_state, obs, carry), (*keys, fresh))


# --- evaluation -----------------------------------------------------------------------------------------------------


def evaluate(
    policy: AbstractPolicy,
    env: AbstractEnv | AbstractHostEnv,
    *,
    episodes: int,
    key: PRNGKeyArray,
    deterministic: bool = True,
    max_steps: int | None = None,
) -> Episodes:
    """Run whole episodes in fresh environments; normalisation statistics are the policy's, frozen.

    Raises:
        SpecError: `episodes` < 1, spaces that do not fit, or an environment without a time limit and no `max_steps`.
    """
    if episodes < 1:
        raise SpecError(f"expected episodes ≥ 1; got {episodes}. Ask for at least one.")
    if not isinstance(env, AbstractEnv | AbstractHostEnv):
        raise SpecError(
            f"expected an AbstractEnv or AbstractHostEnv; got {type(env).__name__}. Make one with operant.make(id)."
        )
    check_fit(policy.spec, env.spec)
    limit = limit_of(env, max_steps)
    if isinstance(env, AbstractEnv):
        return _compiled()(policy, env, episodes, limit, deterministic, unrolled(key))
    return _evaluate_host(policy, env, episodes, limit, deterministic, key)


def limit_of(env: AbstractEnv | AbstractHostEnv, max_steps: int | None) -> int:
    """Steps after which an episode is left: `max_steps`, or else the environment's own. Raises SpecError for none."""
    if max_steps is not None and max_steps < 1:
        raise SpecError(f"expected max_steps ≥ 1, or None for the environment's own limit; got {max_steps}.")
    limit = env.spec.max_steps if max_steps is None else max_steps
    if limit is None:
        raise SpecError(
            f"expected a time limit: {env.spec.name or type(env).__name__} has max_steps=None and may never end. "
            "Pass max_steps=…."
        )
    return limit


def check_fit(policy: EnvSpec, env: EnvSpec) -> None:
    """Raise SpecError unless a policy made for one spec can act in an environment of the other."""
    for what, a, b in differing(policy, env):
        raise SpecError(
            f"expected a policy for {what} in {b}; got one for {a}. Evaluate it in the environment it was made for "
            f"({policy.name or 'unnamed'})."
        )


def differing(a: EnvSpec, b: EnvSpec) -> Iterator[tuple[str, Space, Space]]:
    """`(what, of a, of b)` for observations and actions, where kind, shape or number are not the same."""
    shape = lambda space: (type(space).__name__, getattr(space, "shape", None) or getattr(space, "n", None))
    entries = lambda space: {n: shape(s) for n, s in space.spaces} if isinstance(space, Composite) else shape(space)
    for what, x, y in (("observations", a.obs, b.obs), ("actions", a.action, b.action)):
        if entries(x) != entries(y):
            yield what, x, y


@functools.cache
def _compiled() -> Callable:
    return eqx.filter_jit(_evaluate_jax, compiler_options=compiler_options(seldom=True))


def _evaluate_jax(
    policy: AbstractPolicy, env: AbstractEnv, episodes: int, limit: int, deterministic: bool, key: PRNGKeyArray
) -> Episodes:
    reset_key, run_key = jax.random.split(key)
    env_state, obs = jax.vmap(lambda k: env.reset(key=k))(jax.random.split(reset_key, episodes))
    policy_keys, env_keys = jax.random.split(run_key, (2, limit, episodes))
    start = (env_state, obs, carries(policy, episodes))
    fresh = jax.tree.map(lambda x: jnp.broadcast_to(x, (limit, *x.shape)), env_state.inner)  # only the first counts
    _, ts = collect(env, policy, *start, (None if deterministic else policy_keys, env_keys), fresh)
    return _episodes(jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), ts))


def _episodes(ts: Transition) -> Episodes:
    """The first episode of each row of `ts` (n, T)."""
    last = jnp.where(ts.done.any(axis=1), ts.done.argmax(axis=1), ts.done.shape[1])  # cumsum takes long to compile
    mask = jnp.arange(ts.done.shape[1])[None] <= last[:, None]
    returns = jnp.where(mask, ts.reward, 0.0).sum(axis=1)
    return Episodes(returns, mask.sum(axis=1), ts, mask)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _act_host(
    fixed: Any, arrays: list, obs: Obs, carry: Carry, greedy: bool, start: Array, key: PRNGKeyArray | None, t: int
) -> tuple[Any, dict, Carry]:
    structure, others = fixed
    leaves = [b if a is None else a for a, b in zip(arrays, others, strict=True)]
    policy = jax.tree_util.tree_unflatten(structure, leaves)
    n = start.shape[0]
    carry = carries(policy, n) if carry is None else where(start, carries(policy, n), carry)
    keys = None if greedy or key is None else jax.random.split(jax.random.fold_in(key, t), n)
    return act(policy, obs, carry, keys)


def _parts(policy: AbstractPolicy) -> tuple[Any, list]:
    """What of a policy is fixed when it is compiled (hashable), and its arrays."""
    leaves, structure = jax.tree_util.tree_flatten(policy)
    arrays = [x if eqx.is_array(x) else None for x in leaves]
    return (structure, tuple(None if eqx.is_array(x) else x for x in leaves)), arrays


def _evaluate_host(
    policy: AbstractPolicy, env: AbstractHostEnv, episodes: int, limit: int, deterministic: bool, key: PRNGKeyArray
) -> Episodes:
    n = min(episodes, WIDTH)
    fixed, arrays = _parts(policy)
    carry = carries(policy, n)

    def choose(obs: Obs, start: np.ndarray, t: int) -> tuple[Any, dict]:
        nonlocal carry
        action, extras, carry = _act_host(fixed, arrays, obs, carry, deterministic, start, key, t)
        return jax.device_get((action, extras))

    return play_out(env.open(n), n, episodes, limit, int(jax.random.randint(key, (), 0, 2**31 - 1)), choose)


def play_out(live: Any, n: int, episodes: int, limit: int, seed: int, choose: Callable) -> Episodes:
    """`episodes` whole episodes in `n` live host environments, which are closed at the end.

    `choose(obs, start, t) -> (actions, extras)`: `start` says where an episode begins at step t. An environment whose
    episode was cut off at `limit` waits until all can be reset, for none is reset alone.
    """
    quota = np.array([episodes // n + (i < episodes % n) for i in range(n)])
    steps: list[Transition] = []
    begun, finished = np.zeros(n, int), []  # where each one's episode began; (environment, begin, end) of the ended
    waits, resets = np.zeros(n, bool), 0
    try:
        obs, start = live.reset(seed=seed), np.ones(n, bool)
        while quota.any():
            action, extras = choose(obs, start, len(steps))
            s = live.step(action)
            steps.append(Transition(obs, action, s.reward, s.terminated, s.truncated, s.final_obs, extras))
            obs, start = s.obs, np.asarray(s.terminated | s.truncated)
            for i in np.flatnonzero((quota > 0) & ~waits):
                if start[i] or len(steps) - begun[i] >= limit:
                    finished.append((i, begun[i], len(steps)))
                    begun[i] = len(steps)
                    quota[i] -= 1
                    waits[i] = not start[i]
            if quota.any() and waits[quota > 0].all():
                resets += 1
                obs, start = live.reset(seed=(seed + resets) % (2**31 - 1)), np.ones(n, bool)
                begun[:], waits[:] = len(steps), False
    finally:
        live.close()
    lengths: Any = np.array([end - begin for _, begin, end in finished])
    mask: Any = np.arange(lengths.max())[None] < lengths[:, None]

    def cut(*x: np.ndarray) -> np.ndarray:
        whole = np.stack(x)  # (steps, N, …)
        result = np.zeros((*mask.shape, *whole.shape[2:]), whole.dtype)
        for row, (i, begin, end) in zip(result, finished, strict=True):
            row[: end - begin] = whole[begin:end, i]
        return result

    ts = jax.tree.map(cut, *steps)
    return Episodes(np.where(mask, ts.reward, 0.0).sum(axis=1), lengths, ts, mask)


# --- one observation at a time --------------------------------------------------------------------------------------


def predict(
    policy: AbstractPolicy,
    obs: Any,
    carry: Carry | None,
    episode_start: Any,
    deterministic: bool,
    key: PRNGKeyArray | None,
) -> tuple[np.ndarray, Carry]:
    """See `AbstractPolicy.predict`."""
    if not deterministic and key is None:
        raise SpecError(
            "expected key=jax.random.key(…) with deterministic=False: keys are arguments, never state. "
            "Pass a fresh one each call."
        )
    parts: list[tuple[str, tuple[int, ...], np.ndarray]] = []

    def cast(space: Space, x: Any, where: str) -> Any:
        if not isinstance(space, Composite):
            box = isinstance(space, Box)
            parts.append((where, space.shape if box else (), np.asarray(x, space.dtype if box else np.int32)))
            return parts[-1][2]
        names = [name for name, _ in space.spaces]
        if not (isinstance(x, Mapping) and all(name in x for name in names)):
            got = sorted(x) if isinstance(x, Mapping) else type(x).__name__
            raise DataError(f"expected observations{where} to be a dict of {names}; got {got}. Give every entry.")
        return {name: cast(s, x[name], f"{where}[{name!r}]") for name, s in space.spaces}

    obs = cast(policy.spec.obs, obs, "")
    batched = parts[0][2].ndim == len(parts[0][1]) + 1
    for where, want, x in parts:
        if x.shape[int(batched) :] != want:
            raise DataError(
                f"expected observations{where} of shape {want}, or ({', '.join(map(str, ('n', *want)))}); got "
                f"{x.shape}. Give one observation or a batch."
            )
    if not batched:
        obs = jax.tree.map(lambda x: x[None], obs)
    rows = [x.shape[0] if batched else 1 for _, _, x in parts]
    n, start = rows[0], np.asarray(False if episode_start is None else episode_start, bool)
    if set(rows) != {n} or start.shape not in ((), (1,), (n,)):
        raise DataError(
            f"expected observations of one batch size, and as many of episode_start; got {sorted(set(rows))} and shape "
            f"{start.shape}. Give every entry the same leading axis."
        )
    start = np.broadcast_to(start, (n,))
    fixed, arrays = _parts(policy)
    action, _, carry = _act_host(fixed, arrays, obs, carry, deterministic, start, key, 0)
    action = np.asarray(action)
    return (action if batched else action[0]), carry
