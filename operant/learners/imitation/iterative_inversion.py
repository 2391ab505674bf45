"""Iterative inversion: learn which actions lead where from what they led to, tried out ever nearer to what is desired.

    z(τ) = the watched numbers of τ at `knots` even times               an intent: what a trajectory looked like
    act:    a ~ N(π(s, z, t), σ²),   z one of the desired intents with probability `steer`, else one achieved before
    learn:  π ← −E[log π(a | s, z(τ), t)]                               over what was done, with what came of it as z

No reward, and no action of the demonstrator: π is the inverse of "actions ↦ trajectory" learned on the trajectories it
has produced itself, then asked for the desired ones, which yields new pairs nearer to them. `invert` is the same idea
for a function. Where the episode's length is fixed: a rollout is one whole episode in each environment.

Reference: Leibovich, Jacob, Avner, Novik, Tamar 2023, Learning Control by Iterative Inversion, 2211.01724.
Deviations from the paper: its full text was not at hand, only abstract and introduction.
1. Intents are knots of the trajectory itself, linear between them; the paper has a VQ-VAE's codes of a video, too.
2. π is an MLP of (s, z, t); the paper's is a transformer over the past. Discrete actions are drawn, not perturbed.
3. How often desired intents are commanded, σ and the memory of episodes are ours.

>>> forward = lambda x: 2.0 * x + 0.5 * jnp.sin(x)  # nobody knows its inverse
>>> wanted = jnp.array([[3.0], [4.0]])
>>> inputs = invert(forward, wanted, jnp.array([[0.0], [0.5]]), steps=8)
>>> bool(jnp.abs(forward(inputs) - wanted).max() < 1e-3)
True
"""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, AbstractPolicy, Card, Carry, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.data import demos
from operant.data.dataset import Dataset
from operant.errors import SpecError, check_counts
from operant.learners._density import Network, density, to_choice
from operant.learners.ppo import to_action
from operant.math import random
from operant.math.schedules import AbstractSchedule
from operant.rewards.imitation.demonstrations import check_spaces


class Intents(eqx.Module):
    """What is desired, and in which units intents are."""

    desired: Float[Array, "M z"]
    starts: Float[Array, "M e"]
    """What was seen first of each, encoded."""
    mean: Float[Array, " w"]
    scale: Float[Array, " w"]
    """Of the watched numbers, over the desired trajectories."""


class Memory(eqx.Module):
    """The last C episodes: what was seen, what was done, what came of it."""

    obs: Obs
    """(C, T)"""
    action: Array
    """(C, T), in units of the box"""
    intent: Float[Array, "C z"]
    count: Int[Array, ""]
    """Episodes so far."""


class InversionState(eqx.Module):
    """Everything iterative inversion carries from one rollout to the next."""

    network: Network
    adam: optax.OptState
    normaliser: nn.Normaliser
    intents: Intents
    memory: Memory
    steps: Int[Array, ""]
    """Rollouts so far."""


class InversionPolicy(AbstractPolicy):
    """Draw an intent where an episode begins, then act on it; without a key, that of the demonstration which began
    nearest to what is seen."""

    spec: EnvSpec = eqx.field(static=True)
    network: Network
    normaliser: nn.Normaliser
    intents: Intents
    achieved: Float[Array, "C z"]
    count: Int[Array, ""]
    steer: Any
    horizon: int = eqx.field(static=True)

    def only(self, i: int) -> "InversionPolicy":
        """This, with the i-th demonstration as the only desired one, and no other intent."""
        intents = eqx.tree_at(
            lambda x: (x.desired, x.starts),
            self.intents,
            (self.intents.desired[i : i + 1], self.intents.starts[i : i + 1]),
        )
        return InversionPolicy(
            self.spec, self.network, self.normaliser, intents, self.achieved, self.count, 1.0, self.horizon
        )

    def init_carry(self) -> Carry:
        return jnp.zeros(self.intents.desired.shape[1]), jnp.zeros((), jnp.int32)

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        z, t = carry
        z = jnp.where(t == 0, self._draw(obs, key), z)
        dist = self.network.distribution(self.normaliser(obs), obs, context(z, t, self.horizon))
        choice = dist.mode() if key is None else dist.sample(jax.random.fold_in(key, 1))
        extras = {"log_prob": dist.log_prob(choice), "intent": z}
        return to_action(self.spec.action, choice), extras, (z, t + 1)

    def _draw(self, obs: Obs, key: PRNGKeyArray | None) -> Float[Array, " z"]:
        if key is None:
            gap = self.intents.starts - self.network.encoder(obs)[None]
            return self.intents.desired[jnp.square(gap).sum(1).argmin()]
        coin, which, other = jax.random.split(jax.random.fold_in(key, 0), 3)
        wanted = self.intents.desired[random.integers(which, (), self.intents.desired.shape[0])]
        known = jnp.minimum(self.count, self.achieved.shape[0])
        before = self.achieved[random.integers(other, (), known)]
        return jnp.where((jax.random.uniform(coin) < self.steer) | (known == 0), wanted, before)


