"""Demonstrations whose actions were not seen, and demonstrations among other data: which rows are what is an extra.

| extra | says |
|---|---|
| `labelled` (bool) | the action is what was done; elsewhere it is a placeholder, which nobody may read |
| `prior` (bool) | the row is of other, earlier data; elsewhere it is of the demonstrations that count |

A batch without the extra has every action labelled.

>>> from operant.core import Box, Discrete, EnvSpec
>>> steps = {"obs": np.zeros((6, 1)), "action": np.ones(6, int), "reward": np.zeros(6), "next_obs": np.zeros((6, 1))}
>>> ends = np.array([0, 0, 1, 0, 0, 1], bool)
>>> data = Dataset.from_numpy(EnvSpec(Box((1,)), Discrete(2), None), **steps, terminated=ends)
>>> seen = without_actions(data, 1, key=jax.random.key(0))  # one episode keeps its actions
>>> int(seen.data.extras["labelled"].sum()), int(seen.data.action.sum())
(3, 3)
>>> joined(data, seen).data.extras["prior"].tolist()[4:8]
[False, False, True, True]
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PRNGKeyArray

from operant import nn
from operant.core import Box, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError

LABELLED, PRIOR = "labelled", "prior"


def without_actions(dataset: Dataset, keep: int | float, *, key: PRNGKeyArray) -> Dataset:
    """The same transitions, with actions in some episodes only: a placeholder (0, or what is nearest) in the others.

    Args:
        keep: how many episodes keep their actions (int), or which share of them (float, at least one where it is above
            0); which ones is drawn.

    Raises:
        SpecError: more episodes than there are, or a share outside [0, 1].
    """
    many = isinstance(keep, int | np.integer)
    if not 0 <= keep <= (dataset.episodes if many else 1.0):
        raise SpecError(
            f"expected 0 ≤ keep ≤ {dataset.episodes} episodes (int), or a share in [0, 1] (float); got {keep!r}. "
            "Keep fewer."
        )
    n = keep if many else int(np.ceil(keep * dataset.episodes - 1e-9))
    chosen = nn.generator(key).permutation(dataset.episodes)[:n]
    episode, data = np.asarray(dataset.episode), jax.tree.map(np.asarray, dataset.data)
    # What was a placeholder before stays one.
    labelled = np.isin(episode, chosen) & np.asarray(data.extras.get(LABELLED, True), bool)
    space = dataset.spec.action
    zero = np.clip(space.zero(), *space.bounds()) if isinstance(space, Box) else space.zero()
    action = np.where(labelled.reshape(-1, *[1] * zero.ndim), data.action, zero[None])
    extras: dict[str, Any] = {**data.extras, LABELLED: labelled}
    steps = dataclasses.replace(data, action=action.astype(zero.dtype), extras=extras)
    return _like(dataset, steps, episode)


def joined(expert: Dataset, prior: Dataset) -> Dataset:
    """Demonstrations and other data as one dataset; extras that both have are kept, `prior` says which is which, and
    `labelled`, where one of them has it, whose actions are real.

    Raises:
        DataError: they were recorded in different spaces.
    """
    for what in ("obs", "action"):
        ours, theirs = getattr(expert.spec, what), getattr(prior.spec, what)
        if ours != theirs:
            raise DataError(
                f"expected both datasets to have {what} in {ours}, as the demonstrations do; the prior has {theirs}. "
                "Join data of one robot, or bring them to one space first."
            )
    ours, theirs = (set(d.data.extras) - {PRIOR} for d in (expert, prior))
    # A dataset without `labelled` has every action labelled: dropping the other's would make its placeholders actions.
    kept = sorted((ours & theirs) | ((ours | theirs) & {LABELLED}))

    def marked(data: Dataset, is_prior: bool) -> Transition:
        known = {LABELLED: np.ones(data.size, bool)} | data.data.extras
        extras = {name: known[name] for name in kept} | {PRIOR: np.full(data.size, is_prior)}
        return dataclasses.replace(data.data, extras=extras)

    steps = jax.tree.map(lambda *x: np.concatenate(x), marked(expert, False), marked(prior, True))
    episode = np.concatenate([np.asarray(expert.episode), np.asarray(prior.episode) + expert.episodes])
    return _like(expert, steps, episode)


def _like(dataset: Dataset, steps: Transition, episode: np.ndarray) -> Dataset:
    source = dataset.source
    return Dataset(steps, episode, dataset.spec, origin=source.origin, licence=source.licence)


# --- what learners ask of a batch -----------------------------------------------------------------------------------


def labelled(batch: Transition) -> Bool[Array, " B"]:
    """Whose action may be read, of a batch with any leading axes; all of them where nobody said."""
    found = batch.extras.get(LABELLED)
    return jnp.ones(batch.terminated.size, bool) if found is None else jnp.ravel(found).astype(bool)


def prior(batch: Transition, who: str) -> Bool[Array, " B"]:
    """Which rows are of the prior data. Raises SpecError where nobody said."""
    found = batch.extras.get(PRIOR)
    if found is None:
        raise SpecError(
            f"expected extras['{PRIOR}'] for {who}, which tells prior data from demonstrations; got transitions with "
            f"{sorted(batch.extras)}. Use operant.fit with operant.data.observed.joined(expert, prior)."
        )
    return jnp.ravel(found).astype(bool)


def unread(mask: Bool[Array, " B"], action: Array) -> Array:
    """Actions (B, …) with 0 wherever the mask is false, whatever stood there, NaN too."""
    return jnp.where(mask.reshape(-1, *[1] * (action.ndim - 1)), action, jnp.zeros((), action.dtype))


def mean_over(mask: Bool[Array, " B"], values: Array) -> Array:
    """Mean of values (B,) where the mask is true; 0 where it never is."""
    return jnp.where(mask, values, 0.0).sum() / jnp.maximum(mask.sum(), 1)
