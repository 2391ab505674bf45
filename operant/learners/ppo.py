"""Proximal policy optimisation: many small steps on one rollout, none of which moves the policy far.

With ratio ρ = π(a|s)/π_old(a|s), advantages Â by GAE(λ) (standardised in each minibatch) and ε the clip range, minimise

    −E[min(ρ Â, clip(ρ, 1 − ε, 1 + ε) Â)] + c_v E[½ max((V − G)², (V_clipped − G)²)] − c_e E[H(π)]

over `epochs` passes of `minibatches` minibatches, Adam with gradients clipped to a global norm.

Reference: Schulman, Wolski, Dhariwal, Radford, Klimov 2017, Proximal Policy Optimization Algorithms, 1707.06347;
details as counted by Huang et al. 2022, The 37 Implementation Details of PPO.
Deviations from the paper:
1. Continuous actions are drawn in units of the box: −1 and 1 are its bounds, whatever they are; outside is clipped.
2. A truncated episode bootstraps with the value of its true successor (Pardo et al. 2018, 1712.00378); the reference
   code treats truncation as termination.
3. Observation statistics are frozen during a rollout and its update, so that ratios start at exactly 1.
4. The value is not clipped unless `clip_value`: the paper does not, its reference code does.
5. `noise_colour="pink"` draws continuous actions by noise that is correlated over an episode's steps, each still as
   likely as π says (Hollenstein et al. 2024, Colored Noise in PPO, 2312.11091): it reaches what only long pushes reach.

>>> from operant.core import EnvSpec
>>> spec = EnvSpec(Box((3,)), Discrete(2), 100)
>>> learner = PPO(hidden=(8,))
>>> state = learner.init(spec, key=jax.random.key(0))
>>> action, extras, carry = learner.policy(state)(jnp.zeros(3), (), key=jax.random.key(1))
>>> sorted(extras)
['choice', 'log_prob']
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import (
    AbstractLearner,
    AbstractPolicy,
    Box,
    Card,
    Carry,
    Discrete,
    EnvSpec,
    Metrics,
    Obs,
    RewardFn,
    Transition,
)
from operant.dists import AbstractDistribution, Categorical, Normal
from operant.errors import SpecError, check_counts
from operant.learners import exploration
from operant.learners.regularisers import AbstractRegulariser
from operant.math.random import shuffles
from operant.math.return_scale import ReturnScale
from operant.math.returns import gae
from operant.math.schedules import AbstractSchedule

LOSSES = ("loss/policy", "loss/value", "policy/entropy", "policy/kl", "policy/clipped")
"""What `_loss` reports of each minibatch."""


class ActorCritic(eqx.Module):
    """Policy and value networks: separate MLPs on one encoding, behind a shared GRU where there is memory."""

    encoder: nn.Encoder
    memory: nn.GRU | None
    actor: nn.MLP
    critic: nn.MLP
    log_std: Float[Array, " d"] | None
    spec: EnvSpec = eqx.field(static=True)

    def features(self, obs: Obs, carry: Carry) -> tuple[Array, Carry]:
        x = self.encoder(obs)
        if self.memory is None:
            return x, carry
        h = self.memory(x, carry)
        return h, h

    def distribution(self, features: Array, obs: Obs) -> AbstractDistribution:
        out = self.actor(features)
        if self.log_std is not None:
            return Normal(out, jnp.exp(self.log_std))
        mask = nn.action_mask(self.spec.obs, obs)
        return Categorical(out) if mask is None else Categorical.masked(out, mask)

    def value(self, features: Array) -> Float[Array, ""]:
        return self.critic(features)[0]


class ActorCriticPolicy(AbstractPolicy):
    """Normalise, encode, draw."""

    spec: EnvSpec = eqx.field(static=True)
    networks: ActorCritic
    normaliser: nn.Normaliser | None
    noise_colour: exploration.Colour = eqx.field(static=True, default="white")

    def init_carry(self) -> Carry:
        """What the GRU remembers, () without one; with pink noise, that and where the noise stands."""
        memory = self.networks.memory
        remembered = () if memory is None else jnp.zeros(memory.hidden.weight.shape[0])
        if self.noise_colour == "white":
            return remembered
        assert isinstance(self.spec.action, Box)
        return remembered, exploration.begin(self.noise_colour, self.spec.action.size)

    @property
    def remembers(self) -> bool:
        return self.networks.memory is not None

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        remembered, noise = (carry, ()) if self.noise_colour == "white" else carry
        raw = obs
        obs = obs if self.normaliser is None else self.normaliser(obs)
        features, now = self.networks.features(obs, remembered)
        dist = self.networks.distribution(features, raw)
        if key is None:
            choice = dist.mode()
        elif isinstance(noise, exploration.Wander) and isinstance(dist, Normal):
            z, noise = exploration.draw(self.noise_colour, noise, key, dist.mean.size)
            choice = dist.mean + dist.scale * z
        else:
            choice = dist.sample(key)
        extras = {"choice": choice, "log_prob": dist.log_prob(choice)}
        if self.networks.memory is not None:
            extras["carry"] = remembered
        return to_action(self.spec.action, choice), extras, now if self.noise_colour == "white" else (now, noise)

    def distribution(self, obs: Obs, carry: Carry = ()) -> AbstractDistribution:
        """What choices are drawn from in a state; with memory, after what `carry` holds (): an episode begins."""
        if isinstance(carry, tuple) and not carry:
            carry = self.init_carry()
        remembered = carry[0] if isinstance(carry, tuple) and carry else carry
        features, _ = self.networks.features(obs if self.normaliser is None else self.normaliser(obs), remembered)
        return self.networks.distribution(features, obs)


def to_action(space: Box | Discrete, choice: Array) -> Array:
    """A choice in units of the box (−1, 1: its bounds) → an action inside it; integers stay themselves. A box without
    finite bounds on every side has no such units: its choices are actions, clipped to the bounds there are."""
    if isinstance(space, Discrete):
        return choice
    low, high = space.bounds()
    if not space.bounded:
        action = choice.reshape(space.shape)
        return jnp.clip(action, low, high) if np.isfinite([low, high]).any() else action
    unit = jnp.clip(choice.reshape(space.shape), -1.0, 1.0)
    return jnp.clip(low + (unit + 1.0) * (0.5 * (high - low)), low, high)  # rounding never leaves the box


class PPOState(eqx.Module):
    """Everything PPO carries from one rollout to the next."""

    networks: ActorCritic
    adam: optax.OptState
    normaliser: nn.Normaliser | None
    scale: ReturnScale | None
    steps: Int[Array, ""]
    """Environment steps learned from, summed over environments."""
    regulariser: Any = None
    """The regulariser's state; None without one."""