class IterativeInversion(AbstractLearner):
    """Iterative inversion (see the module's docstring). It never asks for a reward."""

    source: str = eqx.field(static=True)
    """Where the desired trajectories are, as `operant.data.demos.read` takes it; their actions are not looked at."""
    rollout: int = 100
    """Steps of every episode: the environment's max_steps."""
    watched: tuple[int, ...] | None = eqx.field(static=True, default=None)
    """Which numbers of an encoded observation a trajectory is judged by; None: all."""
    knots: int = 8
    """Times at which they are taken down, evenly spread, the end among them."""
    steer: float = 0.5
    """Probability that a desired intent is commanded, rather than one achieved before."""
    noise: float = eqx.field(static=True, default=0.3)
    """σ of exploration (units of the box)."""
    memory: int = 128
    """Episodes that are learned from: the last ones."""
    gradient_steps: int = 64
    """Minibatches a rollout."""
    batch: int = 256
    """Steps a minibatch."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 1e-3
    """Adam's step size, or a schedule over rollouts."""

    card: ClassVar[Card] = Card(
        "Leibovich et al. 2023, Learning Control by Iterative Inversion", "2211.01724", "imitation", ("env",)
    )

    def __check_init__(self) -> None:
        check_counts(self, "rollout", "knots", "memory", "gradient_steps", "batch")
        if isinstance(self.steer, int | float) and not 0.0 <= self.steer <= 1.0:
            raise SpecError(
                f"expected IterativeInversion.steer in [0, 1]; got {self.steer:g}. Choose a number between."
            )
        if self.noise <= 0.0:
            raise SpecError(f"expected IterativeInversion.noise > 0; got {self.noise:g}. Without it nothing is tried.")

    @classmethod
    def keep(cls, dataset: Dataset, **fields: Any) -> "IterativeInversion":
        """With a dataset in memory as what is desired, which is kept in the user's cache folder under its hash."""
        return cls(source=str(demos.keep(dataset)), **fields)

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> InversionState:
        if spec.max_steps != self.rollout:
            raise SpecError(
                f"expected IterativeInversion.rollout = {spec.max_steps}, the environment's max_steps, so that a "
                f"rollout is one whole episode; got {self.rollout}. Set them alike, and let no episode end early."
            )
        if not spec.fixed_horizon:
            raise SpecError(
                "expected for IterativeInversion an environment of fixed horizon, for a rollout is one whole episode; "
                f"{spec.name or 'this one'} does not say fixed_horizon=True. Choose one in which nothing ends early."
            )
        if self.memory < spec.num_envs:
            raise SpecError(
                f"expected IterativeInversion.memory ≥ num_envs = {spec.num_envs}, the episodes of a rollout; got "
                f"{self.memory}. Raise it."
            )
        rng = nn.generator(key)
        encoder = nn.encoder(rng, spec.obs)
        if jax.tree.leaves(encoder):  # it would change with the policy, and with it what an intent means
            raise SpecError(
                f"expected observations of numbers for IterativeInversion; got images in {spec.obs}. Learn a view of "
                "them first, and let the environment show that."
            )
        watched = tuple(range(encoder.size)) if self.watched is None else self.watched
        if not watched or not all(0 <= i < encoder.size for i in watched):
            raise SpecError(
                f"expected IterativeInversion.watched among 0 … {encoder.size - 1}, the numbers of an observation; got "
                f"{watched}. Name some of them."
            )
        wide = self.knots * len(watched)
        network = density(rng, spec, self.hidden, self.activation, std=self.noise, context=wide + 1)
        shown = demos.read(self.source, spec)
        check_spaces(shown.spec, spec, self.source)
        intents = read_intents(shown, network.encoder, watched, self.knots)
        room = lambda zero: jax.tree.map(
            lambda x: jax.device_put(np.zeros((self.memory, self.rollout, *np.shape(x)), np.asarray(x).dtype)), zero
        )
        choice = np.asarray(to_choice(spec.action, jnp.asarray(spec.action.zero())))
        put = lambda shape, dtype="float32": jax.device_put(np.zeros(shape, dtype))
        memory = Memory(room(spec.obs.zero()), room(np.zeros_like(choice)), put((self.memory, wide)), put((), "int32"))
        return InversionState(
            network,
            nn.zeros_init(optax.scale_by_adam(), nn.flat_size(network)),
            nn.Normaliser.init(spec.obs),
            intents,
            memory,
            put((), "int32"),
        )

    def policy(self, state: InversionState) -> InversionPolicy:
        memory = state.memory
        return InversionPolicy(
            state.network.spec, state.network, state.normaliser, state.intents, memory.intent, memory.count,
            self.steer, self.rollout,
        )  # fmt: skip

    def update(
        self, state: InversionState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[InversionState, Metrics]:
        """From one whole episode (T, N) in each environment."""
        spec, lr = state.network.spec, self.lr(state.steps) if callable(self.lr) else self.lr
        seen = jax.vmap(jax.vmap(state.network.encoder))(batch.obs)
        last = jax.vmap(state.network.encoder)(jax.tree.map(lambda x: x[-1], batch.next_obs))
        track = jnp.moveaxis(jnp.concatenate([seen, last[None]]), 1, 0)  # (N, T + 1, e)
        z = jax.vmap(lambda x: standard(state.intents, self._watch(x)))(track)
        commanded = batch.extras["intent"][0]
        choice = jax.vmap(jax.vmap(lambda a: to_choice(spec.action, a)))(batch.action)
        memory = remember(state.memory, batch.obs, choice, z)
        normaliser = state.normaliser.update(batch.obs)

        def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, Metrics]:
            rows, times = jax.random.split(key)
            row = random.integers(rows, (self.batch,), jnp.minimum(memory.count, self.memory))
            t = random.integers(times, (self.batch,), self.rollout)
            raw, done = jax.tree.map(lambda x: x[row, t], (memory.obs, memory.action))
            known = jax.vmap(lambda z, t: context(z, t, self.rollout))(memory.intent[row], t)

            def loss(net: Network) -> tuple[Array, Metrics]:
                dist = jax.vmap(net.distribution)(jax.vmap(normaliser)(raw), raw, known)
                loss = -dist.log_prob(done).mean()
                return loss, {"loss/policy": loss}

            network, adam, found = nn.descend(carry[0], carry[1], loss, lr)
            return (network, adam), found

        keys = jax.random.split(key, self.gradient_steps)
        (network, adam), found = jax.lax.scan(step, (state.network, state.adam), keys)
        metrics = jax.tree.map(jnp.mean, found) | {"inversion/miss": jnp.sqrt(jnp.square(z - commanded).mean())}
        return InversionState(network, adam, normaliser, state.intents, memory, state.steps + 1), metrics

    def _watch(self, track: Float[Array, "T1 e"]) -> Float[Array, "K w"]:
        watched = range(track.shape[1]) if self.watched is None else self.watched
        return knotted(track, self.knots)[:, jnp.asarray(tuple(watched))]


