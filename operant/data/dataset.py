"""Recorded transitions to learn from, with where they come from, their licence, and the hash that names them.

M transitions in the order they happened, each episode's rows together: row i and i + 1 are consecutive steps where
`episode[i] == episode[i + 1]`. Rows are checked once, when the dataset is made; drawing from it is pure and compiles.

>>> import jax
>>> steps = {"obs": np.arange(6.0).reshape(6, 1), "action": np.array([0, 1, 0, 1, 1, 0]), "reward": np.ones(6)}
>>> ends = np.array([0, 0, 1, 0, 0, 1], bool)
>>> spec = EnvSpec(Box((1,)), Discrete(2), None)
>>> data = Dataset.from_numpy(spec, **steps, terminated=ends, next_obs=steps["obs"] + 1, origin="by hand")
>>> data.size, data.episodes, data.segments(4, 3, jax.random.key(0)).obs.shape
(6, 2, (4, 3, 1))
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from operant import config
from operant.core import Box, Composite, Discrete, EnvSpec, Space, Transition
from operant.errors import DataError, RunError, SpecError
from operant.io import checkpoint
from operant.math import random
from operant.math.pick import pick

if TYPE_CHECKING:
    from operant.loops.rollout import Episodes


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a dataset comes from, under which licence, and the SHA-256 of its arrays."""

    origin: str = ""
    licence: str = ""
    sha256: str = ""


