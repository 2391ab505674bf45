"""Soft actor-critic's actor: a normal squashed by tanh, which maximises value and entropy at once.

    a = tanh(u), u = μ(s) + σ(s) ξ, ξ ~ N(0, I);  log π(a|s) = Σ log N(u; μ, σ²) − log(1 − tanh²u)
    V(s')  = min_i Q'_i(s', a') − α log π(a'|s')
    L_π    = α log π(a|s) − min_i Q_i(s, a)
    L_α    = −log α · (log π(a|s) + H̄)           H̄: the entropy wished for, −|A| unless given

Reference: Haarnoja et al. 2018, Soft Actor-Critic Algorithms and Applications, 1812.05905 (temperature);
1801.01290 (squashing).
Deviations from the paper:
1. log α is what Adam changes, as in the authors' code; the paper writes α.
2. log σ is clipped to [−20, 2], as in the authors' code.
3. Densities are of actions in units of their box, [−1, 1] each, so that H̄ does not depend on its size.
4. The uniformly random actions before learning starts are correlated over time (pink, Eberhard et al. 2023), so that
   long pushes are among them, which MountainCarContinuous needs; as published: `warmup_colour` "white". Exploration
   after them is white, as published: pink, SAC stays at a third of its return on HalfCheetah-v5.

>>> from operant.core import EnvSpec
>>> build = Build(np.random.default_rng(0), EnvSpec(Box((3,)), Box((2,), -1.0, 1.0), None), (8,), "relu")
>>> actor = SquashedGaussian()
>>> actor.greedy(actor.init(build), None, jnp.ones(3)).shape
(2,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import Action, Box, Carry, EnvSpec, Metrics, Obs
from operant.errors import SpecError
from operant.learners import exploration
from operant.learners.off_policy import AbstractActor, Build, Q, check_box, to_box

LOG_STD = (-20.0, 2.0)


class SquashedGaussianParams(eqx.Module):
    """μ and log σ from one network; the temperature's logarithm."""

    encoder: nn.Encoder
    body: nn.MLP
    log_alpha: Float[Array, ""]
    action: Box = eqx.field(static=True)

    def __call__(self, obs: Obs) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        mean, log_std = jnp.split(self.body(self.encoder(obs)), 2)
        return mean, jnp.clip(log_std, *LOG_STD)


@jax.custom_jvp
def log_slope(u: Array) -> Array:
    """log(1 − tanh²u) without cancellation; its derivative is −2 tanh u (written out: autodiff's is 5× slower)."""
    size = jnp.abs(u)
    return 2.0 * (np.float32(np.log(2.0)) - size - jnp.log1p(jnp.exp(-2.0 * size)))


@log_slope.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return log_slope(*primals), -2.0 * jnp.tanh(primals[0]) * tangents[0]


class SquashedGaussian(AbstractActor):
    """A tanh-squashed normal with a learned temperature (see the module's docstring)."""

    target_entropy: float | None = None
    """H̄: entropy the temperature steers to (nats, actions in [−1, 1]); None: minus the number of action dimensions."""
    temperature: float = 1.0
    """α at the start, or throughout where `learn_temperature` is false (reward units a nat)."""
    learn_temperature: bool = True
    """Whether α follows the target entropy."""
    noise_colour: exploration.Colour = "white"
    """Exploration noise: "white" as published, or "pink", correlated over time: long pushes, where these are needed."""
    warmup_colour: exploration.Colour = "pink"
    """Of the uniformly random actions before learning starts: "white", drawn afresh at each step, as in published
    results, or "pink", which also reaches what only long pushes reach (the flag of MountainCarContinuous)."""

    own_target: ClassVar[bool] = False

    def __check_init__(self) -> None:
        exploration.check(noise_colour=self.noise_colour, warmup_colour=self.warmup_colour)
        if isinstance(self.temperature, int | float) and self.temperature <= 0.0:
            raise SpecError(f"expected temperature > 0; got {self.temperature}. Use a small number for almost none.")

    def check(self, spec: EnvSpec) -> None:
        check_box(spec, "SAC with a squashed Gaussian")

    def init(self, build: Build) -> SquashedGaussianParams:
        encoder, size = build.encoder(), build.spec.action.size
        body = build.mlp(encoder.size, *build.hidden, 2 * size)
        log_alpha = jnp.log(jnp.asarray(self.temperature, jnp.float32))
        return SquashedGaussianParams(encoder, body, log_alpha, build.spec.action)

    def noise(self, key: PRNGKeyArray, spec: EnvSpec, shape: tuple[int, ...]) -> Any:
        both = jax.random.normal(key, (2, *shape, spec.action.size))
        return both[0], both[1]

    def next_value(self, params: SquashedGaussianParams, online: Q, target: Q, obs: Obs, noise: Any) -> Array:
        action, log_prob = self._act(params, obs, noise[0])
        return target.lower(obs, action) - jnp.exp(params.log_alpha) * log_prob

    def loss(self, params: SquashedGaussianParams, q: Q, obs: Obs, noise: Any) -> tuple[Array, Metrics]:
        action, log_prob = self._act(params, obs, noise[1])
        alpha = jax.lax.stop_gradient(jnp.exp(params.log_alpha))
        policy = alpha * log_prob - q.lower(obs, action)
        wish = -float(params.action.size) if self.target_entropy is None else self.target_entropy
        temperature = -params.log_alpha * jax.lax.stop_gradient(log_prob + wish)
        loss = policy + temperature if self.learn_temperature else policy
        return loss, {"loss/actor": policy, "policy/entropy": -log_prob, "policy/temperature": alpha}

    def init_carry(self, spec: EnvSpec) -> Carry:
        return tuple(exploration.begin(c, spec.action.size) for c in (self.noise_colour, self.warmup_colour))

    def greedy(self, params: SquashedGaussianParams, q: Q | None, obs: Obs) -> Action:
        return to_box(params.action, jnp.tanh(params(obs)[0]))

    def explore(
        self, params: SquashedGaussianParams, q: Q | None, obs: Obs, carry: Carry, warm: Bool[Array, ""],
        steps: Int[Array, ""], key: PRNGKeyArray,
    ) -> tuple[Action, Carry]:  # fmt: skip
        key, warm_key = jax.random.split(key)
        z, noise = exploration.draw(self.noise_colour, carry[0], key, params.action.size)
        warm_z, warmup = exploration.draw(self.warmup_colour, carry[1], warm_key, params.action.size)
        mean, log_std = params(obs)
        unit = jnp.where(warm, exploration.uniform(warm_z), jnp.tanh(mean + jnp.exp(log_std) * z))
        return to_box(params.action, unit), (noise, warmup)

    def _act(self, params: SquashedGaussianParams, obs: Obs, z: Array) -> tuple[Action, Float[Array, ""]]:
        mean, log_std = params(obs)
        u = mean + jnp.exp(log_std) * z
        log_prob = (-0.5 * z * z - log_std - np.float32(0.5 * np.log(2.0 * np.pi)) - log_slope(u)).sum()
        return to_box(params.action, jnp.tanh(u)), log_prob
