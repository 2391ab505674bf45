"""Two Q networks that see the same target; the smaller of them is believed (clipped double Q-learning).

    L = ½ Σ_{i=1,2} (Q_i(s, a) − y)²

Continuous actions enter in units of their box beside the encoded observation; for discrete actions each network
answers with the values of all of them.

Reference: Fujimoto, van Hoof and Meger 2018, Addressing Function Approximation Error in Actor-Critic Methods,
1802.09477.
Deviations from the paper:
1. The factor ½, which Adam does not notice (1812.05905 has it).
2. Images are encoded once for both networks.

>>> import numpy as np
>>> from operant.core import EnvSpec
>>> build = Build(np.random.default_rng(0), EnvSpec(Box((3,)), Box((2,), -1.0, 1.0), None), (8,), "relu")
>>> params = TwinQ().init(build)
>>> TwinQ().heads(params, jnp.ones(3), jnp.zeros(2)).shape
(2,)
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from operant import nn
from operant.core import Action, Box, Discrete, Obs
from operant.learners.off_policy import AbstractCritic, Build


class TwinQParams(eqx.Module):
    """One encoder, two bodies."""

    encoder: nn.Encoder
    bodies: tuple[nn.MLP, nn.MLP]
    action: Box | Discrete = eqx.field(static=True)


class TwinQ(AbstractCritic):
    """Clipped double Q-learning's pair of networks (see the module's docstring)."""

    def init(self, build: Build) -> TwinQParams:
        encoder, action = build.encoder(), build.spec.action
        extra, out = (action.size, 1) if isinstance(action, Box) else (0, action.n)
        bodies = [build.mlp(encoder.size + extra, *build.hidden, out) for _ in range(2)]
        return TwinQParams(encoder, (bodies[0], bodies[1]), action)

    def heads(self, params: TwinQParams, obs: Obs, action: Action | None) -> Float[Array, "2 ..."]:
        x = params.encoder(obs)
        if isinstance(params.action, Box):
            x = jnp.concatenate([x, nn.action_features(params.action, action)])
            return jnp.stack([body(x)[0] for body in params.bodies])
        return jnp.stack([body(x) for body in params.bodies])

    def loss(self, params: TwinQParams, obs: Obs, action: Action, target: Float[Array, ""]) -> Float[Array, ""]:
        if isinstance(params.action, Box):
            q = self.heads(params, obs, action)
        else:
            q = self.heads(params, obs, None)[:, action]
        return 0.5 * jnp.square(q - target).sum()
