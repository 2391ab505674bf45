"""DynaMo: a view of observations from how they follow each other, without any action; then clone on it.

    z = q(φ(s), φ(s')),   p = g(φ(s), z)                      latent inverse model, forward model
    loss = 1 − E[cos(p, stop(φ(s')))] + κ · mean of Cov(φ)²_ij over i ≠ j

z has fewer numbers than φ, so it cannot carry all of φ(s') over: what φ holds must follow from what it held before and
from a little that is new, as states and actions do. The covariance keeps φ from saying one thing in many ways, the
stopped gradient from saying nothing. φ learns for `pretraining_steps` updates, on every row, and is then frozen; the
policy is cloned from the rows whose actions are labelled and that are not prior data (`data.observed`).

Reference: Cui, Pan, Iyer, Haldar, Pinto 2024, DynaMo: In-Domain Dynamics Pretraining for Visuo-Motor Control,
2409.12192; its reference code (jeffacce/dynamo_ssl) for loss, coefficients and what the forward model sees.
Deviations from the paper:
1. q and g are MLPs on two observations: the reference code's windows of two frames; it has causal transformers, and
   longer windows for some tasks.
2. φ is standardised over each batch, in place of the batch normalisation in their ResNet-18: an MLP could otherwise
   shrink φ until its covariance vanishes, which the cosine does not see.
3. The target is φ itself, without gradient; their code can also average it over time.

>>> from operant.core import Box
>>> learner = DynaMo(encoder=(8,), features=4, latent=2, hidden=(8,))
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.errors import SpecError, check_counts
from operant.learners.imitation._pretraining import (
    PretrainedState,
    Rows,
    View,
    ViewPolicy,
    act,
    advance,
    begin,
    view,
)
from operant.math.schedules import AbstractSchedule


class DynaMo(AbstractLearner):
    """Cloning on a view learned from dynamics alone (see the module's docstring). It never asks for a reward."""

    pretraining_steps: int = 5_000
    """Updates of φ, before the policy begins to learn."""
    features: int = 64
    """Length of φ."""
    latent: int = 8
    """Length of z: how much of what comes next may be new."""
    covariance: float = 0.04
    """κ: weight of the covariance between different features."""
    encoder: tuple[int, ...] = (256,)
    """Units of each hidden layer of φ, after the encoding of images."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer of policy, inverse and forward model."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Transitions an update; of the policy's, only those of the new task count."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Cui et al. 2024, DynaMo: In-Domain Dynamics Pretraining for Visuo-Motor Control",
        "2409.12192",
        "imitation",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        check_counts(self, "batch", "pretraining_steps", "features", "latent")
        if self.features < 2:
            raise SpecError(f"expected DynaMo.features ≥ 2; got {self.features}. One number has no covariance.")
        if isinstance(self.covariance, int | float) and self.covariance < 0.0:
            raise SpecError(f"expected DynaMo.covariance ≥ 0; got {self.covariance:g}. Use 0.04, the published one.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> PretrainedState:
        rng = nn.generator(key)
        seen = view(rng, spec.obs, (*self.encoder, self.features), self.activation)
        inverse = nn.mlp(rng, (2 * self.features, *self.hidden, self.latent), activation=self.activation)
        forward = nn.mlp(rng, (self.features + self.latent, *self.hidden, self.features), activation=self.activation)
        names = ("loss/forward", "loss/covariance")
        return begin(rng, spec, (seen, (inverse, forward)), self.hidden, self.activation, names)

    def policy(self, state: PretrainedState) -> ViewPolicy:
        return act(state)

    def update(
        self, state: PretrainedState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[PretrainedState, Metrics]:
        """From transitions (1, B); extras "prior" and "labelled" as `data.observed` has them."""
        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        loss = lambda parts, rows: dynamics_loss(parts, rows, self.covariance)
        return advance(state, batch, loss, self.pretraining_steps, lr)


def dynamics_loss(parts: tuple[View, tuple[nn.MLP, nn.MLP]], rows: Rows, weight: float) -> tuple[Array, dict[str, Any]]:
    """1 − cos between predicted and true φ(s'), and the covariance of φ; actions are not looked at."""
    phi, (inverse, forward) = parts
    n = rows.labelled.shape[0]
    both = standardised(jnp.concatenate([jax.vmap(phi)(rows.obs), jax.vmap(phi)(rows.after)]))
    before, after = both[:n], both[n:]
    z = jax.vmap(inverse)(jnp.concatenate([before, after], axis=1))
    predicted = jax.vmap(forward)(jnp.concatenate([before, z], axis=1))
    miss = 1.0 - cosine(predicted, jax.lax.stop_gradient(after)).mean()
    redundant = off_diagonal(both)
    return miss + weight * redundant, {"loss/forward": miss, "loss/covariance": redundant}


def standardised(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """With mean 0 and variance 1 over the rows."""
    x = x - x.mean(0)[None]
    return x / jnp.sqrt(jnp.square(x).mean(0) + 1e-6)[None]


def cosine(a: Float[Array, "n d"], b: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Of the angle between rows."""
    size = lambda x: jnp.sqrt(jnp.square(x).sum(1) + 1e-12)
    return (a * b).sum(1) / (size(a) * size(b))


def off_diagonal(x: Float[Array, "n d"]) -> Float[Array, ""]:
    """Mean square of the covariances (of n − 1) between different columns."""
    x = x - x.mean(0)[None]
    covariance = x.T @ x / (x.shape[0] - 1)
    d = x.shape[1]
    return (jnp.square(covariance).sum() - jnp.square(jnp.diagonal(covariance)).sum()) / (d * (d - 1))
