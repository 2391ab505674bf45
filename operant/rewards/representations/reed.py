"""REED: a view of (s, a) that knows what comes next, learned from all behaviour before any of it is judged.

    u = f_s(s),   z = f(u, f_a(a)),   p = W h(z),   q = sg(W f_s(s'))
    loss = NT-Xent({p_i, q_i}; τ) = −(1/2n) Σ log[ exp(cos(x, x⁺)/τ) / Σ_{y ≠ x} exp(cos(x, y)/τ) ]

over a batch of n transitions, where each p_i has its q_i as the only partner x⁺ and the 2n − 2 others against it. The
reward is a head on z, and comparisons move z too; the two take turns, lesson by lesson.

Reference: Metcalf, Sarabia, Mackraz, Theobald 2023, Sample-Efficient Preference-based Reinforcement Learning with
Dynamics Aware Rewards, 2402.17975 (the contrastive variant; sizes and τ of the authors' code).
Deviations from the paper: Adam on so many minibatches of recent behaviour a lesson, where theirs is SGD over all of it
for 20 epochs; batches of 64, not 12; two hidden layers of 128 units, not three of 256; observations are standardised.

>>> from operant.core import Box, Discrete
>>> view, _ = REED(hidden=(8, 8)).init(np.random.default_rng(0), EnvSpec(Box((3,)), Discrete(2), 100))
>>> view(jnp.ones(3), jnp.int32(0), lambda obs: obs).shape
(8,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import Action, Card, EnvSpec, Metrics, Obs
from operant.errors import SpecError
from operant.rewards.representations import AbstractRepresentation, AbstractView, Draw, Look


class REEDView(AbstractView):
    """z(s, a)."""

    size: int = eqx.field(static=True)
    encoder: nn.Encoder
    state: nn.MLP
    action: nn.MLP
    trunk: nn.MLP
    actions: Any = eqx.field(static=True)

    def embed(self, obs: Obs, look: Look) -> Float[Array, " d"]:
        """u = f_s(s)."""
        return self.state(self.encoder(look(obs)))

    def __call__(self, obs: Obs, action: Action, look: Look) -> Float[Array, " d"]:
        own = self.action(nn.action_features(self.actions, action))
        return self.trunk(jnp.concatenate([self.embed(obs, look), own]))


class Ahead(eqx.Module):
    """What predicts the next state's embedding, and the space in which they are compared."""

    predict: nn.Linear
    project: nn.Linear


class REED(AbstractRepresentation):
    """State-action features that predict the next state (see the module's docstring)."""

    state: int = 20
    """Length of a state's embedding."""
    action: int = 10
    """Length of an action's embedding."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each layer from embeddings to z, which is the last one."""
    projection: int = 20
    """Dimensions in which predicted and true next states are compared."""
    temperature: float = 0.5
    """τ of the contrastive loss."""
    lr: float = 1e-3
    """Adam's step size."""
    batch: int = 64
    """Transitions a step."""
    steps: int = 100
    """Steps before each lesson."""

    frozen: ClassVar[bool] = False
    card: ClassVar[Card] = Card(
        "Metcalf et al. 2023, Sample-Efficient Preference-based Reinforcement Learning with Dynamics Aware Rewards",
        "2402.17975",
        "preference-learning",
        ("env",),
    )

    def __check_init__(self) -> None:
        if not self.temperature > 0.0:
            raise SpecError(f"expected REED.temperature > 0; got {self.temperature:g}. Use 0.5, the published value.")
        if self.batch < 2 or self.steps < 1 or not self.hidden:
            raise SpecError(
                f"expected REED.batch ≥ 2, steps ≥ 1 and a hidden layer; got {self.batch}, {self.steps} and "
                f"{self.hidden}. A contrast needs others to be told from."
            )

    def init(self, rng: np.random.Generator, spec: EnvSpec) -> tuple[REEDView, tuple[Ahead, optax.OptState]]:
        encoder = nn.encoder(rng, spec.obs)
        layer = lambda *sizes: nn.mlp(rng, sizes, activation="relu", scale=None, activate_final=True)
        view = REEDView(
            self.hidden[-1],
            encoder,
            layer(encoder.size, self.state),
            layer(nn.action_size(spec.action), self.action),
            layer(self.state + self.action, *self.hidden),
            spec.action,
        )
        ahead = Ahead(nn.linear(rng, self.hidden[-1], self.state), nn.linear(rng, self.state, self.projection))
        return view, (ahead, nn.zeros_init(optax.scale_by_adam(), nn.flat_size((view, ahead))))

    def learn(
        self, view: REEDView, rest: Any, draw: Draw, look: Look, *, key: PRNGKeyArray
    ) -> tuple[REEDView, Any, Metrics]:
        ahead, adam = rest
        flat, unflatten = nn.flatten((view, ahead))

        def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, Array]:
            direction: Any
            flat, adam = carry
            batch = draw(key, self.batch)

            def loss(vector: Array) -> Array:
                view, ahead = unflatten(vector)
                z = jax.vmap(lambda o, a: view(o, a, look))(batch.obs, batch.action)
                after = jax.vmap(lambda o: view.embed(o, look))(batch.next_obs)
                p = jax.vmap(lambda x: ahead.project(ahead.predict(x)))(z)
                return contrast(p, jax.lax.stop_gradient(jax.vmap(ahead.project)(after)), self.temperature)

            value, gradient = jax.value_and_grad(loss)(flat)
            direction, adam = optax.scale_by_adam().update(gradient, adam)
            return (flat - self.lr * direction, adam), value

        (flat, adam), losses = jax.lax.scan(step, (flat, adam), jax.random.split(key, self.steps))
        view, ahead = unflatten(flat)
        return view, (ahead, adam), {"representation/loss": losses[-(self.steps // 4 + 1) :].mean()}


def contrast(p: Float[Array, "n d"], q: Float[Array, "n d"], temperature: float) -> Float[Array, ""]:
    """NT-Xent: each of the 2n points among all others, to be told by its partner (nats)."""
    n = p.shape[0]
    x = jnp.concatenate([p, q])
    x = x * jax.lax.rsqrt(jnp.square(x).sum(1, keepdims=True) + 1e-12)
    like = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, x @ x.T / temperature)
    partner = like[jnp.arange(2 * n), (jnp.arange(2 * n) + n) % (2 * n)]
    return (jax.nn.logsumexp(like, axis=1) - partner).mean()
