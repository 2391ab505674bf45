"""Twin delayed deep deterministic policy gradient: a deterministic policy, a pessimistic critic, and patience.

    y = r + γ (1 − terminated) min_i Q'_i(s', μ'(s') + noise);   Q_i ← Adam on ½ (Q_i(s, a) − y)²
    every second gradient step: μ ← Adam on −Q_1(s, μ(s)), then μ', Q' ← (1 − τ) (μ', Q') + τ (μ, Q)

Reference: Fujimoto, van Hoof and Meger 2018, Addressing Function Approximation Error in Actor-Critic Methods,
1802.09477.
Deviations from the paper:
1. Several environments are stepped side by side, with as many gradient steps as environment steps afterwards.
2. Batches of 256, as in the authors' later code (the paper: 100), but the paper's networks of 400×300 units and step
   size of 1e-3, as in Stable-Baselines3: with that code's 256×256 and 3e-4 HalfCheetah-v5 is left at a third of the
   return after 100,000 steps. Uniformly random actions for the first 10,000 steps, as in the paper (in that code
   25,000).

>>> import jax
>>> import jax.numpy as jnp
>>> from operant.core import Box
>>> learner = TD3(hidden=(8,), capacity=100)
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -1.0, 1.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import ClassVar

from operant import nn
from operant.core import Card, EnvSpec
from operant.learners.actors.deterministic import Deterministic
from operant.learners.critics.twin_q import TwinQ
from operant.learners.off_policy import AbstractActor, AbstractCritic, AbstractOffPolicy
from operant.math.schedules import AbstractSchedule


class TD3(AbstractOffPolicy):
    """Twin delayed deep deterministic policy gradient (see the module's docstring)."""

    actor: AbstractActor = Deterministic()
    """How actions are chosen."""
    critic: AbstractCritic = TwinQ()
    """How actions are judged."""
    policy_delay: int = 2
    """Gradient steps between updates of the actor and of the target networks."""
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
    lr: float | AbstractSchedule = 1e-3
    """Adam's step size for all networks, or a schedule over environment steps."""
    discount: float = 0.99
    """γ: weight of the next step's reward."""
    tau: float = 0.005
    """τ: share of the online networks in each update of the target networks."""
    n_step: int = 1
    """Rewards summed before bootstrapping; 1 as published."""
    hidden: tuple[int, ...] = (400, 300)
    """Units of each hidden layer, of actor and critics alike."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    normalise_obs: bool = False
    """Whether observations are standardised by running moments."""
    normalise_reward: bool = False
    """Whether rewards are divided by the running standard deviation of the discounted return."""

    positive: ClassVar[tuple[str, ...]] = ("rollout", "batch", "capacity", "n_step", "policy_delay", "gradient_steps")
    card: ClassVar[Card] = Card(
        "Fujimoto et al. 2018, Addressing Function Approximation Error in Actor-Critic Methods",
        "1802.09477",
        "off-policy",
        ("env", "continuous"),
    )

    @property
    def actor_every(self) -> int:
        return self.policy_delay

    @property
    def target_every(self) -> int:
        return self.policy_delay

    def slots(self, spec: EnvSpec) -> tuple[AbstractActor, AbstractCritic]:
        return self.actor, self.critic
