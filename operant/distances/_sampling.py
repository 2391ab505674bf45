"""Distances from steps: rewards judged twice and looked at, values by regression, and intervals by resampling.

Intervals are over whole episodes where there are at least eight, else over stretches of steps; those of EPIC over the
transitions and means that were drawn, given the states that were visited.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from operant.core import RewardFn, Transition
from operant.distances import _pairs
from operant.errors import DataError, OperantError, SpecError
from operant.nn import generator

UNITS = 64
"""Most groups of episodes that are resampled."""
FEWEST = 8
"""Fewest episodes that are resampled whole."""


class Sampled(NamedTuple):
    """Distances (K, K) with their intervals."""

    value: Float[np.ndarray, "K K"]
    low: Float[np.ndarray, "K K"]
    high: Float[np.ndarray, "K K"]


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """What was seen of one policy: N steps and the episode of each."""

    data: Transition
    """(N,), NumPy."""
    episode: Int[np.ndarray, " N"]
    discount: float
    """γ in [0, 1)."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.discount < 1.0:
            raise SpecError(f"expected 0 ≤ discount < 1; got {self.discount}. Use 0.99 to look 100 steps ahead.")
        if len(self.episode) < 2 * FEWEST:
            raise DataError(f"expected at least {2 * FEWEST} steps; got {len(self.episode)}. Run more episodes.")

    @classmethod
    def of(cls, episodes: Any, discount: float) -> "Steps":
        """Of the `Episodes` that `evaluate` gives."""
        mask = np.asarray(episodes.mask)
        flat = jax.tree.map(lambda x: np.asarray(x)[mask], episodes.transitions)
        return cls(flat, np.repeat(np.arange(len(mask)), mask.sum(1)), discount)

    @property
    def units(self) -> Int[np.ndarray, " N"]:
        """Which group each step belongs to: what is resampled."""
        count = len(np.unique(self.episode))
        if count < FEWEST:
            return np.arange(len(self.episode)) * (2 * FEWEST) // len(self.episode)
        return np.unique(self.episode, return_inverse=True)[1] % UNITS


# --- rewards --------------------------------------------------------------------------------------------------------


def transitions(obs: Any, action: Any, next_obs: Any) -> Transition:
    """Steps that were put together and did not happen: no reward is known of them, and no extras."""
    n = jax.tree.leaves(action)[0].shape[0]
    no = jnp.zeros(n, bool)
    return Transition(obs, action, jnp.full(n, jnp.nan), no, no, next_obs, {})


def chosen(tree: Any, rows: np.ndarray) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[rows], tree)


def judged(name: str, reward: RewardFn, batch: Transition) -> Float[np.ndarray, " n"]:
    """The reward of each step, float64. Raises DataError where it reads what is not there, or gives another shape."""
    n = len(jax.tree.leaves(batch.terminated)[0])
    try:
        found = np.asarray(reward(jax.tree.map(jnp.asarray, batch)), np.float64)
    except OperantError:
        raise
    except (KeyError, AttributeError) as error:
        there = ", ".join(sorted(batch.extras)) or "nothing"
        raise DataError(
            f"expected reward {name!r} to read (s, a, s′) only; it asks for {error}, which these transitions do not "
            f"have (their extras: {there}). Write it of the observation, the action and the next observation."
        ) from error
    if found.shape != (n,):
        raise DataError(
            f"expected reward {name!r} to give one number a transition, ({n},); got {found.shape}. Reduce the last "
            "axis, for instance with jnp.sum(…, axis=-1)."
        )
    return found


def rewards_of(rewards: Mapping[str, RewardFn], steps: Steps) -> Float[np.ndarray, "K N"]:
    """Every reward of every step, each judged twice.

    Raises:
        DataError: NaN or infinity (which reward, of how many steps); another answer the second time.
    """
    found = []
    for name, reward in rewards.items():
        once, again = judged(name, reward, steps.data), judged(name, reward, steps.data)
        differ = ~((once == again) | (np.isnan(once) & np.isnan(again)))
        if n := int(differ.sum()):
            raise DataError(
                f"expected reward {name!r} to be a function of (s, a, s′); judged twice, {n} of {len(once)} steps were "
                f"worth something else (by up to {np.nanmax(np.abs(once - again)):.3g}): it depends on hidden state or "
                "draws random numbers. Put what it depends on into the observation, or fix its draws."
            )
        if n := int((~np.isfinite(once)).sum()):
            raise DataError(
                f"expected finite rewards; reward {name!r} is NaN or infinite for {n} of {len(once)} steps. Find where "
                "it divides by zero or takes a logarithm."
            )
        found.append(once)
    return np.stack(found)


