"""Thompson sampling: pull each arm as often as it is probably the best.

    θ_k ~ Beta(α + S_k, β + n_k − S_k),   a = argmax_k θ_k      S_k: sum of rewards, n_k: pulls

Reference: Thompson 1933, On the Likelihood That One Unknown Probability Exceeds Another, 10.1093/biomet/25.3-4.285;
Agrawal and Goyal 2012, Analysis of Thompson Sampling for the Multi-armed Bandit Problem, 1111.1797, algorithm 1.
Deviations from the paper: a reward between 0 and 1 counts as that share of a success; Agrawal and Goyal's algorithm 2
throws a coin with that probability instead. For rewards 0 and 1 there is no difference.

>>> bandit = Thompson(2)
>>> state = Arms(jnp.array([1000.0, 1000.0]), jnp.array([100.0, 900.0]))
>>> int(bandit.choose(state, key=jax.random.key(0)))
1
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from operant.bandits import AbstractBandit, Arms
from operant.core import Card
from operant.errors import SpecError


class Thompson(AbstractBandit):
    """Bernoulli Thompson sampling (see the module's docstring)."""

    arms: int
    """K: arms to choose among."""
    successes: float = 1.0
    """α of the prior: successes imagined of each arm."""
    failures: float = 1.0
    """β of the prior: failures imagined of each arm."""

    card: ClassVar[Card] = Card(
        "Thompson 1933, On the Likelihood That One Unknown Probability Exceeds Another in View of the Evidence of Two "
        "Samples",
        "10.1093/biomet/25.3-4.285",
        "bandit",
    )

    def __check_init__(self) -> None:
        for name in ("successes", "failures"):
            if not getattr(self, name) > 0:
                raise SpecError(f"expected Thompson.{name} > 0; got {getattr(self, name)}. 1 and 1 is the flat prior.")

    def choose(self, state: Arms, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """The arm of the highest draw from the posteriors."""
        draw = jax.random.beta(key, self.successes + state.total, self.failures + state.pulls - state.total)
        return jnp.argmax(draw).astype(jnp.int32)
