"""Behavior Retrieval: of much earlier data, clone what is like the few demonstrations, beside them.

    VAE:         q(z | s, a), p(s, a | z) ← E_prior[mean (x − x̂)² + β KL(q(z | x) ‖ N(0, 1))],   x = (s, a)
    similarity:  S(x) = 1 − (d(x) − min d)/(max d − min d),   d(x) = min_j ‖μ(x) − μ(x_j)‖        min and max over prior
    policy:      π ← −½ E_demonstrations[log π(a | s)] − ½ E[log π(a | s) | prior, S ≥ δ]

with x_j the demonstrations' rows and μ the mean of q. A row of the prior data is retrieved where somebody who
demonstrated the task was in a similar state and did something similar, whatever task it was recorded for. The VAE
learns for `embedding_steps` updates, then stays as it is and the policy learns. `fit` it on
`data.observed.joined(expert, prior)`.

Reference: Du, Nair, Sadigh, Finn 2023, Behavior Retrieval: Few-Shot Imitation Learning by Querying Unlabeled Datasets,
2304.08742; its reference code (MaxDu17/BehaviorRetrieval) for β, the minimum and the scaling of d, and the two halves.
Deviations from the paper:
1. Observations are numbers, standardised beside the actions; images are refused (the paper's VAE has a ResNet in it).
2. The demonstrations x_j are the last `bank` of their rows drawn while the VAE learns; min and max are of the prior
   rows drawn since: both are nearly, not exactly, those of the whole data.
3. δ has no published default that serves every data set: 0.9 is ours, and the first number to change.
4. Half of what an update draws are demonstrations, half earlier rows, of which those with S ≥ δ are averaged: where
   there is none among them, that half of the loss is 0.

>>> from operant.core import Box
>>> learner = BehaviorRetrieval(hidden=(8,), batch=8, bank=8)
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.data.dataset import Dataset
from operant.data.observed import mean_over, prior
from operant.errors import DataError, SpecError, check_counts
from operant.learners._density import DensityPolicy, Network, density, to_choice
from operant.math.pick import pick
from operant.math.running import Moments
from operant.math.schedules import AbstractSchedule

FAR = 1e9
"""Distance to a row of the bank that is empty."""
NAMES = ("loss/policy", "loss/embedding", "retrieval/share", "retrieval/precision")


class VAE(eqx.Module):
    """q and p: x ↦ (μ, log σ), z ↦ x̂."""

    encoder: nn.MLP
    decoder: nn.MLP

    def embed(self, x: Float[Array, " d"]) -> Float[Array, " z"]:
        """μ(x)."""
        return jnp.split(self.encoder(x), 2)[0]

    def loss(self, x: Float[Array, " d"], noise: Float[Array, " z"], beta: Any) -> Float[Array, ""]:
        """Squared error of the reconstruction (mean over numbers) and β times the divergence from N(0, 1) (nats)."""
        mean, log_std = jnp.split(self.encoder(x), 2)
        log_std = jnp.clip(log_std, -10.0, 2.0)
        error = jnp.square(self.decoder(mean + jnp.exp(log_std) * noise) - x).mean()
        return error + beta * (0.5 * (jnp.square(mean) + jnp.exp(2.0 * log_std) - 1.0) - log_std).sum()


class Bank(eqx.Module):
    """Rows of the demonstrations, and how far prior rows are from them."""

    rows: Float[Array, "bank d"]
    count: Int[Array, ""]
    """Rows that came so far."""
    embedded: Float[Array, "bank z"]
    """μ of the rows, once the VAE is learned."""
    least: Float[Array, ""]
    most: Float[Array, ""]
    """Smallest and largest d of a prior row."""
    task: Float[Array, ""]
    """Which task the demonstrations are of, where extras say."""


class BehaviorRetrievalState(eqx.Module):
    """Everything Behavior Retrieval carries from one update to the next."""

    policy: Network
    vae: VAE
    adams: tuple[optax.OptState, optax.OptState]
    """Of policy and VAE."""
    normaliser: nn.Normaliser
    moments: Moments
    """Of x = (s, a)."""
    bank: Bank
    found: Metrics
    """Of the last update of either."""
    steps: Int[Array, ""]
    """Updates so far."""


class BehaviorRetrieval(AbstractLearner):
    """Cloning of demonstrations and what is like them (see the module's docstring). It never asks for a reward."""

    threshold: float = 0.9
    """δ in [0, 1]: least similarity of what is retrieved; 0: everything."""
    embedding_steps: int = 5_000
    """Updates of the VAE, before the policy begins to learn."""
    latent: int = 8
    """Length of z."""
    beta: float = 1e-4
    """β: weight of the divergence (1/nats)."""
    bank: int = 1024
    """Rows of the demonstrations that are compared with; more than they have, so that few are missed."""
    embedding: tuple[int, ...] = (256, 256)
    """Units of each hidden layer of the VAE."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer of the policy."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Transitions an update, demonstrations and prior data together."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Du et al. 2023, Behavior Retrieval: Few-Shot Imitation Learning by Querying Unlabeled Datasets",
        "2304.08742",
        "imitation",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        check_counts(self, "batch", "embedding_steps", "latent")
        if self.bank < self.batch:
            raise SpecError(
                f"expected BehaviorRetrieval.bank ≥ batch = {self.batch}, what one update may bring; got {self.bank}. "
                "Raise it, well beyond the rows of the demonstrations."
            )
        if isinstance(self.threshold, int | float) and not 0.0 <= self.threshold <= 1.0:
            raise SpecError(
                f"expected BehaviorRetrieval.threshold in [0, 1]; got {self.threshold:g}. 1 is nearest, 0 takes all."
            )

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> BehaviorRetrievalState:
        rng = nn.generator(key)
        policy = density(rng, spec, self.hidden, self.activation)
        if jax.tree.leaves(policy.encoder):  # it would change with the policy, and with it what is compared
            raise SpecError(
                f"expected observations of numbers for BehaviorRetrieval; got images in {spec.obs}. Learn a view of "
                "them first, and store that."
            )
        wide = policy.encoder.size + nn.action_size(spec.action)
        vae = VAE(
            nn.mlp(rng, (wide, *self.embedding, 2 * self.latent), activation=self.activation),
            nn.mlp(rng, (self.latent, *self.embedding, wide), activation=self.activation),
        )
        adam = lambda module: nn.zeros_init(optax.scale_by_adam(), nn.flat_size(module))
        put = lambda shape, x=0.0, dtype="float32": jax.device_put(np.full(shape, x, dtype))
        bank = Bank(
            put((self.bank, wide)), put((), 0, "int32"), put((self.bank, self.latent)), put((), FAR), put(()), put(())
        )
        return BehaviorRetrievalState(
            policy,
            vae,
            (adam(policy), adam(vae)),
            nn.Normaliser.init(spec.obs),
            Moments.init((wide,)),
            bank,
            {name: put(()) for name in NAMES},
            put((), 0, "int32"),
        )

    def prepare(self, state: BehaviorRetrievalState, dataset: Dataset, *, key: PRNGKeyArray) -> BehaviorRetrievalState:
        """Refuse a dataset that is all demonstrations, or none. Raises DataError, SpecError."""
        other = np.asarray(prior(dataset.data, "BehaviorRetrieval"))
        if not 0 < other.sum() < dataset.size:
            raise DataError(
                f"expected demonstrations and earlier data for BehaviorRetrieval; got {other.sum()} of {dataset.size} "
                "rows marked as earlier. Give both: data.observed.joined(expert, prior)."
            )
        return state

    def draw(self, dataset: Dataset, n: int, key: PRNGKeyArray) -> Transition:
        """n rows, the first half demonstrations: they are few, and half of the loss."""
        other = prior(dataset.data, "BehaviorRetrieval")
        keys = jax.random.split(key)
        index = jnp.concatenate([pick(keys[0], ~other, n - n // 2), pick(keys[1], other, n // 2)])
        return jax.tree.map(lambda x: x[index], dataset.data)

    def policy(self, state: BehaviorRetrievalState) -> DensityPolicy:
        return DensityPolicy(state.policy.spec, state.policy, state.normaliser)

    def update(
        self, state: BehaviorRetrievalState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[BehaviorRetrievalState, Metrics]:
        """From transitions (1, B); extras "prior", and "task" (a number) where precision is to be measured."""
        spec, lr = state.policy.spec, self.lr(state.steps) if callable(self.lr) else self.lr
        other = prior(batch, "BehaviorRetrieval")
        raw, action = nn.merge_axes((batch.obs, batch.action), batch.terminated.ndim)
        pair = lambda o, a: jnp.concatenate([state.policy.encoder(o), nn.action_features(spec.action, a)])
        x = jax.vmap(pair)(raw, action)
        task = jnp.ravel(batch.extras.get("task", jnp.zeros(other.shape))).astype(jnp.float32)

        def embed(state: BehaviorRetrievalState) -> BehaviorRetrievalState:
            moments = state.moments.update(x, axes=(0,))
            noise = jax.random.normal(key, (x.shape[0], self.latent))

            def loss(vae: VAE) -> tuple[Array, Metrics]:
                each = jax.vmap(lambda x, e: vae.loss(x, e, self.beta))(moments.normalise(x), noise)
                loss = mean_over(other, each)
                return loss, {"loss/embedding": loss}

            vae, adam, found = nn.descend(state.vae, state.adams[1], loss, lr)
            return BehaviorRetrievalState(
                state.policy, vae, (state.adams[0], adam), state.normaliser.update(raw), moments,
                kept(state.bank, x, task, ~other), state.found | found, state.steps + 1,
            )  # fmt: skip

        def clone(state: BehaviorRetrievalState) -> BehaviorRetrievalState:
            look = lambda x: jax.vmap(state.vae.embed)(state.moments.normalise(x))
            first = state.steps == self.embedding_steps
            embedded = jax.lax.cond(first, lambda: look(state.bank.rows), lambda: state.bank.embedded)
            bank = eqx.tree_at(lambda b: b.embedded, state.bank, embedded)
            far = distance(bank, look(x))
            least = jnp.minimum(bank.least, jnp.where(other, far, FAR).min())
            most = jnp.maximum(bank.most, jnp.where(other, far, 0.0).max())
            bank = eqx.tree_at(lambda b: (b.least, b.most), bank, (least, most))
            alike = jnp.clip(1.0 - (far - least) / jnp.maximum(most - least, 1e-8), 0.0, 1.0)  # rounding leaves it
            taken = other & (alike >= self.threshold)
            obs = jax.vmap(state.normaliser)(raw)
            choice = jax.vmap(lambda a: to_choice(spec.action, a))(action)

            def loss(net: Network) -> tuple[Array, Metrics]:
                miss = -jax.vmap(net.distribution)(obs, raw).log_prob(choice)
                loss = 0.5 * (mean_over(~other, miss) + mean_over(taken, miss))
                right = mean_over(taken, (task == bank.task).astype(jnp.float32))
                share = mean_over(other, taken.astype(jnp.float32))
                return loss, {"loss/policy": loss, "retrieval/share": share, "retrieval/precision": right}

            policy, adam, found = nn.descend(state.policy, state.adams[0], loss, lr)
            return BehaviorRetrievalState(
                policy, state.vae, (adam, state.adams[1]), state.normaliser, state.moments, bank,
                state.found | found, state.steps + 1,
            )  # fmt: skip

        state = jax.lax.cond(state.steps < self.embedding_steps, embed, clone, state)
        return state, state.found


def kept(bank: Bank, x: Float[Array, "B d"], task: Float[Array, " B"], mine: Bool[Array, " B"]) -> Bank:
    """The bank with those rows of a batch that are demonstrations, over the oldest there."""
    size = bank.rows.shape[0]
    place = jnp.where(mine, (bank.count + jnp.cumsum(mine) - 1) % size, size)  # size: nowhere
    rows = bank.rows.at[place].set(x, mode="drop")
    which = jnp.where(mine.any(), mean_over(mine, task), bank.task)
    return Bank(rows, bank.count + mine.sum(), bank.embedded, bank.least, bank.most, which)


def distance(bank: Bank, z: Float[Array, "B z"]) -> Float[Array, " B"]:
    """d: from each embedding to the nearest of the bank's."""
    gap = z[:, None] - bank.embedded[None]
    apart = jnp.sqrt(jnp.square(gap).sum(-1) + 1e-12)
    filled = jnp.arange(bank.rows.shape[0])[None] < jnp.minimum(bank.count, bank.rows.shape[0])
    return jnp.where(jnp.broadcast_to(filled, apart.shape), apart, FAR).min(1)