def off_the_path(name: str, what: str, direct: np.ndarray, means: np.ndarray) -> None:
    """Raise DataError where a reward, finite on every step that happened, is not on those put together."""
    n, of = sum(int((~np.isfinite(x)).sum()) for x in (direct, means)), direct.size + means.size
    if n:
        out = "DARD, which stays near them, or STARC, which needs no others" if what == "EPIC" else "STARC"
        raise DataError(
            f"{what} asks what transitions are worth that did not happen, and reward {name!r} is NaN or infinite for "
            f"{n} of {of} of them, though finite on all that did: it cannot be judged off the visited transitions. "
            f"Use {out}."
        )


# --- values ---------------------------------------------------------------------------------------------------------


def flat(tree: Any) -> Float[np.ndarray, "N d"]:
    """Observations as rows; the entries of a dict side by side."""
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(tree)]
    return np.concatenate([x.reshape(len(x), -1) for x in leaves], axis=1)


def _features(steps: Steps, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """φ(s) and φ(s′), (N, p): 1, x, products of two where they are few, and cosines of random directions."""
    here, there = flat(steps.data.obs), flat(steps.data.next_obs)
    both = np.concatenate([here, there])
    kept = np.ptp(both, axis=0) > 0.0
    middle, spread = both[:, kept].mean(0), both[:, kept].std(0)
    here, there = ((x[:, kept] - middle) / np.maximum(spread, 1e-12) for x in (here, there))
    d = here.shape[1]
    i, j = np.triu_indices(d)
    products = d > 0 and 1 + d + len(i) <= count
    waves = max(0, min(count, len(here) // 5) - 1 - d - (len(i) if products else 0))
    direction, phase = rng.normal(size=(d, waves)) / np.sqrt(max(d, 1)), rng.uniform(0, 2 * np.pi, waves)

    def of(x: np.ndarray) -> np.ndarray:
        parts = [np.ones((len(x), 1)), x, np.cos(x @ direction + phase)]
        return np.concatenate([*parts, x[:, i] * x[:, j]] if products else parts, axis=1)

    return of(here), of(there)


class Regression(NamedTuple):
    """What the values of the policy that took the steps are fitted with: LSTD, for all rewards at once."""

    here: Float[np.ndarray, "N p"]
    ahead: Float[np.ndarray, "N p"]
    """γφ(s′), and 0 where the episode ended for good."""
    system: Float[np.ndarray, "U p p"]
    """Of each unit, Σ φ(s)(φ(s) − γφ(s′))ᵀ."""
    target: Float[np.ndarray, "U p K"]
    """Of each unit, Σ φ(s) r."""
    rewards: Float[np.ndarray, "K N"]

    def canonical(self, counts: Float[np.ndarray, " U"]) -> Float[np.ndarray, "K N"]:
        """R + γV(s′) − V(s), V fitted to each unit as many times as `counts` says."""
        A = np.tensordot(counts, self.system, 1)
        A[np.diag_indices_from(A)] += 1e-9 * np.trace(A) / len(A)
        fitted = np.linalg.solve(A, np.tensordot(counts, self.target, 1))
        return self.rewards + ((self.ahead - self.here) @ fitted).T


def regression(steps: Steps, r: Float[np.ndarray, "K N"], count: int, key: PRNGKeyArray) -> Regression:
    """The fit for these steps and rewards. Raises SpecError unless count ≥ 1."""
    if count < 1:
        raise SpecError(f"expected features ≥ 1; got {count}.")
    here, there = _features(steps, count, generator(key))
    ahead = steps.discount * np.where(np.asarray(steps.data.terminated)[:, None], 0.0, there)
    units = steps.units
    rows = [units == u for u in range(units.max() + 1)]
    system = np.stack([here[k].T @ (here[k] - ahead[k]) for k in rows])
    target = np.stack([here[k].T @ r[:, k].T for k in rows])
    return Regression(here, ahead, system, target, r)


# --- successors -----------------------------------------------------------------------------------------------------


def nearest_successor(steps: Steps) -> Callable[[Any, Any], np.ndarray]:
    """`follow(obs, action)`: where these lead, moved as the nearest step in the data moved.

    Raises:
        SpecError: observations that are dicts.
    """
    from scipy.spatial import KDTree

    obs, action = steps.data.obs, np.asarray(steps.data.action)
    if not isinstance(obs, np.ndarray):
        raise SpecError(
            f"expected observations that are arrays, among which the nearest can be found; got {type(obs).__name__}. "
            "Compare with STARC, which needs no model."
        )
    discrete = np.issubdtype(action.dtype, np.integer)
    spread = lambda x: np.maximum(x.std(0), 1e-6)
    rows = flat(obs)
    scale = spread(rows)
    act_scale = np.ones(1) if discrete else spread(flat(action))
    # Another discrete action is farther than any observation.
    far = 10.0 * np.sqrt(rows.shape[1] + 1.0) * 10.0

    def place(o: Any, a: Any) -> np.ndarray:
        acts = np.asarray(a)
        acts = far * np.eye(action.max() + 1)[acts] if discrete else flat(acts) / act_scale
        return np.concatenate([flat(o) / scale, acts.reshape(len(acts), -1)], axis=1)

    tree = KDTree(place(obs, action))
    moved = np.asarray(steps.data.next_obs, np.float64) - obs
    low, high = -np.inf, np.inf
    if not np.issubdtype(obs.dtype, np.floating):  # bytes would wrap around, and numbers of states are so many
        seen = np.concatenate([obs, steps.data.next_obs])
        low, high = seen.min(), seen.max()

    def follow(o: Any, a: Any) -> np.ndarray:
        _, near = tree.query(place(o, a), workers=-1)
        return np.clip(o + moved[near], low, high).astype(obs.dtype)

    return follow


# --- intervals ------------------------------------------------------------------------------------------------------


def spans(value: np.ndarray, draws: list[np.ndarray], level: float) -> Sampled:
    """The percentile interval of each pair, which holds the value."""
    if not 0.0 < level < 1.0:
        raise SpecError(f"expected 0 < level < 1; got {level}. Write 0.95 for a 95 % interval.")
    low, high = np.quantile(np.stack([value, *draws]), [0.5 * (1 - level), 0.5 * (1 + level)], axis=0)
    return Sampled(value, np.minimum(low, value), np.maximum(high, value))


def distances(
    x: Float[np.ndarray, "K n"], raw: Float[np.ndarray, "K n"], w: Float[np.ndarray, " n"], p: float, metric: Any,
    centred: bool,
) -> Float[np.ndarray, "K K"]:  # fmt: skip
    """Of canonical rewards x at n places of weight w; `raw`: the rewards themselves there."""
    w = w / w.sum()
    if centred:
        x = x - (x @ w)[:, None]
    return _pairs.from_blocks(lambda: [(x, w)], _pairs.norms([(raw, w)], p), p, metric, _pairs.ZERO32)


def resampled(
    canonical: Callable[[Float[np.ndarray, " U"]], Float[np.ndarray, "K n"]],
    raw: Float[np.ndarray, "K n"],
    units: Int[np.ndarray, " n"],
    rng: np.random.Generator,
    *,
    p: float = 2.0,
    metric: Any,
    centred: bool,
    level: float,
    resamples: int,
) -> Sampled:
    """Distances with intervals: units are drawn with replacement, `canonical(counts)` fitted anew each time."""
    U = int(units.max()) + 1
    counts = np.ones(U)
    value = distances(canonical(counts), raw, counts[units], p, metric, centred)
    draws = []
    for _ in range(resamples):
        counts = rng.multinomial(U, np.full(U, 1.0 / U)).astype(float)
        draws.append(distances(canonical(counts), raw, counts[units], p, metric, centred))
    return spans(value, draws, level)