class Dataset(eqx.Module):
    """M recorded transitions (see the module's docstring). Make one with `from_numpy`, `from_episodes` or `load`."""

    data: Transition
    """(M,); `extras` holds named arrays (M, …)."""
    episode: Int[Array, " M"]
    """Which episode each transition belongs to; the rows of one stand together, in order."""
    spec: EnvSpec = eqx.field(static=True)
    """The environment they were recorded in."""
    source: Source = eqx.field(static=True)
    longest: int = eqx.field(static=True)
    """Transitions of the longest episode."""

    def __init__(self, data: Transition, episode: Any, spec: EnvSpec, *, origin: str = "", licence: str = ""):
        """Check and keep; arrays are cast to the dtypes of `spec`.

        Raises:
            DataError: no rows, unequal lengths, shapes or dtypes that do not fit `spec`, non-finite numbers, actions
                that are not there, rows of one episode apart, or an episode that goes on after its end.
        """
        rows = len(np.asarray(data.reward)) if np.ndim(data.reward) else 0
        if rows == 0:
            raise DataError(
                f"expected at least one transition; got reward of shape {np.shape(data.reward)}. "
                "Give arrays whose first axis is M ≥ 1."
            )
        kept = checked(data, spec)
        episode = np.asarray(episode)
        if episode.shape != (rows,) or episode.dtype.kind not in "iu":
            raise DataError(
                f"expected episode to be {rows} whole numbers, one a transition; got {episode.dtype} {episode.shape}. "
                "Leave it out to cut episodes where terminated or truncated."
            )
        starts = np.flatnonzero(np.r_[True, episode[1:] != episode[:-1]])
        if len(np.unique(episode[starts])) < len(starts):
            raise DataError(
                f"expected the rows of an episode to stand together; {len(starts)} blocks share "
                f"{len(np.unique(episode[starts]))} numbers. Sort by episode (stably, steps stay in order)."
            )
        over = np.flatnonzero((kept.terminated | kept.truncated)[:-1] & (episode[1:] == episode[:-1]))
        if len(over):
            raise DataError(
                f"expected an episode to end where terminated or truncated; episode {episode[over[0]]} goes on after "
                f"row {over[0]} ({len(over)} such rows). Number episodes anew after each end, or mend the flags."
            )
        lengths = np.diff(np.r_[starts, rows])
        numbered = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
        self.source = Source(origin, licence, digest((kept, numbered)))
        self.data, self.episode = jax.tree.map(jnp.asarray, (kept, numbered))
        self.spec, self.longest = spec, int(lengths.max())

    # --- drawing ---

    @property
    def size(self) -> int:
        """M: transitions held."""
        return self.episode.shape[0]

    @property
    def episodes(self) -> int:
        """How many episodes they make."""
        return int(self.episode[-1]) + 1

    def sample(self, n: int, key: PRNGKeyArray, *, rows: bool = False) -> Transition:
        """`n` transitions (n,), uniformly and with replacement; `rows`: `extras["row"]` says which."""
        index = random.integers(key, (n,), self.size)
        drawn = jax.tree.map(lambda x: x[index], self.data)
        return eqx.tree_at(lambda t: t.extras, drawn, drawn.extras | {"row": index}) if rows else drawn

    def segments(self, n: int, length: int, key: PRNGKeyArray) -> Transition:
        """`n` stretches of `length` consecutive steps (n, length), uniformly among all there are, none of which
        crosses an episode's end.

        Raises:
            SpecError: length < 1, or no episode is that long.
        """
        if not 1 <= length <= self.longest:
            raise SpecError(
                f"expected 1 ≤ length ≤ {self.longest}, the longest episode; got {length}. Ask for shorter segments."
            )
        last = length - 1
        whole = self.episode[last:] == self.episode[: self.size - last]
        index = pick(key, whole, n)[:, None] + jnp.broadcast_to(jnp.arange(length), (n, length))
        return jax.tree.map(lambda x: x[index], self.data)

    def windows(self, n: int, length: int, key: PRNGKeyArray) -> Transition:
        """`n` windows (n, length) that end at transitions drawn as `sample` draws them: what was seen and done until
        then. `extras["mask"]` (n, length) is false where an episode began later; its first step stands there.

        Raises:
            SpecError: length < 1.
        """
        return self._history(random.integers(key, (n,), self.size), length)

    def relabelled(
        self, n: int, key: PRNGKeyArray, *, length: int | None = None, stop: float | None = None
    ) -> Transition:
        """`n` transitions (n,), or windows (n, length) as `windows` draws them, with `extras["goal"]` (n, …): what the
        same episode led to at this step (of a window: its last) or later, a `next_obs`.

        Args:
            stop: later steps are drawn with probabilities stop·(1 − stop)ᵏ, k = 0, 1, …, up to the episode's end, which
                stands for all beyond; None: uniformly.

        Raises:
            SpecError: length < 1, or stop outside (0, 1].
        """
        if isinstance(stop, int | float) and not 0.0 < stop <= 1.0:
            raise SpecError(f"expected 0 < stop ≤ 1; got {stop:g}. Use 1 − γ for goals as far away as rewards count.")
        rows_key, goal_key = jax.random.split(key)
        index = random.integers(rows_key, (n,), self.size)
        left = jnp.searchsorted(self.episode, self.episode[index], side="right").astype(jnp.int32) - index  # ≥ 1
        u = jax.random.uniform(goal_key, (n,))
        if stop is None:
            later = (u * left).astype(jnp.int32)
        else:
            later = jnp.floor(jnp.log1p(-u) / jnp.log1p(-jnp.minimum(stop, 1.0 - 1e-6))).astype(jnp.int32)
        goal = jax.tree.map(lambda x: x[index + jnp.minimum(later, left - 1)], self.data.next_obs)
        drawn = jax.tree.map(lambda x: x[index], self.data) if length is None else self._history(index, length)
        return eqx.tree_at(lambda t: t.extras, drawn, drawn.extras | {"goal": goal})

    def _history(self, index: Int[Array, " n"], length: int) -> Transition:
        """The windows that end at these rows."""
        if length < 1:
            raise SpecError(f"expected length ≥ 1; got {length}. Ask for windows of at least one step.")
        first = jnp.searchsorted(self.episode, self.episode[index], side="left").astype(jnp.int32)
        place = index[:, None] + jnp.broadcast_to(jnp.arange(1 - length, 1), (len(index), length))
        mask = place >= first[:, None]
        place = jnp.where(mask, place, first[:, None])
        drawn = jax.tree.map(lambda x: x[place], self.data)
        return eqx.tree_at(lambda t: t.extras, drawn, drawn.extras | {"mask": mask})

    # --- coming and going ---

    @classmethod
    def from_numpy(
        cls,
        spec: EnvSpec,
        *,
        obs: Any,
        action: Any,
        reward: Any,
        terminated: Any,
        next_obs: Any,
        truncated: Any = None,
        episode: Any = None,
        extras: dict[str, Any] | None = None,
        origin: str = "",
        licence: str = "",
    ) -> "Dataset":
        """From arrays whose first axis is M (dicts of them where `spec.obs` is composite).

        Args:
            next_obs: the true successors, also where an episode ends.
            truncated: none by default.
            episode: by default a new one begins after each end (terminated or truncated).

        Raises: DataError as the class does.
        """
        terminated = np.asarray(terminated)
        truncated = np.zeros(terminated.shape, bool) if truncated is None else np.asarray(truncated)
        if episode is None:
            if terminated.ndim != 1 or terminated.shape != truncated.shape:
                raise DataError(
                    f"expected terminated and truncated of one shape (M,); got {terminated.shape} and "
                    f"{truncated.shape}. Give one flag a transition."
                )
            episode = np.r_[0, np.cumsum((terminated != 0) | (truncated != 0))][:-1].astype(np.int32)
        data = Transition(obs, action, reward, terminated, truncated, next_obs, extras or {})
        return cls(data, episode, spec, origin=origin, licence=licence)

    @classmethod
    def from_episodes(cls, episodes: "Episodes", spec: EnvSpec, *, origin: str = "", licence: str = "") -> "Dataset":
        """What `operant.evaluate` returned, without its padding. Extras that are arrays are kept."""
        mask = np.asarray(episodes.mask)
        extras = {name: x for name, x in episodes.transitions.extras.items() if eqx.is_array_like(x)}
        ts = eqx.tree_at(lambda t: t.extras, episodes.transitions, extras)
        flat = jax.tree.map(lambda x: np.asarray(x)[mask], ts)
        return cls(flat, np.nonzero(mask)[0], spec, origin=origin, licence=licence)

    def save(self, path: str | Path) -> Path:
        """Write one file that `load` reads, in the format of checkpoints. Raises StoreError."""
        path = Path(path)
        extras = {name: [x.dtype.name, list(x.shape)] for name, x in self.data.extras.items()}
        header = {
            "spec": config.to_plain(self.spec),
            "origin": self.source.origin,
            "licence": self.source.licence,
            "size": self.size,
            "extras": extras,
        }
        checkpoint.save(path, (self.data, self.episode), {"dataset": header})
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Dataset":
        """Read what `save` wrote; never runs code.

        Raises:
            RunError: not such a file, cut short, or altered.
        """
        path = Path(path)
        header = checkpoint.read_header(path)
        if "dataset" not in header:
            raise RunError(f"expected a dataset in {path}; it holds something else. Give a file Dataset.save wrote.")
        about = header["dataset"]
        spec, rows = config.from_plain(about["spec"], EnvSpec), about["size"]
        room = lambda space: jax.tree.map(lambda z: np.zeros((rows, *np.shape(z)), np.asarray(z).dtype), space.zero())
        flags: Any = lambda: np.zeros(rows, bool)
        extras = {name: np.zeros(shape, dtype) for name, (dtype, shape) in about["extras"].items()}
        reward: Any = np.zeros(rows, np.float32)
        steps = Transition(room(spec.obs), room(spec.action), reward, flags(), flags(), room(spec.obs), extras)
        like = (steps, np.zeros(rows, np.int32))
        data, episode = checkpoint.load(path, like)
        return cls(data, episode, spec, origin=about["origin"], licence=about["licence"])


