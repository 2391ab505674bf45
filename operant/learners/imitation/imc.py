"""Information Maximizing Curriculum: experts that choose for themselves which of the data to learn from.

    ℓ(n, z) = −|a_n − μ_z(s_n)|²/(2σ²)                       how well expert z explains row n
    w(n, z) = exp(ℓ(n, z)/η) q(z | n) / Z                    its curriculum: what it can represent, and others do not
    q(z | n) ← w(n, z) / Σ_z′ w(n, z′)                       now and then
    μ ← Adam on −E_n Σ_z w(n, z) ℓ(n, z);    g ← Adam on −E_n Σ_z w(n, z) log g(z | s_n)
    acting: z ~ g(· | s),  a = μ_z(s)

Maximum likelihood makes an expert answer for every row in its reach, and average what it cannot represent. Here rows
weigh little that nobody represents, and the entropy of the joint curriculum, which w maximises, spreads the experts
over all of the data. η paces it: small, and experts specialise early.

Reference: Blessing, Celik, Jia, Reuss, Li, Lioutikov, Neumann 2023, Information Maximizing Curriculum: A
Curriculum-Based Approach for Imitating Diverse Skills, 2303.15349; reference code ALRhub/imc.
Deviations from the paper:
1. Experts, curricula and gate learn at once from minibatches: a drawn row's q is renewed on average every `passes`
   draws (there: of all rows, every five passes; the gate only at the end).
2. Z is the minibatch's. Rows that no expert explains weigh little, as the paper's equations say; its code scales every
   row to a largest weight of 1.
3. Actions are in units of the box, and observations standardised by the dataset's moments; experts start spread over
   the box, for experts that begin alike stay alike.
4. q lives with the rows of the dataset that `prepare` counts (`fit` calls it); without it, q is uniform.

>>> from operant.core import Box
>>> learner = IMC(hidden=(8,), experts=4)
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
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, AbstractPolicy, Card, Carry, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError, check_counts
from operant.learners._density import to_choice
from operant.learners.imitation._history import check_continuous, measured
from operant.learners.ppo import to_action
from operant.math.schedules import AbstractSchedule


class Experts(eqx.Module):
    """Every expert's action μ_z(s), from one trunk, and the gate g(z | s), from another."""

    encoder: nn.Encoder
    means: nn.MLP
    gate: nn.MLP
    spec: EnvSpec = eqx.field(static=True)
    experts: int = eqx.field(static=True)

    def actions(self, obs: Obs) -> Float[Array, "k d"]:
        """μ_z(s) of all of them, in units of the box."""
        return self.means(self.encoder(obs)).reshape(self.experts, -1)

    def logits(self, obs: Obs) -> Float[Array, " k"]:
        """log g(z | s), up to a constant."""
        return self.gate(self.encoder(obs))


class IMCState(eqx.Module):
    """Everything IMC carries from one update to the next."""

    network: Experts
    log_q: Float[Array, "M k"]
    """log q(z | n) of every row of the dataset, nats."""
    normaliser: nn.Normaliser
    """Moments of the dataset's observations."""
    adam: optax.OptState
    steps: Int[Array, ""]
    """Updates so far."""


class ExpertPolicy(AbstractPolicy):
    """Draw an expert, do what it says; greedy: the likeliest expert."""

    spec: EnvSpec = eqx.field(static=True)
    network: Experts
    normaliser: nn.Normaliser

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        seen = self.normaliser(obs)
        logits = self.network.logits(seen)
        which = jnp.argmax(logits) if key is None else jax.random.categorical(key, logits)
        choice = jax.nn.one_hot(which, len(logits)) @ self.network.actions(seen)  # ONNX export knows no gather
        return to_action(self.spec.action, choice), {}, carry


