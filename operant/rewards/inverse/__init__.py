"""Rewards from behaviour, exactly, where the process is known: inverse reinforcement learning on tabular MDPs.

An inverse method is called with a process and with demonstrations, and answers with what it `Found`. Demonstrations are

    a `Dataset`                  one-hot observations (S,), as a TabularEnv shows them
    [(states, actions), …]       one pair an episode: T or T + 1 whole numbers, and T; with T + 1, it ended in the last
    an array (S, A)              discounted visits themselves, such as `sparse.visits_of` gives
"""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float

from operant.data.dataset import Dataset
from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.sparse import SparseMDP
from operant.errors import DataError

Episode = tuple[Any, Any]
Demonstrations = Dataset | Sequence[Episode] | np.ndarray


class Found(NamedTuple):
    """What explains the demonstrations, and how well."""

    reward: Float[np.ndarray, "S A"]
    """What the policy maximises beside its entropy: the reward learned, or the known one less the cost learned."""
    cost: Float[np.ndarray, "S A"] | None
    """≥ 0, where a cost was learned."""
    weights: Float[np.ndarray, " d"]
    """One a feature, of the reward or of the cost."""
    policy: Float[np.ndarray, "S A"]
    """Soft-optimal for `reward`."""
    occupancy: Float[np.ndarray, "S A"]
    """Its discounted visits."""
    feature_gap: float
    """Largest difference between its expected features and the demonstrations' (discounted visits)."""
    iterations: int
    """Of the optimiser."""
    residual: float
    """Largest entry of the gradient at the end, of those no bound holds back (discounted visits)."""


class AbstractInverse(eqx.Module):
    """`inverse(process, demonstrations) -> Found`."""

    @abc.abstractmethod
    def __call__(self, mdp: TabularMDP | SparseMDP, demonstrations: Demonstrations) -> Found: ...


def sparse(mdp: TabularMDP | SparseMDP) -> SparseMDP:
    """The process as its successors."""
    return SparseMDP.from_mdp(mdp) if isinstance(mdp, TabularMDP) else mdp


def demonstrated(mdp: SparseMDP, demonstrations: Demonstrations) -> tuple[np.ndarray, np.ndarray]:
    """Mean discounted visits (S, A) of the demonstrations, and where they began (S,).

    The end of an episode counts as the process counts it: once, over all actions. An episode that was cut short after T
    steps shows only 1 − γᵀ of its weight: the rest is taken to look like what was seen.

    Raises:
        DataError: no demonstrations, or states and actions the process does not have.
    """
    S, A = mdp.rewards.shape
    if isinstance(demonstrations, np.ndarray):
        if demonstrations.shape != (S, A) or not np.isfinite(demonstrations).all() or (demonstrations < 0.0).any():
            raise DataError(
                f"expected visits (S, A) = ({S}, {A}), finite and ≥ 0; got shape {demonstrations.shape}. Give "
                "discounted visits, or episodes as (states, actions)."
            )
        return demonstrations.astype(float), mdp.initial
    episodes = _episodes(demonstrations, S) if isinstance(demonstrations, Dataset) else list(demonstrations)
    if not episodes:
        raise DataError("expected at least one demonstration; got none. Give a list of (states, actions).")
    visits, start = np.zeros((S, A)), np.zeros(S)
    for number, (states, actions) in enumerate(episodes):
        states, actions = np.asarray(states), np.asarray(actions)
        _check(number, states, actions, S, A)
        T = len(actions)
        weight = mdp.discount ** np.arange(T + 1)
        ended = len(states) == T + 1 and bool(mdp.terminal[states[-1]])
        whole = 1.0 if ended else 1.0 - weight[T]
        np.add.at(visits, (states[:T], actions), weight[:T] / whole)
        if ended:
            visits[states[-1]] += weight[T] / A
        start[states[0]] += 1.0
    return visits / len(episodes), start / len(episodes)


def _episodes(data: Dataset, S: int) -> list[Episode]:
    """States and actions of each episode, with the state after the last step."""
    rows = {name: np.asarray(x) for name, x in (("obs", data.data.obs), ("next", data.data.next_obs))}
    for x in rows.values():
        # The largest of some other numbers (a row and a column, say) is a state as well, and the wrong one.
        if x.shape[1:] != (S,) or not ((x == 0.0) | (x == 1.0)).all() or (x.sum(1) != 1.0).any():
            raise DataError(
                f"expected one-hot observations (M, S) = (M, {S}); got {x.shape}, from {x.min():g} to {x.max():g}. "
                "Observe 'one_hot', or give episodes as (states, actions)."
            )
    now, after, actions = rows["obs"].argmax(1), rows["next"].argmax(1), np.asarray(data.data.action)
    cuts = np.flatnonzero(np.diff(np.asarray(data.episode))) + 1
    split = lambda x: np.split(x, cuts)
    return [(np.r_[s, n[-1]], a) for s, n, a in zip(split(now), split(after), split(actions), strict=True)]


def _check(number: int, states: np.ndarray, actions: np.ndarray, S: int, A: int) -> None:
    whole = states.dtype.kind in "iu" and actions.dtype.kind in "iu" and states.ndim == actions.ndim == 1
    if not whole or not 1 <= len(actions) <= len(states) <= len(actions) + 1:
        raise DataError(
            f"expected demonstration {number} to be T or T + 1 states and T ≥ 1 actions, whole numbers; got "
            f"{states.dtype} {states.shape} and {actions.dtype} {actions.shape}. Give (states, actions)."
        )
    if states.min() < 0 or states.max() >= S or actions.min() < 0 or actions.max() >= A:
        raise DataError(
            f"expected states in 0 … {S - 1} and actions in 0 … {A - 1}; demonstration {number} has {states.min()} … "
            f"{states.max()} and {actions.min()} … {actions.max()}. Number them as the process does."
        )


from operant.rewards.inverse.mce_icrl import MCEICRL  # noqa: E402
from operant.rewards.inverse.mce_irl import MCEIRL  # noqa: E402

__all__ = ["MCEICRL", "MCEIRL", "AbstractInverse", "Demonstrations", "Found", "demonstrated"]
