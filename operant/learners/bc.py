"""Behavioural cloning: do what was done, by maximum likelihood.

    θ ← AdamW on −E_(s, a)~D[log π_θ(a | s)]

with π a normal or a mixture of k normals (Box), or a categorical (Discrete, masked where the observation holds an
action mask). Where demonstrators differ a normal does what lies between them; a mixture keeps them apart.

Reference: Pomerleau 1991, Efficient Training of Artificial Neural Networks for Autonomous Navigation,
10.1162/neco.1991.3.1.88; defaults: the cloning baseline's network, batch and step size of Fujimoto and Gu 2021,
2106.06860; weight decay: Loshchilov and Hutter 2019, 1711.05101; mixture: Bishop 1994, Mixture Density Networks.
Deviations from the paper:
1. The paper's network regresses a picture of the steering angle; here the likelihood of the action is maximised.
2. Continuous actions are in units of the box (−1 and 1 are its bounds), with one learned standard deviation a
   dimension (and component), no smaller than e⁻⁵: the likelihood of a deterministic demonstrator has no maximum
   otherwise.
3. Observations are standardised by moments of the batches seen so far, the present one included.

>>> from operant.core import Box
>>> learner = BC(hidden=(8,))
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.dists import Mixture
from operant.errors import SpecError
from operant.learners._density import DensityPolicy, Network, density, to_choice
from operant.math.schedules import AbstractSchedule


class BCState(eqx.Module):
    """Everything BC carries from one update to the next."""

    network: Network
    adam: optax.OptState
    normaliser: nn.Normaliser | None
    steps: Int[Array, ""]
    """Updates so far."""


class BC(AbstractLearner):
    """Behavioural cloning (see the module's docstring). It never asks for a reward."""

    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Transitions an update."""
    weight_decay: float = 0.0
    """Share of every parameter taken away an update, in units of lr (decoupled)."""
    normalise_obs: bool = False
    """Whether observations are standardised by running moments."""
    components: int = 1
    """k: normals that are mixed (Box only); greedy actions are the likeliest one's mean."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Pomerleau 1991, Efficient Training of Artificial Neural Networks for Autonomous Navigation",
        "10.1162/neco.1991.3.1.88",
        "imitation",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        if self.batch < 1:
            raise SpecError(f"expected BC.batch ≥ 1; got {self.batch}. Raise it.")
        if self.components < 1:
            raise SpecError(f"expected BC.components ≥ 1; got {self.components}. Use 1 for a single normal.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> BCState:
        network = density(nn.generator(key), spec, self.hidden, self.activation, components=self.components)
        return BCState(
            network,
            nn.zeros_init(optax.scale_by_adam(), nn.flat_size(network)),
            nn.Normaliser.init(spec.obs) if self.normalise_obs else None,
            jax.device_put(np.zeros((), np.int32)),
        )

    def policy(self, state: BCState) -> DensityPolicy:
        return DensityPolicy(state.network.spec, state.network, state.normaliser)

    def update(
        self, state: BCState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[BCState, Metrics]:
        raw, action = nn.merge_axes((batch.obs, batch.action), 2)
        normaliser, obs = state.normaliser, raw
        if normaliser is not None:
            normaliser = normaliser.update(raw)
            obs = jax.vmap(normaliser)(raw)
        choice = jax.vmap(lambda a: to_choice(state.network.spec.action, a))(action)
        flat, unflatten = nn.flatten(state.network)
        gradient, metrics = jax.grad(lambda v: _loss(unflatten(v), obs, raw, choice), has_aux=True)(flat)
        direction, adam = optax.scale_by_adam().update(gradient, state.adam)
        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        flat = flat - lr * (jnp.asarray(direction) + self.weight_decay * flat)
        return BCState(unflatten(flat), adam, normaliser, state.steps + 1), metrics


def _loss(network: Network, obs: Obs, raw: Obs, choice: Array) -> tuple[Array, Metrics]:
    """−E log π of a batch (B, …), and how far the greedy choice is from what was done."""
    dist = jax.vmap(network.distribution)(obs, raw)
    loss = -dist.log_prob(choice).mean()
    metrics = {"loss/policy": loss}
    if not isinstance(dist, Mixture):  # the entropy of a mixture has no closed form
        metrics["policy/entropy"] = dist.entropy().mean()
    if network.log_std is None:
        return loss, metrics | {"policy/agreement": (dist.mode() == choice).mean()}
    return loss, metrics | {"policy/error": jnp.sqrt(jnp.square(dist.mode() - choice).mean())}
