"""Environments with something changed: actions that arrive late or noisy, observations with noise, other physics.

    action that acts at t:   a_{t−d} + N(0, (noise · half-width)²), clipped to its box (Discrete: with probability
                             `action_noise` a uniformly random one); before the first arrives: nothing, i.e. zero
    what is observed:        s + obs_noise · scale ⊙ N(0, I), clipped to its box
    `Changed`:               a numeric field of a JAX environment, such as gravity, times a factor

`Perturbed` is a JAX environment, `PerturbedHost` a host one with the same fields; `perturbed(env, …)` makes whichever
fits. All are environments like any other: to train in, to evaluate in, to audit in. Floats may be arrays, so that one
`vmap` sweeps them.

Reference: Dulac-Arnold et al. 2020, An Empirical Investigation of the Challenges of Real-World Reinforcement Learning,
2003.11881 (delays of actions, noise on actions and observations, changed physics).

*Deviations*: actions only are delayed, not observations and rewards. A Discrete action of "nothing" is number 0.

>>> from operant.envs.toy import Pendulum
>>> heavy = Changed(Pendulum(), "mass", 2.0)
>>> float(heavy.now.mass), heavy.spec.name
(2.0, 'Pendulum-v1')
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from operant.core import AbstractEnv, AbstractHostEnv, Action, Box, Discrete, EnvSpec, Obs, Step
from operant.envs.gymnasium import make_step
from operant.errors import RunError, SpecError, nearest


class Held(eqx.Module):
    """What a perturbed environment's state holds."""

    inner: PyTree[Array]
    """The environment's own."""
    late: Array
    """(room + 1, …): the last actions, the newest last."""
    noise: PyTree[Array]
    """Standard normal, of an observation's shape; () where observations have no noise."""


class Perturbed(AbstractEnv):
    """A JAX environment whose actions arrive late or noisy, or whose observations have noise (see the module).

    Raises:
        SpecError: a negative delay or noise; noise on observations that are no float32 array.
    """

    env: AbstractEnv
    """What is perturbed."""
    delay: int | Int[Array, ""] = 0
    """d: steps between an action and its effect."""
    room: int | None = eqx.field(static=True, default=None)
    """Longest delay there is room for; None: `delay`. Give it where `delay` is an array, to sweep it."""
    action_noise: float = 0.0
    """Standard deviation, in half-widths of the box (action units where it has no bounds); Discrete: probability."""
    obs_noise: float = 0.0
    """Standard deviation, in units of `obs_scale`."""
    obs_scale: Any = 1.0
    """Scale of each number of an observation: one number, or an array like an observation."""

    def __check_init__(self) -> None:
        _check(self)

    @property
    def spec(self) -> EnvSpec:
        return self.env.spec

    def initial(self, *, key: PRNGKeyArray) -> Held:
        env_key, noise_key = jax.random.split(key)
        nothing = jnp.asarray(_nothing(self.spec.action))
        late = jnp.broadcast_to(nothing, (self._room + 1, *nothing.shape))
        return Held(self.env.initial(key=env_key), late, self._noise(noise_key))

    def advance(
        self, inner: Held, action: Action, *, key: PRNGKeyArray
    ) -> tuple[Held, Float[Array, ""], Bool[Array, ""]]:
        env_key, action_key, noise_key = jax.random.split(key, 3)
        late = jnp.concatenate([inner.late[1:], jnp.asarray(action, inner.late.dtype)[None]])
        acting = _shaken(late[self._room - self.delay], self.spec.action, self.action_noise, action_key)
        own, reward, terminated = self.env.advance(inner.inner, acting, key=env_key)
        return Held(own, late, self._noise(noise_key)), reward, terminated

    def observe(self, inner: Held) -> Obs:
        obs = self.env.observe(inner.inner)
        if isinstance(inner.noise, tuple):
            return obs
        scale = jnp.broadcast_to(jnp.asarray(self.obs_scale, jnp.float32), obs.shape)
        low, high = self.spec.obs.bounds()  # type: ignore[union-attr]
        return jnp.clip(obs + self.obs_noise * scale * inner.noise, low, high)

    def render(self, inner: Held) -> np.ndarray:
        return self.env.render(inner.inner)

    @property
    def _room(self) -> int:
        return int(self.delay) if self.room is None else self.room

    def _noise(self, key: PRNGKeyArray) -> Any:
        quiet = isinstance(self.obs_noise, float | int) and self.obs_noise == 0
        return () if quiet else jax.random.normal(key, self.spec.obs.shape)  # type: ignore[union-attr]


