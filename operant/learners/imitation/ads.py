"""Automatic Discount Scheduling: look ahead no further than the demonstrations' early part has been mastered.

    γ = α^(1/k),   k: steps of the demonstrations that the agent can follow, from `start`·T up to T
    q_t = argmin_{j ≤ k} c_tj,   t ≤ k            each of its own first k steps' nearest step of a demonstration
    k ← k + 1  while  Q_90[LIS(q)] ≥ ⌊θ · Q_50[LIS of one demonstration beside another]⌋, at most `most` times an update

LIS is the length of the longest increasing subsequence: how many steps are met in the demonstration's order. Where
later steps can only be done well after earlier ones were (what is delivered was fetched), reward for the later steps
teaches shortcuts past the earlier ones; with a small γ it is not yet heard.

The learner inside keeps everything of its own but the discount. Each rollout is one whole episode a column; the reward
is asked once for it, written down, and replayed: so a reward that needs whole episodes, `OptimalTransport`, serves
learners that draw from replay. Without `scheduled` it does only that.

Reference: Liu, Dong, Hu, Wen, Yin, Zhang, Gao 2024, Imitation Learning from Observation with Automatic Discount
Scheduling, 2310.07433; numbers: the authors' code, github.com/dwjshift/IL_ADS.
Deviations from the paper:
1. Progress is judged once an update, by those of its N episodes that were acted greedily: a share `greedy` of all,
   drawn at their start (there: by ten greedy episodes every 5,000 steps, run for it alone). They are learned from, too.
2. A single demonstration is compared with itself: the reference is then as many steps as it has different ones.
3. Observations are standardised by the demonstrations' moments before they are compared (there: image features).

>>> from operant.learners.sac import SAC
>>> ADS(SAC(rollout=50), scheduled=False).rollout
50
"""

from typing import TYPE_CHECKING, Any, ClassVar, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant.core import (
    AbstractLearner,
    AbstractPolicy,
    Action,
    Card,
    Carry,
    EnvSpec,
    Metrics,
    Obs,
    RewardFn,
    Transition,
)
from operant.data import demos
from operant.errors import SpecError, nearest
from operant.learners.ppo import PPO
from operant.math.sinkhorn import Metric, distances
from operant.rewards.imitation._shown import Shown
from operant.rewards.imitation.demonstrations import check_spaces


class ADSState(eqx.Module):
    """What the learner inside carries, and how far the demonstrations are followed."""

    learner: Any
    shown: Shown | None
    """None where nothing is scheduled."""
    reference: Float[Array, " T"] | None
    """Q_50[LIS of one demonstration's first k steps beside another's], k = 1 … T."""
    progress: Int[Array, ""]
    """k."""
    matched: Float[Array, ""]
    """Share of the reference that was met when last judged."""


class Watched(AbstractPolicy):
    """A policy that explores in most episodes and is itself, greedy, in some: those by which it is judged.

    Which is decided by a coin at an episode's start; `extras["greedy"]` says how it fell. Greedy it is the policy.
    """

    spec: EnvSpec = eqx.field(static=True)
    policy: AbstractPolicy
    share: float = eqx.field(static=True)
    """Of the episodes that are greedy."""

    @property
    def remembers(self) -> bool:
        return self.policy.remembers

    def init_carry(self) -> Carry:
        """What the policy remembers; whether the coin has fallen, and how."""
        return self.policy.init_carry(), jnp.zeros((), bool), jnp.zeros((), bool)

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        own, fallen, greedy = carry
        still, extras, kept = self.policy(obs, own, key=None)
        if key is None:
            return still, extras, (kept, fallen, greedy)
        key, coin = jax.random.split(key)
        greedy = jnp.where(fallen, greedy, jax.random.bernoulli(coin, self.share))
        tried, extras, moved = self.policy(obs, own, key=key)
        choose = lambda a, b: jax.tree.map(lambda x, y: jnp.where(greedy, x, y), a, b)
        return choose(still, tried), extras | {"greedy": greedy}, (choose(kept, moved), jnp.ones((), bool), greedy)


