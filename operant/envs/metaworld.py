"""Meta-World's fifty manipulation tasks (an extra), and demonstrations by the scripted policies that come with them.

A robot arm in MuJoCo; actions are the hand's displacement in three directions and the fingers' effort, observations the
hand, the fingers, two objects, the same a step before, and the goal. Every reset draws positions of objects and goal
anew, unless `positions` fixes them, and the goal is seen. Nothing ends an episode but its time limit. With `repeat` an
action is held for so many of Meta-World's own steps, of 12.5 ms each: papers that learn from images mostly hold it for
two.

Meta-World's own wrappers are left out: they draw a task from a list before `reset` takes its seed, so that the first
episode depends on what was drawn before; here positions come from the environment's generator, which the seed sets,
and episodes replay bit for bit. `reward="success"` pays 1 in every step in which the task counts as solved.

Reference: Yu et al. 2019, Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning,
1910.10897; McLean et al. 2025, Meta-World+: An Improved, Standardized, RL Benchmark, 2505.11289 (the v3 tasks).

>>> MetaWorld("reach-v3").spec.obs.shape  # doctest: +SKIP
(39,)
"""

import dataclasses
import difflib
import functools
import warnings
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from operant.core import AbstractHostEnv, Box, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.gymnasium import GymnasiumVector, _lighten, _prepare_drawing
from operant.envs.replay import Tracked, mujoco_hint
from operant.errors import DataError, EnvError, SpecError, nearest

Reward = Literal["dense", "success"]
LONGEST = 500
"""Steps Meta-World allows an episode."""
_PLACE = ("x", "y", "z", "qx", "qy", "qz", "qw")
_NOW = ("hand_x", "hand_y", "hand_z", "fingers", *(f"{what}_{n}" for what in ("first", "second") for n in _PLACE))
NAMES = (*_NOW, *(f"previous_{name}" for name in _NOW), "goal_x", "goal_y", "goal_z")


class MetaWorld(AbstractHostEnv):
    """One of Meta-World's tasks. Raises SpecError without the extra, and for an unknown task."""

    task: str
    """The task, "reach-v3", "door-open-v3"; an unknown one is answered with the nearest."""
    reward: Reward = "dense"
    """What is paid: "dense", Meta-World's own (0 to 10 a step), or "success", 1 while the task is solved."""
    max_steps: int = 500
    """Steps of every episode; times `repeat` at most 500."""
    repeat: int = 1
    """Meta-World's steps for which an action is held; rewards are added ("success": 1 if it was solved in any)."""
    positions: int | None = None
    """Objects and goal lie where this seed puts them, in every episode; None: elsewhere in each."""

    def __check_init__(self) -> None:
        if self.repeat < 1:
            raise SpecError(f"expected MetaWorld.repeat ≥ 1; got {self.repeat}. 1 acts anew in every step.")
        if not 1 <= self.max_steps * self.repeat <= LONGEST:
            raise SpecError(
                f"expected 1 ≤ MetaWorld.max_steps × repeat ≤ {LONGEST}, its own limit; got {self.max_steps} × "
                f"{self.repeat}. Use at most max_steps={LONGEST // self.repeat}."
            )
        if self.reward not in get_args(Reward):
            known = nearest(str(self.reward), get_args(Reward))
            raise SpecError(f"expected a reward of MetaWorld; got {self.reward!r}: {known}")

    @property
    def spec(self) -> EnvSpec:
        _class(self.task)
        action = Box((4,), -1.0, 1.0, names=("move_x", "move_y", "move_z", "close"))
        return EnvSpec(Box((39,), names=NAMES), action, self.max_steps, name=self.task, fixed_horizon=True)

    def open(self, num_envs: int, *, render: bool = False) -> GymnasiumVector:
        """Start `num_envs` environments (to be reset or restored before the first step); drawable if `render`."""
        if num_envs < 1:
            raise SpecError(f"expected num_envs ≥ 1; got {num_envs}.")
        spec = dataclasses.replace(self.spec, num_envs=num_envs)
        makers = [functools.partial(self._tracked, render, i) for i in range(num_envs)]
        return GymnasiumVector(spec, makers, "sync", render)

    def _tracked(self, render: bool, index: int) -> Tracked:
        if render:
            _prepare_drawing("Walker2d-v5")  # any of MuJoCo's: they draw alike
        env = _Task(self, render)
        if render:
            _lighten(env)
        return Tracked(env, index, self.task, False)


