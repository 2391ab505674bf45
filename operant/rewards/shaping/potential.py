"""Potential-based shaping: advice that speeds learning up and leaves the best policy where it was.

    r' = r + F ,    F(s, a, s') = γ · Φ(s') · (1 − terminated) − Φ(s)

Along an episode F telescopes: every discounted return moves by −Φ(s₀) when it terminates, and by −Φ(s₀) + γᵀ·Φ(s_T)
when it is cut at T steps, which bootstrapping from V'(s_T) = V(s_T) − Φ(s_T) takes back. Neither depends on the policy.

Reference: Ng, Harada and Russell 1999, Policy Invariance under Reward Transformations, ICML; the terminal potential
after Grześ 2017, Reward Shaping in Episodic Reinforcement Learning, AAMAS.
Deviations from the paper: a terminated successor counts as potential zero whatever Φ says there (Grześ); a truncated
one keeps its potential, since the task goes on.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, Obs, RewardState, Transition
from operant.errors import SpecError
from operant.rewards._checks import check_number
from operant.rewards.program import Bound
from operant.rewards.table import Table


def state_view(batch: Transition, obs: Obs) -> Transition:
    """A transition that knows only the state `obs`: it stays there, nothing is done, paid or ended."""
    no = jnp.zeros(batch.terminated.shape, bool)
    action = jax.tree.map(jnp.zeros_like, batch.action)
    return Transition(obs, action, jnp.zeros(no.shape), no, no, obs, {})


class PotentialShaping(AbstractReward):
    """`r + γ·Φ(s')·(1 − terminated) − Φ(s)`.

    Φ is any reward that looks at the observation alone, most often a Program over named elements of it.

    Raises:
        SpecError: a discount outside [0, 1]; a potential that asks for more than the observation.

    >>> from operant.core import Box
    >>> from operant.rewards.program import Program
    >>> from operant.rewards.task import Task
    >>> spec = EnvSpec(Box((1,), names=("position",)), Box((1,)), None)
    >>> reward = PotentialShaping(Task(), Program(lambda position: 10.0 * position), discount=0.5)
    >>> state = reward.init(spec, key=jax.random.key(0))
    >>> obs, end, no = jnp.ones((2, 1)), jnp.array([False, True]), jnp.zeros(2, bool)
    >>> reward(state, Transition(obs, obs, jnp.zeros(2), end, no, 3.0 * obs, {})).tolist()  # 15 − 10 · 0 − 10
    [5.0, -10.0]
    """

    reward: AbstractReward
    """The reward to shape."""
    potential: AbstractReward
    """Φ(s): how good a state looks, from its observation alone (units of return)."""
    discount: float = 0.99
    """Discount γ, in [0, 1]; must be the learner's, or the best policy may move."""

    card: ClassVar[Card] = Card(
        "Ng, Harada and Russell 1999, Policy Invariance under Reward Transformations", "", "reward"
    )

    def __check_init__(self):
        check_number("PotentialShaping.discount", self.discount, 0.0, 1.0)

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        """The states of the reward and of the potential. Raises SpecError if Φ asks for more than the observation."""
        reward_key, potential_key = jax.random.split(key)
        states = self.reward.init(spec, key=reward_key), self.potential.init(spec, key=potential_key)
        bound = lambda x: isinstance(x, Bound)
        programs = [x for x in jax.tree.leaves(states[1], is_leaf=bound) if bound(x)]
        beyond = [name for program in programs for name, field in program.fields if field.part != "obs"]
        if self.potential.reads_env_reward:
            beyond.append("reward")
        table = lambda x: isinstance(x, Table)
        if any(map(table, jax.tree.leaves(self.potential, is_leaf=table))):
            beyond.append("action")
        if beyond:
            raise SpecError(
                f"expected a potential of the state alone, Φ(s); got one that asks for {', '.join(beyond)}. Use only "
                "the observation (obs, or its named elements), or add it as a term, knowing that it moves the optimum."
            )
        return states

    def shaping(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """F alone, of any leading axes *B (units of return)."""
        here = self.potential(state[1], state_view(batch, batch.obs))
        there = self.potential(state[1], state_view(batch, batch.next_obs))
        # where, not a product: Φ may be infinite or undefined in a terminal state.
        return self.discount * jnp.where(batch.terminated, 0.0, there) - here

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """Shaped reward of any leading axes *B."""
        return self.reward(state[0], batch) + self.shaping(state, batch)

    def shows(self, state: RewardState) -> Any:
        return self.reward.shows(state[0])

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        """Update both parts. Logs `shaping/bonus`, the mean of F a step."""
        reward_key, potential_key = jax.random.split(key)
        inner, metrics = self.reward.update(state[0], batch, key=reward_key)
        potential, more = self.potential.update(state[1], batch, key=potential_key)
        new = (inner, potential)
        return new, metrics | more | {"shaping/bonus": jnp.mean(self.shaping(new, batch))}
