"""Gymnasium spaces as Operant's: descriptions, observations and actions, in both directions.

| Gymnasium | here | how values are converted |
|---|---|---|
| `Box` of floats, or of integers | `Box`, float32 | cast (integers are exact up to 2²⁴) |
| `Box` of uint8 with two axes or more (images) | `Box`, uint8 | untouched |
| `Discrete(n, start)` | `Discrete(n)` | shifted by `start` |
| `MultiBinary` (observations) | `Box` in [0, 1], float32 | cast |
| `MultiDiscrete` (observations) | flat `Box` in [0, 1], float32, Σ nvec elements | one-hot, one after the other |
| `Dict`, `Tuple` (observations, nested too) | `Composite` | a dict; a tuple's names are "0", "1", … |

Actions are `Discrete` or a bounded `Box` of floats; everything else is refused with what to do about it.
"""

from typing import Any

import numpy as np
from gymnasium import spaces as gs

from operant.core import Box, Composite, Discrete, Space
from operant.errors import EnvError, SpecError

SLACK = 1e-6
"""How far beyond its bound, relative to max(1, |bound|), an action is taken for rounding and clipped."""


def _bound(values: np.ndarray) -> float | tuple[float, ...]:
    """One number where all elements agree, else one an element; beyond float32's range means unbounded."""
    flat = np.asarray(values, np.float64).ravel()
    flat = np.where(np.abs(flat) > np.finfo(np.float32).max, np.copysign(np.inf, flat), flat)
    if flat.size and (flat == flat[0]).all():
        return float(flat[0])
    return tuple(float(x) for x in flat)


def from_gymnasium(space: Any) -> Space:
    """The observation space a Gymnasium space stands for.

    Raises SpecError for spaces of no fixed size (Text, Sequence, Graph, …), naming which and what to do.

    >>> from_gymnasium(gs.Dict(seen=gs.Box(0, 255, (8, 8, 3), np.uint8), bag=gs.MultiBinary(2)))
    Composite(spaces=(('seen', Box(shape=(8, 8, 3), low=0.0, high=255.0, dtype='uint8', names=())),
    ('bag', Box(shape=(2,), low=0.0, high=1.0, dtype='float32', names=()))))
    """
    match space:
        case gs.Box():
            image = space.dtype == np.uint8 and len(space.shape) >= 2
            return Box(space.shape, _bound(space.low), _bound(space.high), "uint8" if image else "float32")
        case gs.Discrete():
            return Discrete(int(space.n))
        case gs.MultiBinary():
            return Box(space.shape, 0.0, 1.0)
        case gs.MultiDiscrete():
            return Box((int(space.nvec.sum()),), 0.0, 1.0)
        case gs.Dict():
            return Composite(tuple((str(name), from_gymnasium(s)) for name, s in space.spaces.items()))
        case gs.Tuple():
            return Composite(tuple((str(i), from_gymnasium(s)) for i, s in enumerate(space.spaces)))
    raise SpecError(
        "expected observations in a Box, Discrete, MultiBinary, MultiDiscrete, Dict or Tuple space; "
        f"got {type(space).__name__}: {space}. Its size is not fixed: turn it into a Box with a "
        "gymnasium.wrappers.TransformObservation in your own registered environment."
    )


def action_from_gymnasium(space: Any) -> Box | Discrete:
    """The action space a Gymnasium space stands for: `Discrete`, or a bounded `Box` of floats.

    Raises SpecError for anything else, naming what arrived and what to do.

    >>> action_from_gymnasium(gs.Discrete(3, start=1))
    Discrete(n=3)
    """
    match space:
        case gs.Discrete():
            return Discrete(int(space.n))
        case gs.Box() if np.issubdtype(space.dtype, np.floating):
            box = Box(space.shape, _bound(space.low), _bound(space.high))
            if box.bounded:
                return box
            raise SpecError(
                f"expected continuous actions between finite bounds; got {space}. "
                "Bound them with gymnasium.wrappers.RescaleAction or ClipAction in your own registered environment."
            )
    advice = {
        gs.MultiDiscrete: "Enumerate the combinations as one Discrete(∏ nvec)",
        gs.MultiBinary: "Enumerate the combinations as one Discrete(2ⁿ)",
        gs.Dict: "Flatten its parts into one Box or one Discrete",
        gs.Tuple: "Flatten its parts into one Box or one Discrete",
        gs.Box: "Enumerate its integers as one Discrete",
    }.get(type(space), "Map them to one Box or one Discrete")
    raise SpecError(
        f"expected actions in a Discrete or a bounded Box of floats; got {type(space).__name__}: {space}. "
        f"{advice}, with a gymnasium.ActionWrapper in your own registered environment."
    )


