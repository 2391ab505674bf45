"""BESO: draw an action by removing noise from noise, in three steps, as the score of what was done says.

    D(x, σ) = c_skip x + c_out F_θ(c_in x, ¼ log σ, s, g)                         the denoiser, x = a + σ ε
    c_skip = σ_d²/(σ² + σ_d²),  c_out = σ σ_d/√(σ² + σ_d²),  c_in = 1/√(σ² + σ_d²)
    θ ← Adam on E_σ,ε |F_θ − (a − c_skip x)/c_out|²/d,   log σ ~ logistic(log σ_d, ½) within [σ_min, σ_max]
    acting: x ~ N(0, σ_max²);  x ← (σ′/σ) x + (1 − σ′/σ) D(x, σ)  down σ_max … σ_min (geometric), 0      DDIM
    with guidance λ: D ← D(∅) + λ (D(g) − D(∅)),  goals being left out of a share of training

g is what the same episode led to later (`Dataset.relabelled`); act with `policy.towards(goal)`. Without a goal the same
network is a policy that does anything that was done.

Reference: Reuss, Li, Jia, Lioutikov 2023, Goal-Conditioned Imitation Learning using Score-based Diffusion Policies,
2304.02532; reference code intuitive-robots/beso (its block-pushing settings are the defaults); preconditioning: Karras,
Aittala, Aila, Laine 2022, 2206.00364; guidance: Ho and Salimans 2022, 2207.12598.
Deviations from the paper:
1. The transformer reads goal and the last h observations once an action, and an MLP denoises with what it says (there:
   the transformer reads the noised actions of the whole window, too, at every level). An MLP alone learns much slower.
2. A goal is one observation; where it is left out a learned token stands in its place (the code leaves out single
   numbers, as zeros).
3. Greedy actions start from x = 0 instead of noise.
4. Step size constant (there: decaying).

>>> from operant.core import Box
>>> learner = BESO(hidden=(8,))
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 100), key=jax.random.key(0))
>>> policy = learner.policy(state).towards(jnp.ones(3))
>>> policy(jnp.zeros(3), policy.init_carry(), key=jax.random.key(0))[0].shape
(2,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError, check_counts
from operant.learners._density import to_choice
from operant.learners.imitation._history import (
    AbstractGoalPolicy,
    History,
    as_windows,
    check_continuous,
    measured,
)
from operant.learners.imitation._transformer import SCALE, Transformer, normal, transformer
from operant.learners.ppo import to_action
from operant.math.schedules import AbstractSchedule


class Denoiser(eqx.Module):
    """F: a transformer reads observations and goal, once an action; an MLP says what of x is noise, at every level."""

    encoder: nn.Encoder
    stem: nn.Linear
    places: Float[Array, "h d"]
    """Of the observations."""
    goal: nn.Linear
    nowhere: Float[Array, " d"]
    """What stands in the place of a goal where there is none."""
    reader: Transformer
    body: nn.MLP
    spec: EnvSpec = eqx.field(static=True)

    def context(self, obs: Obs, mask: Bool[Array, " h"], goal: Obs, given: Float[Array, ""]) -> Float[Array, " c"]:
        """What does not change from one level of noise to the next."""
        sent = jnp.where(jnp.broadcast_to(given, self.nowhere.shape) > 0, self.goal(self.encoder(goal)), self.nowhere)
        seen = jax.vmap(lambda o: self.stem(self.encoder(o)))(obs) + self.places
        return self.reader(jnp.concatenate([sent[None], seen]), jnp.concatenate([jnp.ones(1, bool), mask]))[-1]

    def __call__(
        self, x: Float[Array, " d"], sigma: Float[Array, ""], context: Float[Array, " c"], sigma_data: Any
    ) -> Float[Array, " d"]:
        c_in = 1.0 / jnp.sqrt(sigma**2 + sigma_data**2)
        return self.body(jnp.concatenate([c_in * x, (0.25 * jnp.log(sigma))[None], context]))


class BESOState(eqx.Module):
    """Everything BESO carries from one update to the next."""

    network: Denoiser
    trailing: Denoiser
    """The exponential mean of what gradient steps gave: this acts."""
    normaliser: nn.Normaliser
    """Moments of the dataset's observations."""
    adam: optax.OptState
    steps: Int[Array, ""]
    """Updates so far."""


