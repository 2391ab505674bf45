"""Environments of EnvPool (an extra): C++ threads that step a whole batch at once, several times a Python loop's rate.

EnvPool resets an environment on the step *after* the one that ended it, and ignores that step's action: a transition
nobody took. Here the finished environments are reset within the same step (by their numbers, while the others wait),
so that `obs` is already reset and `final_obs` is the true successor, as everywhere in Operant.

*Snapshots.* EnvPool keeps its state and generators inside C++ and lends out neither: `snapshot` returns None, so a run
on it can be continued, with new episodes, but not resumed bit for bit. `Gymnasium` can.

*Termination at the time limit.* EnvPool reports a step that both terminates and reaches the limit as a truncation only.

Reference: Weng et al., 2022, "EnvPool: A Highly Parallel Reinforcement Learning Environment Execution Engine",
arXiv:2206.10558.

>>> EnvPool("CartPole-v1").spec.max_steps  # doctest: +SKIP
500
"""

import dataclasses
import functools
import json
import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np

from operant.core import AbstractHostEnv, EnvSpec, Obs, Step
from operant.envs import spaces
from operant.envs.gymnasium import Arguments, arguments, env_seeds, finite, make_step, named, suggest
from operant.errors import EnvError, SpecError


class EnvPool(AbstractHostEnv):
    """An EnvPool environment by id. Raises SpecError without the extra, and for an unknown id or unusable space."""

    id: str
    """EnvPool id, "HalfCheetah-v5"; `envpool.list_all_envs()` lists them."""
    kwargs: dict[str, Any] = eqx.field(default=Arguments(), converter=arguments)
    """Arguments of the environment itself (numbers, words, lists)."""
    num_threads: int = 0
    """Threads that step the batch; 0: one a core."""
    max_steps: int | None = None
    """Steps after which an episode is truncated; none: as registered."""
    names: tuple[str, ...] = eqx.field(default=(), converter=tuple)
    """Names of the observation's elements, so that reward programs can ask for them; none: unnamed."""

    def __check_init__(self):
        if self.num_threads < 0:
            raise SpecError(f"expected num_threads ≥ 0 (0: one a core); got {self.num_threads}.")
        if self.max_steps is not None and self.max_steps < 1:
            raise SpecError(f"expected max_steps ≥ 1, or none for the registered limit; got {self.max_steps}.")

    @property
    def spec(self) -> EnvSpec:
        return named(_spec(self.id, json.dumps(self.kwargs, sort_keys=True), self.max_steps), self.names)

    def open(self, num_envs: int, *, render: bool = False) -> "EnvPoolVector":
        """Prepare a batch; EnvPool itself starts at `reset`, since its seeds are fixed when it is made."""
        if num_envs < 1:
            raise SpecError(f"expected num_envs ≥ 1; got {num_envs}.")
        spec = dataclasses.replace(self.spec, num_envs=num_envs)
        options = dict(self.kwargs)
        if render:
            options["render_mode"] = "rgb_array"
        if self.max_steps is not None:
            options["max_episode_steps"] = self.max_steps
        return EnvPoolVector(spec, options, self.num_threads)


def _library(id: str) -> Any:
    try:
        import envpool
    except ImportError as e:
        raise SpecError(
            f"environment 'envpool:{id}' needs EnvPool, which is not installed ({e}): `pip install operant[envpool]`, "
            "or leave 'envpool:' away to step Gymnasium's own."
        ) from e
    return envpool


def _pool(id: str, **options: Any) -> tuple[Any, Any, Any]:
    """`(pool, observation space, action space)`. Raises SpecError for an unknown id, EnvError where it cannot start."""
    library = _library(id)
    known = library.list_all_envs()
    if id not in known:
        raise SpecError(f"unknown EnvPool id '{id}'. " + suggest(id, known, "`envpool.list_all_envs()` lists all."))
    try:
        with warnings.catch_warnings():  # its float64 bounds, told anew with every space
            warnings.filterwarnings("ignore", message=".*precision lowered by casting")
            pool = library.make_gymnasium(id, **options)
            return pool, pool.observation_space, pool.action_space
    except Exception as e:
        raise EnvError(
            f"EnvPool could not make '{id}' with {options}: {type(e).__name__}: {e}. Change `kwargs`."
        ) from e


