"""Density of the demonstrations as a reward: nothing adversarial, nothing learned while the agent acts.

    r = log p̂(x) = log (1/M) Σ_i N(x; x_i, h² I),   x_i the M demonstrated (s, a), standardised

"log" pays log p̂ but for a constant, highest 0 on top of the demonstrations if these coincide; "kernel" pays
(1/M) Σ_i exp(−‖x − x_i‖²/2h²) in (0, 1], which forgets how far away it is.

Reference: Silverman 1986, Density Estimation for Statistics and Data Analysis; as a baseline of imitation: Gleave et
al. 2022, imitation: Clean Imitation Learning Implementations, 2211.11972.
Deviations from the paper: the Gaussian kernel only; one density for all time steps; the constant −d log(h √2π) is left
out, so that nothing is earned or lost by there being dimensions.

>>> import numpy as np
>>> from operant.core import Box, EnvSpec
>>> from operant.data.dataset import Dataset
>>> spec = EnvSpec(Box((1,)), Box((1,), -1.0, 1.0), 2, fixed_horizon=True)
>>> x, ends = np.array([[-1.0], [1.0]]), np.array([0, 1], bool)
>>> steps = dict(obs=x, action=x * 0, reward=x[:, 0], terminated=ends & False, truncated=ends, next_obs=x)
>>> by = Density(bandwidth=1.0)
>>> state = by.init(spec, demos := Dataset.from_numpy(spec, **steps), key=jax.random.key(0))
>>> [round(x, 3) for x in by(state, demos.data).tolist()]  # log((1 + exp(−2²/2))/2)
[-0.566, -0.566]
"""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import Card, EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.rewards._checks import check_number
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation._discriminator import (
    Discriminator,
    Use,
    check_horizon,
    check_use,
    discriminator,
    looked_at,
    standards,
)


class DensityState(eqx.Module):
    """The demonstrations, standardised."""

    look: Discriminator
    """What of a transition is looked at; it scores nothing."""
    normaliser: nn.Normaliser
    deviation: Float[Array, " d"]
    """Of the features that no normaliser has seen (actions)."""
    shown: Float[Array, "M d"]


class Density(AbstractImitation):
    """Kernel density of the demonstrations (see the module's docstring)."""

    bandwidth: float = 0.5
    """h: how far a demonstration reaches (standard deviations of the demonstrations)."""
    pays: Literal["log", "kernel"] = "log"
    """What a step is paid: the logarithm, at most 0, or the mean of the kernels, in (0, 1]."""
    use: Use = "state-action"
    """What is looked at: "state-action", "state" (demonstrations without actions), or "transition" (s, s')."""
    allow_variable_horizon: bool = False
    """Pay even where episodes may end early, and where a reward of one sign teaches by itself."""

    card: ClassVar[Card] = Card(
        "Gleave et al. 2022, imitation: Clean Imitation Learning Implementations",
        "2211.11972",
        "imitation",
        ("env", "dataset"),
    )

    def __check_init__(self) -> None:
        check_use("Density", self.use)
        check_number("Density.bandwidth", self.bandwidth, 1e-6, float("inf"))
        if self.pays not in ("log", "kernel"):
            raise SpecError(f"expected Density.pays to be log or kernel; got {self.pays!r}. Choose one of them.")

    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> DensityState:
        check_horizon("Density", spec, demos, self.allow_variable_horizon)
        look = discriminator(nn.generator(key), spec, self.use, (), "tanh")
        normaliser = standards(spec, demos)
        x = np.asarray(looked_at(look, normaliser, demos.data))
        deviation = np.where(x.std(0) < 1e-4, 1.0, x.std(0)).astype(np.float32)
        return DensityState(look, normaliser, jax.device_put(deviation), jax.device_put(x / deviation))

    def __call__(self, state: DensityState, batch: Transition) -> Float[Array, "*B"]:
        x = looked_at(state.look, state.normaliser, batch) / state.deviation[None]
        square = jnp.square(x).sum(1)[:, None] + jnp.square(state.shown).sum(1)[None] - 2.0 * x @ state.shown.T
        log = jax.nn.logsumexp(-0.5 * jnp.maximum(square, 0.0) / self.bandwidth**2, axis=1)
        log = log - jnp.log(jnp.float32(state.shown.shape[0]))
        return (log if self.pays == "log" else jnp.exp(log)).reshape(batch.terminated.shape)

    def update(self, state: DensityState, batch: Transition, *, key: PRNGKeyArray) -> tuple[DensityState, Metrics]:
        return state, {}