class IMC(AbstractLearner):
    """Information Maximizing Curriculum (see the module's docstring). It never asks for a reward."""

    experts: int = 16
    """k: how many there are."""
    pacing: float = 0.5
    """η: how little a row's misfit matters to its weight; large: everyone learns from everything."""
    std: float = 1.0
    """σ: the misfit that counts as one (units of the box)."""
    passes: float = 5.0
    """Draws of a row between two renewals of its q, on average, ≥ 1."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer, of the experts' trunk and of the gate."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 1e-3
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Transitions an update."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Blessing, Celik, Jia, Reuss, Li, Lioutikov, Neumann 2023, Information Maximizing Curriculum: A "
        "Curriculum-Based Approach for Imitating Diverse Skills",
        "2303.15349",
        "imitation",
        ("dataset", "continuous"),
    )

    def __check_init__(self) -> None:
        check_counts(self, "experts", "batch")
        if isinstance(self.passes, int | float) and not self.passes >= 1:
            raise SpecError(f"expected IMC.passes ≥ 1; got {self.passes}. Raise it.")
        for name in ("pacing", "std"):
            value = getattr(self, name)
            if isinstance(value, int | float) and value <= 0.0:
                raise SpecError(f"expected IMC.{name} > 0; got {value:g}. Use 0.5 for pacing, 1 for std.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> IMCState:
        action, rng = check_continuous(spec, "IMC"), nn.generator(key)
        encoder, k = nn.encoder(rng, spec.obs), self.experts
        net = lambda n: nn.mlp(rng, (encoder.size, *self.hidden, n), activation=self.activation, final_scale=0.01)
        means = net(k * action.size)
        spread = jax.device_put(rng.uniform(-1.0, 1.0, k * action.size).astype(np.float32))
        means = eqx.tree_at(lambda m: m.layers[-1].bias, means, spread)
        network = Experts(encoder, means, net(k), spec, k)
        adam = nn.zeros_init(optax.scale_by_adam(), nn.flat_size(network))
        return IMCState(
            network, uniform(1, k), nn.Normaliser.init(spec.obs), adam, jax.device_put(np.zeros((), np.int32))
        )

    def prepare(self, state: IMCState, dataset: Dataset, *, key: PRNGKeyArray) -> IMCState:
        """With a q for every row, and moments of the dataset: `fit` calls it once."""
        found = (uniform(dataset.size, self.experts), measured(dataset))
        return eqx.tree_at(lambda s: (s.log_q, s.normaliser), state, found)

    def draw(self, dataset: Dataset, n: int, key: PRNGKeyArray) -> Transition:
        """Transitions that say which rows they are: `fit` gives them to `update`."""
        return dataset.sample(n, key, rows=True)

    def policy(self, state: IMCState) -> ExpertPolicy:
        return ExpertPolicy(state.network.spec, state.network, state.normaliser)

    def update(
        self, state: IMCState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[IMCState, Metrics]:
        raw, action = nn.merge_axes((batch.obs, batch.action), 2)
        obs = jax.vmap(state.normaliser)(raw)
        choice = jax.vmap(lambda a: to_choice(state.network.spec.action, a))(action)
        row = nn.merge_axes(batch.extras["row"], 2) if "row" in batch.extras else None
        log_q = jnp.full((len(choice), self.experts), -jnp.log(self.experts)) if row is None else state.log_q[row]

        def fits(network: Experts) -> Float[Array, "B k"]:
            gap = jax.vmap(network.actions)(obs) - choice[:, None]
            return -0.5 * jnp.square(gap / self.std).sum(-1)

        log_w, renewed = curriculum(fits(state.network), log_q, self.pacing)
        memory = state.log_q
        if row is not None:  # a row drawn twice is renewed twice alike, so that order does not matter
            due = (jax.random.uniform(key, (len(memory),)) * self.passes < 1.0)[row]
            memory = memory.at[row].set(jnp.where(due[:, None], renewed, log_q))
        weight = jnp.exp(log_w)

        def loss(network: Experts) -> tuple[Array, Metrics]:
            expert = -(weight * fits(network)).sum(-1).mean()
            gate = -(weight * jax.nn.log_softmax(jax.vmap(network.logits)(obs))).sum(-1).mean()
            return expert + gate, {"loss/policy": expert, "loss/gate": gate}

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        network, adam, metrics = nn.descend(state.network, state.adam, loss, lr)
        share = jnp.exp(renewed).mean(0)
        metrics["policy/experts"] = jnp.exp(-(share * jnp.log(jnp.maximum(share, 1e-12))).sum())
        metrics["policy/heeded"] = 1.0 / jnp.square(weight.sum(-1)).mean()
        return IMCState(network, memory, state.normaliser, adam, state.steps + 1), metrics


def curriculum(
    fit: Float[Array, "B k"], log_q: Float[Array, "B k"], pacing: Any
) -> tuple[Float[Array, "B k"], Float[Array, "B k"]]:
    """`(log w, log q)`: the weights, whose sum over experts is 1 on average over rows, and the q that follows.

    >>> log_w, log_q = curriculum(jnp.array([[0.0, -1.0]]), jnp.log(jnp.array([[0.5, 0.5]])), 1.0)
    >>> [round(float(q), 3) for q in jnp.exp(log_q[0])]
    [0.731, 0.269]
    """
    joint = fit / pacing + log_q
    total = jax.nn.logsumexp(joint) - jnp.log(len(fit))
    return joint - total, jax.nn.log_softmax(joint)


def uniform(rows: int, experts: int) -> Array:
    """log q that prefers nobody."""
    return jax.device_put(np.full((rows, experts), -np.log(experts), np.float32))