@functools.lru_cache(maxsize=256)  # a pure function of its arguments; making a pool takes a while
def _spec(id: str, kwargs: str, max_steps: int | None) -> EnvSpec:
    limit = {} if max_steps is None else {"max_episode_steps": max_steps}
    pool, obs, action = _pool(id, num_envs=1, num_threads=1, **json.loads(kwargs), **limit)
    steps = getattr(pool.spec.config, "max_episode_steps", None)
    pool.close()
    try:
        ours, acts = spaces.from_gymnasium(obs), spaces.action_from_gymnasium(action)
    except SpecError as e:
        raise SpecError(f"environment 'envpool:{id}': {e}") from e
    return EnvSpec(ours, acts, steps, name=id)


class EnvPoolVector:
    """A live batch of EnvPool environments; see `operant.core.HostEnv`. `EnvPool.open` makes it."""

    def __init__(self, spec: EnvSpec, options: dict[str, Any], num_threads: int):
        self.spec = spec
        self._options = {**options, "num_envs": spec.num_envs, "num_threads": num_threads}
        self._pool: Any = None
        self._t = np.zeros(spec.num_envs, int)

    @property
    def num_envs(self) -> int:
        return self.spec.num_envs

    def reset(self, *, seed: int | Sequence[int]) -> Obs:
        """Start the batch anew, each environment with its own seed; observations with a leading axis N."""
        self.close()
        seeds = [s & 0x7FFFFFFF for s in env_seeds(seed, self.num_envs)]  # EnvPool's are int32
        self._pool, self._space, action = _pool(self.spec.name, **self._options, seed=seeds)
        self._actions = spaces.Actions(action, self.num_envs, f"'{self.spec.name}'")
        self._t[:] = 0
        obs = spaces.convert(self._space, self._pool.reset()[0])
        return finite(obs, self._t, self.spec.name)

    def step(self, action: np.ndarray) -> Step:
        """One step each, actions (N, *shape); what ended is reset, its true successor in `final_obs`.

        Raises EnvError for an action out of range, a non-finite observation, or before the first reset.
        """
        if self._pool is None:
            raise EnvError(f"'{self.spec.name}': expected a reset before the first step. Call reset(seed=…).")
        raw, reward, terminated, truncated, _ = self._pool.step(self._actions(action))
        self._t += 1
        obs = final_obs = finite(spaces.convert(self._space, raw), self._t, self.spec.name)
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            raw, info = self._pool.reset(ended.astype(np.int32))
            fresh = spaces.convert(self._space, raw)
            rows = {int(i): spaces.row(fresh, k) for k, i in enumerate(info["env_id"])}  # in its order, not ours
            self._t[ended] = 0
            obs = finite(spaces.place(final_obs, rows), self._t, self.spec.name)
        return make_step(obs, reward.astype(np.float32), terminated, truncated, final_obs)

    def snapshot(self) -> None:
        """None: EnvPool's state cannot be read."""
        return

    def restore(self, snapshot: list) -> Obs:
        raise EnvError(
            f"'envpool:{self.spec.name}' cannot be brought back to a saved state: EnvPool lends out neither its state "
            f"nor its generators. Use 'gym:{self.spec.name}' for runs that must resume bit for bit."
        )

    def render(self) -> list[np.ndarray]:
        """One RGB frame an environment, uint8 (height, width, 3). Raises SpecError unless opened with render=True."""
        if self._options.get("render_mode") != "rgb_array":
            raise SpecError(f"expected '{self.spec.name}' to be opened with render=True before it is drawn.")
        if self._pool is None:
            raise EnvError(f"'{self.spec.name}': expected a reset before drawing. Call reset(seed=…).")
        try:
            return list(np.asarray(self._pool.render(env_ids=np.arange(self.num_envs, dtype=np.int32))))
        except Exception as e:
            raise EnvError(f"EnvPool could not draw '{self.spec.name}': {e}. Draw 'gym:{self.spec.name}'.") from e

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
