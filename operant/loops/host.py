"""Policies that are not JAX (an ONNX file, a Stable-Baselines3 zip, a robot's own): run their episodes from Python.

Audits compile what they run and never call back out of it, so such a policy is run first, here, in a Python loop around
one compiled environment step (or a host environment's own), and audited by its recorded episodes.

>>> from operant.envs.toy import CartPole
>>> env = CartPole()
>>> right = HostPolicy.of(env.spec, lambda obs: np.ones(len(obs), int))
>>> run_host(right, env, episodes=3, key=jax.random.key(0)).lengths.shape
(3,)
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.core import AbstractEnv, AbstractHostEnv, Box, Discrete, EnvSpec, Step
from operant.errors import DataError, SpecError
from operant.loops.rollout import WIDTH, Episodes, check_fit, limit_of, play_out


@dataclasses.dataclass(frozen=True)
class HostPolicy:
    """A batch of NumPy observations to a batch of actions, outside JAX."""

    spec: EnvSpec
    """The spaces it acts in."""
    act: Callable[[Any, Any], tuple[Any, Any]]
    """`(observations, memory) -> (actions, memory)`, every array with a leading axis N."""
    memory: tuple[np.ndarray, ...] = ()
    """What one environment's memory begins with, without the axis N; () where there is none."""
    name: str = ""

    @classmethod
    def of(cls, spec: EnvSpec, function: Callable[[Any], Any], name: str = "") -> "HostPolicy":
        """One without memory, from a function of observations (N, …) to actions (N, …)."""
        return cls(spec, lambda obs, memory: (function(obs), memory), (), name)


def run_host(
    policy: HostPolicy,
    env: AbstractEnv | AbstractHostEnv,
    *,
    episodes: int,
    key: PRNGKeyArray,
    max_steps: int | None = None,
) -> Episodes:
    """`episodes` whole episodes of a host policy in fresh environments.

    Raises:
        SpecError: `episodes` < 1, spaces that do not fit, no time limit.
        DataError: actions of another shape, or outside the action space.
    """
    if episodes < 1:
        raise SpecError(f"expected episodes ≥ 1; got {episodes}. Ask for at least one.")
    check_fit(policy.spec, env.spec)
    limit = limit_of(env, max_steps)
    n = min(episodes, WIDTH)
    reset_key, run_key = jax.random.split(key)
    live = _Compiled(env, n, run_key) if isinstance(env, AbstractEnv) else env.open(n)
    fresh = memory = tuple(np.broadcast_to(m, (n, *m.shape)) for m in policy.memory)

    def choose(obs: Any, start: np.ndarray, t: int) -> tuple[np.ndarray, dict]:
        nonlocal memory
        memory = tuple(_again(start, m, f) for m, f in zip(memory, fresh, strict=True))
        action, memory = policy.act(obs, memory)
        return _checked(action, env.spec.action, n, policy.name), {}

    return play_out(live, n, episodes, limit, int(jax.random.randint(reset_key, (), 0, 2**31 - 1)), choose)


def _again(start: np.ndarray, memory: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Fresh memory where an episode begins."""
    return np.where(start.reshape(-1, *[1] * (fresh.ndim - 1)), fresh, memory)


class _Compiled:
    """N copies of a JAX environment behind a host environment's `reset`, `step` and `close`."""

    def __init__(self, env: AbstractEnv, n: int, key: PRNGKeyArray):
        self.n, self.key, self.t, self.state = n, key, 0, None
        self._reset = eqx.filter_jit(lambda k: jax.vmap(lambda one: env.reset(key=one))(jax.random.split(k, n)))

        def step(state: Any, action: Any, key: PRNGKeyArray, t: int) -> tuple[Any, Step]:
            keys = jax.random.split(jax.random.fold_in(key, t), n)
            return jax.vmap(lambda s, a, k: env.step(s, a, key=k))(state, action, keys)

        self._step = jax.jit(step)

    def reset(self, *, seed: int) -> Any:
        self.state, obs = self._reset(jax.random.key(seed))
        return jax.device_get(obs)

    def step(self, action: np.ndarray) -> Step:
        self.state, step = self._step(self.state, action, self.key, self.t)
        self.t += 1
        return jax.device_get(step)

    def close(self) -> None:
        self.state = None


def _checked(action: Any, space: Box | Discrete, n: int, name: str) -> np.ndarray:
    action, who = np.asarray(action), name or "the policy"
    shape = (n, *space.shape) if isinstance(space, Box) else (n,)
    if action.shape != shape:
        raise DataError(
            f"expected actions of shape {shape} for {n} observations in {space}; {who} gave {action.shape} "
            f"({action.dtype}). Return one action an observation{'' if isinstance(space, Box) else ', its index'}."
        )
    if isinstance(space, Discrete):
        if not np.issubdtype(action.dtype, np.integer) or action.min() < 0 or action.max() >= space.n:
            raise DataError(f"expected actions that are integers 0 … {space.n - 1}; {who} gave {action[:4]}.")
        return action.astype(np.int32)
    low, high = space.bounds()
    action = action.astype(space.dtype)
    if not (np.isfinite(action).all() and (action >= low).all() and (action <= high).all()):
        wrong = next(a for a in action if not space.contains(a) or not np.isfinite(a).all())
        raise DataError(f"expected finite actions in {space}; {who} gave {wrong}. Clip them to the box in the policy.")
    return action
