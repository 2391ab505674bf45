"""SIRL: a view of (s, a) learned from which behaviours are alike, before anyone says which are better.

    Φ(ξ) = mean over the segment's own steps of φ(s, a)
    loss = [‖Φ_a − Φ_p‖² − ‖Φ_a − Φ_n‖² + α]₊ + [‖Φ_p − Φ_a‖² − ‖Φ_p − Φ_n‖² + α]₊

for every triplet of segments of which a and p were said to be the two most alike and n the odd one out. φ is then
frozen, and the reward on it needs few comparisons: use `BradleyTerry(hidden=(), …)`, a linear one.

Reference: Bobu, Liu, Shah, Brown, Dragan 2023, SIRL: Similarity-based Implicit Representation Learning, 2301.00810.
Deviations from the paper: the mean over a segment's steps, not their sum, so that segments cut short compare;
observations are standardised by those of the triplets; φ sees the action, too.

>>> from operant.core import Box, Discrete
>>> spec = EnvSpec(Box((2,)), Discrete(2), 100)
>>> obs, no = jnp.arange(24.0).reshape(2, 3, 2, 2), jnp.zeros((2, 3, 2), bool)
>>> triplets = Segments(Transition(obs, no.astype(int), no.astype(float), no, no, obs, {}), ~no)
>>> learned = SIRL(hidden=(8,), features=2, steps=3).fit(spec, triplets, jnp.array([2, 2]), key=jax.random.key(0))
>>> learned.weights.shape  # BradleyTerry(representation=learned, hidden=()) goes on from there
(66,)
"""

from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import Action, Card, EnvSpec, Metrics, Obs, Transition
from operant.data.segments import Segments, rows
from operant.errors import SpecError
from operant.math import random
from operant.rewards.representations import AbstractRepresentation, AbstractView, Draw, Look, squash


class SIRLView(AbstractView):
    """φ(s, a), of observations standardised as the triplets were: it never asks how comparisons look."""

    size: int = eqx.field(static=True)
    encoder: nn.Encoder
    mean: Float[Array, " e"]
    scale: Float[Array, " e"]
    body: nn.MLP
    action: Any = eqx.field(static=True)

    def plain(self, obs: Obs, action: Action) -> Float[Array, " e"]:
        return jnp.concatenate([self.encoder(obs), nn.action_features(self.action, action)])

    def __call__(self, obs: Obs, action: Action, look: Look) -> Float[Array, " d"]:
        return self.body((self.plain(obs, action) - self.mean) / self.scale)


class SIRL(AbstractRepresentation):
    """Features of behaviours that were said to be alike (see the module's docstring). Call `fit` first."""

    features: int = 6
    """Length of φ."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer of φ."""
    margin: float = 1.0
    """α: how much farther the odd one out must lie (squared feature units)."""
    lr: float = 1e-3
    """Adam's step size."""
    batch: int = 64
    """Triplets a step."""
    steps: int = 1000
    """Steps of `fit`."""
    weights: Float[Array, " p"] | None = None
    """φ as one vector, which `fit` finds; None: as drawn."""

    frozen: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        "Bobu et al. 2023, SIRL: Similarity-based Implicit Representation Learning",
        "2301.00810",
        "preference-learning",
        ("env",),
    )

    def init(self, rng: np.random.Generator, spec: EnvSpec) -> tuple[SIRLView, Any]:
        encoder = nn.encoder(rng, spec.obs)
        wide = encoder.size + nn.action_size(spec.action)
        put = lambda x: jax.device_put(np.full(wide, x, np.float32))
        body = nn.mlp(rng, (wide, *self.hidden, self.features), activation="relu")
        view = SIRLView(self.features, encoder, put(0.0), put(1.0), body, spec.action)
        if self.weights is None:
            return view, ()
        if self.weights.shape != (nn.flat_size(view),):
            raise SpecError(
                f"expected SIRL.weights of {nn.flat_size(view)} numbers for this environment and these sizes; got "
                f"{self.weights.shape}. Fit it on triplets of the same environment, with the same hidden and features."
            )
        return nn.flatten(view)[1](self.weights), ()

    def learn(
        self, view: SIRLView, rest: Any, draw: Draw, look: Look, *, key: PRNGKeyArray
    ) -> tuple[SIRLView, Any, Metrics]:
        return view, rest, {}

    def fit(self, spec: EnvSpec, triplets: Segments, odd: Int[Array, " n"], *, key: PRNGKeyArray) -> Self:
        """This, with φ learned from `triplets` (n, 3, L), of which the odd-th was unlike the other two."""
        draw_key, init_key = random.children(key, 2)
        view, _ = SIRL(self.features, self.hidden).init(nn.generator(init_key), spec)
        steps: Transition = triplets.steps
        flat = nn.merge_axes((squash(steps.obs), steps.action), 3)
        seen, own = jax.vmap(view.plain)(*flat), triplets.mask.reshape(-1)
        weight = own / own.sum()
        mean = weight @ seen
        scale = jnp.sqrt(weight @ jnp.square(seen - mean[None]) + 1e-6)
        view = eqx.tree_at(lambda v: (v.mean, v.scale), view, (mean, scale))
        order = (odd[:, None] + jnp.broadcast_to(jnp.array([1, 2, 3]), (odd.shape[0], 3))) % 3  # a, p, n
        sort = lambda x: jnp.take_along_axis(x, order.reshape(*order.shape, *[1] * (x.ndim - 2)), axis=1)
        bare = eqx.tree_at(lambda t: (t.obs, t.extras), steps, (squash(steps.obs), {}))
        ordered = jax.tree.map(sort, Segments(bare, triplets.mask))
        parts, rebuild = nn.flatten(view.body)
        adam = optax.scale_by_adam()

        def step(carry: Any, index: Array) -> tuple[Any, None]:
            direction: Any
            parts, state = carry
            whole = lambda vector: eqx.tree_at(lambda v: v.body, view, rebuild(vector))
            loss = lambda vector: alike(whole(vector), rows(ordered, index), self.margin)
            direction, state = adam.update(jax.grad(loss)(parts), state)
            return (parts - self.lr * direction, state), None

        batches = random.integers(draw_key, (self.steps, self.batch), odd.shape[0])
        (parts, _), _ = jax.lax.scan(step, (parts, adam.init(parts)), batches)
        learned = nn.flatten(eqx.tree_at(lambda v: v.body, view, rebuild(parts)))[0]
        return type(self)(self.features, self.hidden, self.margin, self.lr, self.batch, self.steps, learned)


def alike(view: AbstractView, triplets: Segments, margin: float) -> Float[Array, ""]:
    """The triplet loss both ways, of segments (n, 3, L) in the order anchor, positive, negative."""
    n, three, length = triplets.mask.shape
    flat = nn.merge_axes((triplets.steps.obs, triplets.steps.action), 3)
    each = jax.vmap(lambda o, a: view(o, a, lambda obs: obs))(*flat).reshape(n, three, length, view.size)
    own = triplets.mask[..., None]
    a, p, q = jnp.unstack(jnp.where(own, each, 0.0).sum(2) / jnp.maximum(own.sum(2), 1), axis=1)
    gap = lambda x, y: jnp.square(x - y).sum(-1)
    return (jax.nn.relu(gap(a, p) - gap(a, q) + margin) + jax.nn.relu(gap(p, a) - gap(p, q) + margin)).mean()
