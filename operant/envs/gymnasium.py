"""Any Gymnasium environment, as a batch outside JAX.

`step` resets what ended and reports the true successor in `final_obs` (Gymnasium's "same step" autoreset). Time limits
are truncations, and `terminated` and `truncated` are never merged. Environment i of a batch reset with seed s is seeded
with the i-th number that `numpy.random.SeedSequence(s)` generates, so that batches of neighbouring seeds share nothing.

`vector="sync"` is a Python loop of ours over the environments. Against Gymnasium's `SyncVectorEnv` over environments
with the same checks and memory, it took less processor time a step on two shared cores: CartPole-v1 by a factor of
1.7, 1.4, 1.3 at 1, 8, 32 environments, Hopper-v5 of 1.2, 1.1, 1.0; and exceptions keep their cause. The checks and
the memory themselves cost a few microseconds a step: a fifth more than a bare `SyncVectorEnv` on CartPole-v1 (which is
in JAX here anyway), nothing that could be measured on Hopper-v5. `vector="async"` is Gymnasium's `AsyncVectorEnv`: one
process an environment, worth it only for environments much slower than a message between processes; MuJoCo's are not.
Its processes start from a fork server (JAX cannot be forked), so a script that uses it needs the usual
`if __name__ == "__main__":`.

*Bit-exact snapshots.* Each environment remembers the state of its random generator just before the last `reset`, that
reset's seed, and the actions since; `restore` replays them in a fresh environment and compares observation, return and
generator bit for bit. Its cost is the length of the current episode. An environment that keeps state anywhere else
(its own generator, a file, a clock) is refused with an `EnvError` rather than resumed wrongly.

*Rendering.* MuJoCo draws without a display through EGL (Debian: `libegl1`, with `libgl1-mesa-dri` for software) or
OSMesa (`libosmesa6`). Where there is no display and `MUJOCO_GL` is unset, `open(render=True)` sets it to whichever is
there. Shadows, reflections and multisampling are off in what it draws (HalfCheetah-v5 at 240×240 in software: 20
times faster).

Reference: Towers et al., 2024, "Gymnasium: A Standard Interface for Reinforcement Learning Environments",
arXiv:2407.17032.

>>> env = Gymnasium("CartPole-v1")
>>> env.spec.obs.shape, env.spec.action, env.spec.max_steps
((4,), Discrete(n=2), 500)
>>> live = env.open(2)
>>> live.reset(seed=0).shape, live.step(np.array([0, 1])).reward.tolist()
((2, 4), [1.0, 1.0])
>>> live.close()
"""

import copy
import ctypes.util
import dataclasses
import difflib
import functools
import importlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import gymnasium as gym
import jax
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from operant.core import AbstractHostEnv, Box, EnvSpec, Obs, Space, Step
from operant.envs import spaces
from operant.envs.replay import Tracked, mujoco_hint
from operant.errors import DataError, EnvError, SpecError

# --- the description ------------------------------------------------------------------------------------------------


class Arguments(dict):
    """Keyword arguments that can be written into a study, and hashed like the description that holds them."""

    def __hash__(self) -> int:
        return hash(json.dumps(self, sort_keys=True))


def arguments(kwargs: Mapping | Sequence[tuple[str, Any]]) -> Arguments:
    """Arguments as what a study file can hold, so that a description and its written form are the same."""
    try:
        return Arguments(json.loads(json.dumps(dict(kwargs))))
    except (TypeError, ValueError) as e:
        raise SpecError(
            f"expected environment arguments of numbers, words, lists and dicts; got {kwargs!r} ({e}). "
            "Register your own environment that builds the object, and name that."
        ) from e


