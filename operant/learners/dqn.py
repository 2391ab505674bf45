"""Deep Q-learning: regress on one's own greedy value, from replay, with a target network that is copied now and then.

    y = Σ_{k<n} γᵏ r_k + γⁿ (1 − terminated) max_a Q'(s_n, a);   Q ← Adam on huber(Q(s, a) − y);   Q' ← Q every so often

Reference: Mnih et al. 2015, Human-level control through deep reinforcement learning, 10.1038/nature14236. `double`:
van Hasselt, Guez and Silver 2016, 1509.06461. `dueling`: Wang et al. 2016, 1511.06581. `n_step` > 1: Sutton 1988,
as in Hessel et al. 2018 (Rainbow), 1710.02298.
Deviations from the paper:
1. Adam instead of RMSProp, with a step size that falls, and numbers for small problems, not Atari: CartPole is solved
   in 60,000 steps (500 of 500, three seeds). Shipped with `double` and `n_step=3`; the paper's form
   is `double=False, n_step=1`.
2. Truncated episodes bootstrap (Pardo et al. 2018, 1712.00378).
3. N-step targets are not corrected for being off-policy, as in Rainbow.

>>> import jax
>>> import jax.numpy as jnp
>>> from operant.core import Box, Discrete
>>> learner = DQN(hidden=(8,), capacity=100, double=True)
>>> state = learner.init(EnvSpec(Box((3,)), Discrete(2), 100), key=jax.random.key(0))
>>> int(learner.policy(state)(jnp.zeros(3), (), key=None)[0]) in (0, 1)
True
"""

from typing import ClassVar, Literal

from operant import nn
from operant.core import Card, EnvSpec
from operant.learners.actors.greedy import Greedy
from operant.learners.critics.q_network import QNetwork
from operant.learners.off_policy import AbstractCritic, AbstractOffPolicy
from operant.math.schedules import AbstractSchedule, Linear


class DQN(AbstractOffPolicy):
    """Deep Q-learning (see the module's docstring)."""

    double: bool = True
    """Whether the online network chooses the action that the target network judges."""
    dueling: bool = False
    """Whether the network has separate streams for value and advantage."""
    n_step: int = 3
    """Rewards summed before bootstrapping."""
    epsilon: AbstractSchedule = Linear(1.0, 0.04, 10_000.0)
    """Probability of a random action, over environment steps."""
    rollout: int = 4
    """Environment steps between updates, in each environment."""
    gradient_steps: int | None = 32
    """Gradient steps an update; none: one for every environment step collected."""
    batch: int = 64
    """Transitions a gradient step."""
    capacity: int = 100_000
    """Transitions the replay holds."""
    learning_starts: int = 1_000
    """Environment steps of random actions before the first gradient step."""
    lr: float | AbstractSchedule = Linear(1e-3, 1e-4, 60_000.0)
    """Adam's step size, or a schedule over environment steps."""
    discount: float = 0.99
    """γ: weight of the next step's reward."""
    target_every: int = 128
    """Gradient steps between updates of the target network."""
    tau: float = 1.0
    """τ: share of the online network in such an update (1: a copy)."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    error: Literal["huber", "squared"] = "huber"
    """What is done with the temporal-difference error."""
    normalise_obs: bool = False
    """Whether observations are standardised by running moments."""
    normalise_reward: bool = False
    """Whether rewards are divided by the running standard deviation of the discounted return."""

    actor_every: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Mnih et al. 2015, Human-level control through deep reinforcement learning",
        "10.1038/nature14236",
        "off-policy",
        ("env", "discrete"),
    )

    def __check_init__(self) -> None:
        self.slots(None)  # the slots check what they are given

    def slots(self, spec: EnvSpec | None) -> tuple[Greedy, AbstractCritic]:
        return Greedy(self.double, self.epsilon), QNetwork(self.dueling, self.error)
