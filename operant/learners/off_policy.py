"""What learners from replay share: one state, one `update`; which method it is, an actor and a critic say.

Each update stores the rollout, then takes `gradient_steps` steps. Each of these draws a minibatch of windows, asks the
reward function for their rewards, and does

    y = Σ_{k<h} γᵏ r_k + γʰ (1 − terminated) V(s_h)        V: `actor.next_value`, from the target networks
    critic ← Adam on E[critic.loss(s, a, y)]
    actor  ← Adam on E[actor.loss(s)] with the new critic   every `actor_every` gradient steps
    target ← (1 − τ) target + τ online                      every `target_every` gradient steps

h is `n_step`, or fewer where the episode ended: truncation bootstraps there, termination does not. Slots are unbatched
pure functions; here they are mapped over the minibatch. A new target, actor loss or critic is a file in `actors/` or
`critics/`; a learner class holds a configuration and names its slots.

Places in the replay and the actor's noise are drawn for all gradient steps of an update at once: inside the scan they
cost more than small networks do (SAC, 64×64: 1.8 times the processor time an update on two cores).
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from operant import nn
from operant.core import (
    AbstractLearner,
    AbstractPolicy,
    Action,
    Box,
    Carry,
    EnvSpec,
    Metrics,
    Obs,
    RewardFn,
    Transition,
)
from operant.data.replay import Replay
from operant.errors import SpecError, check_counts
from operant.math.return_scale import ReturnScale
from operant.math.schedules import AbstractSchedule

Params = PyTree[Array]


class Build(eqx.Module):
    """What slots make their networks from; weights as PyTorch draws them, which is what published results used."""

    rng: np.random.Generator
    spec: EnvSpec
    hidden: tuple[int, ...]
    activation: nn.Activation

    def encoder(self) -> nn.Encoder:
        return nn.encoder(self.rng, self.spec.obs)

    def mlp(self, *sizes: int, activate_final: bool = False) -> nn.MLP:
        return nn.mlp(self.rng, sizes, activation=self.activation, scale=None, activate_final=activate_final)


# --- slots ----------------------------------------------------------------------------------------------------------


class AbstractCritic(eqx.Module):
    """How good actions are: one or several estimates ("heads") of Q. Unbatched."""

    @abc.abstractmethod
    def init(self, build: Build) -> Params: ...

    @abc.abstractmethod
    def heads(self, params: Params, obs: Obs, action: Action | None) -> Float[Array, "heads ..."]:
        """Q(s, a) of each head; for discrete actions `action` is None and the answer is (heads, n)."""

    @abc.abstractmethod
    def loss(self, params: Params, obs: Obs, action: Action, target: Float[Array, ""]) -> Float[Array, ""]: ...


class Q(eqx.Module):
    """A critic with its parameters: what an actor sees of it."""

    critic: AbstractCritic
    params: Params

    def heads(self, obs: Obs, action: Action | None = None) -> Float[Array, "heads ..."]:
        return self.critic.heads(self.params, obs, action)

    def lower(self, obs: Obs, action: Action | None = None) -> Float[Array, "..."]:
        """The smallest of the heads: overestimation is what replay learners die of (1802.09477)."""
        return self.heads(obs, action).min(0)


class AbstractActor(eqx.Module):
    """How actions are chosen, what a state is worth under that choice, and how the choice improves. Unbatched."""

    own_target: eqx.AbstractClassVar[bool]
    """Whether `next_value` is given parameters that trail behind, as the critic's do."""

    @abc.abstractmethod
    def check(self, spec: EnvSpec) -> None:
        """Raise SpecError if these actions cannot be chosen so."""

    @abc.abstractmethod
    def init(self, build: Build) -> Params:
        """Trainable parameters; () where there is nothing to train."""

    @abc.abstractmethod
    def noise(self, key: PRNGKeyArray, spec: EnvSpec, shape: tuple[int, ...]) -> PyTree[Array]:
        """What chance contributes to `next_value` and `loss`, of leading shape (gradient steps, batch)."""

    @abc.abstractmethod
    def next_value(self, params: Params, online: Q, target: Q, obs: Obs, noise: PyTree[Array]) -> Float[Array, ""]:
        """V(s') as bootstrapped from."""

    @abc.abstractmethod
    def loss(self, params: Params, q: Q, obs: Obs, noise: PyTree[Array]) -> tuple[Float[Array, ""], Metrics]: ...

    @abc.abstractmethod
    def init_carry(self, spec: EnvSpec) -> Carry: ...

    @abc.abstractmethod
    def greedy(self, params: Params, q: Q, obs: Obs) -> Action: ...

    @abc.abstractmethod
    def explore(
        self, params: Params, q: Q, obs: Obs, carry: Carry, warm: Bool[Array, ""], steps: Int[Array, ""], key: Array
    ) -> tuple[Action, Carry]:
        """An action to learn from, uniformly random while `warm`; `steps`: environment steps done."""


