"""Offline preference-guided policy optimisation: learn all behaviour there is, by a context, and the best context.

    z = I(σ)                                                    hindsight: a segment's own context
    I, π ← −E[log π(a_t | s_t, I(σ))]                           what is in z must suffice to do as σ did
           + β E[max(|z* − z⁺| − |z* − z⁻| + 1, 0)] + κ E[max(|z| − 1, 0)]
    z*   ← E[max(|z* − z⁺| − |z* − z⁻| + 1, 0)], |z*| ≤ 1       near preferred segments, far from the others

One then acts by π(a | s, z*). Segments that nobody compared take part in the first line and the norm alone.

Reference: Kang, Shi, Liu, He, Wang 2023, Beyond Reward: Offline Preference-guided Policy Optimization, 2305.16217; its
reference code (bkkgbkjb/OPPO) for β, κ, the margin and the norm.
Deviations from the paper:
1. I is a GRU and π sees the present observation alone; the paper has transformers over the last 20 to 100 steps.
2. One batch serves all three lines; their code draws another for the first, and trains π in every second update only.
3. Ties bring both contexts equally near z*, |(|z* − z_r| − |z* − z_l|)|; in their code a margin of 0 favours the left.
4. π is a density (there a mean, by squared error), without the noise on observations and without dropout.
5. Observations are not standardised.
6. z* starts on the unit sphere and is projected into the ball, where contexts are. Their code starts it at twice a
   standard normal and lets it be: only differences of distances count, so it stays outside (|z*| 3.8 and 6.7 on the
   claim's pendulum, two seeds), where the policy was never asked before.

>>> from operant.core import Box
>>> learner = OPPO(hidden=(8,), memory=4)
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
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.errors import SpecError
from operant.learners._density import DensityPolicy, Network, density
from operant.learners.preferences._segment import SegmentNetwork, check_compared, log_probs, ranked, segment_network
from operant.math.schedules import AbstractSchedule

MARGIN = 1.0
"""By how much nearer a preferred segment's context should lie."""


class Networks(eqx.Module):
    """What learns to reproduce."""

    hindsight: SegmentNetwork
    policy: Network


class OPPOState(eqx.Module):
    """Everything OPPO carries from one update to the next."""

    networks: Networks
    best: Float[Array, " z"]
    """z*, in the unit ball."""
    adams: tuple[optax.OptState, optax.OptState]
    """Of the networks and of z*."""
    steps: Int[Array, ""]
    """Updates so far."""


class OPPO(AbstractLearner):
    """Offline preference-guided policy optimisation (see the module's docstring). It never asks for a reward."""

    contexts: int = 8
    """Numbers in a context z."""
    preference_weight: float = 0.1
    """β: weight of the preferences in what contexts mean."""
    norm_weight: float = 0.1
    """κ: weight of keeping contexts within the unit ball."""
    context_lr: float = 1e-3
    """Adam's step size for z*."""
    memory: int = 64
    """Units of the GRU that reads segments."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer of the policy."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 1e-4
    """Adam's step size for the networks, or a schedule over updates."""
    batch: int = 64
    """Pairs an update."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Kang et al. 2023, Beyond Reward: Offline Preference-guided Policy Optimization",
        "2305.16217",
        "preference-learning",
        ("comparisons", "dataset"),
    )

    def __check_init__(self) -> None:
        for name, least in (
            ("batch", 1), ("contexts", 1), ("memory", 1), ("preference_weight", 0), ("norm_weight", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, int | float) and value < least:
                raise SpecError(f"expected OPPO.{name} ≥ {least}; got {value}. Raise it.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> OPPOState:
        rng = nn.generator(key)
        hindsight = segment_network(rng, spec, self.memory, self.contexts)
        networks = Networks(hindsight, density(rng, spec, self.hidden, self.activation, context=self.contexts))
        best = rng.standard_normal(self.contexts).astype(np.float32)
        best = jax.device_put(best / np.linalg.norm(best))
        adams = [nn.zeros_init(optax.scale_by_adam(), n) for n in (nn.flat_size(networks), self.contexts)]
        return OPPOState(networks, best, (adams[0], adams[1]), jax.device_put(np.zeros((), np.int32)))

    def policy(self, state: OPPOState) -> DensityPolicy:
        network = state.networks.policy
        return DensityPolicy(network.spec, network, None, state.best)

    def update(
        self, state: OPPOState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[OPPOState, Metrics]:
        """From comparisons (1, B, 2, L); extras "mask", "target" and "known"."""
        check_compared(batch, "OPPO")
        mask = batch.extras["mask"]
        target, known = batch.extras["target"].reshape(-1), batch.extras["known"].reshape(-1)

        def triplet(z: Float[Array, "1 B 2 z"], best: Array) -> tuple[Array, Array]:
            apart = _size(z - jnp.broadcast_to(best, z.shape))
            left, right = apart[..., 0].reshape(-1), apart[..., 1].reshape(-1)
            ahead = (left - right) * (2.0 * target - 1.0)  # how much nearer the better one lies
            each = jnp.where(target == 0.5, jnp.abs(left - right), jax.nn.relu(MARGIN - ahead))
            loss = jnp.where(known, each, 0.0).sum() / jnp.maximum(known.sum(), 1)
            return loss, ranked(-left, -right, target, known)

        def loss(networks: Networks) -> tuple[Array, Metrics]:
            z = networks.hindsight.all(batch)
            context = jnp.broadcast_to(z[..., None, :], (*mask.shape, z.shape[-1]))
            log_pi = log_probs(networks.policy, batch, context)
            clone = -jnp.where(mask, log_pi, 0.0).sum() / mask.sum()
            prefer, share = triplet(z, state.best)
            size = jax.nn.relu(_size(z) - 1.0).mean()
            found = {"loss/policy": clone, "loss/preference": prefer, "preferences/ranked": share}
            return clone + self.preference_weight * prefer + self.norm_weight * size, found

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        networks, adam, metrics = nn.descend(state.networks, state.adams[0], loss, lr)
        z = networks.hindsight.all(batch)
        toward = lambda best: (triplet(z, best)[0], {})
        best, best_adam, _ = nn.descend(state.best, state.adams[1], toward, self.context_lr)
        best = best / jnp.maximum(_size(best), 1.0)
        return OPPOState(networks, best, (adam, best_adam), state.steps + 1), metrics


def _size(z: Float[Array, "*B z"]) -> Float[Array, "*B"]:
    """|z|, with a slope at 0."""
    return jnp.sqrt(jnp.square(z).sum(-1) + 1e-12)