class Gymnasium(AbstractHostEnv):
    """A Gymnasium environment by id. Raises SpecError for an unknown id or a space that cannot be used."""

    id: str
    """Gymnasium id, "Hopper-v5", or "module:Env-v0" where a module registers it."""
    kwargs: dict[str, Any] = eqx.field(default=Arguments(), converter=arguments)
    """Arguments of the environment itself (numbers, words, lists, dicts)."""
    vector: Literal["sync", "async"] = "sync"
    """How the batch is stepped: in this process, or in one process an environment."""
    max_steps: int | None = None
    """Steps after which an episode is truncated; none: as registered."""
    names: tuple[str, ...] = eqx.field(default=(), converter=tuple)
    """Names of the observation's elements, so that reward programs can ask for them; none: unnamed."""
    fixed_horizon: bool = False
    """Whether nothing but the time limit ends an episode, as in HalfCheetah-v5: Gymnasium does not say."""

    def __check_init__(self):
        if self.vector not in ("sync", "async"):
            raise SpecError(f'expected vector "sync" or "async"; got {self.vector!r}.')
        if self.max_steps is not None and self.max_steps < 1:
            raise SpecError(f"expected max_steps ≥ 1, or none for the registered limit; got {self.max_steps}.")

    @property
    def spec(self) -> EnvSpec:
        found = _spec(self.id, json.dumps(self.kwargs, sort_keys=True), self.max_steps)
        return dataclasses.replace(named(found, self.names), fixed_horizon=self.fixed_horizon)

    def open(self, num_envs: int, *, render: bool = False) -> "GymnasiumVector":
        """Start `num_envs` environments (to be reset or restored before the first step); drawable if `render`."""
        if num_envs < 1:
            raise SpecError(f"expected num_envs ≥ 1; got {num_envs}.")
        spec = dataclasses.replace(self.spec, num_envs=num_envs)
        quiet = self.vector == "async"
        makers = [
            functools.partial(_tracked, self.id, self.kwargs, self.max_steps, render, i, quiet) for i in range(num_envs)
        ]
        return GymnasiumVector(spec, makers, self.vector, render)


def named(spec: EnvSpec, names: tuple[str, ...]) -> EnvSpec:
    """`spec` with its observation's elements named. Raises SpecError where the count does not fit."""
    if not names:
        return spec
    shape = spec.obs.shape if isinstance(spec.obs, Box) else type(spec.obs).__name__
    if shape != (len(names),):
        raise SpecError(
            f"expected one name an element of {spec.name}'s observation {shape}; got {len(names)}: {names}."
        )
    return dataclasses.replace(spec, obs=dataclasses.replace(spec.obs, names=names))


@functools.lru_cache(maxsize=256)  # a pure function of its arguments, and making a MuJoCo environment takes a while
def _spec(id: str, kwargs: str, max_steps: int | None) -> EnvSpec:
    env = make_one(id, json.loads(kwargs), max_steps, render=False)
    try:
        obs, action = spaces.from_gymnasium(env.observation_space), spaces.action_from_gymnasium(env.action_space)
        limit = env.spec.max_episode_steps if env.spec is not None else None
        return EnvSpec(obs, action, limit, name=id)
    except SpecError as e:
        raise SpecError(f"environment '{id}': {e}") from e
    finally:
        env.close()


# --- making one environment -----------------------------------------------------------------------------------------


def suggest(word: str, known: Sequence[str], everything: str) -> str:
    """The tail of a message about an unknown environment: the nearest names, as all of them would be too many.

    >>> suggest("Hoper-v5", ["Hopper-v5", "CartPole-v1"], "See the list.")
    "Nearest: 'Hopper-v5'. See the list."
    """
    lower = {name.lower(): name for name in known}
    close = [repr(lower[c]) for c in difflib.get_close_matches(word.lower(), lower, n=4, cutoff=0.6)]
    return f"Nearest: {', '.join(close)}. {everything}" if close else everything


