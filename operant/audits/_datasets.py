"""What the audits of datasets share: a dataset's steps on the host, its episodes, and what they are measured by."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from operant.audits.controls import RandomPolicy
from operant.core import AbstractEnv, Box, Subject
from operant.data.dataset import Dataset
from operant.errors import DataError

RANDOM_EPISODES = 32


class Steps(NamedTuple):
    """M steps of E episodes, on the host. `first` (E,): the row each episode begins at; `length` (E,)."""

    data: Any
    episode: Int[np.ndarray, " M"]
    first: Int[np.ndarray, " E"]
    length: Int[np.ndarray, " E"]

    @property
    def size(self) -> int:
        return len(self.episode)

    @property
    def episodes(self) -> int:
        return len(self.first)

    @property
    def last(self) -> Int[np.ndarray, " E"]:
        """(E,): the row each episode ends at."""
        return self.first + self.length - 1

    @property
    def returns(self) -> Float[np.ndarray, " E"]:
        """(E,): undiscounted sum of the rewards recorded."""
        return np.add.reduceat(np.asarray(self.data.reward, np.float64), self.first)

    @property
    def words(self) -> str:
        """What a finding rests on."""
        return f"{self.size:,} steps in {self.episodes:,} episode{'s' * (self.episodes != 1)}"


def steps_of(dataset: Any, what: str = "dataset") -> Steps:
    """A subject's dataset on the host.

    Raises:
        DataError: something that is no `Dataset` of transitions (comparisons, a dict), or one without rows.
    """
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"expected Subject.{what} to be a Dataset of transitions; got {type(dataset).__name__}. Make one with "
            "Dataset.from_numpy(spec, obs=…, action=…, …), or read a file with operant.data.demos.read(path)."
        )
    if dataset.size == 0:
        raise DataError(f"expected at least one step in Subject.{what}; got none. Record some.")
    data = jax.tree.map(np.asarray, dataset.data)
    episode = np.asarray(dataset.episode)
    first = np.flatnonzero(np.r_[True, np.diff(episode) != 0])
    return Steps(data, episode, first, np.diff(np.r_[first, len(episode)]))


def same_spaces(a: Dataset, b: Dataset) -> None:
    """Raise DataError unless two datasets see and act in the same spaces."""
    for name in ("obs", "action"):
        x, y = getattr(a.spec, name), getattr(b.spec, name)
        if jax.tree.map(np.shape, x.zero()) != jax.tree.map(np.shape, y.zero()):
            raise DataError(
                f"expected dataset and held-out data of one {name} space; got {x} and {y}. Record both in one "
                "environment."
            )


def random_episodes(subject: Subject, key: PRNGKeyArray) -> Any:
    """A uniformly random policy's `Episodes`: the control, or 32 run here; None without either."""
    if subject.control is not None or subject.env is None:
        return subject.control
    from operant.loops.rollout import evaluate  # the loops import the audits

    policy = RandomPolicy(subject.env.spec)
    return evaluate(policy, subject.env, episodes=RANDOM_EPISODES, key=key, deterministic=False)


def random_returns(subject: Subject, key: PRNGKeyArray) -> np.ndarray | None:
    """(n,) returns of a uniformly random policy, as `random_episodes` finds them; None where it finds none."""
    if (control := random_episodes(subject, key)) is None:
        return None
    returns = np.asarray(control.returns, np.float64)
    if not np.isfinite(returns).all():
        raise DataError(
            f"expected finite returns of the random policy; {int((~np.isfinite(returns)).sum())} of {len(returns)} "
            "episodes have NaN or infinity. Find where the environment's reward stops being finite."
        )
    return returns


def resample_episodes(episodes: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n E"]:
    """How often each episode is drawn in each of `n` resamples of as many."""
    return rng.multinomial(episodes, np.full(episodes, 1.0 / episodes), size=n)


def best_return(env: Any) -> float | None:
    """The largest expected return within the time limit, exactly, of an environment with tables; else None."""
    if not (isinstance(env, AbstractEnv) and hasattr(env, "tables")):
        return None
    P, R, initial = env.tables()  # type: ignore[attr-defined]
    gain = (P * R).sum(-1)
    V = np.zeros(len(P))
    for _ in range(1000 if env.spec.max_steps is None else env.spec.max_steps):
        after = (gain + P @ V).max(axis=1)
        if np.array_equal(after, V):
            break
        V = after
    return float(initial @ V)


def pairs_of(env: Any) -> int | None:
    """How many state–action pairs can be visited before an episode ends, exactly, with tables; else None."""
    if not (isinstance(env, AbstractEnv) and hasattr(env, "tables")):
        return None
    P, R, initial = env.tables()  # type: ignore[attr-defined]
    S, A, _ = P.shape
    stays = (P[np.arange(S), :, np.arange(S)] > 1.0 - 1e-6).all(1) & ((P == 0.0) | (R == 0.0)).all((1, 2))
    edge = (P > 0.0).any(axis=1) & ~stays[:, None]
    known = initial > 0.0
    while True:
        more = known | edge[known].any(axis=0)
        if np.array_equal(more, known):
            return int((known & ~stays).sum()) * A
        known = more


def continuing(episode: Int[np.ndarray, " M"]) -> Bool[np.ndarray, " M-1"]:
    """Whether row i + 1 goes on with the episode of row i."""
    return episode[1:] == episode[:-1]


def box_bounds(space: Box, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(d,) each: the bounds of a box where finite, else the least and the largest number that occurs."""
    low, high = (np.asarray(b, np.float64).reshape(-1) for b in space.bounds())
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    return np.where(np.isfinite(low), low, flat.min(0)), np.where(np.isfinite(high), high, flat.max(0))


def some(steps: Steps, most: int, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    """Rows of whole episodes, drawn at random until there are `most` of them, in order; all where there are fewer."""
    if steps.size <= most:
        return np.arange(steps.size)
    order = rng.permutation(steps.episodes)
    enough = int(np.searchsorted(np.cumsum(steps.length[order]), most)) + 1
    chosen = np.zeros(steps.episodes, bool)
    chosen[order[:enough]] = True
    return np.flatnonzero(chosen[steps.episode])