class AbstractDraw(eqx.Module):
    """How minibatches come from replay: places, drawn for all gradient steps at once, and what one step sees there."""

    @abc.abstractmethod
    def places(self, replay: Replay, key: PRNGKeyArray, shape: tuple[int, int], steps: int) -> PyTree[Array]:
        """Leading axes `shape` = (gradient steps, batch), for windows of `steps` transitions."""

    @abc.abstractmethod
    def windows(self, replay: Replay, places: Any, steps: int) -> tuple[Transition, Bool[Array, "B n"]]:
        """The windows (B, steps) at one gradient step's places, and which of their steps belong to their episode."""


class Uniform(AbstractDraw):
    """Every transition as likely as any other."""

    def places(self, replay: Replay, key: PRNGKeyArray, shape: tuple[int, int], steps: int) -> PyTree[Array]:
        return replay.places(key, shape, steps)

    def windows(self, replay: Replay, places: Any, steps: int) -> tuple[Transition, Bool[Array, "B n"]]:
        return replay.windows(*places, steps=steps)


class HalfShown(AbstractDraw):
    """Half of each minibatch from what the reward shows (demonstrations), marked by extras["demonstrated"].

    Reference: Reddy, Dragan, Levine 2020, SQIL, 1905.11108.
    """

    shown: Replay

    def places(self, replay: Replay, key: PRNGKeyArray, shape: tuple[int, int], steps: int) -> PyTree[Array]:
        own_key, shown_key = jax.random.split(key)
        count, half = shape[0], shape[1] // 2
        own = replay.places(own_key, (count, shape[1] - half), steps)
        return own, self.shown.places(shown_key, (count, half), steps)

    def windows(self, replay: Replay, places: Any, steps: int) -> tuple[Transition, Bool[Array, "B n"]]:
        own, shown = replay.windows(*places[0], steps=steps), self.shown.windows(*places[1], steps=steps)
        mark = lambda drawn, yes: (
            eqx.tree_at(lambda t: t.extras, drawn[0], {"demonstrated": jnp.full(drawn[1].shape, yes)}),
            drawn[1],
        )
        return jax.tree.map(lambda *x: jnp.concatenate(x), mark(own, False), mark(shown, True))


# --- actions in a box -----------------------------------------------------------------------------------------------


def check_box(spec: EnvSpec, who: str) -> None:
    """Raise SpecError unless actions are floats between finite bounds."""
    if not isinstance(spec.action, Box) or not spec.action.bounded or spec.action.dtype != "float32":
        advice = "PPO" if isinstance(spec.action, Box) else "DQN, discrete SAC (actors.categorical) or PPO"
        raise SpecError(
            f"expected for {who}: actions in a Box of float32 with finite bounds; got {spec.action}. Use {advice}, or "
            "change the action space."
        )


def check_discrete(spec: EnvSpec, who: str) -> None:
    """Raise SpecError unless actions are discrete."""
    if isinstance(spec.action, Box):
        raise SpecError(
            f"expected for {who}: Discrete(n) actions; got {spec.action}. Use SAC, TD3 or PPO, or "
            "discretise the actions."
        )


def to_box(space: Box, unit: Float[Array, " d"]) -> Array:
    """[−1, 1]^d → the box; rounding never leaves it."""
    low, high = space.bounds()
    return jnp.clip(low + (unit.reshape(space.shape) + 1.0) * (0.5 * (high - low)), low, high)


# --- state and policy -----------------------------------------------------------------------------------------------


