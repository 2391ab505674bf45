"""Cross-entropy of the answers under a logistic model of preference: CPL's loss, and with a reference policy DPO's.

    L = −p log σ(α (S_r − λ S_l)) − (1 − p) log σ(α (S_l − λ S_r)),   p = (1 − ε) target + ε (1 − target)

S are the scores, α a temperature. λ < 1 is conservative: of two policies that set a pair equally far apart, the one
that makes both segments likelier costs less, so that the policy stays with what was seen. A tie has target ½.

Reference: Hejna, Rafailov, Sikchi, Finn, Niekum, Knox, Sadigh 2023, Contrastive Preference Learning, 2310.13639 (λ, α);
Rafailov et al. 2023, Direct Preference Optimization, 2305.18290 (λ = 1, α = β, scores against a reference).
`smoothing`: Mitchell 2023, A note on DPO with noisy preferences (conservative DPO).
Deviations from the paper: none known.

>>> import jax.numpy as jnp
>>> loss = Logistic(temperature=1.0, bias=1.0)
>>> round(float(loss(jnp.zeros(1), jnp.log(jnp.full(1, 3.0)), jnp.ones(1))[0]), 4)  # −log ¾
0.2877
"""

from typing import ClassVar

import jax
from jaxtyping import Array, Float

from operant.core import Card
from operant.errors import SpecError
from operant.learners.preferences.losses import AbstractPreferenceLoss


class Logistic(AbstractPreferenceLoss):
    """The logistic preference loss (see the module's docstring)."""

    temperature: float = 0.1
    """α (DPO's β): how far apart two scores must lie to say that one is better (1 a nat)."""
    bias: float = 0.5
    """λ in (0, 1]: share of the worse segment's score that counts; 1: no conservatism, and DPO's loss."""
    smoothing: float = 0.0
    """ε in [0, ½): share of answers taken to be the wrong way round."""

    card: ClassVar[Card] = Card(
        "Hejna et al. 2023, Contrastive Preference Learning: Learning from Human Feedback without RL",
        "2310.13639",
        "preference-learning",
        ("comparisons",),
    )

    def __check_init__(self) -> None:
        if isinstance(self.temperature, int | float) and self.temperature <= 0.0:
            raise SpecError(f"expected Logistic.temperature > 0; got {self.temperature:g}. Use 0.1, the published one.")
        if isinstance(self.bias, int | float) and not 0.0 < self.bias <= 1.0:
            raise SpecError(f"expected Logistic.bias in (0, 1]; got {self.bias:g}. Use 1 for no conservatism.")
        if isinstance(self.smoothing, int | float) and not 0.0 <= self.smoothing < 0.5:
            raise SpecError(
                f"expected Logistic.smoothing in [0, 0.5); got {self.smoothing:g}. At 0.5 answers say nothing."
            )

    def __call__(
        self, left: Float[Array, " n"], right: Float[Array, " n"], target: Float[Array, " n"]
    ) -> Float[Array, " n"]:
        p = (1.0 - self.smoothing) * target + self.smoothing * (1.0 - target)
        log_right = jax.nn.log_sigmoid(self.temperature * (right - self.bias * left))
        log_left = jax.nn.log_sigmoid(self.temperature * (left - self.bias * right))
        return -p * log_right - (1.0 - p) * log_left
