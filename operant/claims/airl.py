"""AIRL's claims: from few demonstrations it does what cloning cannot, and the reward it leaves is the task's own.

Reference: Fu, Luo, Levine 2018, 1710.11248.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import PRNGKeyArray

from operant.claims import Claim
from operant.claims._samples import Trained
from operant.claims._shown import (
    ADVERSARY,
    BUDGET,
    CLONED,
    FEWER,
    LONG,
    PENDULUM,
    TEACHABLE,
    Imitating,
    pendulum_shown,
    taught,
)
from operant.claims._tests import Better
from operant.core import Transition
from operant.learners.ppo import PPO
from operant.loops.train import Run
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation.airl import AIRL
from operant.rewards.imitation.gail import GAIL

_LATELY: dict[str, Any] = {**ADVERSARY, "memory": 2_000, "policy_hidden": (32, 32)}
OFF_POLICY = AIRL(**_LATELY)
ON_STATES = AIRL(**_LATELY, use="state")


@dataclasses.dataclass(frozen=True)
class Recovered:
    """How the learned reward orders states, against the task's own."""

    words: str = "rank correlation of g with the task's reward (without torque), over 1,000 states drawn uniformly"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        angle, speed = np.asarray(jax.random.uniform(key, (2, 1_000), minval=-1.0)) * np.array([[np.pi], [8.0]])
        obs = jnp.asarray(np.stack([np.cos(angle), np.sin(angle), speed], 1), jnp.float32)
        no, zero = jnp.zeros(len(obs), bool), jnp.zeros(len(obs))
        batch = Transition(obs, zero[:, None], zero, no, no, obs, {})
        reward = run.intent.reward
        assert isinstance(reward, Imitating)
        paid = [self.of(reward.by)(state, batch) for state in run.reward_states()]
        return np.array([scipy.stats.spearmanr(x, -(angle**2) - 0.1 * speed**2)[0] for x in paid])

    def of(self, by: AbstractImitation) -> AbstractImitation:
        """What the reward is read from: g, or a classifier's logit."""
        return dataclasses.replace(by, pays="reward" if isinstance(by, AIRL) else "logit")


def recovered(by: AbstractImitation) -> Trained:
    """Trained as for the other claims, judged by the reward that is left."""
    return Trained(TEACHABLE, PENDULUM, Recovered(), Imitating(by, pendulum_shown), 8)


_REWARD: dict[str, Any] = {**BUDGET, "figure": Recovered().words}

CLAIMS = (
    Claim(
        name="few-demonstrations",
        tier="quick",
        statement="From demonstrations too few to clone, AIRL learns to act as the demonstrator.",
        source="1710.11248, section 7.3, table 2",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(OFF_POLICY),
        control=CLONED,
        note="Off-policy, with SAC, where the paper's is on-policy, with TRPO: the budget of a quick claim.",
        **FEWER,
    ),
    Claim(
        name="reward",
        tier="quick",
        statement="Where it sees the state alone, the reward that AIRL leaves is the task's own but for a constant; a "
        "classifier's score is not.",
        source="1710.11248, theorem 5.1 and section 7.1",
        baseline="GAIL's classifier of states, its logit",
        test=Better(),
        subject=recovered(ON_STATES),
        control=recovered(GAIL(**ADVERSARY, use="state", penalty=10.0)),
        note="Neither knows states that nobody visits, and most of these 1,000 are. That g is the reward up to a "
        "constant at the optimum, where dynamics are deterministic, is shown exactly in test_airl.py.",
        **_REWARD,
    ),
    Claim(
        name="on-policy",
        tier="full",
        statement="From demonstrations too few to clone, AIRL with a policy gradient learns to act as was shown.",
        source="1710.11248, section 7.3, table 2",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(
            AIRL(hidden=(64, 64), lr=1e-3), PPO(rollout=128, epochs=10, minibatches=8, lr=1e-3, discount=0.95), 16
        ),
        control=CLONED,
        **LONG,
    ),
)