def knotted(track: Any, knots: int) -> Any:
    """What is seen at `knots` even times of a trajectory (T + 1, e), without the first and with the last: (K, e)."""
    last = track.shape[0] - 1
    return track[np.round(np.arange(1, knots + 1) * (last / knots)).astype(int)]


def standard(intents: Intents, watched: Float[Array, "K w"]) -> Float[Array, " z"]:
    """An intent in units of the desired trajectories' spread."""
    return ((watched - intents.mean[None]) / intents.scale[None]).reshape(-1)


def context(z: Float[Array, " z"], t: Int[Array, ""], horizon: int) -> Float[Array, " c"]:
    """What the policy sees beside the observation: the intent, and the time from −1 to 1."""
    return jnp.append(z, 2.0 * t / horizon - 1.0)


def remember(memory: Memory, obs: Obs, choice: Array, intent: Float[Array, "N z"]) -> Memory:
    """The memory with N more episodes, (T, N) of each, over the oldest."""
    n, size = intent.shape[0], memory.intent.shape[0]
    place = (memory.count + jnp.arange(n)) % size
    write = lambda ring, new: ring.at[place].set(jnp.moveaxis(new, 1, 0).astype(ring.dtype))
    seen, done = jax.tree.map(write, (memory.obs, memory.action), (obs, choice))
    return Memory(seen, done, memory.intent.at[place].set(intent), memory.count + n)


def read_intents(data: Dataset, encoder: nn.Encoder, watched: tuple[int, ...], knots: int) -> Intents:
    """The desired intents: one of each episode of a dataset, whatever its length."""
    see = lambda obs: np.asarray(jax.vmap(encoder)(obs), np.float32)
    seen, after, episode = see(data.data.obs), see(data.data.next_obs), np.asarray(data.episode)
    tracks = [np.concatenate([seen[rows], after[rows[-1:]]]) for rows in map(_rows(episode), range(data.episodes))]
    taken = np.stack([knotted(x, knots)[:, watched] for x in tracks])
    mean, scale = taken.mean((0, 1)), np.maximum(taken.std((0, 1)), 1e-3)
    desired = ((taken - mean) / scale).reshape(len(tracks), -1)
    return Intents(*map(jax.device_put, (desired, np.stack([x[0] for x in tracks]), mean, scale)))


def _rows(episode: np.ndarray) -> Callable[[int], np.ndarray]:
    return lambda i: np.flatnonzero(episode == i)


def invert(
    forward: Callable[[Array], Array], desired: Float[Array, "n m"], inputs: Float[Array, "n d"], *, steps: int
) -> Float[Array, "n d"]:
    """Inputs whose outputs are the desired ones, where iterating converges: x ← G(desired), G the affine function that
    fits the pairs (forward(x), x) best.

    Args:
        forward: a function of rows (n, d), to rows (n, m).
        inputs: where to begin: rows that differ, or nothing can be fitted.
    """
    lift = lambda y: jnp.concatenate([y, jnp.ones((y.shape[0], 1))], axis=1)

    def step(x: Array, _: None) -> tuple[Array, None]:
        fitted = jnp.linalg.pinv(lift(forward(x)), rtol=1e-6) @ x
        return lift(desired) @ fitted, None

    return jax.lax.scan(step, inputs, None, length=steps)[0]