def _shaken(action: Array, space: Box | Discrete, noise: Any, key: PRNGKeyArray) -> Array:
    if isinstance(noise, float | int) and noise == 0:
        return action
    coin_key, other_key = jax.random.split(key)
    if isinstance(space, Discrete):
        return jnp.where(jax.random.uniform(coin_key) < noise, space.sample(other_key), action)
    low, high = space.bounds()
    half = 0.5 * (high - low) if space.bounded else np.ones(space.shape, np.float32)
    return jnp.clip(action + noise * half * jax.random.normal(other_key, space.shape), low, high)


def _nothing(space: Box | Discrete) -> np.ndarray:
    """The action before the first has arrived: zero, or what of the box is nearest to it."""
    return np.clip(space.zero(), *space.bounds()).astype(space.dtype) if isinstance(space, Box) else space.zero()


def _check(env: Any) -> None:
    room = getattr(env, "room", None)
    if room is None and not (isinstance(env.delay, int) and env.delay >= 0):
        raise SpecError(
            f"expected delay, a whole number of steps ≥ 0; got {env.delay!r}. Where it is an array, say for how long a "
            "delay there is to be room: room=8."
        )
    if isinstance(env.delay, int) and room is not None and not 0 <= env.delay <= room:
        raise SpecError(f"expected 0 ≤ delay ≤ room = {room} steps; got {env.delay}.")
    for name in ("action_noise", "obs_noise"):
        value = getattr(env, name)
        if isinstance(value, float | int) and not 0.0 <= value < math.inf:
            raise SpecError(f"expected {name} ≥ 0; got {value}. Use 0 for none.")
    quiet = isinstance(env.obs_noise, float | int) and env.obs_noise == 0
    space = env.env.spec.obs
    if not quiet and not (isinstance(space, Box) and space.dtype == "float32"):
        raise SpecError(f"expected observations that are a float32 Box, for noise to be added; got {space}.")


class Changed(AbstractEnv):
    """A JAX environment with a numeric field of its own, such as gravity, mass or length, times a factor.

    Its spec is the unchanged environment's, so that a policy made for that fits.

    Raises:
        SpecError: no such field, or no number in it.
    """

    env: AbstractEnv
    """What is changed."""
    field: str = eqx.field(static=True)
    """Name of one of its fields."""
    factor: Any = 1.0
    """What the field is multiplied by; an array sweeps it under `vmap`."""

    def __check_init__(self) -> None:
        numbers = numeric_fields(self.env)
        if self.field not in numbers:
            raise SpecError(
                f"expected a numeric field of {type(self.env).__name__} to change; got {self.field!r}: "
                f"{nearest(self.field, numbers)}"
            )

    @property
    def now(self) -> Any:
        """The environment with the field changed."""
        return eqx.tree_at(lambda e: getattr(e, self.field), self.env, getattr(self.env, self.field) * self.factor)

    @property
    def spec(self) -> EnvSpec:
        return self.env.spec

    def initial(self, *, key: PRNGKeyArray) -> PyTree[Array]:
        return self.now.initial(key=key)

    def advance(
        self, inner: PyTree[Array], action: Action, *, key: PRNGKeyArray
    ) -> tuple[PyTree[Array], Float[Array, ""], Bool[Array, ""]]:
        return self.now.advance(inner, action, key=key)

    def observe(self, inner: PyTree[Array]) -> Obs:
        return self.now.observe(inner)

    def render(self, inner: PyTree[Array]) -> np.ndarray:
        return self.env.render(inner)


def numeric_fields(env: AbstractEnv) -> list[str]:
    """Names of the fields that hold one floating-point number.

    >>> from operant.envs.toy import Pendulum
    >>> numeric_fields(Pendulum())[:3]
    ['gravity', 'mass', 'length']
    """
    floats = {f.name for f in dataclasses.fields(env) if f.type is float}  # given as 10 they are numbers, too
    one = lambda x: isinstance(x, float) or (eqx.is_inexact_array_like(x) and jnp.ndim(x) == 0)
    number = lambda name, x: name in floats if isinstance(x, int) else one(x)
    return [name for name, x in vars(env).items() if number(name, x)]


# --- the same, outside JAX ------------------------------------------------------------------------------------------


