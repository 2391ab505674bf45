"""Soft actor-critic: maximise return plus entropy, off-policy, with a temperature that keeps the entropy where wished.

    y = r + γ (1 − terminated) (min_i Q'_i(s', a') − α log π(a'|s')), a' ~ π(·|s');   Q_i ← Adam on ½ (Q_i(s, a) − y)²
    π ← Adam on α log π(a|s) − min_i Q_i(s, a);   Q' ← (1 − τ) Q' + τ Q;   α: see the actor

For a Box: `actors.squashed_gaussian`. For Discrete actions: `actors.categorical`.

Reference: Haarnoja et al. 2018, Soft Actor-Critic Algorithms and Applications, 1812.05905; discrete: Christodoulou
2019, 1910.07207.
Deviations from the paper:
1. Several environments are stepped side by side, with as many gradient steps as environment steps afterwards.
2. Weights start as PyTorch draws them; the paper's code is TensorFlow's (Glorot).
3. Truncated episodes bootstrap, as in the authors' code.

>>> import jax
>>> import jax.numpy as jnp
>>> from operant.core import Box
>>> learner = SAC(hidden=(8,), capacity=100)
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -1.0, 1.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import ClassVar

from operant import nn
from operant.core import Card, Discrete, EnvSpec
from operant.learners.actors.categorical import SoftCategorical
from operant.learners.actors.squashed_gaussian import SquashedGaussian
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import AbstractActor, AbstractCritic, AbstractOffPolicy
from operant.math.schedules import AbstractSchedule


class SAC(AbstractOffPolicy):
    """Soft actor-critic (see the module's docstring)."""

    actor: AbstractActor | None = None
    """How actions are chosen; none: a squashed Gaussian for a Box, a categorical for Discrete."""
    critic: AbstractCritic = TwinQ()
    """How actions are judged."""
    rollout: int = 1
    """Environment steps between updates, in each environment."""
    gradient_steps: int | None = None
    """Gradient steps an update; none: one for every environment step collected (rollout × environments)."""
    batch: int = 256
    """Transitions a gradient step."""
    capacity: int = 1_000_000
    """Transitions the replay holds."""
    learning_starts: int = 10_000
    """Environment steps of random actions before the first gradient step."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size for all networks and the temperature, or a schedule over environment steps."""
    discount: float = 0.99
    """γ: weight of the next step's reward."""
    tau: float = 0.005
    """τ: share of the online networks in each update of the target networks."""
    target_every: int = 1
    """Gradient steps between updates of the target networks."""
    actor_every: int = 1
    """Gradient steps between updates of the actor."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer, of actor and critics alike."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    normalise_obs: bool = False
    """Whether observations are standardised by running moments."""
    normalise_reward: bool = False
    """Whether rewards are divided by the running standard deviation of the discounted return."""

    n_step: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Haarnoja et al. 2018, Soft Actor-Critic Algorithms and Applications", "1812.05905", "off-policy", ("env",)
    )

    def slots(self, spec: EnvSpec) -> tuple[AbstractActor, AbstractCritic]:
        default = SoftCategorical() if isinstance(spec.action, Discrete) else SquashedGaussian()
        return self.actor or default, self.critic
