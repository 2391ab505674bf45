"""Direct preference-based policy optimisation: the policy itself is scored, by how near its actions are to a segment's.

    predictor:  f ← E[cross-entropy(target, σ(f(σ_r) − f(σ_l)))] + ν E[(f(σ) − f(σ shifted))²]
    distance:   d(π, σ) = mean over own steps of |π(s_t) − a_t| / (width of the box)
    policy:     π ← E[softplus((d(π, σ⁺) − λ d(π, σ⁻))/T)]       over all pairs of a batch, f(σ⁺) > f(σ⁻)

so that π acts as preferred segments do and unlike the others, which pull at 1/T and repel at λ/T. The predictor labels
everything, pairs that nobody answered too; it learns for `predictor_steps` updates, then the policy learns from it.

Reference: An, Lee, Zuo, Kosaka, Kim, Song 2023, Direct Preference-based Policy Optimization without Reward Modeling,
2301.12842; its reference code (snu-mllab/DPPO) for what a batch is and for λ and T.
Deviations from the paper:
1. The predictor is a GRU where the paper has a transformer, and no dropout.
2. Shifted segments are crops of a stored one, up to `shift` steps apart; the paper shifts within whole trajectories.
3. ν and `shift` are ours: their code leaves both to the command line.
4. Discrete actions, which the paper does not treat: the distance is 1 − π(a_t|s_t).
5. Actions drawn with a key have a standard deviation of 0.05 in units of the box; the paper's policy is deterministic.

>>> from operant.core import Box
>>> learner = DPPO(hidden=(8,), memory=4)
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
from operant.core import AbstractLearner, Box, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.errors import SpecError
from operant.learners._density import DensityPolicy, Network, density, to_choice
from operant.learners.preferences._segment import SegmentNetwork, check_compared, log_probs, ranked, segment_network
from operant.math import random
from operant.math.schedules import AbstractSchedule

STD = 0.05
"""Of actions drawn with a key, in units of the box."""


class DPPOState(eqx.Module):
    """Everything DPPO carries from one update to the next."""

    policy: Network
    predictor: SegmentNetwork
    adams: tuple[optax.OptState, optax.OptState]
    """Of policy and predictor."""
    found: Metrics
    """Of the last update of either."""
    steps: Int[Array, ""]
    """Updates so far."""


class DPPO(AbstractLearner):
    """Direct preference-based policy optimisation (see the module's docstring). It never asks for a reward."""

    conservatism: float = 1.0
    """λ in (0, 1]: how much worse segments repel, against how much better ones attract."""
    temperature: float = 0.1
    """T: difference of two distances that counts as clear (units of the box's width)."""
    smoothness: float = 1.0
    """ν: weight of the predictor's smoothness."""
    shift: int = 5
    """Steps by which crops of one segment may lie apart, that the predictor should score alike."""
    predictor_steps: int = 2_000
    """Updates of the predictor, before the policy begins to learn."""
    memory: int = 64
    """Units of the predictor's GRU."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer of the policy."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 64
    """Pairs an update; all segments in them are ranked among each other."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "An et al. 2023, Direct Preference-based Policy Optimization without Reward Modeling",
        "2301.12842",
        "preference-learning",
        ("comparisons", "dataset"),
    )

    def __check_init__(self) -> None:
        for name, least in (("batch", 1), ("memory", 1), ("shift", 0), ("predictor_steps", 1), ("smoothness", 0)):
            value = getattr(self, name)
            if isinstance(value, int | float) and value < least:
                raise SpecError(f"expected DPPO.{name} ≥ {least}; got {value}. Raise it.")
        if isinstance(self.conservatism, int | float) and not 0.0 < self.conservatism <= 1.0:
            raise SpecError(f"expected DPPO.conservatism in (0, 1]; got {self.conservatism:g}. Use 1, or less.")
        if isinstance(self.temperature, int | float) and self.temperature <= 0.0:
            raise SpecError(f"expected DPPO.temperature > 0; got {self.temperature:g}. Use 0.1, the published one.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> DPPOState:
        rng = nn.generator(key)
        policy = density(rng, spec, self.hidden, self.activation, std=STD)
        predictor = segment_network(rng, spec, self.memory, 1)
        adam = lambda module: nn.zeros_init(optax.scale_by_adam(), nn.flat_size(module))
        number = lambda dtype: jax.device_put(np.zeros((), dtype))
        found = {name: number("float32") for name in ("loss/policy", "loss/preference", "preferences/ranked")}
        return DPPOState(policy, predictor, (adam(policy), adam(predictor)), found, number("int32"))

    def policy(self, state: DPPOState) -> DensityPolicy:
        return DensityPolicy(state.policy.spec, state.policy)

    def update(
        self, state: DPPOState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[DPPOState, Metrics]:
        """From comparisons (1, B, 2, L); extras "mask", "target" and "known"."""
        check_compared(batch, "DPPO")
        lr = self.lr(state.steps) if callable(self.lr) else self.lr

        def predict(state: DPPOState) -> DPPOState:
            loss = lambda net: self._predictor_loss(net, batch, key)
            predictor, adam, found = nn.descend(state.predictor, state.adams[1], loss, lr)
            return DPPOState(state.policy, predictor, (state.adams[0], adam), state.found | found, state.steps + 1)

        def act(state: DPPOState) -> DPPOState:
            score = state.predictor.all(batch).reshape(-1)
            loss = lambda net: self._policy_loss(distances(net, batch).reshape(-1), score)
            policy, adam, found = nn.descend(state.policy, state.adams[0], loss, lr)
            return DPPOState(policy, state.predictor, (adam, state.adams[1]), state.found | found, state.steps + 1)

        state = jax.lax.cond(state.steps < self.predictor_steps, predict, act, state)
        return state, state.found

    def _predictor_loss(self, net: SegmentNetwork, batch: Transition, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Cross-entropy of what is known, and smoothness of everything."""
        score = net.all(batch)[..., 0]
        left, right = score[..., 0].reshape(-1), score[..., 1].reshape(-1)
        target, known = batch.extras["target"].reshape(-1), batch.extras["known"].reshape(-1)
        margin = right - left
        entropy = -target * jax.nn.log_sigmoid(margin) - (1.0 - target) * jax.nn.log_sigmoid(-margin)
        entropy = jnp.where(known, entropy, 0.0).sum() / jnp.maximum(known.sum(), 1)
        room = min(self.shift, batch.terminated.shape[-1] - 1)
        first, second = (net.all(crop(batch, k, room)) for k in jax.random.split(key))
        rough = jnp.square(first - second).mean()
        found = {"loss/preference": entropy, "preferences/ranked": ranked(left, right, target, known)}
        return entropy + self.smoothness * rough, found

    def _policy_loss(self, distance: Float[Array, " n"], score: Float[Array, " n"]) -> tuple[Array, Metrics]:
        """Mean of softplus((d_i − λ d_j)/T) over all i that score higher than j."""
        n = distance.shape[0]
        rows, columns = (lambda x: jnp.broadcast_to(x[:, None], (n, n))), (lambda x: jnp.broadcast_to(x[None], (n, n)))
        above = rows(score) > columns(score)
        cost = jax.nn.softplus((rows(distance) - self.conservatism * columns(distance)) / self.temperature)
        loss = jnp.where(above, cost, 0.0).sum() / jnp.maximum(above.sum(), 1)
        return loss, {"loss/policy": loss}


def distances(network: Network, batch: Transition) -> Float[Array, "*B"]:
    """How far the policy's actions are from those of segments (*B, L), a mean over each one's own steps."""
    mask = batch.extras["mask"]
    if network.std is None:
        apart = 1.0 - jnp.exp(log_probs(network, batch))
    else:
        lead = batch.terminated.shape
        flat = lambda tree: nn.merge_axes(tree, len(lead))

        def one(obs: Any, action: Array) -> Array:
            gap = network.distribution(obs, obs).mode() - to_choice(network.spec.action, action)
            width = 2.0 if isinstance(network.spec.action, Box) and network.spec.action.bounded else 1.0
            return jnp.sqrt(jnp.maximum(jnp.square(gap).sum(), 1e-12)) / width  # its slope at 0 is 0, not infinite

        apart = jax.vmap(one)(flat(batch.obs), flat(batch.action)).reshape(lead)
    return jnp.where(mask, apart, 0.0).sum(-1) / mask.sum(-1)


def crop(batch: Transition, key: PRNGKeyArray, room: int) -> Transition:
    """Each segment of a batch (*B, L) without `room` of its steps: a stretch of L − room, from anywhere."""
    *lead, length = batch.terminated.shape
    start = random.integers(key, tuple(lead), room + 1)
    start = jnp.minimum(start, batch.extras["mask"].sum(-1) - 1)  # of a short segment, one own step at least
    place = start[..., None] + jnp.broadcast_to(jnp.arange(length - room), (*lead, length - room))

    def cut(x: Array) -> Array:
        shape = (*place.shape, *x.shape[place.ndim :])
        index = jnp.broadcast_to(place.reshape(*place.shape, *(1,) * (x.ndim - place.ndim)), shape)
        return jnp.take_along_axis(x, index, axis=len(lead))

    return jax.tree.map(cut, eqx.tree_at(lambda t: t.extras, batch, {"mask": batch.extras["mask"]}))