def convert(space: Any, obs: Any) -> Any:
    """A Gymnasium observation, with any leading axes, as a copy of ours: float32, uint8 (images), int32 or a dict."""
    match space:
        case gs.Box():
            image = space.dtype == np.uint8 and len(space.shape) >= 2
            return np.array(obs, np.uint8 if image else np.float32)
        case gs.Discrete():
            return np.array(obs - space.start, np.int32)
        case gs.MultiBinary():
            return np.array(obs, np.float32)
        case gs.MultiDiscrete():
            obs = np.asarray(obs) - space.start
            lead = obs.shape[: obs.ndim - space.nvec.ndim]
            index = obs.reshape(*lead, -1)
            hot = [index[..., i, None] == np.arange(n) for i, n in enumerate(space.nvec.ravel())]
            return np.concatenate(hot, -1).astype(np.float32)
        case gs.Dict():
            return {str(name): convert(s, obs[name]) for name, s in space.spaces.items()}
        case gs.Tuple():
            return {str(i): convert(s, obs[i]) for i, s in enumerate(space.spaces)}
    raise SpecError(f"expected a space that from_gymnasium accepts; got {type(space).__name__}.")


def flaw(space: Any, obs: Any, path: str = "observation") -> str | None:
    """What is wrong with one raw observation's structure, shape or dtype, in words; None where it fits.

    Values are not looked at, except that Discrete observations must be in range. A float of another width and an
    integer of another width are fine; floats in an integer space, whose fractions a cast would lose, are not.

    >>> flaw(gs.Box(0.0, 1.0, (2,)), np.zeros(3))
    'expected observation of shape (2,); got shape (3,)'
    """
    if isinstance(space, gs.Box | gs.MultiBinary | gs.MultiDiscrete):
        shape, dtype = np.shape(obs), getattr(obs, "dtype", None) or np.asarray(obs).dtype
        if shape != space.shape:
            return f"expected {path} of shape {space.shape}; got shape {shape}"
        if dtype != space.dtype and not np.can_cast(dtype, space.dtype, "same_kind"):
            integers = dtype.kind in "iu" and space.dtype.kind in "iu"
            if not (integers and np.array_equal(obs, np.asarray(obs).astype(space.dtype))):
                return f"expected {path} of dtype {space.dtype}; got dtype {dtype}"
        return None
    if isinstance(space, gs.Discrete):
        return None if space.contains(obs) else f"expected {path} in {space}; got {obs!r}"
    named = isinstance(space, gs.Dict)
    parts: Any = space.spaces.items() if named else enumerate(space.spaces)
    if named and not (isinstance(obs, dict) and set(obs) == set(space.spaces)):
        got = sorted(obs) if isinstance(obs, dict) else type(obs).__name__
        return f"expected {path} to be a dict of {sorted(space.spaces)}; got {got}"
    if not named and not (isinstance(obs, tuple | list) and len(obs) == len(space.spaces)):
        got = f"{len(obs)} of them" if isinstance(obs, tuple | list) else type(obs).__name__
        return f"expected {path} to be a tuple of {len(space.spaces)}; got {got}"
    return next((f for name, s in parts if (f := flaw(s, obs[name], f"{path}[{name!r}]"))), None)