def checked(data: Transition, spec: EnvSpec, prefix: str = "") -> Transition:
    """Transitions (M,) in the dtypes of a spec, or a DataError that names the array, after `prefix`."""
    rows, flag, number = len(np.asarray(data.reward)), Box((), 0, 1, "bool"), Box((), dtype="float32")
    column = lambda name, x, space: _column(prefix + name, x, space, rows)
    return Transition(
        column("obs", data.obs, spec.obs),
        column("action", data.action, spec.action),
        column("reward", data.reward, number),
        column("terminated", data.terminated, flag),
        column("truncated", data.truncated, flag),
        column("next_obs", data.next_obs, spec.obs),
        {name: _extra(name, x, rows) for name, x in data.extras.items()},
    )


def _column(name: str, x: Any, space: Space, rows: int) -> Any:
    """`x` as `rows` elements of a space, in its dtype, or a DataError."""
    if isinstance(space, Composite):
        missing = [part for part, _ in space.spaces if not isinstance(x, dict) or part not in x]
        if missing:
            raise DataError(
                f"expected {name} to be a dict with {[part for part, _ in space.spaces]}; {missing[0]!r} is not in "
                f"{sorted(x) if isinstance(x, dict) else type(x).__name__}. Give one array an entry."
            )
        return {part: _column(f"{name}[{part!r}]", x[part], s, rows) for part, s in space.spaces}
    x = np.asarray(x)
    shape, dtype = (space.shape, space.dtype) if isinstance(space, Box) else ((), "int32")
    if x.shape[:1] != (rows,):
        raise DataError(
            f"expected {rows} rows of {name}, as many as of reward; got shape {x.shape}. Give every array one row a "
            "transition (next_obs has as many rows as obs)."
        )
    if x.shape[1:] != shape:
        raise DataError(f"expected {name} of shape ({rows}, …) with … = {shape}; got {x.shape}. Reshape it.")
    if not np.can_cast(x.dtype, dtype, "same_kind") or (x.dtype == bool) != (dtype == "bool"):
        raise DataError(
            f"expected {name} to hold {dtype}; got {x.dtype}. Cast it on purpose, x.astype({dtype!r}), if that loses "
            "nothing, or fix the spec."
        )
    _finite(name, x)
    if isinstance(space, Discrete) and (x.min() < 0 or x.max() >= space.n):
        raise DataError(
            f"expected {name} in 0 … {space.n - 1}; got {x.min()} … {x.max()}. Renumber it, or fix the spec."
        )
    kept, beyond = _cast(x, dtype)
    if beyond.any():
        raise DataError(
            f"expected {name} to hold what fits {dtype}; got {x[beyond][0]}, which does not ({beyond.sum()} such "
            "numbers). Scale it, or fix the spec."
        )
    return kept