class DiffusionPolicy(AbstractGoalPolicy):
    """Draw noise, and take it away again; without a goal, as if every goal would do."""

    spec: EnvSpec = eqx.field(static=True)
    network: Denoiser
    normaliser: nn.Normaliser
    goal: Obs
    given: Float[Array, ""]
    sigmas: Float[Array, " n"]
    """Levels of noise, falling, and 0."""
    sigma_data: float | Array
    guidance: float | Array

    def in_steps(self, n: int) -> "DiffusionPolicy":
        """The same policy, from noise in `n` steps between the same levels."""
        return eqx.tree_at(lambda p: p.sigmas, self, geometric(self.sigmas[0], self.sigmas[-2], n))

    def init_carry(self) -> History:
        return History.init(self.spec, len(self.network.places))

    def __call__(self, obs: Obs, carry: History, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], History]:
        carry = carry.add(obs)
        seen, goal = jax.vmap(self.normaliser)(carry.seen), self.normaliser(self.goal)
        told = self.network.context(seen, carry.mask, goal, self.given)
        free = self.network.context(seen, carry.mask, goal, jnp.zeros(()))
        size = self.spec.action.zero().size
        x = jnp.zeros(size) if key is None else self.sigmas[0] * jax.random.normal(key, (size,))

        def clean(x: Array, sigma: Array) -> Array:
            c_skip, c_out = scalings(sigma, self.sigma_data)
            d = lambda context: c_skip * x + c_out * self.network(x, sigma, context, self.sigma_data)
            return guided(d, told, free, self.guidance)

        choice = denoised(clean, x, self.sigmas)
        return to_action(self.spec.action, choice), {}, carry