class PPO(AbstractLearner):
    """Proximal policy optimisation (see the module's docstring)."""

    rollout: int = 128
    """Environment steps a rollout, in each environment."""
    epochs: int = 10
    """Passes over each rollout."""
    minibatches: int = 32
    """Minibatches a pass; rollout × environments must divide by it (with memory: environments × rollout/sequence)."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over environment steps."""
    discount: float = 0.99
    """γ: weight of the next step's reward."""
    trace: float = 0.95
    """λ of generalised advantage estimation."""
    clip: float = 0.2
    """ε: how far the probability ratio may move."""
    clip_value: bool = False
    """Whether the value may move no further than `clip` from the old one, as in the reference code but not the paper.
    With few, large rollouts it keeps the value from catching up: off."""
    entropy: float = 0.0
    """c_e: weight of the entropy bonus (nats)."""
    value_weight: float = 0.5
    """c_v: weight of the value loss."""
    max_grad_norm: float = 0.5
    """Largest global norm of a gradient."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, of policy and value alike."""
    activation: nn.Activation = "tanh"
    """Between the layers."""
    log_std: float = 0.0
    """Initial log standard deviation of continuous actions, in units of the box."""
    normalise_obs: bool = True
    """Whether observations are standardised by running moments."""
    normalise_reward: bool = True
    """Whether rewards are divided by the running standard deviation of the discounted return."""
    normalise_advantage: bool = True
    """Whether advantages are standardised in each minibatch."""
    noise_colour: exploration.Colour = "white"
    """Of the noise continuous actions are drawn by: "white", drawn afresh at each step, or "pink", correlated over an
    episode's steps (MountainCarContinuous needs it)."""
    memory: int | None = None
    """Units of a GRU between encoder and heads; None: no memory."""
    sequence: int = 16
    """With memory: steps of back-propagation through time (divides rollout)."""
    regulariser: AbstractRegulariser | None = None
    """What keeps it near a base policy, by a penalty taken from the reward; None: nothing does."""

    card: ClassVar[Card] = Card(
        "Schulman et al. 2017, Proximal Policy Optimization Algorithms", "1707.06347", "policy-optimization", ("env",)
    )

    def __check_init__(self) -> None:
        check_counts(self, "rollout", "epochs", "minibatches", "memory", "sequence")
        exploration.check(noise_colour=self.noise_colour)
        if self.memory is not None and self.rollout % self.sequence:
            raise SpecError(
                f"expected PPO.sequence to divide rollout = {self.rollout}; got {self.sequence}. "
                "Choose a divisor: sequences are cut from rollouts without remainder."
            )

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> PPOState:
        units = self._units(spec)
        if units % self.minibatches:
            what = "environments × rollout/sequence" if self.memory else "rollout × environments"
            raise SpecError(
                f"expected PPO.minibatches to divide {what} = {units}; got {self.minibatches}. Change minibatches, "
                "rollout or num_envs."
            )
        if self.noise_colour == "pink" and not isinstance(spec.action, Box):
            raise SpecError(
                f"expected continuous actions (Box) for PPO.noise_colour = 'pink'; got {spec.action}. Choose 'white': "
                "integers are drawn afresh at each step."
            )
        rng = nn.generator(key)
        encoder = nn.encoder(rng, spec.obs)
        memory = None if self.memory is None else nn.gru(rng, encoder.size, self.memory)
        inputs = encoder.size if self.memory is None else self.memory
        continuous = isinstance(spec.action, Box)
        outputs = spec.action.size if isinstance(spec.action, Box) else spec.action.n
        heads = [
            nn.mlp(rng, (inputs, *self.hidden, n), activation=self.activation, final_scale=scale)
            for n, scale in ((outputs, 0.01), (1, 1.0))
        ]
        log_std = jax.device_put(np.full(outputs, self.log_std, np.float32)) if continuous else None
        networks = ActorCritic(encoder, memory, heads[0], heads[1], log_std, spec)
        return PPOState(
            networks,
            nn.zeros_init(self._optimiser(), nn.flat_size(networks)),
            nn.Normaliser.init(spec.obs) if self.normalise_obs else None,
            ReturnScale.init(spec.num_envs) if self.normalise_reward else None,
            jax.device_put(np.zeros((), np.int32)),
            None if self.regulariser is None else self.regulariser.init(spec, key=jax.random.fold_in(key, 1)),
        )

    def policy(self, state: PPOState) -> ActorCriticPolicy:
        return ActorCriticPolicy(state.networks.spec, state.networks, state.normaliser, self.noise_colour)

    def update(
        self, state: PPOState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[PPOState, Metrics]:
        r, kept, said = reward(batch), state.regulariser, {}
        if self.regulariser is not None:
            kept, said = self.regulariser.update(kept, batch, key=jax.random.fold_in(key, 1))
            r = r - self.regulariser.penalty(kept, batch)
        scale = state.scale
        if scale is not None:
            scale = scale.update(r, batch.done, self.discount)
            r = scale(r)
        obs, next_obs = batch.obs, batch.next_obs
        if state.normaliser is not None:
            over = lambda o: jax.vmap(jax.vmap(state.normaliser))(o)
            obs, next_obs = over(obs), over(next_obs)
        value, next_value = self._values(state.networks, obs, next_obs, batch)
        advantage = gae(r, value, next_value, batch.terminated, batch.truncated, self.discount, self.trace)
        masks = batch.obs  # unnormalised, for action masks
        data = (obs, masks, batch.extras, batch.done, advantage, advantage + value, value)
        data = jax.tree.map(self._cut, data)

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        optimiser = self._optimiser()
        flat, unflatten = nn.flatten(state.networks)  # one vector: Adam is then one kernel, not one a layer

        def minibatch(carry: Any, index: Array) -> tuple[Any, Array]:
            flat, adam = carry
            piece = jax.tree.map(lambda x: x[index], data)
            loss = lambda vector: self._loss(unflatten(vector), *piece)
            gradient, metrics = jax.grad(loss, has_aux=True)(flat)
            direction, adam = optimiser.update(gradient, adam)
            return (flat - lr * direction, adam), jnp.stack([metrics[name] for name in LOSSES])

        units = self._units(state.networks.spec)
        order = shuffles(key, self.epochs, units).reshape(self.epochs * self.minibatches, -1)
        (flat, adam), found = jax.lax.scan(minibatch, (flat, state.adam), order)
        metrics: Metrics = dict(zip(LOSSES, found.mean(0), strict=True)) | said
        residual = jnp.var(advantage)  # = Var[G − V]
        target = jnp.var(advantage + value)
        metrics["value/explained"] = 1.0 - residual / jnp.maximum(target, 1e-8)
        normaliser = None if state.normaliser is None else state.normaliser.update(batch.obs)
        steps = state.steps + r.size
        return PPOState(unflatten(flat), adam, normaliser, scale, steps, kept), metrics

    # --- pieces ---

    def _units(self, spec: EnvSpec) -> int:
        """What minibatches are drawn from: single steps, or with memory whole sequences."""
        return self.rollout * spec.num_envs // (1 if self.memory is None else self.sequence)

    def _cut(self, x: Array) -> Array:
        """(T, N, …) → (units, …) or, with memory, (units, sequence, …)."""
        if self.memory is None:
            return x.reshape(-1, *x.shape[2:])
        pieces = x.reshape(-1, self.sequence, *x.shape[1:])
        return jnp.moveaxis(pieces, 2, 1).reshape(-1, self.sequence, *x.shape[2:])

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.max_grad_norm), optax.scale_by_adam(eps=1e-5))

    def _values(self, networks: ActorCritic, obs: Obs, next_obs: Obs, batch: Transition) -> tuple[Array, Array]:
        """V of every observation and of every true successor, each (T, N)."""

        def pair(o: Obs, successor: Obs, carry: Carry) -> tuple[Array, Array]:
            features, carry = networks.features(o, carry)
            return networks.value(features), networks.value(networks.features(successor, carry)[0])

        return jax.vmap(jax.vmap(pair))(obs, next_obs, batch.extras.get("carry", ()))

    def _forward(self, networks: ActorCritic, obs: Obs, masks: Obs, extras: dict, done: Array) -> tuple[Array, ...]:
        """log π(choice), entropy and value of each unit; with memory, through time from each sequence's first carry."""

        def one(o: Obs, mask: Obs, choice: Array, carry: Carry) -> tuple[tuple[Array, ...], Carry]:
            features, carry = networks.features(o, carry)
            dist = networks.distribution(features, mask)
            return (dist.log_prob(choice), dist.entropy(), networks.value(features)), carry

        if self.memory is None:
            return jax.vmap(lambda o, m, c: one(o, m, c, ())[0])(obs, masks, extras["choice"])

        def sequence(o: Obs, mask: Obs, choice: Array, carry: Carry, done: Array) -> tuple[Array, ...]:
            def step(carry: Carry, now: Any) -> tuple[Carry, Any]:
                out, carry = one(*now[:3], carry)
                return jnp.where(now[3], 0.0, 1.0) * carry, out  # a new episode begins without memory

            return jax.lax.scan(step, carry[0], (o, mask, choice, done))[1]

        return jax.vmap(sequence)(obs, masks, extras["choice"], extras["carry"], done)

    def _loss(
        self, networks: ActorCritic, obs: Obs, masks: Obs, extras: dict, done: Array, advantage: Array, target: Array,
        old_value: Array,
    ) -> tuple[Array, Metrics]:  # fmt: skip
        log_prob, entropy, value = self._forward(networks, obs, masks, extras, done)
        if self.normalise_advantage and advantage.size > 1:  # a single step less its own mean would teach nothing
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_ratio = log_prob - extras["log_prob"]
        ratio = jnp.exp(log_ratio)
        clipped = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
        policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
        error = jnp.square(value - target)
        if self.clip_value:
            near = old_value + jnp.clip(value - old_value, -self.clip, self.clip)
            error = jnp.maximum(error, jnp.square(near - target))
        value_loss = 0.5 * error.mean()
        loss = policy_loss + self.value_weight * value_loss - self.entropy * entropy.mean()
        return loss, {
            "loss/policy": policy_loss,
            "loss/value": value_loss,
            "policy/entropy": entropy.mean(),
            "policy/kl": (ratio - 1 - log_ratio).mean(),
            "policy/clipped": (jnp.abs(ratio - 1) > self.clip).mean(),
        }
