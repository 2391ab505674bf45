"""The goal reached, or not: r = [‖achieved(s') − goal(s)‖ ≤ radius], for goals that stand in the observation.

What is wished for is read from the step itself, so that steps told again (`learners.goals.Hindsight`) are paid for what
they are then said to have been after.

Reference: Andrychowicz et al. 2017, Hindsight Experience Replay, 1707.01495, section 4.2.
Deviations from the paper: 1 and 0, where the paper pays 0 and −1.

>>> import jax.numpy as jnp
>>> from operant.core import Box
>>> space, no = Box((2,), names=("x", "goal_x")), jnp.zeros((), bool)
>>> reward = Reached(Goals(("goal_x",), ("x",), radius=0.5))
>>> state = reward.init(EnvSpec(space, Box((1,)), 10), key=None)
>>> step = Transition(jnp.array([0.0, 1.0]), jnp.zeros(1), jnp.zeros(()), no, no, jnp.array([0.7, 1.0]), {})
>>> float(reward(state, step))
1.0
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, Space, Transition
from operant.data.goals import Goals


class ReachedState(eqx.Module):
    """Where the numbers stand."""

    space: Space = eqx.field(static=True)


class Reached(AbstractReward):
    """1 where the goal is reached, else 0 (see the module's docstring)."""

    goals: Goals = Goals()
    """Where goals stand in the observation, and when one is reached."""

    card: ClassVar[Card] = Card(
        "Andrychowicz et al. 2017, Hindsight Experience Replay", "1707.01495", "goal-conditioned", ("env",)
    )

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> ReachedState:
        self.goals.columns(spec.obs)
        return ReachedState(spec.obs)

    def __call__(self, state: ReachedState, batch: Transition) -> Float[Array, "*B"]:
        return self.goals.reached(state.space, batch.next_obs).astype(jnp.float32)

    def update(self, state: ReachedState, batch: Transition, *, key: PRNGKeyArray) -> tuple[ReachedState, Metrics]:
        return state, {}
