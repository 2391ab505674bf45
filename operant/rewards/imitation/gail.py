"""Generative adversarial imitation: pay for what a classifier cannot tell from the demonstrations.

    D = σ(f(x)),  x = (s, a);    f ← Adam on −E_E[log D] − E_π[log(1 − D)]  (+ λ E[max(0, ‖∇f‖ − k)²] )
    r = −log(1 − D)  "positive"  |  log D  "negative"  |  log D − log(1 − D) = f  "logit"

On-policy it learns from each rollout (PPO: the classic). With `memory` it learns from what the agent did lately, so
that it also teaches learners from replay, whose minibatches are paid by the reward as it then is. There, Blondé et al.
find, it needs the penalty, which keeps the reward Lipschitz in (s, a): `GAIL(penalty=10.0, memory=100_000, steps=1)`.

Where episodes may end early it refuses: r > 0 everywhere teaches to stay alive, r < 0 to leave.

Reference: Ho and Ermon 2016, Generative Adversarial Imitation Learning, 1606.03476; the penalty off-policy: Blondé,
Strasser, Kalousis 2022, Lipschitzness Is All You Need To Tame Off-policy Generative Adversarial Imitation Learning,
2006.16785 (λ = 10, k = 1, one-sided, as in its code); the guard: Kostrikov et al. 2019, 1809.02925.
Deviations from the paper:
1. Any learner takes the place of TRPO. D is high for the demonstrations (in Ho and Ermon's paper for the agent).
2. Observations are standardised by the demonstrations' moments, and kept so.
3. The entropy of D and label smoothing, which the published code adds, are left out.

>>> import numpy as np
>>> from operant.core import Box, EnvSpec
>>> from operant.data.dataset import Dataset
>>> spec = EnvSpec(Box((1,)), Box((1,), -1.0, 1.0), 4, fixed_horizon=True)
>>> x, ends = np.arange(4.0).reshape(4, 1), np.array([0, 0, 0, 1], bool)
>>> steps = dict(obs=x, action=x / 4, reward=np.zeros(4), terminated=ends & False, truncated=ends, next_obs=x + 1)
>>> by = GAIL(hidden=(8,))
>>> state = by.init(spec, demos := Dataset.from_numpy(spec, **steps), key=jax.random.key(0))
>>> by(state, demos.data).shape
(4,)
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from operant import nn
from operant.core import Card
from operant.errors import SpecError, nearest
from operant.rewards.imitation._discriminator import AbstractAdversary, Discriminator, Use

Pays = Literal["positive", "negative", "logit"]


class GAIL(AbstractAdversary):
    """Generative adversarial imitation learning (see the module's docstring)."""

    pays: Pays = "positive"
    """What a step is paid: −log(1 − D) ≥ 0, log D ≤ 0, or their sum, which takes both signs."""
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
    penalty: float = 0.0
    """λ: weight of the gradient penalty; 0: none."""
    lipschitz: float = 1.0
    """k: norm of the gradient that is aimed at (score a standard deviation of the demonstrations)."""
    one_sided: bool = True
    """Whether only gradients larger than that are penalised."""
    allow_variable_horizon: bool = False
    """Learn even where episodes may end early, and where a reward of one sign teaches by itself."""

    card: ClassVar[Card] = Card(
        "Ho and Ermon 2016, Generative Adversarial Imitation Learning", "1606.03476", "imitation", ("env", "dataset")
    )

    def __check_init__(self) -> None:
        if self.pays not in Pays.__args__:
            raise SpecError(f"expected GAIL.pays to be known; got {self.pays!r}: {nearest(self.pays, Pays.__args__)}")

    def score(self, network: Discriminator, x: Float[Array, " d"]) -> Float[Array, ""]:
        return network(x)

    def loss(self, expert: Float[Array, " B"], agent: Float[Array, " B"]) -> Float[Array, ""]:
        return jax.nn.softplus(-expert).mean() + jax.nn.softplus(agent).mean()

    def pay(self, score: Float[Array, " B"]) -> Float[Array, " B"]:
        match self.pays:
            case "positive":
                return jax.nn.softplus(score)
            case "negative":
                return -jax.nn.softplus(-score)
            case _:
                return jnp.asarray(score)
