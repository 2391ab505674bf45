"""Advice added naively: r' = r + w · h(s'), which does not telescope and so moves the best policy.

The known-bad control for `PotentialShaping`: an agent that is paid for being somewhere learns to be there, and stays.

Reference: Randløv and Alstrøm 1998, Learning to Drive a Bicycle using Reinforcement Learning and Shaping, ICML, whose
agent, paid for each step towards the goal and not charged for steps away, rode in circles.
Deviations from the paper: theirs paid for a change of angle, this for the successor's own worth.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, RewardState, Transition
from operant.rewards.shaping.potential import state_view


class Heuristic(AbstractReward):
    """`r + weight · h(s')`: not safe; use `PotentialShaping` with h as the potential.

    >>> from operant.core import Box
    >>> from operant.rewards.program import Program
    >>> from operant.rewards.task import Task
    >>> reward = Heuristic(Task(), Program(lambda position: position), weight=2.0)
    >>> state = reward.init(EnvSpec(Box((1,), names=("position",)), Box((1,)), None), key=jax.random.key(0))
    >>> obs, no = jnp.ones((2, 1)), jnp.zeros(2, bool)
    >>> reward(state, Transition(obs, obs, jnp.ones(2), no, no, 3.0 * obs, {})).tolist()
    [7.0, 7.0]
    """

    reward: AbstractReward
    """The reward to add to."""
    heuristic: AbstractReward
    """h(s): how good a state looks, from its observation alone (reward units a step)."""
    weight: float = 1.0
    """What h is multiplied by (no unit)."""

    card: ClassVar[Card] = Card(
        "Randløv and Alstrøm 1998, Learning to Drive a Bicycle using Reinforcement Learning and Shaping", "", "reward"
    )

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward  # the heuristic sees states only

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        reward_key, heuristic_key = jax.random.split(key)
        return self.reward.init(spec, key=reward_key), self.heuristic.init(spec, key=heuristic_key)

    def _bonus(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        return self.weight * self.heuristic(state[1], state_view(batch, batch.next_obs))

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """Reward with the heuristic of the successor added, of any leading axes *B."""
        return self.reward(state[0], batch) + self._bonus(state, batch)

    def shows(self, state: RewardState) -> Any:
        return self.reward.shows(state[0])

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        """Update both parts. Logs `shaping/heuristic`, the mean of w·h(s') a step."""
        reward_key, heuristic_key = jax.random.split(key)
        inner, metrics = self.reward.update(state[0], batch, key=reward_key)
        heuristic, more = self.heuristic.update(state[1], batch, key=heuristic_key)
        new = (inner, heuristic)
        return new, metrics | more | {"shaping/heuristic": jnp.mean(self._bonus(new, batch))}
