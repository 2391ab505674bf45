"""Identity preference optimisation: the better segment's score lies a fixed margin above the worse one's, no further.

    L = (S_r − S_l − (2p − 1)/(2τ))²

S are sums of log π/π_ref and p the target, so that certain answers ask for a margin of 1/(2τ) and ties for none. The
minimum over all policies is π ∝ π_ref exp(p(y ≻ μ)/τ), also where answers never contradict each other: there the
logistic loss has its minimum at infinity, and forgets the reference whatever its temperature.

Reference: Azar, Rowland, Piot, Guo, Calandriello, Valko, Munos 2023, A General Theoretical Paradigm to Understand
Learning from Human Preferences, 2310.12036.
Deviations from the paper: one regression on the answer's probability p in place of one on each side weighted by p and
1 − p, which has the same gradient; scores of segments where the paper has those of single answers.

>>> float(IPO(tau=0.25)(jnp.zeros(1), jnp.full(1, 3.0), jnp.ones(1))[0])
1.0
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from operant.core import Card
from operant.errors import SpecError
from operant.learners.preferences.losses import AbstractPreferenceLoss


class IPO(AbstractPreferenceLoss):
    """The squared preference loss (see the module's docstring); made for scores against a reference."""

    tau: float = 0.1
    """τ: how strongly the policy is held to the reference (1 a nat of margin)."""

    card: ClassVar[Card] = Card(
        "Azar et al. 2023, A General Theoretical Paradigm to Understand Learning from Human Preferences",
        "2310.12036",
        "preference-learning",
        ("comparisons",),
    )

    def __check_init__(self) -> None:
        if isinstance(self.tau, int | float) and self.tau <= 0.0:
            raise SpecError(f"expected IPO.tau > 0; got {self.tau:g}. Use a small number to leave the reference far.")

    def __call__(
        self, left: Float[Array, " n"], right: Float[Array, " n"], target: Float[Array, " n"]
    ) -> Float[Array, " n"]:
        return jnp.square(right - left - (2.0 * target - 1.0) / (2.0 * self.tau))
