"""Optimal transport: a step is paid by how cheaply an episode, as a whole, is carried over into a demonstration.

    c_tj = ‖s_t − e_j‖ (or 1 − cos),   μ = Sinkhorn(c) with uniform weights,   r_t = −λ Σ_j c_tj μ_tj

of the demonstration that is cheapest. Observations alone are compared, never actions. A step's reward depends on the
whole episode, so that the rollout must be one: `rollout` = `max_steps` in an environment of fixed horizon. Learners
that draw from replay stand inside `learners.imitation.ads.ADS`. Where an episode ends early the reward is NaN, and
training stops, rather than learn from episodes that are none.

Reference: Haldar et al. 2022, Watch and Match: Supercharging Imitation with Regularized Optimal Transport, 2206.15469;
Papagiannis and Li 2020, Imitation Learning with Sinkhorn Distances, 2008.09167; as used by Liu et al. 2024, 2310.07433.
Deviations from the paper:
1. Observations are standardised by the demonstrations' moments (there: a pretrained encoder of images).
2. ε is a share of the mean cost, so that it means the same whatever is observed.
3. A step is judged by the observation it leads to (in the reference code, by the one it starts from).
4. λ makes the first rollout's episodes cost `total` on average (in the reference code, the first episode).

>>> OptimalTransport(metric="cosine").total
10.0
"""

from typing import ClassVar, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import Card, EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError, nearest
from operant.math.sinkhorn import Metric, sinkhorn
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation._shown import Shown, whole

SAME = 1e-6
"""Cost of an episode up to which it is the demonstration itself (standard deviations of the demonstrations)."""


class OptimalTransportState(eqx.Module):
    """The demonstrations, and the unit of the reward."""

    shown: Shown
    scale: Float[Array, ""]
    """λ; 0 before the first rollout."""


class OptimalTransport(AbstractImitation):
    """Being like a demonstration, step by step of a whole episode (see the module's docstring)."""

    metric: Metric = eqx.field(static=True, default="euclidean")
    """What is far: "euclidean", its square ("squared"), or "cosine". Plans of least Euclidean distance do not keep the
    order of steps along a line (what is passed twice costs the same either way); by its square they do."""
    epsilon: float = 0.01
    """ε: how smooth the plan is (1: the mean cost)."""
    iterations: int = eqx.field(static=True, default=100)
    """Of Sinkhorn."""
    total: float = 10.0
    """What the first rollout's episodes cost on average: the unit of the reward."""
    standardise: bool = eqx.field(static=True, default=True)
    """Whether observations are standardised by the demonstrations' moments."""
    compared: tuple[str, ...] = eqx.field(static=True, default=(), converter=tuple)
    """Names of the elements of an observation that are compared; none: all. Leave out what no action changes, and what
    hardly varies over the demonstrations but may otherwise (the turn of an object nobody should knock over): counted in
    standard deviations of the demonstrations, such numbers drown the rest."""

    card: ClassVar[Card] = Card(
        "Haldar et al. 2022, Watch and Match: Supercharging Imitation with Regularized Optimal Transport",
        "2206.15469",
        "imitation",
    )

    def __check_init__(self) -> None:
        if self.metric not in get_args(Metric):
            known = nearest(str(self.metric), get_args(Metric))
            raise SpecError(f"expected a metric of OptimalTransport; got {self.metric!r}: {known}")
        for name in ("epsilon", "iterations", "total"):
            value = getattr(self, name)
            if isinstance(value, float | int) and value <= 0:
                raise SpecError(f"expected OptimalTransport.{name} > 0; got {value:g}. Raise it.")

    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> OptimalTransportState:
        shown = Shown.of(demos, spec, "OptimalTransport", self.standardise, self.compared)
        return OptimalTransportState(shown, jax.device_put(np.zeros((), np.float32)))

    def __call__(self, state: OptimalTransportState, batch: Transition) -> Float[Array, "T N"]:
        return -state.scale * self._moved(state, batch)

    def update(
        self, state: OptimalTransportState, batch: Transition, *, key: PRNGKeyArray
    ) -> tuple[OptimalTransportState, Metrics]:
        cost = self._moved(state, batch).sum(0).mean()
        # What is a demonstration to the last digit has no unit to give: the next rollout that differs gives one.
        scale = jnp.where((state.scale > 0.0) | (cost <= SAME), state.scale, self.total / cost)
        return OptimalTransportState(state.shown, scale), {"imitation/transport": cost}

    def _moved(self, state: OptimalTransportState, batch: Transition) -> Float[Array, "T N"]:
        """Σ_j c_tj μ_tj of the cheapest demonstration; NaN in columns that hold no whole episode."""
        state.shown.check(batch, "OptimalTransport")

        def one(cost: Float[Array, "T T"]) -> Float[Array, " T"]:
            plan = sinkhorn(cost, epsilon=self.epsilon * cost.mean() + 1e-8, iterations=self.iterations)
            return (plan * cost).sum(1)

        moved = jax.vmap(jax.vmap(one))(state.shown.costs(batch, self.metric))  # (N, K, T)
        best = moved.sum(-1).argmin(-1)
        own = jnp.take_along_axis(moved, best[:, None, None], axis=1)[:, 0]
        return jnp.where(whole(batch)[:, None], own, jnp.nan).T
