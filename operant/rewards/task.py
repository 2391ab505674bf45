"""The environment's own reward: r(s, a, s') as the environment said it.

Reference: Sutton and Barto 2018, Reinforcement Learning: An Introduction, section 3.2.
Deviations from the paper: none.
"""

from typing import ClassVar

from jaxtyping import Array, Float

from operant.core import AbstractFixedReward, Card, RewardState, Transition


class Task(AbstractFixedReward):
    """What the environment pays, unchanged.

    >>> import jax.numpy as jnp
    >>> zero, no = jnp.zeros(2), jnp.zeros(2, bool)
    >>> Task()((), Transition(zero, zero, jnp.array([1.0, -2.0]), no, no, zero, {})).tolist()
    [1.0, -2.0]
    """

    card: ClassVar[Card] = Card("Sutton and Barto 2018, Reinforcement Learning: An Introduction", "", "reward")

    @property
    def reads_env_reward(self) -> bool:
        return True

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """`batch.reward` of any leading axes *B (task units a step)."""
        return batch.reward