def make_one(id: str, kwargs: Mapping[str, Any], max_steps: int | None, *, render: bool) -> gym.Env:
    """One Gymnasium environment. Raises SpecError for what cannot be had: the nearest ids, or what to install."""
    module, _, name = id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
    except ImportError as e:
        raise SpecError(
            f"expected a module that registers '{name}' with Gymnasium; importing '{module}' failed: {e}. "
            f"Install it, or run from the folder it lies in.{mujoco_hint()}"
        ) from e
    if name not in gym.registry:
        raise SpecError(
            f"unknown environment '{id}' (Gymnasium ids are 'Name-v0' or 'module:Name-v0'). "
            + suggest(name, list(gym.registry), "`gymnasium.pprint_registry()` lists all.")
        )
    if render:
        _prepare_drawing(name)  # in each process, since a fork server keeps the variables it started with
    limit = {} if max_steps is None else {"max_episode_steps": max_steps}
    mode = {"render_mode": "rgb_array"} if render else {}
    try:
        spec = copy.deepcopy(gym.spec(name))
        spec.order_enforce = False  # `Tracked` enforces it, one call less a step
        return gym.make(spec, disable_env_checker=True, **limit, **mode, **kwargs)
    except (gym.error.DependencyNotInstalled, ImportError) as e:
        if "gymnasium-robotics" in str(e):  # Gymnasium's robots of v2 and v3 have moved out
            how = suggest(name, [k for k in gym.registry if not k.endswith(("-v2", "-v3"))], "")
        else:
            mujoco = "mujoco" in f"{gym.spec(name).entry_point} {e}".lower()
            how = "`pip install operant[mujoco]`" if mujoco else "Install it."
        raise SpecError(f"environment '{id}' needs a package that is missing or broken: {e} {how}") from e
    except TypeError as e:
        raise SpecError(f"environment '{id}' does not take {dict(kwargs)}: {e}. Change `kwargs`.") from e
    except Exception as e:
        told = f"environment '{id}' could not be made with {dict(kwargs)}: {type(e).__name__}: {e}."
        raise EnvError(told + _gl_hint() + mujoco_hint()) from e


_BACKENDS = {"egl": "EGL", "osmesa": "OSMesa"}  # what MUJOCO_GL may name, and the library it needs
_PACKAGES = "On Debian or Ubuntu: `apt-get install libegl1 libgl1-mesa-dri`, or `apt-get install libosmesa6`."


def _gl_hint() -> str:
    """MuJoCo cannot even be imported while `MUJOCO_GL` names a backend whose library is missing."""
    backend = os.environ.get("MUJOCO_GL", "").lower()
    if backend not in _BACKENDS or ctypes.util.find_library(_BACKENDS[backend]):
        return ""
    return f" MUJOCO_GL={backend} is set, but its library is not here: unset it, or install it. {_PACKAGES}"


def _prepare_drawing(id: str) -> None:
    """Choose an off-screen backend for MuJoCo where there is no display; say which package is missing."""
    if "mujoco" not in str(gym.spec(id).entry_point).lower():
        return
    if os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY") or sys.platform != "linux":
        return
    for backend, library in _BACKENDS.items():
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
            return
    raise SpecError(f"drawing '{id}' without a display needs EGL or OSMesa; neither library is here. {_PACKAGES}")


def _lighten(env: gym.Env) -> None:
    """Turn off what makes software rendering slow: multisampling, shadows, reflections. Physics does not read these."""
    model: Any = getattr(env.unwrapped, "model", None)
    if hasattr(model, "light_castshadow"):
        model.vis.quality.offsamples = 0
        model.light_castshadow[:] = 0
        model.mat_reflectance[:] = 0


def _tracked(id: str, kwargs: dict, max_steps: int | None, render: bool, index: int, quiet: bool) -> Tracked:
    if quiet and multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to workers, too: it is for the loop
    env = make_one(id, kwargs, max_steps, render=render)
    if render:
        _lighten(env)
    return Tracked(env, index, id, quiet)


# --- batches --------------------------------------------------------------------------------------------------------


