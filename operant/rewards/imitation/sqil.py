"""Soft Q imitation learning: a constant for what was demonstrated, nothing for what the agent does.

    r = 1 where a step is a demonstration's, 0 where it is the agent's;   half of every minibatch is demonstrations

The learner bootstraps through its own dynamics, so that it learns to come back to where demonstrations are; cloning
knows no such thing. There is nothing adversarial and nothing to train but the learner, which must be one from replay:
it asks the reward it is given for the rows it `shows` and marks them, extras["demonstrated"].

r is never negative: where episodes may end early it teaches to stay alive, and refuses.

Reference: Reddy, Dragan, Levine 2020, SQIL: Imitation Learning via Reinforcement Learning with Sparse Rewards,
1905.11108.
Deviations from the paper: any learner from replay: SAC, TD3, discrete SAC (the paper's soft Q-learning, with an actor)
or DQN (without the entropy).

>>> no = jnp.zeros(2, bool)
>>> batch = Transition(no, no, jnp.zeros(2), no, no, no, {"demonstrated": jnp.array([True, False])})
>>> SQIL()((), batch).tolist()
[1.0, 0.0]
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import Card, EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.data.replay import Replay
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation._discriminator import check_horizon, held


class SQIL(AbstractImitation):
    """Soft Q imitation learning (see the module's docstring)."""

    allow_variable_horizon: bool = False
    """Learn even where episodes may end early, and where a reward of one sign teaches by itself."""

    card: ClassVar[Card] = Card(
        "Reddy, Dragan, Levine 2020, SQIL: Imitation Learning via Reinforcement Learning with Sparse Rewards",
        "1905.11108",
        "imitation",
        ("env", "dataset"),
    )

    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> Replay:
        check_horizon("SQIL", spec, demos, self.allow_variable_horizon)
        return held(demos)

    def shows(self, state: Replay) -> Replay:
        """The rows that are to make up half of each minibatch."""
        return state

    def __call__(self, state: Any, batch: Transition) -> Float[Array, "*B"]:
        ours = jnp.zeros(batch.terminated.shape, bool)
        return batch.extras.get("demonstrated", ours).astype(jnp.float32)

    def update(self, state: Replay, batch: Transition, *, key: PRNGKeyArray) -> tuple[Replay, Metrics]:
        return state, {}