def _extra(name: str, x: Any, rows: int) -> np.ndarray:
    x = np.asarray(x)
    if x.shape[:1] != (rows,) or x.dtype.kind not in "biuf":
        raise DataError(f"expected extras[{name!r}] to be numbers ({rows}, …); got {x.dtype} {x.shape}. Leave it out.")
    _finite(f"extras[{name!r}]", x)
    kept, beyond = _cast(x, _narrow(x.dtype))
    if beyond.any():
        raise DataError(
            f"expected extras[{name!r}] to fit {kept.dtype}; got {x.min()} … {x.max()}. Scale it (count time from the "
            "start), or leave it out."
        )
    return kept


def fits(x: np.ndarray) -> bool:
    """Whether numbers are finite and stay what they are in the dtype in which extras are kept."""
    return bool(np.isfinite(x).all() and not _cast(x, _narrow(x.dtype))[1].any())


def _narrow(dtype: np.dtype) -> Any:
    """What extras are kept in: at most 32 bits, this machine's order of bytes."""
    kinds = {"f8": np.float32, "f16": np.float32, "i8": np.int32, "u8": np.uint32}
    return kinds.get(dtype.str[1:], dtype.newbyteorder("="))


def _cast(x: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """In another dtype, and where it is no longer the number it was."""
    with np.errstate(over="ignore"):
        kept = x.astype(dtype)
    return kept, (kept != x) if kept.dtype.kind in "iu" else np.isinf(kept)


def _finite(name: str, x: np.ndarray) -> None:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
        raise DataError(
            f"expected finite {name}; {bad.sum()} of {len(x)} rows hold NaN or infinity, the first is row "
            f"{int(np.argmax(bad))}. Drop those episodes, or mend what recorded them."
        )


def digest(tree: Any) -> str:
    """SHA-256 over every array's path, dtype, shape and bytes."""
    digest = hashlib.sha256()
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(f"{jax.tree_util.keystr(path)} {x.dtype.str} {x.shape}\0".encode())
        digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()
