"""A reward from comparisons: segments are better the more reward they sum to, by the model of Bradley and Terry.

    P(right better) = (1 − ε) σ(Σ_right r̂ − Σ_left r̂) + ε/2

Each member of an ensemble fits it by cross-entropy, on minibatches of its own from the answers so far. The reward is
the members' mean, standardised over what has been compared. Where agents were seen to end their episodes it is scaled
alone: segments are summed as far as the episode went, so that answers tell what a step more is worth; a reward moved to
a mean of 0 would pay for falling wherever a step is worth less than most. One answer in `hold_out` is never learned
from: how often the members' mean agrees with those is `preferences/agreement`.

Until the first answer the reward is `before`, which asks for variety: an agent that has not moved shows nothing.

Numbers seen pass through symlog before they are standardised. Where a cart may roll away for ever, the spread of its
position is a hundred times the track that matters, and plain standardising leaves no difference there to learn from.

Two slots: `representation` is what the networks see of states and actions, and may learn from behaviour nobody has
judged before each lesson; `prior` is a soft constraint on r̂ beside the answers.

Reference: Christiano, Leike, Brown, Martic, Legg, Amodei 2017, Deep Reinforcement Learning from Human Preferences,
1706.03741 (ensemble, ε, hold-out, standardising); Lee, Smith, Abbeel 2021, PEBBLE, 2106.05091 (tanh at the end,
unsupervised start).
Deviations from the paper: weight decay is fixed, not adapted to keep the held-out loss between 1.1 and 1.5 of the
training loss; members differ by their initial weights and minibatches, not by bootstrapped sets; the network starts
again from where it was, as the paper's does, for `steps` gradient steps after each round of answers; symlog; episodes
may end by the agent's doing, which the paper's do not.

>>> from operant.core import Box, Discrete
>>> reward = BradleyTerry(hidden=(8,), members=2, segment=4, capacity=8, pool=32)
>>> spec = EnvSpec(Box((3,)), Discrete(2), 100)
>>> state = reward.init(spec, key=jax.random.key(0))
>>> pairs = reward.propose(state, 2, key=jax.random.key(1))
>>> yes = jnp.ones(2, bool)
>>> answers = Answers(pairs, jnp.arange(2), jnp.ones(2), given=yes, known=yes)
>>> state, metrics = reward.teach(state, answers, key=jax.random.key(2))
>>> int(metrics["preferences/answers"])
2
"""

import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import AbstractReward, Action, Card, EnvSpec, Metrics, Obs, RewardState, Transition
from operant.data.replay import Replay
from operant.data.segments import Answers, Comparisons, Pairs, Segments, draw, rows
from operant.errors import SpecError, check_counts
from operant.math.pick import pick
from operant.math.random import child
from operant.rewards.bonuses.state_entropy import StateEntropy
from operant.rewards.preferences import AbstractPreferences
from operant.rewards.priors import AbstractPrior
from operant.rewards.queries import AbstractQuery
from operant.rewards.queries.disagreement import Disagreement
from operant.rewards.representations import AbstractRepresentation, AbstractView, Look, squash
from operant.rewards.representations.plain import Plain

NAMES = ("preferences/answers", "preferences/loss", "preferences/agreement", "preferences/held_out")
"""What a lesson finds; agreement is 0 while no answer is held out."""


class RewardNetwork(eqx.Module):
    """r̂(s, a) ∈ [−1, 1]."""

    view: AbstractView
    body: nn.MLP

    def __call__(self, obs: Obs, action: Action, look: Look) -> Float[Array, ""]:
        return jnp.tanh(self.body(self.view(obs, action, look))[0])


