"""TD3's actor: one action a state, found by following the critic's gradient, judged at a blurred copy of itself.

    V(s')  = min_i Q'_i(s', clip(μ'(s') + clip(σ̃ ξ, −c, c), −1, 1))     ξ ~ N(0, I), μ' the target actor
    L_π    = −Q_1(s, μ(s))
    acting: clip(μ(s) + σ ξ, −1, 1)

Actions in units of their box, [−1, 1] each.

Reference: Fujimoto, van Hoof and Meger 2018, Addressing Function Approximation Error in Actor-Critic Methods,
1802.09477.
Beyond the paper: noise may be correlated over time (pink, Eberhard et al. 2023), so that long pushes are among its
actions, which MountainCarContinuous needs and HalfCheetah-v5 suffers from.

>>> import numpy as np
>>> from operant.core import EnvSpec
>>> build = Build(np.random.default_rng(0), EnvSpec(Box((3,)), Box((2,), -1.0, 1.0), None), (8,), "relu")
>>> actor = Deterministic()
>>> actor.greedy(actor.init(build), None, jnp.ones(3)).shape
(2,)
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import Action, Box, Carry, EnvSpec, Metrics, Obs
from operant.learners import exploration
from operant.learners.off_policy import AbstractActor, Build, Q, check_box, to_box


class DeterministicParams(eqx.Module):
    """μ, in [−1, 1]^d."""

    encoder: nn.Encoder
    body: nn.MLP
    action: Box = eqx.field(static=True)

    def __call__(self, obs: Obs) -> Float[Array, " d"]:
        return jnp.tanh(self.body(self.encoder(obs)))


class Deterministic(AbstractActor):
    """A deterministic policy with target smoothing and exploration noise (see the module's docstring)."""

    exploration_noise: float = 0.1
    """σ: standard deviation of the noise added when exploring (half-widths of the box)."""
    smoothing: float = 0.2
    """σ̃: standard deviation of the noise added to the target's action (half-widths of the box)."""
    smoothing_clip: float = 0.5
    """c: largest such noise (half-widths of the box)."""
    noise_colour: exploration.Colour = "white"
    """Exploration noise: "white" as published, or "pink", correlated over time: long pushes, where these are needed."""
    warmup_colour: exploration.Colour = "white"
    """Of the uniformly random actions before learning starts: "white", drawn afresh at each step, as published, or
    "pink", which also reaches what only long pushes reach (the flag of MountainCarContinuous), but leaves TD3 at half
    its return on HalfCheetah-v5 (three seeds each, 37,000 steps: 1,100; white: 2,700)."""

    own_target: ClassVar[bool] = True

    def __check_init__(self) -> None:
        exploration.check(noise_colour=self.noise_colour, warmup_colour=self.warmup_colour)

    def check(self, spec: EnvSpec) -> None:
        check_box(spec, "TD3's deterministic actor")

    def init(self, build: Build) -> DeterministicParams:
        encoder, size = build.encoder(), build.spec.action.size
        return DeterministicParams(encoder, build.mlp(encoder.size, *build.hidden, size), build.spec.action)

    def noise(self, key: PRNGKeyArray, spec: EnvSpec, shape: tuple[int, ...]) -> Array:
        return jax.random.normal(key, (*shape, spec.action.size))

    def next_value(self, params: DeterministicParams, online: Q, target: Q, obs: Obs, noise: Array) -> Array:
        blur = jnp.clip(self.smoothing * noise, -self.smoothing_clip, self.smoothing_clip)
        return target.lower(obs, to_box(params.action, jnp.clip(params(obs) + blur, -1.0, 1.0)))

    def loss(self, params: DeterministicParams, q: Q, obs: Obs, noise: Array) -> tuple[Array, Metrics]:
        loss = -q.heads(obs, to_box(params.action, params(obs)))[0]
        return loss, {"loss/actor": loss}

    def init_carry(self, spec: EnvSpec) -> Carry:
        return tuple(exploration.begin(c, spec.action.size) for c in (self.noise_colour, self.warmup_colour))

    def greedy(self, params: DeterministicParams, q: Q | None, obs: Obs) -> Action:
        return to_box(params.action, params(obs))

    def explore(
        self, params: DeterministicParams, q: Q | None, obs: Obs, carry: Carry, warm: Bool[Array, ""],
        steps: Int[Array, ""], key: PRNGKeyArray,
    ) -> tuple[Action, Carry]:  # fmt: skip
        key, warm_key = jax.random.split(key)
        z, noise = exploration.draw(self.noise_colour, carry[0], key, params.action.size)
        warm_z, warmup = exploration.draw(self.warmup_colour, carry[1], warm_key, params.action.size)
        unit = jnp.clip(params(obs) + self.exploration_noise * z, -1.0, 1.0)
        return to_box(params.action, jnp.where(warm, exploration.uniform(warm_z), unit)), (noise, warmup)
