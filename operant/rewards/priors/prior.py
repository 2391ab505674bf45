"""PRIOR: rewards are drawn towards what hindsight says of abstract states, which a person names.

    c_k = Σ_pairs (2t − 1)(n_k(right) − n_k(left)) / (1 + Σ_pairs |n_k(right) − n_k(left)|)
    loss = weight · mean over segments of Σ_i (r̂_i − κ c(s_i))²,   c(s) = Σ_k c_k [k holds in s]
    κ = max(0, Σ r̂ c / Σ c²), without gradient

with n_k how many steps of a segment are in abstract state k, and t the answer. c_k is near 1 where more of k is always
better, near −1 where it is always worse, and near 0 where it makes no difference. How large rewards are is left to the
answers: κ is the scale that fits r̂ best. Without answers there is no constraint.

Reference: Verma and Metcalf 2022, Symbol Guided Hindsight Priors for Reward Learning from Human Preferences, 2210.09151
(soft constraints, found in hindsight, over abstract states); the same authors' 2024, Hindsight PRIORs for Reward
Learning from Human Preferences, 2404.08828 (rewards proportional to the importance of states).
Deviations from the paper: its full text was not at hand, only abstract and introduction. The measure c_k and the
quadratic constraint are ours; the later paper takes a world model's attention for importance and shares out the
predicted return of a segment by it.

>>> odd = PRIOR(lambda obs: obs[0] > 0.5, weight=1.0)
>>> obs, no = jnp.array([[[0.0], [1.0]]]), jnp.zeros((1, 2), bool)
>>> segment = Segments(Transition(obs, no, no, no, no, obs, {}), ~no)
>>> good = jnp.array([0.5])  # of the one predicate
>>> [float(odd.loss(good, jnp.array([value]), segment)) for value in ([0.0, 4.0], [2.0, 2.0])]
[0.0, 4.0]
"""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from operant import nn
from operant.core import Card, Transition  # noqa: F401  (Transition: the doctest)
from operant.data.segments import Comparisons, Segments
from operant.errors import SpecError
from operant.rewards.priors import AbstractPrior


class PRIOR(AbstractPrior):
    """Rewards in proportion to what hindsight says of abstract states (see the module's docstring)."""

    symbols: Callable[..., Any] = eqx.field(static=True)
    """A function of one observation: the number of its abstract state, or which predicates hold (booleans)."""
    count: int = 0
    """How many abstract states there are, where `symbols` gives a number; 0: it gives predicates."""
    weight: float = 0.1
    """λ of the constraint, beside a cross-entropy in nats (1/squared reward units)."""

    card: ClassVar[Card] = Card(
        "Verma and Metcalf 2022, Symbol Guided Hindsight Priors for Reward Learning from Human Preferences",
        "2210.09151",
        "preference-learning",
        ("env",),
    )

    def __check_init__(self) -> None:
        if not callable(self.symbols):
            raise SpecError(
                f"expected a function for PRIOR.symbols; got {self.symbols!r}. Give a def of an observation."
            )
        if isinstance(self.weight, int | float) and not self.weight >= 0.0:
            raise SpecError(f"expected PRIOR.weight ≥ 0; got {self.weight:g}. 0 is no prior.")

    def look_back(self, comparisons: Comparisons, train: Bool[Array, " C"]) -> Float[Array, " K"]:
        """c_k of every abstract state."""
        often = lambda s: jnp.where(s.mask[..., None], self._holds(s), 0.0).sum(1)
        gap = jnp.where(train[:, None], often(comparisons.pairs.right) - often(comparisons.pairs.left), 0.0)
        return (2.0 * comparisons.target - 1.0) @ gap / (1.0 + jnp.abs(gap).sum(0))

    def loss(self, seen: Float[Array, " K"], value: Float[Array, "n L"], segments: Segments) -> Float[Array, ""]:
        c = jnp.where(segments.mask, self._holds(segments) @ seen, 0.0)
        known = jnp.square(c).sum()
        scale = jax.lax.stop_gradient(jax.nn.relu((value * c).sum()) / jnp.where(known > 0, known, 1.0))
        off = jnp.where(segments.mask & (known > 0), value - scale * c, 0.0)
        return self.weight * jnp.square(off).sum(1).mean()

    def _holds(self, segments: Segments) -> Float[Array, "n L K"]:
        """Which abstract states each step is in."""
        flat = nn.merge_axes(segments.steps.obs, 2)
        said = jax.vmap(lambda obs: jnp.asarray(self.symbols(obs)))(flat)
        held = jax.nn.one_hot(said, self.count) if self.count else said.reshape(said.shape[0], -1)
        return held.astype(jnp.float32).reshape(*segments.mask.shape, -1)
