"""What learners from recorded behaviour share: a network from observations to a density of actions, and its policy.

π is a normal or a mixture of normals (Box) or a categorical (Discrete, masked where the observation holds an action
mask). Continuous actions are in units of the box: −1 and 1 are its bounds.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import AbstractPolicy, Box, Carry, Discrete, EnvSpec, Obs
from operant.dists import AbstractDistribution, Categorical, Mixture, Normal
from operant.errors import SpecError
from operant.learners.ppo import to_action

LOG_STD = (-5.0, 2.0)
"""Bounds of the log standard deviation, in units of the box."""


class Network(eqx.Module):
    """Encoder and MLP to the parameters of a distribution."""

    encoder: nn.Encoder
    head: nn.MLP
    log_std: Float[Array, " d"] | Float[Array, "k d"] | None
    """Learned; None where actions are discrete, or where `std` is fixed."""
    spec: EnvSpec = eqx.field(static=True)
    std: float | None = eqx.field(static=True, default=None)
    """A standard deviation that is not learned (units of the box)."""
    components: int = eqx.field(static=True, default=1)
    """k: normals that are mixed, each with a mean and a deviation of its own."""

    def distribution(self, obs: Obs, raw: Obs, context: Float[Array, " c"] | None = None) -> AbstractDistribution:
        """π(· | s), or π(· | s, z) with z the `context`; `raw` is `obs` unnormalised, for action masks."""
        features = self.encoder(obs)
        out = self.head(features if context is None else jnp.concatenate([features, context]))
        if self.components > 1:
            logits, mean = out[: self.components], out[self.components :].reshape(self.components, -1)
            scale: Any = self.std if self.log_std is None else jnp.exp(jnp.clip(self.log_std, *LOG_STD))
            return Mixture(logits, mean, scale)
        if self.log_std is not None:
            return Normal(out, jnp.exp(jnp.clip(self.log_std, *LOG_STD)))
        if self.std is not None:
            return Normal(out, self.std)
        mask = nn.action_mask(self.spec.obs, raw)
        return Categorical(out) if mask is None else Categorical.masked(out, mask)


def density(
    rng: np.random.Generator,
    spec: EnvSpec,
    hidden: tuple[int, ...],
    activation: nn.Activation,
    *,
    std: float | None = None,
    context: int = 0,
    components: int = 1,
) -> Network:
    """A fresh network; `std` None: it is learned, from 1 on. `context`: numbers it sees beside the observation.
    `components`: normals that are mixed, whose means are drawn uniformly from the box; a categorical is none.

    Raises:
        SpecError: actions that are neither Discrete nor a Box of float32.
    """
    if isinstance(spec.action, Box) and spec.action.dtype != "float32":
        raise SpecError(
            f"expected actions Discrete, or a Box of float32; got {spec.action}. Number the actions, or cast them."
        )
    encoder = nn.encoder(rng, spec.obs)
    outputs = spec.action.size if isinstance(spec.action, Box) else spec.action.n
    continuous = isinstance(spec.action, Box)
    mixed = components if continuous else 1
    last = outputs if mixed == 1 else mixed * (1 + outputs)
    head = nn.mlp(rng, (encoder.size + context, *hidden, last), activation=activation, final_scale=0.01)
    log_std = np.zeros(outputs if mixed == 1 else (mixed, outputs), np.float32)
    if mixed > 1:  # components that begin alike stay alike
        means = rng.uniform(-1.0, 1.0, mixed * outputs).astype(np.float32)
        bias = jax.device_put(np.concatenate([np.zeros(mixed, np.float32), means]))
        head = eqx.tree_at(lambda h: h.layers[-1].bias, head, bias)
    learned = jax.device_put(log_std) if continuous and std is None else None
    return Network(encoder, head, learned, spec, std if continuous else None, mixed)


class DensityPolicy(AbstractPolicy):
    """Normalise, encode, draw."""

    spec: EnvSpec = eqx.field(static=True)
    network: Network
    normaliser: nn.Normaliser | None = None
    context: Float[Array, " c"] | None = None

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        dist = self.network.distribution(obs if self.normaliser is None else self.normaliser(obs), obs, self.context)
        choice = dist.mode() if key is None else dist.sample(key)
        return to_action(self.spec.action, choice), {"log_prob": dist.log_prob(choice)}, carry

    def distribution(self, obs: Obs) -> AbstractDistribution:
        """What choices are drawn from in a state."""
        return self.network.distribution(obs if self.normaliser is None else self.normaliser(obs), obs, self.context)


def to_choice(space: Box | Discrete, action: Array) -> Array:
    """The inverse of `to_action` inside the bounds: an action in units of the box, flat; integers stay themselves."""
    if isinstance(space, Discrete):
        return action
    if not space.bounded:
        return action.reshape(-1)
    return (2.0 * (action - space.bounds()[0]) / nn.width(space) - 1.0).reshape(-1)
