"""Probe environments: each isolates one thing a learner must get right, and fails loudly where it does not.

| probe | what it isolates | what must be learned |
|---|---|---|
| `ValueProbe` | the value of one state | V = 1 |
| `ObservationProbe` | a value that depends on the observation | V(o) = o |
| `DiscountProbe` | discounting over one step | V(first) = γ |
| `TruncationProbe` | truncation bootstraps, termination does not | V = 1/(1 − γ), or 1 |
| `ActionProbe` | preferring an action | the action that pays |
| `CreditProbe` | an action that depends on the observation | match the observation |

After Jones 2021, Debugging Reinforcement Learning Systems; the same idea as rejax's and Stoix's probes.

>>> import jax
>>> env = DiscountProbe()
>>> state, obs = env.reset(key=jax.random.key(0))
>>> state, step = env.step(state, jnp.zeros((), int), key=jax.random.key(1))
>>> float(step.reward), bool(step.terminated)
(0.0, False)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from operant.core import AbstractEnv, Action, Box, Discrete, EnvSpec

_OBS = Box((1,), -1.0, 1.0)


class ValueProbe(AbstractEnv):
    """One step, one observation, reward 1."""

    continuous: bool = False
    """Whether the (ignored) action is a number in [−1, 1] instead of one of two."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(_OBS, _actions(self.continuous), 10, name="ValueProbe")

    def initial(self, *, key: PRNGKeyArray) -> Array:
        return jnp.zeros(1)

    def advance(self, inner: Array, action: Action, *, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        return inner, jnp.ones(()), jnp.ones((), bool)

    def observe(self, inner: Array) -> Array:
        return inner


class ObservationProbe(AbstractEnv):
    """One step, observation −1 or 1 at random, reward equal to it."""

    continuous: bool = False
    """Whether the (ignored) action is a number in [−1, 1] instead of one of two."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(_OBS, _actions(self.continuous), 10, name="ObservationProbe")

    def initial(self, *, key: PRNGKeyArray) -> Array:
        return jax.random.rademacher(key, (1,), float)

    def advance(self, inner: Array, action: Action, *, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        return inner, inner[0], jnp.ones((), bool)

    def observe(self, inner: Array) -> Array:
        return inner


class DiscountProbe(AbstractEnv):
    """Two steps, observations 0 then 1, reward 1 at the end."""

    continuous: bool = False
    """Whether the (ignored) action is a number in [−1, 1] instead of one of two."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(_OBS, _actions(self.continuous), 10, name="DiscountProbe")

    def initial(self, *, key: PRNGKeyArray) -> Array:
        return jnp.zeros(1)

    def advance(self, inner: Array, action: Action, *, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        return inner + 1, inner[0], inner[0] > 0

    def observe(self, inner: Array) -> Array:
        return jnp.minimum(inner, 1.0)


class TruncationProbe(AbstractEnv):
    """One step of reward 1 and one observation; the episode is cut there, or ends there."""

    terminates: bool = False
    """Whether the step terminates (V = 1) or is only truncated (V = 1/(1 − γ))."""
    continuous: bool = False
    """Whether the (ignored) action is a number in [−1, 1] instead of one of two."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(_OBS, _actions(self.continuous), 1, name="TruncationProbe")

    def initial(self, *, key: PRNGKeyArray) -> Array:
        return jnp.zeros(1)

    def advance(self, inner: Array, action: Action, *, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        return inner, jnp.ones(()), jnp.asarray(self.terminates)

    def observe(self, inner: Array) -> Array:
        return inner


class ActionProbe(AbstractEnv):
    """One step; action 1 of {0, 1} pays 1, the other −1. Continuous: 1 − (a − 0.5)²."""

    continuous: bool = False
    """Whether the action is a number in [−1, 1] instead of one of two."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(_OBS, _actions(self.continuous), 10, name="ActionProbe")

    def initial(self, *, key: PRNGKeyArray) -> Array:
        return jnp.zeros(1)

    def advance(self, inner: Array, action: Action, *, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        reward = 1.0 - jnp.square(action[0] - 0.5) if self.continuous else 2.0 * action - 1.0
        return inner, reward, jnp.ones((), bool)

    def observe(self, inner: Array) -> Array:
        return inner


class CreditProbe(AbstractEnv):
    """One step, observation −1 or 1; the action of the same sign pays 1, the other −1. Continuous: 1 − (a − o/2)²."""

    continuous: bool = False
    """Whether the action is a number in [−1, 1] instead of one of two."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(_OBS, _actions(self.continuous), 10, name="CreditProbe")

    def initial(self, *, key: PRNGKeyArray) -> Array:
        return jax.random.rademacher(key, (1,), float)

    def advance(self, inner: Array, action: Action, *, key: PRNGKeyArray) -> tuple[Array, Array, Array]:
        match = 1.0 - jnp.square(action[0] - 0.5 * inner[0]) if self.continuous else inner[0] * (2.0 * action - 1.0)
        return inner, match, jnp.ones((), bool)

    def observe(self, inner: Array) -> Array:
        return inner


def _actions(continuous: bool) -> Box | Discrete:
    return Box((1,), -1.0, 1.0) if continuous else Discrete(2)