class _Loop:
    """A Python loop over environments in this process."""

    def __init__(self, makers: list[Callable[[], Tracked]], space: Space):
        self.envs = [make() for make in makers]
        self.space, self.action_space = space, self.envs[0].action_space

    def reset(self, seeds: list[int]) -> Obs:
        return spaces.stack(self.space, [env.reset(seed=s)[0] for env, s in zip(self.envs, seeds, strict=True)])

    def step(self, actions: np.ndarray) -> tuple[Obs, np.ndarray, np.ndarray, np.ndarray, dict[int, Any]]:
        rows, rewards, overs, lates, final = [], [], [], [], {}
        for i, env in enumerate(self.envs):
            obs, reward, over, late, _ = env.step(actions[i])
            if over or late:
                final[i] = spaces.copy(obs)  # `reset` may write into the same array
                obs = env.reset()[0]
            rows.append(obs)
            rewards.append(reward)
            overs.append(over)
            lates.append(late)
        obs = spaces.stack(self.space, rows)
        return obs, np.array(rewards, np.float32), np.array(overs), np.array(lates), final

    def snapshot(self) -> list:
        return [env.snapshot() for env in self.envs]

    def restore(self, snapshot: list) -> Obs:
        return spaces.stack(self.space, [env.restore(snapshot)[0] for env in self.envs])

    def render(self) -> list[Any]:
        return [env.render() for env in self.envs]

    def close(self) -> None:
        for env in self.envs:
            env.close()