class ADS(AbstractLearner):
    """A learner whose discount follows its progress (see the module's docstring)."""

    learner: AbstractLearner
    """Who learns: any learner with a field `discount` and `rollout` = the environment's max_steps."""
    source: str | None = eqx.field(static=True, default=None)
    """Where the demonstrations are: a Minari folder, minari:NAME, a .npz file, or a file `Dataset.save` wrote."""
    scheduled: bool = eqx.field(static=True, default=True)
    """Whether the discount is scheduled; else it is the learner's own."""
    alpha: float = 0.2
    """α in (0, 1): weight of a reward k steps ahead."""
    threshold: float = 0.9
    """θ: share of the reference that has to be matched."""
    start: float = eqx.field(static=True, default=0.2)
    """Share of the episode that counts as mastered at the beginning."""
    most: int = eqx.field(static=True, default=5)
    """How far k may grow an update (steps)."""
    greedy: float = eqx.field(static=True, default=0.5)
    """Share of the episodes that are acted greedily; progress is judged by those alone. 0: by all, exploring."""
    metric: Metric = eqx.field(static=True, default="euclidean")
    """What is near: "euclidean" (or "squared", which is the same here) or "cosine"."""
    compared: tuple[str, ...] = eqx.field(static=True, default=(), converter=tuple)
    """Names of the elements of an observation that progress is judged by; none: all (see `OptimalTransport`)."""

    card: ClassVar[Card] = Card(
        "Liu et al. 2024, Imitation Learning from Observation with Automatic Discount Scheduling",
        "2310.07433",
        "imitation",
        ("env",),
    )

    if TYPE_CHECKING:  # no argument of the constructor
        rollout: ClassVar[int]
    else:

        @property
        def rollout(self) -> int:
            return self.learner.rollout

    def __check_init__(self) -> None:
        if not hasattr(self.learner, "discount"):
            raise SpecError(
                f"expected ADS.learner to have a field `discount`; {type(self.learner).__name__} has none. Use SAC, "
                "DQN, TD3 or PPO."
            )
        if self.scheduled and self.source is None:
            raise SpecError(
                "expected ADS.source, where the demonstrations are, for progress is judged by them; got none. Give the "
                "reward's, or scheduled=False."
            )
        if self.metric not in get_args(Metric):
            raise SpecError(
                f"expected a metric of ADS; got {self.metric!r}: {nearest(str(self.metric), get_args(Metric))}"
            )
        for name in ("alpha", "start"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0.0 < value < 1.0:
                raise SpecError(f"expected 0 < ADS.{name} < 1; got {value:g}. Use 0.2, the published one.")
        if not 0.0 <= self.greedy <= 1.0:
            raise SpecError(f"expected 0 ≤ ADS.greedy ≤ 1; got {self.greedy:g}. Use 0.5, every other episode.")
        if self.scheduled and self.greedy and isinstance(self.learner, PPO):
            raise SpecError(
                f"expected ADS.greedy = 0 with PPO; got {self.greedy:g}, and PPO learns from what it explored alone. "
                "Use greedy=0, which judges progress by exploring episodes."
            )
        if self.most < 1:
            raise SpecError(f"expected ADS.most ≥ 1 step an update; got {self.most}. Use 5, the published one.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> ADSState:
        if spec.max_steps != self.rollout:
            raise SpecError(
                f"expected ADS.learner.rollout = max_steps = {spec.max_steps}, for a rollout is one whole episode; got "
                f"{self.rollout}. Set it, and use an environment of fixed horizon."
            )
        inner = self.learner.init(spec, key=key)
        if not self.scheduled:
            return ADSState(inner, None, None, jax.device_put(np.int32(self.rollout)), jax.device_put(np.float32(0)))
        found = demos.read(str(self.source), spec)
        check_spaces(found.spec, spec, str(self.source))
        shown = Shown.of(found, spec, "ADS", compared=self.compared)
        first = max(1, int(self.start * self.rollout))
        k, matched = jax.device_put((np.int32(first), np.float32(0)))
        return ADSState(inner, shown, _reference(shown, self.metric), k, matched)

    def policy(self, state: ADSState) -> AbstractPolicy:
        policy = self.learner.policy(state.learner)
        return Watched(policy.spec, policy, self.greedy) if self.scheduled and self.greedy else policy

    def update(
        self, state: ADSState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[ADSState, Metrics]:
        batch = eqx.tree_at(lambda b: b.reward, batch, reward(batch))
        learner, progress, matched, metrics = self.learner, state.progress, state.matched, {}
        if state.shown is not None:
            progress, matched = self._advance(state, batch)
            metrics = {"ads/progress": progress / self.rollout, "ads/matched": matched}
            metrics["ads/discount"] = self.alpha ** (1.0 / progress)
            learner = eqx.tree_at(lambda it: it.discount, learner, metrics["ads/discount"])
        inner, found = learner.update(state.learner, batch, lambda b: b.reward, key=key)
        return ADSState(inner, state.shown, state.reference, progress, matched), found | metrics

    def _advance(self, state: ADSState, batch: Transition) -> tuple[Int[Array, ""], Float[Array, ""]]:
        """How far the demonstrations are followed now, by episodes (T, N), and the share of the reference met there."""
        shown: Any = state.shown
        reference: Any = state.reference
        shown.check(batch, "ADS")
        costs = shown.costs(batch, self.metric)  # (N, K, T, T)
        judged = batch.extras["greedy"][0] if self.greedy else jnp.ones(len(costs), bool)

        def step(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            k, _ = carry
            met = jax.vmap(jax.vmap(lambda c: in_order(c, k)))(costs)
            match = jnp.nanpercentile(
                jnp.where(judged[:, None], met, jnp.nan), 90.0
            )  # NaN, and so no step, without any
            better = (match >= jnp.floor(self.threshold * reference[k - 1])) & (k < self.rollout)
            return k + better, match

        k, match = jax.lax.fori_loop(0, self.most, step, (state.progress, jnp.zeros(())))
        return k, jnp.where(judged.any(), match / jnp.maximum(reference[k - 1], 1.0), state.matched)


def in_order(cost: Float[Array, "T T"], k: int | Int[Array, ""]) -> Float[Array, ""]:
    """How many of the first k steps (rows) have their nearest of the other's first k (columns) in its order.

    >>> float(in_order(jnp.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), 3))
    2.0
    """
    index = jnp.arange(cost.shape[0])
    nearest_step = jnp.where((index < k)[None], cost, jnp.inf).argmin(1)
    return longest_increasing(nearest_step, k)


def longest_increasing(a: Int[Array, " T"], n: int | Int[Array, ""]) -> Float[Array, ""]:
    """Length of the longest strictly increasing subsequence of the first n numbers.

    >>> float(longest_increasing(jnp.array([3, 1, 2, 2, 5, 0]), 6))
    3.0
    """
    index = jnp.arange(a.shape[0])

    def step(best: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
        i, value = now
        own = 1.0 + jnp.where((a < value) & (index < i), best, 0.0).max()
        return jnp.where(index == i, jnp.where(i < n, own, 0.0), best), None

    return jax.lax.scan(step, jnp.zeros(a.shape[0]), (index, a))[0].max()


def _reference(shown: Shown, metric: Metric) -> Float[Array, " T"]:
    """What demonstrations score beside each other, for k = 1 … T."""
    count, T = shown.obs.shape[:2]
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j or count == 1]
    rows, columns = (shown.obs[jnp.array(part)] for part in zip(*pairs, strict=True))

    def one(pair: tuple[Array, Array]) -> Float[Array, " T"]:
        cost = distances(*pair, metric)
        return jax.vmap(lambda k: in_order(cost, k))(jnp.arange(1, T + 1))

    return jnp.median(jax.lax.map(one, (rows, columns)), axis=0)
