"""The observation as it is encoded, and the action beside it: nothing is learned before comparisons are.

    φ(s, a) = (enc(s), a)

Numbers are standardised, integers one-hot, images go through a convolutional encoder that comparisons train.

Reference: Christiano, Leike, Brown, Martic, Legg, Amodei 2017, Deep Reinforcement Learning from Human Preferences,
1706.03741, appendix A (state and action as inputs of the reward).
Deviations from the paper: none.

>>> from operant.core import Box, Discrete
>>> view, _ = Plain().init(np.random.default_rng(0), EnvSpec(Box((3,)), Discrete(2), 100))
>>> view(jnp.array([1.0, 2.0, 3.0]), jnp.int32(1), lambda obs: obs).tolist()
[1.0, 2.0, 3.0, 0.0, 1.0]
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import Action, Card, EnvSpec, Metrics, Obs
from operant.rewards.representations import AbstractRepresentation, AbstractView, Draw, Look


class PlainView(AbstractView):
    """(enc(s), a)."""

    size: int = eqx.field(static=True)
    encoder: nn.Encoder
    action: Any = eqx.field(static=True)

    def __call__(self, obs: Obs, action: Action, look: Look) -> Float[Array, " d"]:
        return jnp.concatenate([self.encoder(look(obs)), nn.action_features(self.action, action)])


class Plain(AbstractRepresentation):
    """State and action, side by side."""

    frozen: ClassVar[bool] = False
    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
        ("env",),
    )

    def init(self, rng: np.random.Generator, spec: EnvSpec) -> tuple[PlainView, Any]:
        encoder = nn.encoder(rng, spec.obs)
        return PlainView(encoder.size + nn.action_size(spec.action), encoder, spec.action), ()

    def learn(
        self, view: AbstractView, rest: Any, draw: Draw, look: Look, *, key: PRNGKeyArray
    ) -> tuple[AbstractView, Any, Metrics]:
        return view, rest, {}