class Networks(eqx.Module):
    """What gradient steps change."""

    actor: Params
    critic: Params
    target_actor: Params
    """() unless the actor has a target of its own."""
    target_critic: Params
    actor_adam: optax.OptState
    critic_adam: optax.OptState
    count: Int[Array, ""]
    """Gradient steps done."""
    metrics: Metrics
    """Of the last update that changed them; 0 before."""


class OffPolicyState(eqx.Module):
    """Everything carried from one update to the next."""

    spec: EnvSpec = eqx.field(static=True)
    networks: Networks
    replay: Replay
    normaliser: nn.Normaliser | None
    scale: ReturnScale | None
    steps: Int[Array, ""]
    """Environment steps seen, summed over environments."""


class OffPolicyPolicy(AbstractPolicy):
    """Normalise, then let the actor choose."""

    spec: EnvSpec = eqx.field(static=True)
    actor: AbstractActor
    params: Params
    q: Q | None
    """Only where the actor has no parameters of its own and must ask the critic."""
    normaliser: nn.Normaliser | None
    warm: Bool[Array, ""]
    """Whether actions are still uniformly random."""
    steps: Int[Array, ""]

    @property
    def remembers(self) -> bool:
        return False

    def init_carry(self) -> Carry:
        """Where exploration noise stands."""
        return self.actor.init_carry(self.spec)

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        obs = obs if self.normaliser is None else self.normaliser(obs)
        if key is None:
            return self.actor.greedy(self.params, self.q, obs), {}, carry
        action, carry = self.actor.explore(self.params, self.q, obs, carry, self.warm, self.steps, key)
        return action, {}, carry


# --- the learner ----------------------------------------------------------------------------------------------------


