"""One network with the value of every discrete action; dueling where asked.

    dueling: Q(s, a) = V(s) + A(s, a) − mean_a' A(s, a')
    L = huber(Q(s, a) − y), quadratic up to 1 and linear beyond (or ½ the square)

Reference: Mnih et al. 2015, Human-level control through deep reinforcement learning, 10.1038/nature14236; Wang et al.
2016, Dueling Network Architectures for Deep Reinforcement Learning, 1511.06581.
Deviations from the paper:
1. With dueling, the two streams part at the last hidden layer, whatever their number; gradients are not rescaled there.
2. "Clipping the error" in Mnih et al. is the Huber loss here, as in everyone's implementation.

>>> import numpy as np
>>> from operant.core import Box, Discrete, EnvSpec
>>> build = Build(np.random.default_rng(0), EnvSpec(Box((3,)), Discrete(4), None), (8,), "relu")
>>> critic = QNetwork(dueling=True)
>>> critic.heads(critic.init(build), jnp.ones(3), None).shape
(1, 4)
"""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from operant import nn
from operant.core import Action, Box, Obs
from operant.errors import SpecError
from operant.learners.off_policy import AbstractCritic, Build


class QNetworkParams(eqx.Module):
    """An encoder, and one stream, or trunk, value stream and advantage stream."""

    encoder: nn.Encoder
    trunk: nn.MLP | None
    value: nn.MLP | None
    advantage: nn.MLP


class QNetwork(AbstractCritic):
    """Values of all actions at once (see the module's docstring)."""

    dueling: bool = False
    """Whether value and advantage are separate streams."""
    error: Literal["huber", "squared"] = "huber"
    """What is done with the temporal-difference error."""

    def __check_init__(self) -> None:
        if self.error not in ("huber", "squared"):
            raise SpecError(f"expected error 'huber' or 'squared'; got {self.error!r}. Choose one of them.")

    def init(self, build: Build) -> QNetworkParams:
        if isinstance(build.spec.action, Box):
            raise SpecError(
                f"expected for the critic QNetwork: Discrete(n) actions; got {build.spec.action}. Use TwinQ, which "
                "takes actions in."
            )
        encoder, n = build.encoder(), build.spec.action.n
        if not self.dueling:
            return QNetworkParams(encoder, None, None, build.mlp(encoder.size, *build.hidden, n))
        if not build.hidden:
            raise SpecError(
                "expected at least one hidden layer for dueling, where the streams part; got hidden=(). Add a "
                "layer, or set dueling=False."
            )
        sizes, last = (encoder.size, *build.hidden[:-1]), build.hidden[-1]
        trunk = build.mlp(*sizes, activate_final=True) if len(sizes) > 1 else None
        return QNetworkParams(encoder, trunk, build.mlp(sizes[-1], last, 1), build.mlp(sizes[-1], last, n))

    def heads(self, params: QNetworkParams, obs: Obs, action: Action | None) -> Float[Array, "1 n"]:
        x = params.encoder(obs)
        x = x if params.trunk is None else params.trunk(x)
        q = params.advantage(x)
        if params.value is not None:
            q = params.value(x) + q - q.mean(keepdims=True)
        return q[None]

    def loss(self, params: QNetworkParams, obs: Obs, action: Action, target: Float[Array, ""]) -> Float[Array, ""]:
        error = self.heads(params, obs, None)[0, action] - target
        size = jnp.abs(error)
        half = 0.5 * jnp.square(error)
        return half if self.error == "squared" else jnp.where(size <= 1.0, half, size - 0.5)
