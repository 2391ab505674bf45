"""Contrastive preference learning: make the segment that was preferred likelier than the other; no reward, no RL.

    S(σ) = Σ_t γᵗ log π(a_t | s_t) over a segment's own steps;   θ ← Adam on E[loss(S(σ_l), S(σ_r), target)]

People prefer what is nearer to optimal: where they judge by regret, α log π is the advantage under a maximum-entropy
optimal policy, and a segment's worth its sum. The loss is a slot: `losses.Logistic` (CPL), `losses.IPO`. For the first
`bc_steps` updates all segments are cloned. With `reference`, log π is taken relative to the policy as the cloning left
it: then Logistic with bias 1 is DPO on segments, and IPO is IPO.

Reference: Hejna, Rafailov, Sikchi, Finn, Niekum, Knox, Sadigh 2023, Contrastive Preference Learning: Learning from
Human Feedback without RL, 2310.13639; its reference code (jhejna/cpl) for the numbers.
Deviations from the paper:
1. α belongs to the loss (`Logistic.temperature`), since IPO has its own scale.
2. No dropout and no tanh at the end; 5,000 cloning updates, not 200,000 of 500,000, and no warm-up of the step size.
3. With a fixed standard deviation log π is counted from its mode, −|a − μ|²/(2σ²), as in the reference code: with
   bias < 1 the constant would matter. The default σ² = ½ is that code's.

>>> import jax.numpy as jnp
>>> from operant.core import Box
>>> learner = CPL(hidden=(8,))
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
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.errors import SpecError
from operant.learners._density import DensityPolicy, Network, density
from operant.learners.preferences._segment import check_compared, log_probs, ranked
from operant.learners.preferences.losses import AbstractPreferenceLoss
from operant.learners.preferences.losses.logistic import Logistic
from operant.math.schedules import AbstractSchedule


class CPLState(eqx.Module):
    """Everything CPL carries from one update to the next."""

    network: Network
    adam: optax.OptState
    reference: Network | None
    """The policy as the cloning left it."""
    steps: Int[Array, ""]
    """Updates so far."""


class CPL(AbstractLearner):
    """Contrastive preference learning (see the module's docstring). It never asks for a reward."""

    loss: AbstractPreferenceLoss = Logistic()
    """What two segments' scores cost, given which was better."""
    reference: bool = False
    """Whether scores are relative to the policy as it is after `bc_steps` updates."""
    discount: float = 1.0
    """γ: weight of the next step's log probability in a score."""
    bc_steps: int = 5_000
    """Updates at the start that clone all segments, whatever was answered."""
    bc_weight: float = 0.0
    """Weight of cloning beside the loss after that."""
    std: float | None = 0.7071
    """Standard deviation of continuous actions, in units of the box; none: learned, one a dimension."""
    hidden: tuple[int, ...] = (512, 512)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 1e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 96
    """Pairs an update."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Hejna et al. 2023, Contrastive Preference Learning: Learning from Human Feedback without RL",
        "2310.13639",
        "preference-learning",
        ("comparisons",),
    )

    def __check_init__(self) -> None:
        for name, least in (("batch", 1), ("bc_steps", 0), ("bc_weight", 0)):
            value = getattr(self, name)
            if isinstance(value, int | float) and value < least:
                raise SpecError(f"expected CPL.{name} ≥ {least}; got {value}. Raise it.")
        if isinstance(self.std, int | float) and self.std <= 0.0:
            raise SpecError(f"expected CPL.std > 0; got {self.std:g}. Use none to learn it.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> CPLState:
        draw = lambda: density(nn.generator(key), spec, self.hidden, self.activation, std=self.std)
        network = draw()
        adam = nn.zeros_init(optax.scale_by_adam(), nn.flat_size(network))
        return CPLState(network, adam, draw() if self.reference else None, jax.device_put(np.zeros((), np.int32)))

    def policy(self, state: CPLState) -> DensityPolicy:
        return DensityPolicy(state.network.spec, state.network)

    def update(
        self, state: CPLState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[CPLState, Metrics]:
        """From comparisons (1, B, 2, L); extras "mask", "target" and "known"."""
        check_compared(batch, "CPL")
        begins = state.steps == self.bc_steps  # cloning is over: the reference is what it left, and Adam starts anew
        choose = lambda new, old: jax.tree.map(lambda a, b: jnp.where(begins, a, b), new, old)
        reference = None if state.reference is None else choose(state.network, state.reference)
        adam = choose(jax.tree.map(jnp.zeros_like, state.adam), state.adam)
        fixed = None if reference is None else log_probs(reference, batch)
        mask, target, known = batch.extras["mask"], batch.extras["target"], batch.extras["known"]
        own = mask.astype(jnp.float32)
        weight = known.astype(jnp.float32) / jnp.maximum(known.sum(), 1)
        powers = jnp.broadcast_to(self.discount ** jnp.arange(mask.shape[-1], dtype=jnp.float32), mask.shape)

        def loss(network: Network) -> tuple[Array, Metrics]:
            log_pi = log_probs(network, batch)
            scored = log_pi if fixed is None else log_pi - fixed
            score = jnp.where(mask, powers * scored, 0.0).sum(-1)
            left, right = score[..., 0].reshape(-1), score[..., 1].reshape(-1)
            contrast = (weight.reshape(-1) * self.loss(left, right, target.reshape(-1))).sum()
            clone = -jnp.where(mask, log_pi, 0.0).sum() / own.sum()
            metrics = {
                "loss/policy": clone,
                "loss/preference": contrast,
                "preferences/ranked": ranked(left, right, target.reshape(-1), known.reshape(-1)),
            }
            return jnp.where(state.steps < self.bc_steps, clone, contrast + self.bc_weight * clone), metrics

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        network, adam, metrics = nn.descend(state.network, adam, loss, lr)
        return CPLState(network, adam, reference, state.steps + 1), metrics
