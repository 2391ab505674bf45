"""One Gymnasium environment: its answers checked and converted, its episode remembered to be replayed bit for bit.

Gymnasium's own randomness comes from one generator an environment, `env.unwrapped.np_random`. An episode is therefore
given by that generator's state just before its `reset` (or the seed of that reset) and the actions since: `Tracked`
keeps these, and `restore` replays them and compares the observation, the return so far and the generator with what was
saved, bit for bit, so that an environment with state elsewhere is refused rather than resumed wrongly.

>>> unpack(pack({"state": 2**127, "x": np.float32([0.1])}))
{'state': 170141183460469231731687303715884105728, 'x': array([0.1], dtype=float32)}
"""

import base64
import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from operant.core import Composite, Discrete, Space
from operant.envs import spaces
from operant.errors import EnvError


def mujoco_hint() -> str:
    """MuJoCo 4 breaks gymnasium-robotics, metaworld and dm_control at run time, though pip finds nothing wrong."""
    try:
        version = importlib.metadata.version("mujoco")
    except importlib.metadata.PackageNotFoundError:
        return ""
    if int(version.split(".")[0]) < 4:
        return ""
    return f" MuJoCo {version} breaks gymnasium-robotics, metaworld and dm_control: `pip install mujoco==3.11.0`."


def pack(x: Any) -> Any:
    """Arrays, dicts, lists and large integers as JSON-able values, exactly: arrays as the base64 of their bytes."""
    if isinstance(x, np.ndarray | np.generic):
        x = np.asarray(x)
        return {"dtype": x.dtype.str, "shape": list(x.shape), "base64": base64.b64encode(x.tobytes()).decode()}
    if isinstance(x, dict):
        return {"dict": {str(k): pack(v) for k, v in x.items()}}
    if isinstance(x, int) and not isinstance(x, bool) and abs(x) >= 2**53:  # beyond what every JSON reader keeps exact
        return {"int": str(x)}
    return x


def unpack(x: Any) -> Any:
    """What `pack` was given."""
    if not isinstance(x, dict):
        return x
    if "dict" in x:
        return {k: unpack(v) for k, v in x["dict"].items()}
    if "int" in x:
        return int(x["int"])
    return np.frombuffer(base64.b64decode(x["base64"]), x["dtype"]).reshape(x["shape"]).copy()


def _raise(problem: Exception) -> Any:
    raise problem


