"""Soft actor-critic's actor for discrete actions: expectations over all actions instead of one draw.

    V(s')  = Σ_a π(a|s') (min_i Q'_i(s', a) − α log π(a|s'))
    L_π    = Σ_a π(a|s) (α log π(a|s) − min_i Q_i(s, a))
    L_α    = −log α · Σ_a π(a|s) (log π(a|s) + H̄)       H̄ = `entropy_share` · log n

Reference: Christodoulou 2019, Soft Actor-Critic for Discrete Action Settings, 1910.07207.
Deviations from the paper:
1. H̄ is 0.98 log n in the author's code, and nearly uniform on small problems; here the share is a field.
2. Masked actions have probability 0; H̄ does not know how many there are.

>>> from operant.core import Box, EnvSpec
>>> build = Build(np.random.default_rng(0), EnvSpec(Box((3,)), Discrete(2), None), (8,), "relu")
>>> actor = SoftCategorical()
>>> actor.greedy(actor.init(build), None, jnp.ones(3)).shape
()
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import Action, Carry, Discrete, EnvSpec, Metrics, Obs
from operant.dists import MASKED, Categorical
from operant.errors import SpecError
from operant.learners.off_policy import AbstractActor, Build, Q, check_discrete


class SoftCategoricalParams(eqx.Module):
    """Logits, and the temperature's logarithm."""

    encoder: nn.Encoder
    body: nn.MLP
    log_alpha: Float[Array, ""]
    action: Discrete = eqx.field(static=True)

    def __call__(self, obs: Obs) -> Categorical:
        logits = self.body(self.encoder(obs))
        mask = nn.action_mask(self.encoder.space, obs)
        return Categorical(logits) if mask is None else Categorical.masked(logits, mask)


class SoftCategorical(AbstractActor):
    """A categorical policy with a learned temperature (see the module's docstring)."""

    entropy_share: float = 0.98
    """H̄ as a share of the uniform policy's entropy, log n."""
    temperature: float = 1.0
    """α at the start, or throughout where `learn_temperature` is false (reward units a nat)."""
    learn_temperature: bool = True
    """Whether α follows the target entropy."""

    own_target: ClassVar[bool] = False

    def __check_init__(self) -> None:
        if isinstance(self.temperature, int | float) and self.temperature <= 0.0:
            raise SpecError(f"expected temperature > 0; got {self.temperature}. Use a small number for almost none.")

    def check(self, spec: EnvSpec) -> None:
        check_discrete(spec, "SAC with a categorical actor")

    def init(self, build: Build) -> SoftCategoricalParams:
        encoder, action = build.encoder(), build.spec.action
        body = build.mlp(encoder.size, *build.hidden, action.n)
        log_alpha = jnp.log(jnp.asarray(self.temperature, jnp.float32))
        return SoftCategoricalParams(encoder, body, log_alpha, action)

    def noise(self, key: PRNGKeyArray, spec: EnvSpec, shape: tuple[int, ...]) -> tuple[()]:
        return ()

    def next_value(self, params: SoftCategoricalParams, online: Q, target: Q, obs: Obs, noise: tuple[()]) -> Array:
        dist = params(obs)
        return (dist.probs() * (target.lower(obs) - jnp.exp(params.log_alpha) * dist.log_probs())).sum()

    def loss(self, params: SoftCategoricalParams, q: Q, obs: Obs, noise: tuple[()]) -> tuple[Array, Metrics]:
        dist = params(obs)
        alpha = jax.lax.stop_gradient(jnp.exp(params.log_alpha))
        policy = (dist.probs() * (alpha * dist.log_probs() - q.lower(obs))).sum()
        entropy = dist.entropy()
        wish = self.entropy_share * np.log(params.action.n)
        temperature = -params.log_alpha * jax.lax.stop_gradient(wish - entropy)
        loss = policy + temperature if self.learn_temperature else policy
        return loss, {"loss/actor": policy, "policy/entropy": entropy, "policy/temperature": alpha}

    def init_carry(self, spec: EnvSpec) -> Carry:
        return ()

    def greedy(self, params: SoftCategoricalParams, q: Q | None, obs: Obs) -> Action:
        return params(obs).mode()

    def explore(
        self, params: SoftCategoricalParams, q: Q | None, obs: Obs, carry: Carry, warm: Bool[Array, ""],
        steps: Int[Array, ""], key: PRNGKeyArray,
    ) -> tuple[Action, Carry]:  # fmt: skip
        logits = params(obs).logits
        return jax.random.categorical(key, jnp.where(warm, uniform_logits(logits), logits)), carry


def uniform_logits(logits: Float[Array, " n"]) -> Float[Array, " n"]:
    """0 for every action that is not masked."""
    return jnp.where(logits > 0.5 * MASKED, 0.0, MASKED)
