"""DAgger: the learner acts, the expert says what it would have done there, and all of it is cloned.

    D ← D ∪ {(s, π*(s)) : s met by π_i},  π_i = π* with probability β_i, a step, else π_θ
    θ ← Adam on −E_(s, a)~D[log π_θ(a | s)],  β_i = max(0, 1 − i/`handover`)

Cloning a demonstrator's own states alone, errors compound: O(εT²) of T steps; here they do not, O(εT).

Reference: Ross, Gordon and Bagnell 2011, A Reduction of Imitation Learning and Structured Prediction to No-Regret
Online Learning, 1011.0686; the linear β: Kelly et al. 2019 and Gleave et al. 2022, imitation, 2211.11972.
Deviations from the paper:
1. The policy is not fitted anew each iteration: gradient steps go on from the last one, on minibatches of D.
2. D keeps the newest `capacity` states.

>>> from operant.core import Box
>>> from operant.envs.toy import Pendulum
>>> learner = DAgger(expert=lambda obs: jnp.clip(-obs[2:], -2.0, 2.0), hidden=(8,))
>>> state = learner.init(Pendulum().spec, key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(1,)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, AbstractPolicy, Card, Carry, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.data.replay import Replay
from operant.errors import SpecError, check_counts
from operant.learners._density import DensityPolicy, Network, density, to_choice
from operant.math.schedules import AbstractSchedule


class DAggerState(eqx.Module):
    """Everything DAgger carries from one update to the next."""

    network: Network
    adam: optax.OptState
    normaliser: nn.Normaliser | None
    replay: Replay
    """What the expert said, as the actions of it."""
    expert: AbstractPolicy
    iterations: Int[Array, ""]


class DAggerPolicy(AbstractPolicy):
    """The learner's own policy, or with probability β, a step, the expert; greedy: its own alone."""

    spec: EnvSpec = eqx.field(static=True)
    own: DensityPolicy
    expert: AbstractPolicy
    beta: Float[Array, ""]

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        if key is None:
            return self.own(obs, (), key=None)
        who, act = jax.random.split(key)
        own, _, _ = self.own(obs, (), key=act)
        shown = _said(self.expert, obs)
        return jnp.where(jax.random.uniform(who) < self.beta, shown, own), {}, carry


class Held:
    """A policy as one leaf: an array in a learner's fields is settings of the learner, and a policy's are not."""

    def __init__(self, policy: AbstractPolicy):
        self.policy = policy

    def __call__(self, obs: Obs) -> Any:
        return _said(self.policy, obs)


class DAgger(AbstractLearner):
    """Dataset aggregation (see the module's docstring). It never asks for a reward, but for an expert."""

    expert: str | Callable[[Obs], Any] = eqx.field(
        converter=lambda given: Held(given) if isinstance(given, AbstractPolicy) else given
    )
    """Who is imitated: a run's folder, "file.py:function" of one observation, or in Python such a function or a
    policy."""
    rollout: int = 64
    """Environment steps of each environment between two rounds of learning."""
    handover: int = 15
    """Rounds over which β falls from 1 to 0."""
    updates: int = 100
    """Gradient steps a round."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 1e-3
    """Adam's step size, or a schedule over rounds."""
    batch: int = 256
    """States a gradient step."""
    capacity: int = 100_000
    """States held."""
    normalise_obs: bool = False
    """Whether observations are standardised by running moments."""

    card: ClassVar[Card] = Card(
        "Ross, Gordon and Bagnell 2011, A Reduction of Imitation Learning and Structured Prediction to No-Regret "
        "Online Learning",
        "1011.0686",
        "imitation",
        ("env",),
    )

    def __check_init__(self) -> None:
        check_counts(self, "rollout", "handover", "updates", "batch", "capacity")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> DAggerState:
        network = density(nn.generator(key), spec, self.hidden, self.activation)
        return DAggerState(
            network,
            nn.zeros_init(optax.scale_by_adam(), nn.flat_size(network)),
            nn.Normaliser.init(spec.obs) if self.normalise_obs else None,
            Replay.init(spec, max(self.capacity, self.rollout * spec.num_envs)),
            _expert(self.expert, spec),
            jax.device_put(np.zeros((), np.int32)),
        )

    def policy(self, state: DAggerState) -> DAggerPolicy:
        own = DensityPolicy(state.network.spec, state.network, state.normaliser)
        return DAggerPolicy(own.spec, own, state.expert, self._beta(state))

    def _beta(self, state: DAggerState) -> Float[Array, ""]:
        return jnp.maximum(0.0, 1.0 - state.iterations / self.handover)

    def update(
        self, state: DAggerState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[DAggerState, Metrics]:
        said = jax.vmap(jax.vmap(lambda o: _said(state.expert, o)))(batch.obs)
        replay = state.replay.insert(eqx.tree_at(lambda t: t.action, batch, said))
        normaliser = None if state.normaliser is None else state.normaliser.update(batch.obs)
        lr = self.lr(state.iterations) if callable(self.lr) else self.lr
        space = state.network.spec.action
        age, column = replay.places(key, (self.updates, self.batch))

        def step(carry: Any, place: tuple[Array, Array]) -> tuple[Any, Array]:
            network, adam = carry
            drawn = replay.at(*place)
            obs, choice = drawn.obs, jax.vmap(lambda a: to_choice(space, a))(drawn.action)
            seen = obs if normaliser is None else jax.vmap(normaliser)(obs)

            def loss(network: Network) -> tuple[Array, Array]:
                value = -jax.vmap(network.distribution)(seen, obs).log_prob(choice).mean()
                return value, value

            network, adam, value = nn.descend(network, adam, loss, lr)
            return (network, adam), value

        (network, adam), losses = jax.lax.scan(step, (state.network, state.adam), (age, column))
        metrics = {"loss/policy": losses[-1], "dagger/beta": self._beta(state)}
        return DAggerState(network, adam, normaliser, replay, state.expert, state.iterations + 1), metrics


def _expert(given: Any, spec: EnvSpec) -> AbstractPolicy:
    """The expert as a policy; raises SpecError where it cannot be asked inside a compiled function, or does not fit."""
    from operant.io.policies import load_policy
    from operant.loops.audit import FunctionPolicy
    from operant.loops.rollout import check_fit

    if isinstance(given, Held):
        given = given.policy
    if isinstance(given, str | Path):
        given = load_policy(given, spec)
    if callable(given) and not isinstance(given, AbstractPolicy):
        given = FunctionPolicy(spec, given)
    if not isinstance(given, AbstractPolicy) or given.remembers:
        raise SpecError(
            f"expected DAgger.expert to be a policy of JAX arrays without memory; got {type(given).__name__}. Give a "
            "run's folder, or 'file.py:function' of one observation, in jax.numpy."
        )
    check_fit(given.spec, spec)
    return given


def _said(expert: AbstractPolicy, obs: Obs) -> Any:
    """What the expert would do: greedy, so that of its carry at most noise is read (`AbstractPolicy.remembers`)."""
    return expert(obs, expert.init_carry(), key=None)[0]
