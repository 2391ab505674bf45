"""A reward for being where few states have been: a particle estimate of the entropy of visited states.

    r(s, a, s') = log(1 + ‖z(s') − z_k‖)      z_k: the k-th nearest of the remembered states, z: standardised features

Reference: Lee, Smith, Abbeel 2021, PEBBLE: Feedback-Efficient Interactive Reinforcement Learning via Relabeling
Experience and Unsupervised Pre-training, 2106.05091, section 4.1; the estimator: Liu and Abbeel 2021, 2103.04551.
Deviations from the paper: distances are to a uniform sample of the states so far (a reservoir), not to all of replay;
1 is added within the logarithm, as Liu and Abbeel do; observations stand for states, images through nothing: use it
where observations are numbers.

>>> from operant.core import Box, Discrete
>>> reward = StateEntropy(neighbour=1, memory=4)
>>> state = reward.init(EnvSpec(Box((1,)), Discrete(2), 100), key=jax.random.key(0))
>>> zero, no = jnp.zeros((4, 1)), jnp.zeros((4, 1), bool)
>>> seen = Transition(zero[..., None], zero, zero, no, no, jnp.array([[[-1.0]], [[0.0]], [[0.0]], [[1.0]]]), {})
>>> state, _ = reward.update(state, seen, key=jax.random.key(0))
>>> [round(x, 2) for x in reward(state, seen)[:, 0].tolist()]
[0.0, 0.0, 0.0, 0.0]
>>> new = eqx.tree_at(lambda t: t.next_obs, seen, jnp.full((4, 1, 1), 3.0))
>>> bool((reward(state, new) > 1.0).all())
True
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractReward, Card, EnvSpec, Metrics, Transition
from operant.errors import SpecError
from operant.math import random


class StateEntropyState(eqx.Module):
    """A uniform sample of the observations so far, and how they spread."""

    encoder: nn.Encoder
    normaliser: nn.Normaliser
    remembered: Any
    """Observations (memory, …)."""
    seen: Int[Array, ""]
    """Observations taken in so far."""


class StateEntropy(AbstractReward):
    """Reward far from remembered states (see the module's docstring); 0 before `neighbour` of them are remembered."""

    neighbour: int = 5
    """k: the distance is to the k-th nearest."""
    memory: int = 512
    """States remembered."""

    card: ClassVar[Card] = Card("Lee, Smith and Abbeel 2021, PEBBLE", "2106.05091", "intrinsic-motivation", ("env",))

    def __check_init__(self) -> None:
        if not 1 <= self.neighbour <= self.memory:
            raise SpecError(
                f"expected 1 ≤ StateEntropy.neighbour ≤ memory = {self.memory}; got {self.neighbour}. Lower it."
            )

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> StateEntropyState:
        zero = spec.obs.zero()
        room = jax.tree.map(lambda x: jax.device_put(np.zeros((self.memory, *np.shape(x)), np.asarray(x).dtype)), zero)
        encoder = nn.encoder(nn.generator(key), spec.obs)
        return StateEntropyState(encoder, nn.Normaliser.init(spec.obs), room, jax.device_put(np.int32(0)))

    def __call__(self, state: StateEntropyState, batch: Transition) -> Float[Array, "*B"]:
        shape = batch.terminated.shape
        flat = nn.merge_axes(batch.next_obs, len(shape))
        look = jax.vmap(lambda o: state.encoder(state.normaliser(o)))
        here, there = look(flat), look(state.remembered)
        square = jnp.square(here).sum(1)[:, None] + jnp.square(there).sum(1)[None] - 2.0 * here @ there.T
        known = jnp.arange(self.memory) < state.seen
        square = jnp.where(known[None], jnp.maximum(square, 0.0), jnp.inf)
        nearest = -jax.lax.top_k(-square, self.neighbour)[0][:, -1]
        value = jnp.log1p(jnp.sqrt(nearest))
        return jnp.where(state.seen >= self.neighbour, value, 0.0).reshape(shape)

    def update(
        self, state: StateEntropyState, batch: Transition, *, key: PRNGKeyArray
    ) -> tuple[StateEntropyState, Metrics]:
        """Take in a rollout (T, N): a new state replaces a remembered one as often as keeps them a uniform sample."""
        shape = batch.terminated.shape
        flat = nn.merge_axes(batch.next_obs, len(shape))
        n = int(np.prod(shape))
        number = state.seen + jnp.arange(n)
        place = jnp.where(number < self.memory, number, random.integers(key, (n,), number + 1))
        place = jnp.where(place < self.memory, place, self.memory)  # out of bounds: not remembered
        remembered = jax.tree.map(lambda ring, x: ring.at[place].set(x, mode="drop"), state.remembered, flat)
        new = StateEntropyState(state.encoder, state.normaliser.update(flat), remembered, state.seen + n)
        return new, {}
