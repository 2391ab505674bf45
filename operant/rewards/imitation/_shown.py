"""Whole demonstrations beside whole rollouts: what rewards and learners share that compare episode with episode."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError, nearest
from operant.math.sinkhorn import Metric, distances

STILL = 1e-3
"""Numbers that vary less than this over the demonstrations are left in their own units."""


class Shown(eqx.Module):
    """K demonstrations of T steps, each step the observation it led to, standardised by their own moments."""

    obs: Float[Array, "K T d"]
    centre: Float[Array, " d"]
    spread: Float[Array, " d"]
    columns: tuple[int, ...] | None = eqx.field(static=True)
    """Which elements of an observation are compared; None: all."""

    @classmethod
    def of(
        cls, demos: Dataset, spec: EnvSpec, who: str, standardise: bool = True, compared: tuple[str, ...] = ()
    ) -> "Shown":
        """All of `demos`, each of which must last as long as an episode of `spec`.

        Raises:
            SpecError: no time limit or no fixed horizon, observations that are no floats, or have no such elements.
            DataError: demonstrations of another length.
        """
        if not isinstance(spec.obs, Box) or spec.obs.dtype != "float32":
            raise SpecError(f"expected for {who}: observations in a Box of float32; got {spec.obs}. Flatten them.")
        if spec.max_steps is None:
            raise SpecError(
                f"expected for {who}: episodes of one length; {spec.name or 'the environment'} has max_steps=None. "
                "Give it a time limit and a fixed horizon."
            )
        if not spec.fixed_horizon:
            raise SpecError(
                f"expected for {who}: an environment of fixed horizon, whose episodes are compared whole; the spec of "
                f"{spec.name or 'this one'} does not say fixed_horizon=True. Use fixed_horizon=True where the "
                "environment has that field (absorbing states instead of an end)."
            )
        columns = _columns(spec.obs, compared, who) if compared else None
        lengths = np.bincount(np.asarray(demos.episode))
        if (lengths != spec.max_steps).any():
            raise DataError(
                f"expected for {who}: demonstrations of {spec.max_steps} steps, as long as an episode; got "
                f"{lengths.min()} … {lengths.max()}. Record them where they are used, with the same max_steps."
            )
        x = np.asarray(demos.data.next_obs, np.float32).reshape(len(lengths), spec.max_steps, -1)
        x = x if columns is None else x[..., list(columns)]
        centre, spread = np.zeros(x.shape[-1], np.float32), np.ones(x.shape[-1], np.float32)
        if standardise:
            centre, found = x.mean((0, 1)), x.std((0, 1))
            spread = np.where(found > STILL, found, 1.0).astype(np.float32)
        return cls(*map(jax.device_put, ((x - centre) / spread, centre, spread)), columns=columns)

    def costs(self, batch: Transition, metric: Metric) -> Float[Array, "N K T T"]:
        """How far each step of a rollout (T, N) led from each step of each demonstration."""
        T, N = batch.terminated.shape
        x = batch.next_obs.reshape(T, N, -1)
        x = x if self.columns is None else x[..., np.array(self.columns)]
        x = (x - self.centre[None, None]) / self.spread[None, None]
        return jax.vmap(lambda own: jax.vmap(lambda demo: distances(own, demo, metric))(self.obs))(x.swapaxes(0, 1))

    def check(self, batch: Transition, who: str) -> None:
        """Raise SpecError unless a batch is a rollout of whole episodes' length."""
        shape, steps = batch.terminated.shape, self.obs.shape[1]
        if len(shape) != 2 or shape[0] != steps:
            raise SpecError(
                f"expected for {who}: whole episodes, a rollout ({steps}, N); got {shape}. Set the learner's rollout "
                f"to {steps}, the environment's max_steps; learners that draw from replay go inside "
                "learners.imitation.ads.ADS, which asks for the reward once an episode and remembers it."
            )


def _columns(space: Box, compared: tuple[str, ...], who: str) -> tuple[int, ...]:
    """Where the named elements of an observation stand."""
    unknown = [name for name in compared if name not in space.names]
    if unknown:
        known = nearest(unknown[0], space.names) if space.names else "its observations have no names: give none."
        raise SpecError(f"expected {who}.compared to be elements of the observation; got {unknown[0]!r}: {known}")
    return tuple(space.names.index(name) for name in compared)


def whole(batch: Transition) -> Bool[Array, " N"]:
    """Which columns of a rollout (T, N) hold one whole episode: it ended at the last step and at no other."""
    return batch.done[-1] & ~batch.done[:-1].any(0)
