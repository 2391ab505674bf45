"""Implicit Q-learning: as good as the best of what was done, without ever asking about actions nobody took.

    V ← E[|τ − 1(u < 0)| u²],   u = min_i Q'_i(s, a) − V(s)          an expectile: τ → 1, the best action seen
    Q_i ← ½ (r + γ (1 − terminated) V(s′) − Q_i(s, a))²
    π ← −E[min(exp(β u), 100) log π(a | s)]                          cloning, weighted by advantage
    Q' ← (1 − ρ) Q' + ρ Q

Reference: Kostrikov, Nair, Levine 2021, Offline Reinforcement Learning with Implicit Q-Learning, 2110.06169.
Deviations from the paper:
1. V, Q and π take their steps at once, from the networks as they were; the reference code updates V first.
2. The policy's mean is not squashed, its step size constant (there: tanh, cosine decay); its deviation is learned,
   one a dimension, as there.
3. Discrete actions too: the critics answer with the values of all of them, the policy is a categorical.
4. Weights are drawn as in `nn.mlp` (policy, V) and as PyTorch does (Q).

>>> import jax.numpy as jnp
>>> from operant.core import Box
>>> learner = IQL(hidden=(8,))
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Box, Card, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.errors import SpecError
from operant.learners._density import DensityPolicy, Network, density, to_choice
from operant.learners.critics.twin_q import TwinQ, TwinQParams
from operant.learners.off_policy import Build, check_box
from operant.math.schedules import AbstractSchedule

HEAVIEST = 100.0
"""Largest weight exp(β u) of a cloned action, as published."""


class Value(eqx.Module):
    """V(s)."""

    encoder: nn.Encoder
    head: nn.MLP

    def __call__(self, obs: Obs) -> Float[Array, ""]:
        return self.head(self.encoder(obs))[0]


class Networks(eqx.Module):
    """What gradient steps change."""

    value: Value
    critic: TwinQParams
    policy: Network


class IQLState(eqx.Module):
    """Everything IQL, or another learner with these networks, carries from one update to the next."""

    networks: Networks
    target: TwinQParams
    adam: optax.OptState
    steps: Int[Array, ""]
    """Updates so far."""


def begin(
    who: str, rng: np.random.Generator, spec: EnvSpec, hidden: tuple[int, ...], activation: nn.Activation
) -> IQLState:
    """The state before any update, of a learner called `who`. Raises SpecError for a box without finite bounds."""
    if isinstance(spec.action, Box):
        check_box(spec, who)
    encoder = nn.encoder(rng, spec.obs)
    value = Value(encoder, nn.mlp(rng, (encoder.size, *hidden, 1), activation=activation))
    critic = TwinQ().init(Build(rng, spec, hidden, activation))
    networks = Networks(value, critic, density(rng, spec, hidden, activation))
    return IQLState(
        networks,
        jax.tree.map(lambda x: jax.device_put(np.array(x)), critic),  # the state is donated: no aliases
        nn.zeros_init(optax.scale_by_adam(), nn.flat_size(networks)),
        jax.device_put(np.zeros((), np.int32)),
    )


class IQL(AbstractLearner):
    """Implicit Q-learning (see the module's docstring)."""

    expectile: float = 0.7
    """τ in [½, 1): ½ is the behaviour's own value; towards 1, that of its best actions."""
    temperature: float = 3.0
    """β: how sharply cloning prefers good actions (1 a reward unit); 0: plain cloning."""
    discount: float = 0.99
    """γ: weight of the next step's reward."""
    tau: float = 0.005
    """ρ: share of the critics in an update of their targets."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Transitions an update."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Kostrikov, Nair, Levine 2021, Offline Reinforcement Learning with Implicit Q-Learning",
        "2110.06169",
        "offline",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        if self.batch < 1:
            raise SpecError(f"expected IQL.batch ≥ 1; got {self.batch}. Raise it.")
        if isinstance(self.expectile, int | float) and not 0.5 <= self.expectile < 1.0:
            raise SpecError(f"expected IQL.expectile in [0.5, 1); got {self.expectile:g}. Use 0.7, the published one.")
        for name in ("discount", "tau"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0.0 <= value <= 1.0:
                raise SpecError(f"expected IQL.{name} in [0, 1]; got {value:g}. Choose a number between.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> IQLState:
        return begin("IQL", nn.generator(key), spec, self.hidden, self.activation)

    def policy(self, state: IQLState) -> DensityPolicy:
        return DensityPolicy(state.networks.policy.spec, state.networks.policy)

    def update(
        self, state: IQLState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[IQLState, Metrics]:
        paid = reward(batch).reshape(-1)
        parts: Any = (batch.obs, batch.action, batch.terminated, batch.next_obs)
        obs, action, terminated, next_obs = nn.merge_axes(parts, batch.terminated.ndim)
        follow = jnp.where(terminated, 0.0, self.discount)
        target = jax.vmap(lambda o, a: heads(state.target, o, a).min())(obs, action)
        stop = jax.lax.stop_gradient

        def loss(networks: Networks) -> tuple[Array, Metrics]:
            u = target - jax.vmap(networks.value)(obs)
            value = (jnp.abs(self.expectile - (u < 0.0)) * jnp.square(u)).mean()
            y = paid + follow * stop(jax.vmap(networks.value)(next_obs))
            q = jax.vmap(lambda o, a: heads(networks.critic, o, a))(obs, action)
            critic = 0.5 * jnp.square(q - jnp.broadcast_to(y[:, None], q.shape)).sum(1).mean()
            weight = jnp.minimum(jnp.exp(self.temperature * stop(u)), HEAVIEST)
            log_pi = jax.vmap(lambda o, a: self._log_prob(networks.policy, o, a))(obs, action)
            policy = -(weight * log_pi).mean()
            found = {"loss/value": value, "loss/critic": critic, "loss/policy": policy, "value/q": q.mean()}
            return value + critic + policy, found  # none has a gradient in another's parameters

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        networks, adam, metrics = nn.descend(state.networks, state.adam, loss, lr)
        trailing = jax.tree.map(lambda t, p: t + self.tau * (p - t), state.target, networks.critic)
        return IQLState(networks, trailing, adam, state.steps + 1), metrics

    def _log_prob(self, network: Network, obs: Obs, action: Array) -> Float[Array, ""]:
        return network.distribution(obs, obs).log_prob(to_choice(network.spec.action, action))


def heads(params: TwinQParams, obs: Obs, action: Array) -> Float[Array, "2"]:
    """Both critics' Q(s, a)."""
    if isinstance(params.action, Box):
        return TwinQ().heads(params, obs, action)
    return TwinQ().heads(params, obs, None)[:, action]
