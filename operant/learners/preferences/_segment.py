"""What learners from comparisons share: what they ask of a batch and its policy, and a network that reads a segment."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from operant import nn
from operant.core import Action, Box, Discrete, EnvSpec, Obs, Transition
from operant.errors import SpecError
from operant.learners._density import Network, to_choice


def check_compared(batch: Transition, who: str) -> None:
    """Raise SpecError unless a batch is comparisons, as `fit` hands them over."""
    if "target" not in batch.extras:
        raise SpecError(
            f"expected comparisons for {who}: pairs of segments (1, B, 2, L) with extras 'mask', 'target' and 'known'; "
            f"got {batch.terminated.shape} transitions with {sorted(batch.extras)}. Use operant.fit with a "
            "ComparisonDataset: it learns from stored comparisons, not from acting."
        )


def log_probs(network: Network, batch: Transition, context: Float[Array, "*B c"] | None = None) -> Float[Array, "*B"]:
    """log π(a | s), or log π(a | s, z), of every step of a batch (*B); from its mode where σ is fixed."""
    lead = batch.terminated.shape
    flat = lambda tree: nn.merge_axes(tree, len(lead))

    def one(obs: Any, action: Array, z: Array | None) -> Array:
        dist = network.distribution(obs, obs, z)
        log_prob = dist.log_prob(to_choice(network.spec.action, action))
        return log_prob if network.std is None else log_prob - dist.log_prob(dist.mode())

    found = jax.vmap(one)(flat(batch.obs), flat(batch.action), None if context is None else flat(context))
    return found.reshape(lead)


def ranked(left: Array, right: Array, target: Array, known: Array) -> Float[Array, ""]:
    """Share of the decided pairs whose better segment has the higher score; 0 where none is decided."""
    decided = known & (target != 0.5)
    return (((right > left) == (target > 0.5)) & decided).sum() / jnp.maximum(decided.sum(), 1)


class SegmentNetwork(eqx.Module):
    """A GRU over the steps of a segment, the mean of its states over the segment's own steps, and a linear layer."""

    encoder: nn.Encoder
    gru: nn.GRU
    head: nn.Linear
    action: Box | Discrete = eqx.field(static=True)

    def __call__(self, obs: Obs, action: Action, mask: Bool[Array, " L"]) -> Float[Array, " out"]:
        """Of one segment (L, …)."""
        both = lambda o, a: jnp.concatenate([self.encoder(o), nn.action_features(self.action, a)])

        def step(h: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            h = self.gru(now[0], h)
            return h, jnp.where(now[1], h, 0.0)

        zeros = jnp.zeros(self.head.weight.shape[0])
        _, states = jax.lax.scan(step, zeros, (jax.vmap(both)(obs, action), mask))
        return self.head(states.sum(0) / jnp.maximum(mask.sum(), 1))

    def all(self, batch: Transition) -> Float[Array, "*B out"]:
        """Of segments (*B, L, …) with `extras["mask"]`."""
        lead = batch.terminated.ndim - 1
        apply = self.__call__
        for _ in range(lead):
            apply = jax.vmap(apply)
        return apply(batch.obs, batch.action, batch.extras["mask"])


def segment_network(rng: np.random.Generator, spec: EnvSpec, hidden: int, outputs: int) -> SegmentNetwork:
    """A fresh one, of `hidden` units."""
    encoder = nn.encoder(rng, spec.obs)
    gru = nn.gru(rng, encoder.size + nn.action_size(spec.action), hidden)
    return SegmentNetwork(encoder, gru, nn.linear(rng, hidden, outputs, 1.0), spec.action)