class Actions:
    """Checks a batch of our actions and turns it into what the environments expect.

    Calling it with (N, *shape) floats or (N,) integers returns the same in the Gymnasium space's own dtype and start.
    Raises EnvError for a wrong shape or dtype, NaN, or a value out of range by more than rounding (1e-6, clipped).
    """

    def __init__(self, space: Any, num_envs: int, name: str):
        self.ours: Any = action_from_gymnasium(space)
        self.name = name
        self.shape = (num_envs, *space.shape)
        self.dtype = space.dtype
        if isinstance(space, gs.Discrete):
            self.start = int(space.start)
        else:
            self.low, self.high = space.low, space.high
            self.slack = [SLACK * np.maximum(1.0, np.abs(b)) for b in (space.low, space.high)]

    def __call__(self, action: Any) -> np.ndarray:
        action = np.asarray(action)
        if action.shape != self.shape:
            raise EnvError(
                f"expected actions of shape {self.shape} for {self.name} (environments first); got {action.shape}. "
                "Give one action an environment."
            )
        return self._integers(action) if isinstance(self.ours, Discrete) else self._floats(action)

    def _integers(self, action: np.ndarray) -> np.ndarray:
        n = self.ours.n
        counted = action.astype(np.int64) if action.dtype.kind in "iu" else None
        # read as unsigned, a negative number is huge: one comparison checks both ends
        if counted is None or (counted.view(np.uint64) >= n).any():
            raise EnvError(
                f"expected integer actions 0 … {n - 1} for {self.name}; got {action.tolist()} ({action.dtype}). "
                f"Choose among {n} actions counted from 0."
            )
        return (counted + self.start if self.start else counted).astype(self.dtype, copy=False)

    def _floats(self, action: np.ndarray) -> np.ndarray:
        if action.dtype.kind not in "fiu":
            raise EnvError(f"expected float32 actions for {self.name}; got dtype {action.dtype}. Cast them.")
        action = action.astype(self.dtype)  # a copy: environments may write into what they are given
        if (action >= self.low).all() and (action <= self.high).all():
            return action
        beyond = ~((action >= self.low - self.slack[0]) & (action <= self.high + self.slack[1]))  # NaN is beyond
        if beyond.any():
            at = tuple(int(i) for i in np.argwhere(beyond)[0])
            low, high = (float(np.broadcast_to(b, action.shape)[at]) for b in (self.low, self.high))
            raise EnvError(
                f"expected actions of {self.name} in [{low:.6g}, {high:.6g}]; got {float(action[at]):.6g} in "
                f"environment {at[0]}, element {list(at[1:])}. Clip or squash actions to spec.action before stepping."
            )
        return np.clip(action, self.low, self.high)


def stack(space: Space, rows: list[Any]) -> Any:
    """N observations of ours as one with a leading axis N."""
    if isinstance(space, Composite):
        return {name: stack(s, [row[name] for row in rows]) for name, s in space.spaces}
    if isinstance(space, Discrete) or not space.shape:
        return np.array(rows, getattr(space, "dtype", "int32"))
    return np.concatenate(rows, dtype=space.dtype).reshape(len(rows), *space.shape)  # several times np.stack's rate


def copy(obs: Any) -> Any:
    """An observation that shares no memory with `obs`."""
    return {name: copy(x) for name, x in obs.items()} if isinstance(obs, dict) else np.array(obs)


def row(obs: Any, i: int) -> Any:
    """Observation i of a batch."""
    return {name: row(x, i) for name, x in obs.items()} if isinstance(obs, dict) else obs[i]


def place(obs: Any, rows: dict[int, Any]) -> Any:
    """A copy of batched `obs` with the given rows put in: the true successors, where episodes ended."""
    if isinstance(obs, dict):
        return {name: place(x, {i: row[name] for i, row in rows.items()}) for name, x in obs.items()}
    out = obs.copy()
    for i, row in rows.items():
        out[i] = row
    return out


def non_finite(obs: Any) -> tuple[int, str] | None:
    """The first environment with a NaN or infinity in batched `obs`, and which is where; None if all are finite."""
    if isinstance(obs, dict):
        found = ((name, non_finite(x)) for name, x in obs.items())
        return next(((hit[0], f"[{name!r}]{hit[1]}") for name, hit in found if hit), None)
    if obs.dtype.kind != "f" or np.isfinite(obs).all():
        return None
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(obs))[0])
    return at[0], f"{list(at[1:])} = {obs[at]}"