def demonstrate(env: MetaWorld, n: int, seed: int, *, noise: float = 0.0) -> Dataset:
    """`n` episodes in which Meta-World's scripted policy solves the task; those in which it does not are left out.

    `extras["success"]` says in every row whether the task was solved.

    Args:
        noise: standard deviation of what is added to its actions, in units of the box.

    Raises:
        SpecError: as `MetaWorld`, or n < 1.
        DataError: it fails more often than nine times in ten.
    """
    if n < 1:
        raise SpecError(f"expected n ≥ 1 demonstrations; got {n}. Ask for one at least.")
    one, act = _Task(env, False), _library().policies.ENV_POLICY_MAP[env.task]()
    rng = np.random.default_rng([seed, 1])
    names = ("obs", "action", "reward", "next_obs", "truncated", "success")
    kept: dict[str, list] = {name: [] for name in names}
    solved = tried = 0
    while solved < n:
        if tried >= 10 * n:
            raise DataError(
                f"expected {n} demonstrations of {env.task} in {env.max_steps} steps; the scripted policy solved it "
                f"{solved} times in {tried}. Raise max_steps, or lower noise."
            )
        obs, _ = one.reset(seed=seed if tried == 0 else None)
        rows: dict[str, list] = {name: [] for name in names}
        over = False
        while not over:
            with warnings.catch_warnings():  # "Constant(s) may be too high": it is clipped here
                warnings.simplefilter("ignore")
                action = np.asarray(act.get_action(obs), np.float64)
            action = np.clip(action + noise * rng.standard_normal(4), -1.0, 1.0).astype(np.float32)
            after, paid, _, over, info = one.step(action)
            row = (obs, action, paid, after, over, bool(info["success"]))
            for name, x in zip(names, row, strict=True):
                rows[name].append(x)
            obs = after
        tried += 1
        if any(rows["success"]):
            solved += 1
            for name in names:
                kept[name] += rows[name]
    one.close()
    arrays = {name: np.array(x) for name, x in kept.items()}
    floats = {name: arrays[name].astype(np.float32) for name in ("obs", "next_obs", "reward")}
    return Dataset.from_numpy(
        env.spec, **floats, action=arrays["action"], terminated=np.zeros(len(arrays["action"]), bool),
        truncated=arrays["truncated"], extras={"success": arrays["success"]}, licence="MIT",
        origin=f"Meta-World's scripted policy of {env.task}, seed {seed}, noise {noise:g}",
    )  # fmt: skip


# --- one environment ------------------------------------------------------------------------------------------------


class _Task(gym.Wrapper):
    """A task whose positions come from its generator, with our reward, time limit and held actions."""

    def __init__(self, how: MetaWorld, render: bool):
        task = how.task
        try:
            env = _class(task)(**({"render_mode": "rgb_array"} if render else {}))
        except SpecError:
            raise
        except Exception as e:
            raise EnvError(f"Meta-World could not make '{task}': {type(e).__name__}: {e}.{mujoco_hint()}") from e
        env._freeze_rand_vec, env.seeded_rand_vec = False, True
        env._partially_observable, env._set_task_called = False, True
        env.__dict__.pop("sawyer_observation_space", None)  # cached with a goal of zeros, to which steps are clipped
        super().__init__(env)
        self.how, self.t = how, 0
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (39,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        seed = seed if self.how.positions is None else self.how.positions
        if seed is not None:
            self.unwrapped.seed(seed)  # type: ignore[attr-defined]  (its own `reset` ignores seeds)
        self.t = 0
        return self.env.reset()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        obs, total, solved = None, 0.0, False
        for _ in range(self.how.repeat):
            obs, reward, _, _, info = self.env.step(action)
            total, solved = total + float(reward), solved or bool(info["success"])
        self.t += 1
        paid = float(solved) if self.how.reward == "success" else total
        return obs, paid, False, self.t >= self.how.max_steps, {"success": solved}


def _library() -> Any:
    try:
        import metaworld
        import metaworld.policies
    except ImportError as e:
        raise SpecError(
            f"expected Meta-World; it is not installed, or broken ({e}): `pip install operant[metaworld]`."
            + mujoco_hint()
        ) from e
    return metaworld


def _class(task: str) -> Any:
    known = _library().env_dict.ALL_V3_ENVIRONMENTS
    if task not in known:
        close = difflib.get_close_matches(task, [*known], n=4, cutoff=0.5)
        raise SpecError(
            f"unknown Meta-World task '{task}'. {'Nearest: ' + ', '.join(close) + '. ' if close else ''}"
            "`metaworld.ALL_V3_ENVIRONMENTS` lists all."
        )
    return known[task]
