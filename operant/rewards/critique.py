"""Plus or minus for each step, as a person gives it who watches the agent: was that better than what it usually does?

    feedback = sign(q(s, a) − b(s))     where they differ by more than `indifference`, else 0
    b(s) ← b(s) + η (q(s, a) − b(s))    at every state seen: what the watcher has got used to, linear in the observation

q is what the watcher thinks of an action in a state: Q* where it knows the task. Since b(s) follows E_π[q | s], the
feedback depends on the policy: what is praised at first goes without saying later, and a good action may be blamed once
better ones are usual.

Reference: MacGlashan, Ho, Loftin, Peng, Wang, Roberts, Taylor, Littman 2017, Interactive Learning from Policy-Dependent
Human Feedback, 1701.06049 (the simulated trainer that gives "improvement feedback").
Deviations from the paper: none known; the paper says in words what is written here.

>>> from operant.core import Box, Discrete
>>> from operant.rewards.task import Task
>>> watcher = Critique(Task())
>>> state = watcher.init(EnvSpec(Box((2,), 0.0, 1.0), Discrete(2), 10), key=jax.random.key(0))
>>> state.usual.shape
(3,)
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, Obs, RewardState, Transition
from operant.errors import SpecError


class CritiqueState(eqx.Module):
    """What the watcher has got used to."""

    judged: RewardState
    usual: Float[Array, " d"]
    """Weights of b: one a number observed, and a constant."""


class Critique(AbstractReward):
    """Feedback of a simulated person (see the module's docstring)."""

    judged: AbstractReward
    """q: what the watcher thinks of a step."""
    lr: float = 0.2
    """η: how fast the watcher gets used to what it sees, in (0, 1]."""
    indifference: float = 0.01
    """Difference up to which nothing is said (units of q)."""

    card: ClassVar[Card] = Card(
        "MacGlashan et al. 2017, Interactive Learning from Policy-Dependent Human Feedback",
        "1701.06049",
        "preference-learning",
    )

    def __check_init__(self) -> None:
        if not 0.0 < self.lr <= 1.0:
            raise SpecError(f"expected Critique.lr in (0, 1]; got {self.lr:g}. 1 compares with the last time only.")

    @property
    def reads_env_reward(self) -> bool:
        return self.judged.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> CritiqueState:
        size = sum(int(np.size(x)) for x in jax.tree.leaves(spec.obs.zero()))
        return CritiqueState(self.judged.init(spec, key=key), jax.device_put(np.zeros(size + 1, np.float32)))

    def __call__(self, state: CritiqueState, batch: Transition) -> Float[Array, "*B"]:
        better = self._better(state, batch)
        return jnp.where(jnp.abs(better) > self.indifference, jnp.sign(better), 0.0)

    def update(self, state: CritiqueState, batch: Transition, *, key: PRNGKeyArray) -> tuple[CritiqueState, Metrics]:
        """Watch a rollout and get used to it."""
        judged, metrics = self.judged.update(state.judged, batch, key=key)
        state = CritiqueState(judged, state.usual)
        better, seen = self._better(state, batch).reshape(-1), _features(batch.obs, batch.terminated.shape)
        seen = seen.reshape(len(better), -1)
        step = seen / jnp.maximum(jnp.square(seen).sum(-1, keepdims=True), 1e-6)  # whatever the observations' scale
        usual = state.usual + self.lr * (better[:, None] * step).mean(0)
        return CritiqueState(judged, usual), metrics | {"feedback/surprise": jnp.abs(better).mean()}

    def _better(self, state: CritiqueState, batch: Transition) -> Float[Array, "*B"]:
        """q(s, a) − b(s)."""
        return self.judged(state.judged, batch) - _features(batch.obs, batch.terminated.shape) @ state.usual


def _features(obs: Obs, shape: tuple[int, ...]) -> Float[Array, "*B d"]:
    """The numbers observed, and a one."""
    leaves = [x.reshape(*shape, -1).astype(jnp.float32) for x in jax.tree.leaves(obs)]
    return jnp.concatenate([*leaves, jnp.ones((*shape, 1))], axis=-1)