class BradleyTerryState(eqx.Module):
    """What has been seen, answered and learned."""

    networks: RewardNetwork
    """Stacked: (members, …)."""
    adam: optax.OptState
    """(members, …), each of one vector."""
    rest: Any
    """(members, …): what the representation's own learning carries."""
    normaliser: nn.Normaliser
    """Of observations' symlog, over what has been compared."""
    mean: Float[Array, ""]
    """What is taken off r̂: its mean over what has been compared; 0 where an episode was seen to end there."""
    deviation: Float[Array, ""]
    """What r̂ is then divided by: its root mean square over what has been compared."""
    pool: Replay
    """Recent behaviour, to ask about."""
    comparisons: Comparisons
    before: RewardState
    """Of the reward that stands in until the first answer."""
    found: Metrics
    """Of the last lesson."""


class BradleyTerry(AbstractPreferences):
    """An ensemble's reward, learned from which of two segments was better (see the module's docstring)."""

    members: int = 3
    """Networks in the ensemble."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    activation: nn.Activation = "silu"
    """Between the layers."""
    segment: int = 50
    """Steps of each segment that is compared."""
    query: AbstractQuery = Disagreement()
    """Which pairs to ask about."""
    representation: AbstractRepresentation = Plain()
    """What the networks see of states and actions."""
    prior: AbstractPrior | None = None
    """A soft constraint on the reward, beside what the answers say; None: no such."""
    before: AbstractReward = StateEntropy()
    """The reward until the first answer: unsupervised, so that there is something to compare."""
    lr: float = 3e-3
    """Adam's step size."""
    decay: float = 1e-4
    """Weight decay (share of each weight, for each unit of step size)."""
    batch: int = 32
    """Comparisons a gradient step."""
    steps: int = 40
    """Gradient steps after each round of answers."""
    slip: float = 0.1
    """ε: share of answers taken to be given at random."""
    hold_out: int = 10
    """One answer in so many is kept to measure agreement."""
    capacity: int = 1000
    """Answers held; later ones replace the oldest."""
    pool: int = 20_000
    """Transitions of recent behaviour that pairs are drawn from."""

    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
        ("env",),
    )

    def __check_init__(self) -> None:
        check_counts(self, "members", "segment", "batch", "steps", "capacity", "pool")
        if self.hold_out < 2:
            raise SpecError(f"expected BradleyTerry.hold_out ≥ 2; got {self.hold_out}. At 1 nothing is learned from.")
        if not 0.0 <= self.slip < 1.0:
            raise SpecError(f"expected BradleyTerry.slip in [0, 1); got {self.slip:g}. Use 0.1, the published value.")

    # --- as a reward ---

    @property
    def reads_env_reward(self) -> bool:
        return self.before.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> BradleyTerryState:
        if self.pool < 2 * self.segment * spec.num_envs:
            raise SpecError(
                f"expected BradleyTerry.pool ≥ 2 × segment × environments = {2 * self.segment * spec.num_envs}; got "
                f"{self.pool}. Raise pool, or compare shorter segments."
            )
        rng = nn.generator(key)
        each = [self._network(rng, spec) for _ in range(self.members)]
        networks, rest = jax.tree.map(lambda *x: jax.device_put(np.stack([np.asarray(y) for y in x])), *each)
        adam = nn.zeros_init(self._optimiser(), nn.flat_size(self._moved(each[0][0])))
        number = lambda x: jax.device_put(np.asarray(x, np.float32))
        return BradleyTerryState(
            networks,
            jax.tree.map(lambda x: np.stack([x] * self.members), adam),
            rest,
            nn.Normaliser.init(spec.obs),
            number(0.0),
            number(1.0),
            Replay.init(spec, self.pool),
            Comparisons.init(spec, self.capacity, self.segment),
            self.before.init(spec, key=child(key, 1)),
            {name: number(0.0) for name in (*NAMES, *self._learned(each[0], spec))},
        )

    def __call__(self, state: BradleyTerryState, batch: Transition) -> Float[Array, "*B"]:
        def learned(_: Any) -> Array:
            value = self._members(state.networks, state.normaliser, batch).mean(0)
            return (value - state.mean) / state.deviation

        # "Cannot tell" teaches nothing: networks that saw such answers alone are as they were drawn.
        return jax.lax.cond(state.comparisons.known.any(), learned, lambda _: self.before(state.before, batch), ())

    def update(
        self, state: BradleyTerryState, batch: Transition, *, key: PRNGKeyArray
    ) -> tuple[BradleyTerryState, Metrics]:
        """Remember what the agent did. Logs what the last lesson found."""
        before, metrics = self.before.update(state.before, batch, key=key)
        new = eqx.tree_at(lambda s: (s.pool, s.before), state, (state.pool.insert(batch), before))
        return new, metrics | state.found

    # --- as a pupil ---

    def propose(self, state: BradleyTerryState, n: int, *, key: PRNGKeyArray) -> Pairs:
        draw_key, choose_key = jax.random.split(key)
        m = n * self.query.candidates
        both = draw(state.pool, draw_key, 2 * m, self.segment)
        pairs = Pairs(rows(both, slice(None, m)), rows(both, slice(m, None)))
        return rows(pairs, self.choose(state, pairs, n, key=choose_key))

    def choose(self, state: BradleyTerryState, pairs: Pairs, n: int, *, key: PRNGKeyArray) -> Int[Array, " n"]:
        belief = jax.nn.sigmoid(self._margin(state.networks, state.normaliser, pairs))
        return self.query.choose(belief, self._features(state, pairs), n, key=key)

    def teach(
        self,
        state: BradleyTerryState,
        answers: Answers,
        *,
        key: PRNGKeyArray,
    ) -> tuple[BradleyTerryState, Metrics]:
        comparisons = state.comparisons.insert(answers)
        normaliser = state.normaliser
        for side in (answers.pairs.left, answers.pairs.right):
            normaliser = normaliser.update(
                squash(side.steps.obs), (side.mask & answers.given[:, None]).astype(jnp.float32)
            )
        place = jnp.arange(self.capacity)
        held = place % self.hold_out == self.hold_out - 1
        train, test = comparisons.known & ~held, comparisons.known & held
        own_key, fit_key = jax.random.split(key)
        networks, rest, learned = self._look_around(state, normaliser, comparisons, own_key)
        networks, adam, loss = self._fit(networks, state.adam, normaliser, comparisons, train, fit_key)
        sides = (comparisons.pairs.left, comparisons.pairs.right)
        value = jnp.stack([self._members(networks, normaliser, s.steps).mean(0) for s in sides])
        own = jnp.stack([s.mask for s in sides])
        totals = jnp.where(own, value, 0.0).sum(-1)
        margin = totals[1] - totals[0]
        decided = test & (comparisons.target != 0.5)
        right = ((margin > 0) == (comparisons.target > 0.5)) & decided
        seen = own & comparisons.known[None, :, None]
        ends = seen & jnp.stack([s.steps.terminated for s in sides])
        mean, deviation = _spread(value, seen, ends.any())
        held_out = decided.sum()
        found = (comparisons.count, loss, _share(right.sum(), held_out), held_out)
        metrics = dict(zip(NAMES, found, strict=True))
        metrics = {name: jnp.asarray(x, jnp.float32) for name, x in (metrics | learned).items()}
        new = BradleyTerryState(
            networks, adam, rest, normaliser, mean, deviation, state.pool, comparisons, state.before, metrics
        )
        return new, metrics

    # --- pieces ---

    def _network(self, rng: np.random.Generator, spec: EnvSpec) -> tuple[RewardNetwork, Any]:
        view, rest = self.representation.init(rng, spec)
        return RewardNetwork(view, nn.mlp(rng, (view.size, *self.hidden, 1), activation=self.activation)), rest

    def _moved(self, network: RewardNetwork) -> Any:
        """The part of a network that comparisons train."""
        return network.body if self.representation.frozen else network

    def _learned(self, each: tuple[RewardNetwork, Any], spec: EnvSpec) -> tuple[str, ...]:
        """What the representation's learning says of itself."""
        network, rest = each
        room = Replay.init(spec, 1).data
        zeros = lambda key, n: jax.tree.map(lambda x: jnp.zeros((n, *x.shape[2:]), x.dtype), room)
        learn = lambda key: self.representation.learn(network.view, rest, zeros, lambda obs: obs, key=key)[2]
        return tuple(jax.eval_shape(learn, jax.random.key(0)))

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(self.decay))

    def _members(self, networks: RewardNetwork, normaliser: nn.Normaliser, batch: Transition) -> Float[Array, "..."]:
        """r̂ (members, *B) of each member, for transitions of any leading axes *B."""
        one = lambda net: self._values(net, normaliser, squash(batch.obs), batch.action, batch.terminated.shape)
        return jax.vmap(one)(networks)

    def _values(
        self, network: RewardNetwork, look: Look, obs: Obs, action: Action, shape: tuple[int, ...]
    ) -> Float[Array, "*B"]:
        """r̂ of one network, of observations that are squashed already."""
        flat = nn.merge_axes((obs, action), len(shape))
        return jax.vmap(lambda o, a: network(o, a, look))(*flat).reshape(shape)

    def _margin(self, networks: RewardNetwork, normaliser: nn.Normaliser, pairs: Pairs) -> Float[Array, "members n"]:
        """Σ_right r̂ − Σ_left r̂ of each member."""
        total = lambda s: jnp.where(s.mask[None], self._members(networks, normaliser, s.steps), 0.0).sum(-1)
        return total(pairs.right) - total(pairs.left)

    def _fit(
        self, networks: RewardNetwork, adam: Any, normaliser: nn.Normaliser, comparisons: Comparisons,
        train: Bool[Array, " C"], key: PRNGKeyArray,
    ) -> tuple[RewardNetwork, Any, Float[Array, ""]]:  # fmt: skip
        """`steps` gradient steps of every member, each on minibatches of its own; none where nothing was answered."""
        shape = (self.steps, self.members, self.batch)
        index = pick(key, train, math.prod(shape)).reshape(shape)
        flat, unflatten = _flatten_members(self._moved(networks))
        optimiser = self._optimiser()
        seen = None if self.prior is None else self.prior.look_back(comparisons, train)

        both = (comparisons.pairs.left, comparisons.pairs.right)
        squashed = [squash(side.steps.obs) for side in both]  # once, not for every minibatch

        def one_loss(network: RewardNetwork, i: Array) -> Array:
            pairs, t = rows(comparisons.pairs, i), comparisons.target[i]
            left, right = (
                self._values(network, normaliser, rows(obs, i), side.steps.action, side.mask.shape)
                for obs, side in zip(squashed, (pairs.left, pairs.right), strict=True)
            )
            margin = pairs.right.sum(right) - pairs.left.sum(left)
            loss = -(t * self._log_chance(margin) + (1 - t) * self._log_chance(-margin)).mean()
            if self.prior is None:
                return loss
            sides = ((left, pairs.left), (right, pairs.right))
            return loss + 0.5 * sum(self.prior.loss(seen, value, side) for value, side in sides)

        def step(carry: Any, index: Array) -> tuple[Any, Array]:
            flat, adam = carry

            def loss(vector: Array, network: RewardNetwork, i: Array) -> Array:
                return one_loss(self._with(network, unflatten(vector)), i)

            value, gradient = jax.vmap(jax.value_and_grad(loss))(flat, networks, index)
            direction, adam = jax.vmap(optimiser.update)(gradient, adam, flat)
            return (flat - self.lr * direction, adam), value.mean()

        def learn(carry: Any) -> tuple[Any, Array]:
            carry, losses = jax.lax.scan(step, carry, index)
            return carry, losses[-(self.steps // 4 + 1) :].mean()

        (flat, adam), loss = jax.lax.cond(train.any(), learn, lambda c: (c, jnp.zeros(())), (flat, adam))
        return self._with(networks, jax.vmap(unflatten)(flat)), adam, loss

    def _with(self, network: RewardNetwork, moved: Any) -> RewardNetwork:
        return eqx.tree_at(lambda n: n.body, network, moved) if self.representation.frozen else moved

    def _log_chance(self, margin: Float[Array, " n"]) -> Float[Array, " n"]:
        """log((1 − ε) σ(margin) + ε/2), finite however large the margin."""
        clear = jnp.log1p(-jnp.float32(self.slip)) + jax.nn.log_sigmoid(margin)
        return jnp.logaddexp(clear, jnp.log(0.5 * jnp.float32(self.slip))) if self.slip > 0.0 else clear

    def _look_around(
        self, state: BradleyTerryState, normaliser: nn.Normaliser, comparisons: Comparisons, key: PRNGKeyArray
    ) -> tuple[RewardNetwork, Any, Metrics]:
        """The networks once their views have learned from recent behaviour; from what was compared, where none is."""
        given = jnp.repeat(comparisons.id >= 0, self.segment)

        def draw(key: PRNGKeyArray, n: int) -> Transition:
            pool_key, left_key, right_key = jax.random.split(key, 3)
            pairs = comparisons.pairs
            some = lambda s, k, n: rows(nn.merge_axes(s.steps, 2), pick(k, s.mask.reshape(-1) & given, n))
            held = some(pairs.left, left_key, n // 2), some(pairs.right, right_key, n - n // 2)
            choose = lambda new, a, b: jnp.where(state.pool.filled > 0, new, jnp.concatenate([a, b]))
            steps = jax.tree.map(choose, state.pool.sample(pool_key, n), *held)
            seen = (squash(steps.obs), squash(steps.next_obs))
            return eqx.tree_at(lambda t: (t.obs, t.next_obs), steps, seen)

        def learn(view: AbstractView, rest: Any, key: PRNGKeyArray) -> tuple[AbstractView, Any, Metrics]:
            return self.representation.learn(view, rest, draw, normaliser, key=key)

        keys = jax.random.split(key, self.members)
        view, rest, metrics = jax.vmap(learn)(state.networks.view, state.rest, keys)
        networks = eqx.tree_at(lambda n: n.view, state.networks, view)
        return networks, rest, {name: x.mean() for name, x in metrics.items()}

    def _features(self, state: BradleyTerryState, pairs: Pairs) -> Float[Array, "n d"]:
        """Where a pair lies: the mean standardised features of its segments, side by side."""
        first = jax.tree.map(lambda x: x[0], state.networks)

        def one(s: Segments) -> Array:
            each = lambda o, a: first.view(o, a, state.normaliser)
            values = jax.vmap(jax.vmap(each))(squash(s.steps.obs), s.steps.action)
            weight = s.mask[..., None] / jnp.maximum(s.mask.sum(-1), 1)[:, None, None]
            return (values * weight).sum(1)

        return jnp.concatenate([one(pairs.left), one(pairs.right)], axis=1)


def _spread(
    value: Float[Array, "2 C L"], known: Bool[Array, "2 C L"], ends: Bool[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean of r̂ over everything compared (0 if `ends`), and its root mean square about it; 0 and 1 before."""
    weight = known.astype(jnp.float32)
    total = weight.sum()
    mean = jnp.where(ends, 0.0, _share((weight * value).sum(), total))
    square = _share((weight * jnp.square(value - mean)).sum(), total)
    return mean, jnp.where(total > 0, jnp.sqrt(square + 1e-6), 1.0)


def _share(part: Array, whole: Array) -> Float[Array, ""]:
    return jnp.where(whole > 0, part / jnp.maximum(whole, 1), 0.0)


def _flatten_members(networks: Any) -> tuple[Float[Array, "members p"], Any]:
    """Each member as one vector, and the way back for one."""
    _, unflatten = nn.flatten(jax.tree.map(lambda x: x[0], networks))
    return jax.vmap(lambda net: nn.flatten(net)[0])(networks), unflatten
