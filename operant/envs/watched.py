"""An environment that a person watches: the reward of a step is what they say of it, plus or minus.

While somebody watches (`by`), the environment paces itself, shows every step, and goes on only as long as they are
there; its own reward is hidden from the learner and shown to them. `Audience` says how a word finds the steps it is
about. Where nobody is to watch it is the environment itself, with its own reward: so a policy that was coached is
evaluated and audited as any other. It cannot be trained further without its audience: `restore` refuses.

>>> from operant.envs.toy import GridWorld
>>> env = Watched(GridWorld("S.G"))
>>> live = env.open(2)
>>> live.reset(seed=0).shape, live.step(np.array([1, 1])).reward.tolist(), live.step(np.array([1, 3])).reward.tolist()
((2, 3), [0.0, 0.0], [1.0, 0.0])
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from operant.core import AbstractEnv, AbstractHostEnv, EnvSpec, Obs, Step
from operant.envs.audience import Audience
from operant.envs.gymnasium import make_step
from operant.errors import RunError, SpecError


class Watched(AbstractHostEnv):
    """An environment, and who watches it."""

    env: AbstractEnv | AbstractHostEnv
    """What the agent acts in."""
    audience: Audience | None = eqx.field(static=True, init=False)

    def __init__(self, env: AbstractEnv | AbstractHostEnv):
        self.env, self.audience = env, None

    def by(self, audience: Audience) -> "Watched":
        """This environment, watched."""
        new = Watched(self.env)
        object.__setattr__(new, "audience", audience)  # no part of the configuration, so no argument
        return new

    @property
    def spec(self) -> EnvSpec:
        return self.env.spec

    def open(self, num_envs: int, *, render: bool = False) -> "WatchedVector":
        """Raises SpecError where somebody is to watch more than one."""
        if self.audience is not None and num_envs != 1:
            raise SpecError(
                f"expected one environment for a person to watch; got {num_envs}. Pass num_envs=1, and one seed."
            )
        return WatchedVector(self.env, num_envs, self.audience, render)


class WatchedVector:
    """Live environments; see `operant.core.HostEnv`. `Watched.open` makes it."""

    def __init__(
        self, env: AbstractEnv | AbstractHostEnv, num_envs: int, audience: Audience | None, render: bool
    ) -> None:
        from operant.loops.alone import Alone  # it stands on environments

        self.spec, self.num_envs, self._audience = env.spec, num_envs, audience
        drawn = render or audience is not None
        self._envs = [Alone(env, seed=0, render=drawn) for _ in range(num_envs)]
        self._seed, self._episodes = 0, [0] * num_envs
        self._actions: list[list[Any]] = [[] for _ in range(num_envs)]

    def reset(self, *, seed: int | Sequence[int]) -> Obs:
        self._seed = seed if isinstance(seed, int) else seed[0]  # there is one environment
        self._episodes = [0] * self.num_envs
        obs = _stack([self._begin(i) for i in range(self.num_envs)])
        self._show_start()
        return obs

    def step(self, action: np.ndarray) -> Step:
        """Raises DataError for an action that does not fit. Watched, it lasts as long as a person needs to see it."""
        obs, final, rewards, ends = [], [], [], []
        if self._audience is not None:
            self._audience.rest()
        for i, one in enumerate(self._envs):
            moved = one.step(np.asarray(action)[i])
            self._actions[i].append(np.asarray(action)[i].tolist())
            if self._audience is not None:
                self._show_step(moved.reward, one.over)
            rewards.append(moved.reward)
            ends.append((moved.terminated, moved.truncated))
            final.append(moved.obs)
            obs.append(moved.obs)
        if self._audience is not None:
            rewards = [0.0]  # what is said of it comes later: `settle`
            if any(ends[0]):  # the end stays as long as any picture
                self._audience.rest()
        for i, one in enumerate(self._envs):
            if one.over:
                obs[i] = self._begin(i, self._episodes[i] + 1)
                self._show_start()
        terminated, truncated = (np.array(x) for x in zip(*ends, strict=True))
        return make_step(_stack(obs), np.array(rewards, np.float32), terminated, truncated, _stack(final))

    def settle(self) -> np.ndarray | None:
        """What was said of the steps since the last time, (T, N); None where nobody watches."""
        return None if self._audience is None else self._audience.settle()[:, None]

    def _begin(self, i: int, episode: int = 0) -> Any:
        self._episodes[i], self._actions[i] = episode, []
        # neighbouring seeds and episodes share nothing
        return self._envs[i].reset(int(np.random.SeedSequence((self._seed, i, episode)).generate_state(1)[0] >> 1))

    def _show_step(self, reward: float, over: bool) -> None:
        assert self._audience is not None
        self._audience.total += reward
        self._audience.present(self._envs[0].frame())
        if over:
            self._audience.episode_over()

    def _show_start(self) -> None:
        if self._audience is not None:
            self._audience.open(self._envs[0].frame())

    def snapshot(self) -> list:
        shown = 0 if self._audience is None else self._audience.steps
        return [
            {"seed": self._seed, "episode": self._episodes[i], "actions": list(self._actions[i]), "shown": shown}
            for i in range(self.num_envs)
        ]

    def restore(self, snapshot: list) -> Obs:
        """The same episodes at the same steps. Raises RunError where nobody watches any more."""
        if self._audience is None:
            raise RunError(
                "expected a person who watches, as there was when this run began; there is none. Go on with it by "
                "`operant coach RUN`, or by operant.resume(RUN, env=Watched(…).by(audience))."
            )
        rows = []
        for i, one in enumerate(snapshot):
            self._seed, self._audience.steps = one["seed"], one["shown"]
            obs = self._begin(i, one["episode"])
            for action in one["actions"]:
                moved = self._envs[i].step(np.asarray(action, self.spec.action.zero().dtype))
                obs, self._audience.total = moved.obs, self._audience.total + moved.reward
            self._actions[i] = list(one["actions"])
            rows.append(obs)
        self._show_start()
        return _stack(rows)

    def render(self) -> list[np.ndarray]:
        return [one.frame() for one in self._envs]

    def close(self) -> None:
        for one in self._envs:
            one.close()


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *x: np.stack([np.asarray(y) for y in x]), *trees)
