"""A reward kept between two bounds: r' = min(max(r, low), high).

Clipping bounds the size of value errors over tasks of different scale, and it changes what is asked for: an agent
cannot tell rewards beyond a bound apart.

Reference: Mnih et al. 2015, Human-level control through deep reinforcement learning, Nature 518
(doi:10.1038/nature14236), which clips Atari rewards to [−1, 1].
Deviations from the paper: none.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, RewardState, Transition
from operant.errors import SpecError


class Clip(AbstractReward):
    """`clip(r, low, high)`.

    >>> from operant.rewards.task import Task
    >>> zero, no = jnp.zeros(2), jnp.zeros(2, bool)
    >>> Clip(Task())((), Transition(zero, zero, jnp.array([0.5, -2.0]), no, no, zero, {})).tolist()
    [0.5, -1.0]
    """

    reward: AbstractReward
    """The reward to clip."""
    low: float = -1.0
    """Smallest reward a step (reward units)."""
    high: float = 1.0
    """Largest reward a step (reward units)."""

    card: ClassVar[Card] = Card(
        "Mnih et al. 2015, Human-level control through deep reinforcement learning",
        "doi:10.1038/nature14236",
        "reward",
    )

    def __check_init__(self):
        numbers = all(isinstance(bound, int | float) for bound in (self.low, self.high))
        if numbers and not self.low <= self.high:
            raise SpecError(f"expected Clip.low <= Clip.high; got low={self.low:g}, high={self.high:g}. Swap them?")

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        return self.reward.init(spec, key=key)

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """Clipped reward of any leading axes *B."""
        return jnp.clip(self.reward(state, batch), self.low, self.high)

    def shows(self, state: RewardState) -> Any:
        return self.reward.shows(state)

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        """Update what is clipped, and log `clip/share`, how often a bound was hit: a large share hides the task."""
        state, metrics = self.reward.update(state, batch, key=key)
        raw = self.reward(state, batch)
        return state, metrics | {"clip/share": jnp.mean((raw < self.low) | (raw > self.high))}
