"""A reward multiplied and moved: r' = factor · r + offset.

A positive factor leaves the best policy as it is. An offset does not where episodes may end early: a constant above
zero pays for living on, one below zero for ending soon.

Reference: Ng, Harada and Russell 1999, Policy Invariance under Reward Transformations, ICML (positive linear
transformations).
Deviations from the paper: none.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, RewardState, Transition
from operant.rewards._checks import check_setting


class Scale(AbstractReward):
    """`factor · r + offset`.

    >>> from operant.rewards.task import Task
    >>> zero, no = jnp.zeros(2), jnp.zeros(2, bool)
    >>> Scale(Task(), 2.0, 1.0)((), Transition(zero, zero, jnp.array([1.0, -2.0]), no, no, zero, {})).tolist()
    [3.0, -3.0]
    """

    reward: AbstractReward
    """The reward to scale."""
    factor: float = 1.0
    """What it is multiplied by (no unit)."""
    offset: float = 0.0
    """What is added to each step (reward units)."""

    card: ClassVar[Card] = Card(
        "Ng, Harada and Russell 1999, Policy Invariance under Reward Transformations", "", "reward"
    )

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        return self.reward.init(spec, key=key)

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """Scaled reward of any leading axes *B. Raises SpecError for an array field that was not vmapped."""
        check_setting("Scale.factor", self.factor)
        check_setting("Scale.offset", self.offset)
        return jnp.asarray(self.reward(state, batch)) * self.factor + self.offset

    def shows(self, state: RewardState) -> Any:
        return self.reward.shows(state)

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        return self.reward.update(state, batch, key=key)