class AbstractOffPolicy(AbstractLearner):
    """Replay, warm-up, gradient steps, targets: everything but the choice of slots and numbers."""

    batch: eqx.AbstractVar[int]
    capacity: eqx.AbstractVar[int]
    learning_starts: eqx.AbstractVar[int]
    gradient_steps: eqx.AbstractVar[int | None]
    n_step: eqx.AbstractVar[int]
    discount: eqx.AbstractVar[float]
    tau: eqx.AbstractVar[float]
    target_every: eqx.AbstractVar[int]
    actor_every: eqx.AbstractVar[int]
    lr: eqx.AbstractVar[float | AbstractSchedule]
    hidden: eqx.AbstractVar[tuple[int, ...]]
    activation: eqx.AbstractVar[nn.Activation]
    normalise_obs: eqx.AbstractVar[bool]
    normalise_reward: eqx.AbstractVar[bool]

    # fields that count something
    positive: ClassVar[tuple[str, ...]] = (
        "rollout", "batch", "capacity", "n_step", "target_every", "actor_every", "gradient_steps",
    )  # fmt: skip

    @abc.abstractmethod
    def slots(self, spec: EnvSpec) -> tuple[AbstractActor, AbstractCritic]:
        """The actor and the critic for these spaces. Raises SpecError if none fits."""

    def __check_init__(self) -> None:
        name = type(self).__name__
        check_counts(self, *self.positive)
        if isinstance(self.learning_starts, int | float) and self.learning_starts < 0:
            raise SpecError(f"expected {name}.learning_starts ≥ 0 steps; got {self.learning_starts}. Use 0 for none.")
        for field in ("discount", "tau"):
            value = getattr(self, field)
            if isinstance(value, int | float) and not 0.0 <= value <= 1.0:
                raise SpecError(f"expected {name}.{field} in [0, 1]; got {value}. Choose a number between.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> OffPolicyState:
        if self.capacity < self.rollout * spec.num_envs:
            raise SpecError(
                f"expected {type(self).__name__}.capacity ≥ rollout × environments = {self.rollout * spec.num_envs}; "
                f"got {self.capacity}. Raise capacity."
            )
        actor, critic = self.slots(spec)
        actor.check(spec)
        build = Build(nn.generator(key), spec, self.hidden, self.activation)
        params, q_params = actor.init(build), critic.init(build)
        copy = lambda tree: jax.tree.map(lambda x: jnp.array(x, copy=True), tree)  # the state is donated: no aliases
        number = lambda dtype=np.int32: jax.device_put(np.zeros((), dtype))
        names = ("loss/critic", "value/q", *self._actor_metrics(actor, critic, params, q_params, spec))
        networks = Networks(
            params,
            q_params,
            copy(params) if actor.own_target else (),
            copy(q_params),
            self._adam().init(params),
            self._adam().init(q_params),
            number(),
            {name: number(np.float32) for name in names},
        )
        return OffPolicyState(
            spec,
            networks,
            Replay.init(spec, self.capacity),
            nn.Normaliser.init(spec.obs) if self.normalise_obs else None,
            ReturnScale.init(spec.num_envs) if self.normalise_reward else None,
            number(),
        )

    def policy(self, state: OffPolicyState) -> OffPolicyPolicy:
        actor, critic = self.slots(state.spec)
        networks = state.networks
        q = None if jax.tree.leaves(networks.actor) else Q(critic, networks.critic)
        warm = state.steps < self.learning_starts
        return OffPolicyPolicy(state.spec, actor, networks.actor, q, state.normaliser, warm, state.steps)

    def update(
        self, state: OffPolicyState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[OffPolicyState, Metrics]:
        shown = getattr(reward, "shown", None)  # rows that some rewards want to be seen among the agent's own
        return self.update_from(state, batch, reward, Uniform() if shown is None else HalfShown(shown), key=key)

    def update_from(
        self, state: OffPolicyState, batch: Transition, reward: RewardFn, draw: AbstractDraw, *, key: PRNGKeyArray
    ) -> tuple[OffPolicyState, Metrics]:
        """`update`, with another way to draw minibatches: what wrappers of these learners call."""
        replay = state.replay.insert(batch)
        normaliser = None if state.normaliser is None else state.normaliser.update(batch.obs)
        scale = None if state.scale is None else state.scale.update(reward(batch), batch.done, self.discount)
        steps = state.steps + batch.terminated.size
        lr = self.lr(steps) if callable(self.lr) else self.lr
        actor, critic = self.slots(state.spec)
        count = self.gradient_steps or batch.terminated.size

        def learn(networks: Networks) -> Networks:
            place_key, noise_key = jax.random.split(key)
            places = draw.places(replay, place_key, (count, self.batch), self.n_step)
            noise = actor.noise(noise_key, state.spec, (count, self.batch))

            def step(networks: Networks, now: Any) -> tuple[Networks, None]:
                place, noise = now
                data = self._targets_of(draw.windows(replay, place, self.n_step), reward, normaliser, scale)
                return self.gradient_step(networks, data, noise, (actor, critic), lr), None

            return jax.lax.scan(step, networks, (places, noise))[0]

        # cond, not select: no gradient step is computed while actions are still random
        networks = jax.lax.cond(steps >= self.learning_starts, learn, lambda n: n, state.networks)
        return OffPolicyState(state.spec, networks, replay, normaliser, scale, steps), networks.metrics

    # --- pieces ---

    def _targets_of(
        self,
        windows: tuple[Transition, Bool[Array, "B n"]],
        reward: RewardFn,
        normaliser: nn.Normaliser | None,
        scale: ReturnScale | None,
    ) -> tuple[Obs, Action, Array, Array, Obs]:
        """`(s, a, Σ γᵏ r_k, γʰ(1 − terminated), s_h)` of each window."""
        window, within = windows
        r = reward(window)
        r = r if scale is None else scale(r)
        gain, follow, last = n_step(r, within, window.terminated, self.discount)
        first = jax.tree.map(lambda x: x[:, 0], (window.obs, window.action))
        rows = jnp.arange(last.shape[0])
        next_obs = jax.tree.map(lambda x: x[:, 0] if self.n_step == 1 else x[rows, last], window.next_obs)
        obs, action = first
        if normaliser is not None:
            obs, next_obs = jax.vmap(normaliser)(obs), jax.vmap(normaliser)(next_obs)
        return obs, action, gain, follow, next_obs

    def gradient_step(
        self,
        networks: Networks,
        data: tuple[Obs, Action, Array, Array, Obs],
        noise: PyTree[Array],
        slots: tuple[AbstractActor, AbstractCritic],
        lr: float | Float[Array, ""],
    ) -> Networks:
        """One step of critic, actor and targets on a minibatch `(s, a, gain, follow, s')`, each (B, …)."""
        actor, critic = slots
        obs, action, gain, follow, next_obs = data
        trailing = networks.target_actor if actor.own_target else networks.actor
        online, target = Q(critic, networks.critic), Q(critic, networks.target_critic)
        value = jax.vmap(lambda o, z: actor.next_value(trailing, online, target, o, z))(next_obs, noise)
        y = gain + follow * value

        def critic_loss(params: Params) -> Array:
            return jax.vmap(lambda o, a, y: critic.loss(params, o, a, y))(obs, action, y).mean()

        loss, gradient = jax.value_and_grad(critic_loss)(networks.critic)
        q_params, critic_adam = self._descend(networks.critic, gradient, networks.critic_adam, lr)
        metrics = {**networks.metrics, "loss/critic": loss, "value/q": y.mean()}
        count = networks.count + 1

        def improve(_: Any) -> tuple[Params, optax.OptState, Metrics]:
            q = Q(critic, q_params)

            def actor_loss(params: Params) -> tuple[Array, Metrics]:
                losses, metrics = jax.vmap(lambda o, z: actor.loss(params, q, o, z))(obs, noise)
                return losses.mean(), {name: x.mean() for name, x in metrics.items()}

            gradient, found = jax.grad(actor_loss, has_aux=True)(networks.actor)
            params, adam = self._descend(networks.actor, gradient, networks.actor_adam, lr)
            return params, adam, {**metrics, **found}

        params, actor_adam = networks.actor, networks.actor_adam
        if jax.tree.leaves(params):
            params, actor_adam, metrics = _every(
                self.actor_every, count, improve, (networks.actor, networks.actor_adam, metrics)
            )

        def follow_on(targets: Params) -> Params:
            new = (params if actor.own_target else (), q_params)
            return jax.tree.map(lambda t, p: t + self.tau * (p - t), targets, new)

        targets = (networks.target_actor, networks.target_critic)
        target_actor, target_critic = _every(self.target_every, count, follow_on, targets)
        return Networks(params, q_params, target_actor, target_critic, actor_adam, critic_adam, count, metrics)

    def _descend(self, params: Params, gradient: Params, adam: Any, lr: float | Array) -> tuple[Params, Any]:
        direction, adam = self._adam().update(gradient, adam)
        return jax.tree.map(lambda p, d: p - lr * d, params, direction), adam

    def _adam(self) -> optax.GradientTransformation:
        return optax.scale_by_adam()

    def _actor_metrics(
        self, actor: AbstractActor, critic: AbstractCritic, params: Params, q_params: Params, spec: EnvSpec
    ) -> list[str]:
        """Names of what the actor's loss reports, without computing it."""
        if not jax.tree.leaves(params):
            return []
        obs = jax.tree.map(jnp.asarray, spec.obs.zero())
        noise = jax.eval_shape(lambda k: jax.tree.map(lambda x: x[0], actor.noise(k, spec, (1,))), jax.random.key(0))
        shapes = jax.eval_shape(lambda z: actor.loss(params, Q(critic, q_params), obs, z)[1], noise)
        return sorted(shapes)


def n_step(
    reward: Float[Array, "B n"], within: Bool[Array, "B n"], terminated: Bool[Array, "B n"], discount: float | Array
) -> tuple[Float[Array, " B"], Float[Array, " B"], Int[Array, " B"]]:
    """`(Σ_{k<h} γᵏ r_k, γʰ(1 − terminated_{h−1}), h − 1)` with h the steps of the window `within` its episode.

    >>> yes = jnp.ones((1, 2), bool)
    >>> [x.tolist() for x in n_step(jnp.ones((1, 2)), yes, ~yes, 0.5)]
    [[1.5], [0.25], [1]]
    """
    count = within.sum(1)
    powers = discount ** jnp.arange(reward.shape[1])
    gain = jnp.where(within, reward * powers[None], 0.0).sum(1)
    ended = (within & terminated).any(1)  # only a window's last step can have ended its episode
    return gain, jnp.where(ended, 0.0, discount ** count.astype(jnp.float32)), count - 1


def _every(period: int, count: Int[Array, ""], change: Callable[[Any], Any], old: Any) -> Any:
    """`change(old)` every `period` counts, else `old`."""
    if period == 1:
        return change(old)
    return jax.lax.cond(count % period == 0, change, lambda x: x, old)