class Tracked(gym.Wrapper):
    """One environment: its answers checked and converted to ours, its episode remembered for replay.

    `quiet` environments answer `{"error": …}` in `info` instead of raising: in a worker process an exception would
    take Gymnasium's whole vector with it and lose its text.
    """

    def __init__(self, env: gym.Env, index: int, name: str, quiet: bool):
        super().__init__(env)
        self.raw, self.index, self.name, self.quiet = env.observation_space, index, name, quiet
        self.ours: Any = spaces.from_gymnasium(self.raw)
        self.observation_space = to_gymnasium(self.ours)
        self.box = isinstance(self.raw, gym.spaces.Box)
        self.fits = (self.raw.shape, self.raw.dtype)  # kept: a space's `shape` is a call
        self.arrays = isinstance(env.action_space, gym.spaces.Box)
        self.first_seed: int | None = None  # the last seed ever given
        self.seed: int | None = None  # the seed of the last reset
        self.before: Any = None  # the generator's state just before the last reset
        self.actions: Any = None  # a list since the first reset
        self.total = 0.0
        self.obs: Any = None

    def _where(self) -> str:
        step = "at reset" if not self.actions else f"at step {len(self.actions)} of its episode"
        return f"environment {self.index} of '{self.name}' {step}"

    def _take(self, obs: Any) -> Any:
        """Check a raw observation and convert it."""
        if self.box and type(obs) is np.ndarray and (obs.shape, obs.dtype) == self.fits:
            self.obs = obs  # whoever batches it copies and casts it
            return obs
        flaw = spaces.flaw(self.raw, obs)
        if flaw:
            raise EnvError(f"{self._where()}: {flaw}. Mend its observation, or declare the space it lives in.")
        self.obs = spaces.convert(self.raw, obs)
        return self.obs

    def _answer(self, run: Callable[[], Any], failed: Callable[[], Any], text: dict) -> Any:
        try:
            return run()
        except EnvError as e:
            error, cause = e, e.__cause__
        except Exception as e:
            old = " Gym's old form has four values; Gymnasium's has five." if "expected 5, got 4" in str(e) else ""
            error = EnvError(
                f"{self._where()} raised {type(e).__name__}: {e}.{old} Its own code failed: mend it there; "
                f"the exception it raised is the cause of this one.{mujoco_hint()}"
            )
            cause = e
        if not self.quiet:
            raise error from cause
        text["error"] = str(error)
        return failed()

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        def run():
            self.seed, self.total, self.actions = seed, 0.0, []
            self.before = None if seed is not None else self._generator()
            if seed is not None:
                self.first_seed = seed
            return self._take(self.env.reset(seed=seed)[0])

        info: dict = {}
        return self._answer(run, self._blank, info), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        answer = None
        try:
            # an environment may write into an array it is given, not into a number
            self.actions.append(action.copy() if self.arrays else action)
            answer = self.env.step(action)
            obs, reward, terminated, truncated, _ = answer
            reward = float(reward)
            self.total += reward
            return self._take(obs), reward, bool(terminated), bool(truncated), {}
        except EnvError as e:
            problem: Exception = e
        except Exception as e:  # rare, and kept out of the hot path
            problem = self._explain(answer, e)
        info: dict = {}
        return self._answer(functools.partial(_raise, problem), self._blank, info), 0.0, False, False, info

    def _explain(self, answer: Any, e: Exception) -> Exception:
        """What a failing step means: never reset, an answer of the wrong form, or the environment's own exception."""
        if self.actions is None:
            return EnvError(f"{self._where()}: expected a reset before the first step. Call reset(seed=…).")
        if answer is None:
            return e
        form = f"{len(answer)} values" if isinstance(answer, tuple) else type(answer).__name__
        if isinstance(answer, tuple) and len(answer) == 5:
            form = f"reward {answer[1]!r}, terminated {answer[2]!r}, truncated {answer[3]!r}"
        told = EnvError(
            f"{self._where()}: expected step to return (observation, reward, terminated, truncated, info) with one "
            f"number and two booleans; got {form}. Bring it to Gymnasium 1.x's form."
        )
        told.__cause__ = e
        return told

    def _blank(self) -> Any:
        return blank(self.ours)

    def _generator(self) -> Any:
        """The state of the generator all of Gymnasium's own randomness comes from; None if there is none."""
        generator = getattr(self.env.unwrapped, "np_random", None)
        return generator.bit_generator.state if isinstance(generator, np.random.Generator) else None

    def snapshot(self) -> dict | None:
        """Whatever `restore` needs, JSON-able; None if the environment has no generator to remember."""
        generator = self._generator()
        if self.actions is None or generator is None:
            return None
        return {
            "first_seed": pack(self.first_seed),
            "seed": pack(self.seed),
            "before": pack(self.before),
            "actions": pack(np.stack(self.actions)) if self.actions else None,
            "generator": pack(generator),
            "total": pack(np.float64(self.total)),
            "obs": pack(spaces.convert(self.raw, self.obs) if self.box else self.obs),
        }

    def restore(self, snapshots: list[dict]) -> tuple[Any, dict]:
        """Replay this environment's snapshot out of the batch's: `(observation, {"error": …} if quiet)`."""
        info: dict = {}
        return self._answer(lambda: self._replay(snapshots[self.index]), self._blank, info), info

    def _replay(self, saved: dict) -> Any:
        quiet, self.quiet = self.quiet, False  # a failing step must stop the replay
        try:
            seed, first = unpack(saved["seed"]), unpack(saved["first_seed"])
            if seed is None:
                if first is not None:  # some environments build their world only when seeded
                    self.reset(seed=first)
                self._set_generator(unpack(saved["before"]))
            self.reset(seed=seed)
            self.first_seed = first
            actions = () if saved["actions"] is None else unpack(saved["actions"])
            for action in actions:
                self.step(action)
        finally:
            self.quiet = quiet
        again = self.snapshot() or {}
        differs = [name for name in ("obs", "total", "generator") if again.get(name) != saved[name]]
        if differs:
            words = {"obs": "observation", "total": "return so far", "generator": "random generator"}
            raise EnvError(
                f"environment {self.index} of '{self.name}': replaying the {len(actions)} actions of its episode "
                f"expected the saved {' and '.join(words[d] for d in differs)} bit for bit; got another. "
                f"{self._difference(saved, again)}This environment keeps state outside np_random (a generator, clock "
                "or file of its own), or its version changed, so it cannot be resumed exactly. Draw all its "
                "randomness from self.np_random, or start the run anew."
            )
        return self.obs

    def _difference(self, saved: dict, again: dict) -> str:
        before, now = unpack(saved["obs"]), unpack(again["obs"])
        if isinstance(before, dict) or before.shape != now.shape or before.dtype.kind != "f":
            return ""
        return f"The observation is {float(np.abs(before - now).max()):.3g} away at most. "

    def _set_generator(self, state: dict | None) -> None:
        if state is None:
            raise EnvError(
                f"environment {self.index} of '{self.name}' has no random generator in the snapshot, so it cannot be "
                "resumed exactly. Start the run anew."
            )
        env = self.env.unwrapped
        if env.np_random.bit_generator.state["bit_generator"] != state["bit_generator"]:
            env.np_random = np.random.Generator(getattr(np.random, state["bit_generator"])())
        env.np_random.bit_generator.state = state


def to_gymnasium(space: Space) -> gym.Space:
    """The Gymnasium space of converted observations, which Gymnasium's own vectors need for their buffers."""
    if isinstance(space, Composite):
        return gym.spaces.Dict({name: to_gymnasium(s) for name, s in space.spaces})
    if isinstance(space, Discrete):  # a Box, since what is converted is an int32 array
        return gym.spaces.Box(0, space.n - 1, (), np.int32)
    low, high = (0, 255) if space.dtype == "uint8" else (-np.inf, np.inf)
    return gym.spaces.Box(low, high, space.shape, np.dtype(space.dtype).type)


def blank(space: Space) -> Any:
    if isinstance(space, Composite):
        return {name: blank(s) for name, s in space.spaces}
    return space.zero()