class BESO(AbstractLearner):
    """Behaviour generation with score-based diffusion (see the module's docstring). It never asks for a reward."""

    window: int = 5
    """h: observations it sees, the present one included."""
    width: int = 64
    """Size of the transformer's tokens."""
    layers: int = 2
    """Of the transformer."""
    heads: int = 4
    """Of each layer's attention."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer of the MLP that removes noise."""
    activation: nn.Activation = "gelu"
    """Between its layers."""
    denoising: int = 3
    """Steps from noise to action."""
    guidance: float = 1.0
    """λ: 0 ignores the goal, 1 heeds it as the data do, more does so more."""
    goal_dropout: float = 0.1
    """Share of training in which the goal is left out."""
    sigma_min: float = 0.05
    """Least noise that is removed (units of the box)."""
    sigma_max: float = 1.0
    """Most (units of the box)."""
    sigma_data: float = 0.5
    """σ_d: about the standard deviation of the actions (units of the box)."""
    stop: float | None = None
    """Goals lie ahead by a geometric number of steps with this probability of stopping; None: uniformly far."""
    decay: float = 0.995
    """Share of the trailing parameters that an update keeps."""
    lr: float | AbstractSchedule = 1e-3
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Actions an update."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Reuss, Li, Jia, Lioutikov 2023, Goal-Conditioned Imitation Learning using Score-based Diffusion Policies",
        "2304.02532",
        "imitation",
        ("dataset", "continuous"),
    )

    def __check_init__(self) -> None:
        check_counts(self, "window", "denoising", "batch")
        low, high = self.sigma_min, self.sigma_max
        if isinstance(low, int | float) and isinstance(high, int | float) and not 0.0 < low < high:
            raise SpecError(f"expected 0 < BESO.sigma_min < BESO.sigma_max; got {low:g} and {high:g}. Use 0.05 and 1.")
        for name in ("goal_dropout", "decay"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0.0 <= value <= 1.0:
                raise SpecError(f"expected BESO.{name} in [0, 1]; got {value:g}. Choose a number between.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> BESOState:
        rng, action = nn.generator(key), check_continuous(spec, "BESO")
        encoder = nn.encoder(rng, spec.obs)
        size, width = encoder.size, self.width
        inputs = action.size + 1 + width
        network = Denoiser(
            encoder,
            normal(rng, size, width, 1 / np.sqrt(size)),
            jax.device_put((SCALE * rng.standard_normal((self.window, width))).astype(np.float32)),
            normal(rng, size, width, 1 / np.sqrt(size)),
            jax.device_put((SCALE * rng.standard_normal(width)).astype(np.float32)),
            transformer(rng, width, self.layers, self.heads),
            nn.mlp(rng, (inputs, *self.hidden, action.size), activation=self.activation, final_scale=0.01),
            spec,
        )
        copy = jax.tree.map(lambda x: jax.device_put(np.array(x)) if eqx.is_array(x) else x, network)
        adam = nn.zeros_init(optax.scale_by_adam(), nn.flat_size(network))
        return BESOState(network, copy, nn.Normaliser.init(spec.obs), adam, jax.device_put(np.zeros((), np.int32)))

    def prepare(self, state: BESOState, dataset: Dataset, *, key: PRNGKeyArray) -> BESOState:
        """With moments of the dataset: `fit` calls it once."""
        return eqx.tree_at(lambda s: s.normaliser, state, measured(dataset))

    def draw(self, dataset: Dataset, n: int, key: PRNGKeyArray) -> Transition:
        """Windows with goals: `fit` gives them to `update`."""
        return dataset.relabelled(n, key, length=self.window, stop=self.stop)

    def policy(self, state: BESOState) -> DiffusionPolicy:
        spec = state.network.spec
        goal = jax.tree.map(jnp.asarray, spec.obs.zero())
        levels = geometric(self.sigma_max, self.sigma_min, self.denoising)
        return DiffusionPolicy(
            spec=spec, network=state.trailing, normaliser=state.normaliser, goal=goal, given=jnp.zeros(()),
            sigmas=levels, sigma_data=self.sigma_data, guidance=self.guidance,
        )  # fmt: skip

    def update(
        self, state: BESOState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[BESOState, Metrics]:
        windows = as_windows(batch, self.window)
        n, mask = len(windows.reward), windows.extras["mask"]
        seen = jax.vmap(jax.vmap(state.normaliser))(windows.obs)
        reached = jax.tree.map(lambda x: x[:, -1], windows.next_obs)
        goal = jax.vmap(state.normaliser)(windows.extras.get("goal", reached))
        choice = jax.vmap(lambda a: to_choice(state.network.spec.action, a))(windows.action[:, -1])
        u_key, noise_key, drop_key = jax.random.split(key, 3)
        sigma = log_logistic(jax.random.uniform(u_key, (n,)), self.sigma_data, self.sigma_min, self.sigma_max)
        noised = choice + sigma[:, None] * jax.random.normal(noise_key, choice.shape)
        c_skip, c_out = scalings(sigma[:, None], self.sigma_data)
        target = (choice - c_skip * noised) / c_out
        given = (jax.random.uniform(drop_key, (n,)) >= self.goal_dropout).astype(jnp.float32)

        def loss(network: Denoiser) -> tuple[Array, Metrics]:
            one = lambda o, m, g, has, x, s: network(x, s, network.context(o, m, g, has), self.sigma_data)
            gap = jax.vmap(one)(seen, mask, goal, given, noised, sigma) - target
            value = jnp.square(gap).mean()
            return value, {"loss/policy": value}

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        network, adam, metrics = nn.descend(state.network, state.adam, loss, lr)
        # the first updates are forgotten sooner than by the decay alone, as in the code
        keep = jnp.minimum(self.decay, (1.0 + state.steps) / (10.0 + state.steps))
        mean = lambda old, new: new + keep * (old - new) if eqx.is_array(old) else old
        trailing = jax.tree.map(mean, state.trailing, network)
        return BESOState(network, trailing, state.normaliser, adam, state.steps + 1), metrics


# --- noise ----------------------------------------------------------------------------------------------------------


def scalings(sigma: Array, sigma_data: Any) -> tuple[Array, Array]:
    """`(c_skip, c_out)`.

    >>> [round(float(c), 3) for c in scalings(jnp.array(0.5), 0.5)]
    [0.5, 0.354]
    """
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / jnp.sqrt(total)


def log_logistic(u: Array, centre: Any, low: Any, high: Any, scale: float = 0.5) -> Array:
    """Levels of noise from uniform numbers: log σ logistic around log `centre`, within [low, high]."""
    cdf = lambda x: jax.nn.sigmoid((jnp.log(x) - jnp.log(centre)) / scale)
    p = cdf(low) + u * (cdf(high) - cdf(low))
    return centre * jnp.exp(scale * (jnp.log(p) - jnp.log1p(-p)))


def geometric(high: Any, low: Any, n: int) -> Float[Array, " n_and_1"]:
    """`n` levels from high to low, each the same share of the one before; then 0.

    >>> [round(float(s), 3) for s in geometric(1.0, 0.25, 3)]
    [1.0, 0.5, 0.25, 0.0]
    """
    share = np.arange(n, dtype=np.float32) / max(n - 1, 1)
    return jnp.concatenate([high * (low / high) ** jnp.asarray(share), jnp.zeros(1)])


def guided(denoiser: Any, told: Array, free: Array, weight: Any) -> Array:
    """D(∅) + λ (D(g) − D(∅)) of a denoiser of contexts; where λ is the number 1 or 0, one of them alone."""
    if isinstance(weight, float) and weight in (0.0, 1.0):
        return denoiser(told if weight else free)
    without = denoiser(free)
    return without + weight * (denoiser(told) - without)


def denoised(denoiser: Any, x: Array, sigmas: Float[Array, " n"]) -> Array:
    """DDIM's steps down these levels: x ← (σ′/σ) x + (1 − σ′/σ) D(x, σ)."""

    def step(x: Array, levels: Any) -> tuple[Array, None]:
        now, then = levels
        return (then / now) * x + (1.0 - then / now) * denoiser(x, now), None

    few = min(len(sigmas) - 1, 4)  # written out, for a loop costs a CPU more than a small network does
    return jax.lax.scan(step, x, (sigmas[:-1], sigmas[1:]), unroll=few)[0]
