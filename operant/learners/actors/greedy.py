"""Q-learning's actor: nothing to train, it takes the best action the critic knows of, or a random one.

    V(s')  = max_a Q'(s', a),   or with `double`  Q'(s', argmax_a Q(s', a))
    acting: uniformly random with probability ε, else argmax_a Q(s, a)

Reference: Mnih et al. 2015, Human-level control through deep reinforcement learning, 10.1038/nature14236; van Hasselt,
Guez and Silver 2016, Deep Reinforcement Learning with Double Q-learning, 1509.06461.
Deviations from the paper: none. Masked actions are never taken, neither in acting nor in the maximum.

>>> Greedy().epsilon(0)
Array(1., dtype=float32)
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import Action, Carry, EnvSpec, Metrics, Obs
from operant.dists import MASKED
from operant.learners.off_policy import AbstractActor, Build, Q, check_discrete
from operant.math.schedules import AbstractSchedule, Linear


class Greedy(AbstractActor):
    """The critic's best action, ε of the time a random one (see the module's docstring)."""

    double: bool = False
    """Whether the online network chooses the action that the target network judges."""
    epsilon: AbstractSchedule = Linear(1.0, 0.05, 10_000.0)
    """ε over environment steps."""

    own_target: ClassVar[bool] = False

    def check(self, spec: EnvSpec) -> None:
        check_discrete(spec, "DQN")

    def init(self, build: Build) -> tuple[()]:
        return ()

    def noise(self, key: PRNGKeyArray, spec: EnvSpec, shape: tuple[int, ...]) -> tuple[()]:
        return ()

    def next_value(self, params: tuple[()], online: Q, target: Q, obs: Obs, noise: tuple[()]) -> Float[Array, ""]:
        judged = target.lower(obs)
        return judged[jnp.argmax(_legal(online, obs) if self.double else _mask(target, obs, judged))]

    def loss(self, params: tuple[()], q: Q, obs: Obs, noise: tuple[()]) -> tuple[Array, Metrics]:
        return jnp.zeros(()), {}

    def init_carry(self, spec: EnvSpec) -> Carry:
        return ()

    def greedy(self, params: tuple[()], q: Q, obs: Obs) -> Action:
        return jnp.argmax(_legal(q, obs)).astype(jnp.int32)

    def explore(
        self, params: tuple[()], q: Q, obs: Obs, carry: Carry, warm: Bool[Array, ""], steps: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[Action, Carry]:  # fmt: skip
        coin_key, action_key = jax.random.split(key)
        values = _legal(q, obs)
        anything = jax.random.categorical(action_key, jnp.where(values > 0.5 * MASKED, 0.0, MASKED))
        chance = jax.random.uniform(coin_key) < jnp.where(warm, 1.0, self.epsilon(steps))
        return jnp.where(chance, anything, jnp.argmax(values)).astype(jnp.int32), carry


def _mask(q: Q, obs: Obs, values: Float[Array, " n"]) -> Float[Array, " n"]:
    mask = nn.action_mask(q.params.encoder.space, obs)
    return values if mask is None else jnp.where(mask, values, MASKED)


def _legal(q: Q, obs: Obs) -> Float[Array, " n"]:
    """Values, far below everything where an action is masked."""
    return _mask(q, obs, q.lower(obs))
