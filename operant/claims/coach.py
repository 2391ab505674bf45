"""Claims of COACH: plus and minus that depend on the policy are advantages, not rewards.

Reference: MacGlashan et al. 2017, 1701.06049, section 6.1 (the gridworld with improvement feedback).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from operant.claims import Claim
from operant.claims._samples import Acted, Trained
from operant.claims._tests import Better
from operant.core import AbstractFixedReward, Transition
from operant.envs.tabular import TabularMDP
from operant.envs.toy import GridWorld
from operant.learners.coach import COACH
from operant.learners.ppo import PPO
from operant.math.dynamic_programming import policy_iteration
from operant.rewards.critique import Critique


class Table(AbstractFixedReward):
    """A number for each state and action; observations one-hot."""

    values: Float[Array, "S A"]

    def __call__(self, state: tuple, batch: Transition) -> Float[Array, "*B"]:
        return self.values[jnp.argmax(batch.obs, -1), batch.action]


_ROOMS = GridWorld(step_reward=-0.05)
_MDP = TabularMDP.from_gridworld(_ROOMS, discount=0.95)
_WATCHER = Critique(Table(jax.device_put(policy_iteration(_MDP.P, _MDP.R, 0.95)[1].astype("float32"))))


def _claim(name: str, baseline: str, control: Trained, note: str = "") -> Claim:
    return Claim(
        name=name,
        tier="quick" if name == "improvement-feedback" else "full",
        statement="From plus and minus that tell whether an action was better than usual, COACH learns the task; "
        f"{'what takes them for rewards does not' if not note else 'credit kept for later steps spoils it'}.",
        source="1701.06049, section 6.1",
        baseline=baseline,
        problem="four rooms of a gridworld, one environment; a simulated watcher who knows Q* and gets used to what it "
        "sees",
        figure=Acted().words,
        steps=10_240,
        seeds=6,
        test=Better(),
        subject=Trained(COACH(), _ROOMS, Acted(), _WATCHER, num_envs=1),
        control=control,
        note=note,
    )


CLAIMS = (
    _claim(
        "improvement-feedback",
        "PPO, given the same feedback as its reward",
        Trained(PPO(rollout=128), _ROOMS, Acted(), _WATCHER, num_envs=1),
    ),
    _claim(
        "trace",
        "COACH with λ = 0.9, as published",
        Trained(COACH(trace=0.9), _ROOMS, Acted(), _WATCHER, num_envs=1),
        "Ours, not the paper's: why the trace is 0 unless asked for. The paper's person is late; this one is not.",
    ),
)
