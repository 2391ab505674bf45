"""Adversarial moment matching: pay by the witness that sets the agent's behaviour farthest from what was shown.

    f ← Adam on E_π[f(x)] − E_E[f(x)]  (+ λ E[(‖∇f‖ − k)²]),   x = (s, a);    r = f(x)

The gap E_E[f] − E_π[f] bounds how much less than the demonstrator the agent earns, for any reward of the class that f
is from: k-Lipschitz functions (by the penalty: f is Wasserstein's witness), bounded ones (`bound`), or both. Unlike a
classifier's, its signal does not vanish where the two sides are easily told apart.

Reference: Swamy, Choudhury, Bagnell, Wu 2021, Of Moments and Matching: A Game-Theoretic Framework for Closing the
Imitation Gap, 2103.03236 (reward moments, on-policy); Jia 2024, Adversarial Moment-Matching Distillation of Large
Language Models, 2406.02959 (the same gap, of action values, for token policies).
Deviations from the paper:
1. Reward moments only: the witness is of (s, a), the agent's value function is its learner's own affair. The moments of
   action values, which the second paper matches, need the demonstrator's distribution at the agent's states.
2. The class is kept Lipschitz by the gradient penalty of Gulrajani et al. 2017, 1704.00028.
3. r has no zero of its own: only differences of f are learned. It takes both signs.

>>> import numpy as np
>>> from operant.core import Box, EnvSpec
>>> from operant.data.dataset import Dataset
>>> spec = EnvSpec(Box((1,)), Box((1,), -1.0, 1.0), 4, fixed_horizon=True)
>>> x, ends = np.arange(4.0).reshape(4, 1), np.array([0, 0, 0, 1], bool)
>>> steps = dict(obs=x, action=x / 4, reward=np.zeros(4), terminated=ends & False, truncated=ends, next_obs=x + 1)
>>> by = Moments(hidden=(8,), bound=1.0)
>>> state = by.init(spec, demos := Dataset.from_numpy(spec, **steps), key=jax.random.key(0))
>>> bool((abs(by(state, demos.data)) <= 1).all())
True
"""

from typing import ClassVar

import jax  # noqa: F401  (the doctest)
import jax.numpy as jnp
from jaxtyping import Array, Float

from operant import nn
from operant.core import Card
from operant.errors import SpecError
from operant.rewards.imitation._discriminator import AbstractAdversary, Discriminator, Use


class Moments(AbstractAdversary):
    """Adversarial moment matching (see the module's docstring)."""

    bound: float | None = None
    """f lies in ±bound, by a tanh; None: only the penalty keeps it small."""
    hidden: tuple[int, ...] = (100, 100)
    """Units of each hidden layer."""
    activation: nn.Activation = "tanh"
    """Between the layers."""
    use: Use = "state-action"
    """What is looked at: "state-action", "state" (demonstrations without actions), or "transition" (s, s')."""
    lr: float = 3e-4
    """Adam's step size."""
    batch: int = 256
    """Transitions of each side a gradient step."""
    steps: int = 10
    """Gradient steps an update."""
    every: int = 1
    """Iterations between updates."""
    memory: int | None = None
    """Transitions of the agent that are remembered; None: it learns from each rollout alone."""
    penalty: float = 10.0
    """λ: weight of the gradient penalty; 0: none."""
    lipschitz: float = 1.0
    """k: norm of the gradient that is aimed at (reward a standard deviation of the demonstrations)."""
    one_sided: bool = False
    """Whether only gradients larger than that are penalised."""
    allow_variable_horizon: bool = False
    """Learn even where episodes may end early, and where a reward of one sign teaches by itself."""

    card: ClassVar[Card] = Card(
        "Swamy et al. 2021, Of Moments and Matching: A Game-Theoretic Framework for Closing the Imitation Gap",
        "2103.03236",
        "imitation",
        ("env", "dataset"),
    )

    def __check_init__(self) -> None:
        if self.bound is None and isinstance(self.penalty, float | int) and self.penalty == 0:
            raise SpecError(
                "expected Moments.penalty > 0 or a bound; got neither, and the gap between two behaviours is then as "
                "large as f is. Give penalty=10.0, or bound=1.0."
            )

    def score(self, network: Discriminator, x: Float[Array, " d"]) -> Float[Array, ""]:
        return network(x) if self.bound is None else self.bound * jnp.tanh(network(x) / self.bound)

    def loss(self, expert: Float[Array, " B"], agent: Float[Array, " B"]) -> Float[Array, ""]:
        return agent.mean() - expert.mean()

    def pay(self, score: Float[Array, " B"]) -> Float[Array, " B"]:
        return score
