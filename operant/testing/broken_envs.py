"""Small Gymnasium environments with one flaw or one unusual space each, to test what handles them.

Importing this module registers them; since `gymnasium.make` imports what stands before a colon, each id of `IDS` works
anywhere, in worker processes too. All are a random walk in four numbers that starts from `np_random` and is truncated
after 20 steps; a flaw shows at step `at` of every episode.
"""

import os
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces as gs

OBS = {
    "box": gs.Box(-np.inf, np.inf, (4,), np.float32),
    "float64": gs.Box(-np.inf, np.inf, (4,), np.float64),
    "image": gs.Box(0, 255, (8, 8, 3), np.uint8),
    "discrete": gs.Discrete(5, start=-2),
    "binary": gs.MultiBinary(4),
    "multi": gs.MultiDiscrete([3, 2]),
    "dict": gs.Dict(goal=gs.Discrete(5, start=-2), walk=gs.Box(-np.inf, np.inf, (4,), np.float64)),
    "tuple": gs.Tuple((gs.Box(-np.inf, np.inf, (4,), np.float32), gs.Dict(inner=gs.MultiBinary(4)))),
    "text": gs.Text(8),
}
ACTIONS = {
    "discrete": gs.Discrete(3),
    "start1": gs.Discrete(3, start=1),
    "box": gs.Box(-1.0, 2.0, (2,), np.float32),
    "unbounded": gs.Box(-np.inf, np.inf, (2,), np.float32),
    "multi": gs.MultiDiscrete([3, 2]),
    "dict": gs.Dict(a=gs.Discrete(2)),
}
FLAWS = ("none", "nan", "shape", "dtype", "raise", "reset", "tuple4", "reward", "nan_reward", "hidden", "dies")


class Broken(gym.Env):
    """A random walk with a flaw.

    `nan`, `shape`, `dtype`: the observation at step `at` is so. `raise`: `step` raises ValueError. `reset`: the second
    `reset` does. `tuple4`: `step` returns four values. `reward`: it is None. `nan_reward`: it is NaN. `hidden`: noise
    comes from outside `np_random`. `dies`: the process ends without a word.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  Gymnasium's own habit

    def __init__(self, flaw: str = "none", at: int = 3, obs: str = "box", action: str = "discrete", render_mode=None):
        self.flaw, self.at, self.kind, self.render_mode = flaw, at, obs, render_mode
        self.observation_space, self.action_space = OBS[obs], ACTIONS[action]
        self.walk, self.t, self.resets = np.zeros(4), 0, 0
        self.seen: list[Any] = []  # the actions that arrived in this episode

    def _part(self, space: Any) -> Any:
        match space:
            case gs.Dict():
                return {name: self._part(s) for name, s in space.spaces.items()}
            case gs.Tuple():
                return tuple(self._part(s) for s in space.spaces)
            case gs.Discrete():
                return int(space.start) + self.t % int(space.n)
            case gs.MultiBinary():
                return (self.walk > 0).astype(np.int8)
            case gs.MultiDiscrete():
                return self.t % space.nvec
            case gs.Text():
                return "abc"
        if space.dtype == np.uint8:
            return np.full(space.shape, self.t, np.uint8)
        return self.walk.astype(space.dtype)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.resets += 1
        if self.flaw == "reset" and self.resets == 2:
            raise ValueError("this environment cannot start twice")
        self.walk, self.t, self.seen = self.np_random.normal(size=4), 0, []
        return self._part(self.observation_space), {}

    def step(self, action: Any):
        self.t += 1
        self.seen.append(action)
        noise = np.random.default_rng() if self.flaw == "hidden" else self.np_random
        self.walk = self.walk + noise.normal(size=4) + 0.1 * np.sum(action)
        obs, reward = self._part(self.observation_space), float(self.walk[0])
        if self.t == self.at:
            match self.flaw:
                case "nan":
                    obs = np.full_like(obs, np.nan)
                case "shape":
                    obs = np.zeros(7, np.float32)
                case "dtype":
                    obs = np.asarray(obs).astype(complex)
                case "raise":
                    raise ValueError("the motor is on fire")
                case "tuple4":
                    return obs, reward, False, {}
                case "reward":
                    reward = None
                case "nan_reward":
                    reward = float("nan")
                case "dies":
                    os._exit(3)
        return obs, reward, False, False, {}

    def render(self):
        return np.full((16, 16, 3), 10 * self.t % 256, np.uint8)


def _register(name: str, **kwargs: str) -> str:
    full = f"operant/{name}-v0"
    if full not in gym.registry:
        gym.register(full, f"{__name__}:Broken", max_episode_steps=20, kwargs=kwargs)
    return f"{__name__}:{full}"


IDS: dict[str, str] = {
    **{f"flaw:{flaw}": _register(f"Flaw_{flaw}", flaw=flaw) for flaw in FLAWS},
    **{f"obs:{obs}": _register(f"Obs_{obs}", obs=obs) for obs in OBS},
    **{f"action:{action}": _register(f"Action_{action}", action=action) for action in ACTIONS},
}
"""What it shows, by kind (`flaw:nan`, `obs:dict`, `action:start1`), to the id `gymnasium.make` and `make` take."""
