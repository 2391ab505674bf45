"""One environment of either kind, stepped from Python and drawn: what a person plays, or watches.

It does not reset itself: where an episode has ended it rests, so that its end can be seen. An episode follows from its
seed and its actions. A JAX environment is compiled (reset, step) on its first use.

>>> from operant.envs.toy import GridWorld
>>> alone = Alone(GridWorld("S.G"), seed=0)
>>> alone.step(1).reward, alone.step(1)[1:], alone.over
(0.0, (1.0, True, False), True)
>>> alone.frame().shape
(240, 240, 3)
"""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from operant.core import AbstractEnv, AbstractHostEnv, Box, Discrete, EnvSpec
from operant.errors import DataError, RunError


class Moved(NamedTuple):
    """What one step led to; `obs` is the true successor."""

    obs: Any
    reward: float
    terminated: bool
    truncated: bool


class Alone:
    """One live environment, unbatched.

    A Gymnasium environment that has ended cannot be drawn: the picture is the last one before.

    Args:
        render: whether it is to be drawn: a host environment that is not needs no graphics.

    Raises:
        SpecError: the environment cannot be drawn.
        EnvError: it could not be started.
    """

    def __init__(self, env: AbstractEnv | AbstractHostEnv, *, seed: int, render: bool = True):
        self.spec: EnvSpec = env.spec
        self._live = _Compiled(env) if isinstance(env, AbstractEnv) else _Opened(env, render)
        self.reset(seed)

    def reset(self, seed: int) -> Any:
        """Begin the episode of this seed; its first observation."""
        self.seed, self.t, self.over = seed, 0, False
        self.obs = self._live.reset(seed)
        return self.obs

    def step(self, action: Any) -> Moved:
        """Raises DataError for an action that does not fit, RunError where the episode has ended."""
        if self.over:
            raise RunError(f"expected an episode under way; it ended after {self.t} steps. Reset first.")
        moved = self._live.step(fitting(action, self.spec.action), self.t)
        self.t += 1
        limit = self.spec.max_steps
        late = moved.truncated or (limit is not None and self.t >= limit)
        moved = moved._replace(truncated=bool(late))
        self.over, self.obs = moved.terminated or moved.truncated, moved.obs
        return moved

    def frame(self) -> np.ndarray:
        """RGB, uint8 (height, width, 3), of the state after the latest step."""
        return self._live.frame()

    def close(self) -> None:
        self._live.close()


@functools.cache
def _functions() -> tuple[Any, Any]:
    """`reset` and `step`, compiled once for environments that are equal."""

    def reset(env: AbstractEnv, seed: Any) -> Any:
        inner = env.initial(key=jax.random.key(seed))
        return inner, env.observe(inner)

    def step(env: AbstractEnv, inner: Any, action: Any, seed: Any, t: Any) -> Any:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), t)
        inner, reward, terminated = env.advance(inner, action, key=key)
        return inner, (env.observe(inner), reward, terminated)

    return eqx.filter_jit(reset), eqx.filter_jit(step)


class _Compiled:
    """A JAX environment, by the functions that `AbstractEnv.step` is made of."""

    def __init__(self, env: AbstractEnv):
        self._env = env

    def reset(self, seed: int) -> Any:
        self._seed = np.uint32(seed)
        self._inner, obs = _functions()[0](self._env, self._seed)
        return jax.device_get(obs)

    def step(self, action: np.ndarray, t: int) -> Moved:
        self._inner, told = _functions()[1](self._env, self._inner, action, self._seed, np.uint32(t))
        obs, reward, terminated = jax.device_get(told)
        return Moved(obs, float(np.float32(reward)), bool(terminated), False)

    def frame(self) -> np.ndarray:
        return np.asarray(self._env.render(self._inner))

    def close(self) -> None:
        pass


class _Opened:
    """A host environment, opened for one; what it resets itself is reset again when asked."""

    def __init__(self, env: AbstractHostEnv, render: bool):
        self._host, self._render = env.open(1, render=render), render

    def reset(self, seed: int) -> Any:
        obs = _first(self._host.reset(seed=seed))
        self._draw()
        return obs

    def step(self, action: np.ndarray, t: int) -> Moved:
        s = self._host.step(action[None])
        terminated, truncated = bool(s.terminated[0]), bool(s.truncated[0])
        if not (terminated or truncated):  # after the end it shows the next episode
            self._draw()
        return Moved(_first(s.final_obs), float(s.reward[0]), terminated, truncated)

    def _draw(self) -> None:
        if self._render:
            self._frame = np.asarray(self._host.render()[0])

    def frame(self) -> np.ndarray:
        return self._frame

    def close(self) -> None:
        self._host.close()


def _first(obs: Any) -> Any:
    return jax.tree.map(lambda x: np.array(x[0]), obs)


def fitting(action: Any, space: Box | Discrete) -> np.ndarray:
    """An action in the space's shape and dtype.

    Raises:
        DataError: it does not fit.
    """
    array = np.asarray(action)
    if isinstance(space, Discrete):
        if array.shape != () or array.dtype.kind not in "iu" or not 0 <= array < space.n:
            raise DataError(f"expected an action that is an integer 0 … {space.n - 1}; got {action!r:.60}.")
        return array.astype(np.int32)
    low, high = space.bounds()
    fits = array.shape == space.shape and array.dtype.kind in "fiu" and bool(np.isfinite(array).all())
    array = array.astype(space.dtype) if fits else array
    if not fits or not bool(((array >= low) & (array <= high)).all()):
        raise DataError(f"expected an action in {space}; got {action!r:.60}. Keep every element within its bounds.")
    return array