class _Workers:
    """Gymnasium's AsyncVectorEnv: one process an environment."""

    def __init__(self, makers: list[Callable[[], Tracked]], space: Space, name: str):
        self.name, self.space = name, space
        # imported once in the server, not in every process; nothing there starts JAX, so forking it is safe
        multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__", __name__])
        self.vector = AsyncVectorEnv(makers, context="forkserver", autoreset_mode=AutoresetMode.SAME_STEP)
        self.action_space = self.vector.single_action_space

    def _call(self, run: Callable, *args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except (EOFError, OSError) as e:
            dead = [i for i, process in enumerate(self.vector.processes) if process.exitcode is not None]
            self._kill()
            raise EnvError(
                f"the processes of environments {dead} of '{self.name}' died without a word. "
                "Step it with vector='sync' to see why, or give the machine more memory."
            ) from e

    def _kill(self) -> None:
        """End the processes that are left; Gymnasium's own `close` would wait for answers that never come."""
        for process, pipe in zip(self.vector.processes, self.vector.parent_pipes, strict=True):
            process.terminate()
            pipe.close()
        self.vector.closed = True

    @staticmethod
    def _raise(info: dict) -> None:
        errors = [e for e in info.get("error", ()) if e]
        if errors:
            raise EnvError(errors[0])

    def reset(self, seeds: list[int]) -> Obs:
        obs, info = self._call(self.vector.reset, seed=seeds)
        self._raise(info)
        return obs

    def step(self, actions: np.ndarray) -> tuple[Obs, np.ndarray, np.ndarray, np.ndarray, dict[int, Any]]:
        obs, reward, terminated, truncated, info = self._call(self.vector.step, actions)
        self._raise(info)
        ended = np.flatnonzero(terminated | truncated)
        final = {int(i): info["final_obs"][i] for i in ended}
        return obs, reward.astype(np.float32), terminated, truncated, final

    def snapshot(self) -> list:
        return list(self._call(self.vector.call, "snapshot"))

    def restore(self, snapshot: list) -> Obs:
        rows, infos = zip(*self._call(self.vector.call, "restore", snapshot), strict=True)
        self._raise({"error": [info.get("error") for info in infos]})
        return spaces.stack(self.space, list(rows))

    def render(self) -> list[Any]:
        return list(self._call(self.vector.call, "render"))

    def close(self) -> None:
        if not self.vector.closed:
            self.vector.close()


_LEAF: Any = 0
_STEP = jax.tree.structure(Step(_LEAF, _LEAF, _LEAF, _LEAF, _LEAF))


def make_step(obs: Obs, reward: Any, terminated: Any, truncated: Any, final_obs: Obs) -> Step:
    """`Step(…)` without the checks of Equinox's constructor, which take longer than a step of a small environment."""
    return jax.tree.unflatten(_STEP, (obs, reward, terminated, truncated, final_obs))


def finite(obs: Obs, t: np.ndarray, name: str) -> Obs:
    """`obs` as it is. Raises EnvError if it holds NaN or infinity; `t` (N,) counts the steps of each episode."""
    bad = spaces.non_finite(obs)
    if bad:
        raise EnvError(
            f"environment {bad[0]} of '{name}' at step {t[bad[0]]} of its episode: expected finite observations; got "
            f"observation{bad[1]}. Its simulation diverged or divides by zero: terminate the episode before that, or "
            "bound its actions."
        )
    return obs


class GymnasiumVector:
    """A live batch of Gymnasium environments; see `operant.core.HostEnv`. `Gymnasium.open` makes it."""

    def __init__(self, spec: EnvSpec, makers: list[Callable[[], Tracked]], vector: str, render: bool):
        self.spec = spec
        self._drawable = render
        self._batch = _Loop(makers, spec.obs) if vector == "sync" else _Workers(makers, spec.obs, spec.name)
        self._actions = spaces.Actions(self._batch.action_space, spec.num_envs, f"'{spec.name}'")
        self._t = np.zeros(spec.num_envs, int)  # steps of each episode, for messages

    @property
    def num_envs(self) -> int:
        return self.spec.num_envs

    def reset(self, *, seed: int | Sequence[int]) -> Obs:
        """Start every environment anew; observations with a leading axis N. Raises EnvError if one cannot start."""
        self._t[:] = 0
        return finite(self._batch.reset(env_seeds(seed, self.num_envs)), self._t, self.spec.name)

    def step(self, action: np.ndarray) -> Step:
        """One step each, actions (N, *shape); what ended is reset, its true successor in `final_obs`.

        Where nothing ended `final_obs` is the same array as `obs`, not a copy.
        Raises EnvError for an action out of range, and where an environment raises or breaks its own space.
        """
        obs, reward, terminated, truncated, final = self._batch.step(self._actions(action))
        self._t += 1
        final_obs = spaces.place(obs, final) if final else obs
        finite(final_obs, self._t, self.spec.name)
        if final:
            self._t[list(final)] = 0
            finite(obs, self._t, self.spec.name)
        return make_step(obs, reward, terminated, truncated, final_obs)

    def snapshot(self) -> list | None:
        """JSON-able values that bring the batch back, bit for bit; None before a reset, or without a generator."""
        saved = self._batch.snapshot()
        return None if any(one is None for one in saved) else saved

    def restore(self, snapshot: list) -> Obs:
        """Replay to the saved state. Raises EnvError where the environment cannot be resumed exactly."""
        if len(snapshot) != self.num_envs:
            raise DataError(
                f"expected a snapshot of {self.num_envs} environments of '{self.spec.name}'; got {len(snapshot)}. "
                "Open as many as were saved."
            )
        obs = self._batch.restore(snapshot)
        self._t[:] = [0 if one["actions"] is None else one["actions"]["shape"][0] for one in snapshot]
        return obs

    def render(self) -> list[np.ndarray]:
        """One RGB frame an environment, uint8 (height, width, 3). Raises SpecError unless opened with render=True."""
        if not self._drawable:
            raise SpecError(f"expected '{self.spec.name}' to be opened with render=True before it is drawn.")
        try:
            frames = self._batch.render()
        except gym.error.DependencyNotInstalled as e:
            raise SpecError(f"drawing '{self.spec.name}' needs a package that is missing: {e}") from e
        if any(not isinstance(f, np.ndarray) or f.ndim != 3 for f in frames):
            raise EnvError(
                f"expected RGB frames (height, width, 3) of '{self.spec.name}'; got {type(frames[0]).__name__}."
            )
        return frames

    def close(self) -> None:
        self._batch.close()


def env_seeds(seed: int | Sequence[int], num_envs: int) -> list[int]:
    """A seed for each environment of a batch: neighbouring seeds share none. Several seeds: a part of equal size each.

    Raises SpecError for a negative seed, and for parts that are not whole.

    >>> env_seeds([3, 4], 4) == env_seeds(3, 2) + env_seeds(4, 2)
    True
    """
    if isinstance(seed, Sequence):
        if not seed or num_envs % len(seed):
            raise SpecError(f"expected as many seeds as divide {num_envs} environments; got {len(seed)}.")
        return [s for one in seed for s in env_seeds(one, num_envs // len(seed))]
    if seed < 0:
        raise SpecError(f"expected a seed ≥ 0; got {seed}.")
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(num_envs, np.uint32)]