class PerturbedHost(AbstractHostEnv):
    """A host environment, perturbed as `Perturbed` is: the same fields, noise from NumPy by the seed of `reset`.

    Raises:
        SpecError: as `Perturbed`.
    """

    env: AbstractHostEnv
    delay: int = 0
    action_noise: float = 0.0
    obs_noise: float = 0.0
    obs_scale: Any = 1.0

    def __check_init__(self) -> None:
        _check(self)

    @property
    def spec(self) -> EnvSpec:
        return self.env.spec

    def open(self, num_envs: int, *, render: bool = False) -> "PerturbedVector":
        return PerturbedVector(self, num_envs, render)


class PerturbedVector:
    """Live environments; see `operant.core.HostEnv`. `PerturbedHost.open` makes it."""

    def __init__(self, how: PerturbedHost, num_envs: int, render: bool):
        self.how, self.spec, self.num_envs = how, how.spec, num_envs
        self._live = how.env.open(num_envs, render=render)
        self._rngs = [np.random.default_rng(0)]  # one a seed
        self._late: list[np.ndarray] = []

    def reset(self, *, seed: int | Sequence[int]) -> Obs:
        seeds = [seed] if isinstance(seed, int) else seed
        self._rngs = [np.random.default_rng([s, 13]) for s in seeds]
        nothing = _nothing(self.spec.action)
        self._late = [np.broadcast_to(nothing, (self.num_envs, *nothing.shape)).copy() for _ in range(self.how.delay)]
        return self._blurred(self._live.reset(seed=seed))

    def step(self, action: np.ndarray) -> Step:
        self._late.append(np.array(action))
        s = self._live.step(self._shaken(self._late.pop(0)))
        done = np.asarray(s.terminated | s.truncated)
        for waiting in self._late:  # a new episode begins with nothing on its way
            waiting[done] = _nothing(self.spec.action)
        if self.how.obs_noise == 0:
            return s
        final = self._blurred(s.final_obs)
        fresh = self._blurred(s.obs)
        obs = np.where(done.reshape(-1, *[1] * (np.ndim(fresh) - 1)), fresh, final)
        return make_step(obs, s.reward, s.terminated, s.truncated, final)

    def _shaken(self, action: np.ndarray) -> np.ndarray:
        space, noise = self.spec.action, self.how.action_noise
        if noise == 0:
            return action
        if isinstance(space, Discrete):
            other = self._drawn(action.shape, lambda rng, shape: rng.integers(space.n, size=shape)).astype(action.dtype)
            return np.where(self._drawn(action.shape, lambda rng, shape: rng.random(shape)) < noise, other, action)
        low, high = space.bounds()
        half = 0.5 * (high - low) if space.bounded else 1.0
        return np.clip(action + noise * half * self._drawn(action.shape), low, high).astype(action.dtype)

    def _drawn(self, shape: tuple[int, ...], draw: Any = np.random.Generator.standard_normal) -> np.ndarray:
        """`draw(generator, shape)`, each seed's part of the leading axis from its own generator."""
        part = (shape[0] // len(self._rngs), *shape[1:])
        return np.concatenate([draw(rng, part) for rng in self._rngs])

    def _blurred(self, obs: Any) -> Any:
        if self.how.obs_noise == 0:
            return obs
        scale = np.asarray(self.how.obs_scale, np.float32)
        noise = np.float32(self.how.obs_noise) * scale * self._drawn(obs.shape).astype(np.float32)
        return np.clip(obs + noise, *self.spec.obs.bounds())  # type: ignore[union-attr]

    def snapshot(self) -> None:
        """None: what is on its way is not kept, so a run cannot be resumed bit for bit."""
        return

    def restore(self, snapshot: list) -> Obs:
        raise RunError("expected an environment that can be restored; a perturbed host environment cannot. Start anew.")

    def render(self) -> list[np.ndarray]:
        return self._live.render()

    def close(self) -> None:
        self._live.close()


def perturbed(env: AbstractEnv | AbstractHostEnv, **fields: Any) -> Perturbed | PerturbedHost:
    """`Perturbed` of a JAX environment, `PerturbedHost` of a host one. Raises SpecError as these do.

    >>> from operant.envs.toy import CartPole
    >>> perturbed(CartPole(), delay=2).delay
    2
    """
    if isinstance(env, AbstractEnv):
        return Perturbed(env, **fields)
    if isinstance(env, AbstractHostEnv):
        return PerturbedHost(env, **fields)
    raise SpecError(
        f"expected an AbstractEnv or AbstractHostEnv to perturb; got {type(env).__name__}. Make one with "
        "operant.make(id)."
    )
