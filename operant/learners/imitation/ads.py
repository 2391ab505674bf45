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
1. Progress is judged by the N episodes of each rollout, exploration and all, once an update (there: by greedy
   episodes, every so often): it grows later the more is explored, and no episode is run for it alone.
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

from operant.core import AbstractLearner, AbstractPolicy, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.data import demos
from operant.errors import SpecError, nearest
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
    metric: Metric = eqx.field(static=True, default="euclidean")
    """What is near: "euclidean" or "cosine"."""

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
            return ADSState(inner, None, None, jax.device_put(np.int32(self.rollout)))
        found = demos.read(str(self.source), spec)
        check_spaces(found.spec, spec, str(self.source))
        shown = Shown.of(found, spec, "ADS")
        first = max(1, int(self.start * self.rollout))
        return ADSState(inner, shown, _reference(shown, self.metric), jax.device_put(np.int32(first)))

    def policy(self, state: ADSState) -> AbstractPolicy:
        return self.learner.policy(state.learner)

    def update(
        self, state: ADSState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[ADSState, Metrics]:
        batch = eqx.tree_at(lambda b: b.reward, batch, reward(batch))
        learner, progress, metrics = self.learner, state.progress, {}
        if state.shown is not None:
            progress, metrics = self._advance(state, batch)
            metrics["ads/discount"] = self.alpha ** (1.0 / progress)
            learner = eqx.tree_at(lambda it: it.discount, learner, metrics["ads/discount"])
        inner, found = learner.update(state.learner, batch, lambda b: b.reward, key=key)
        return ADSState(inner, state.shown, state.reference, progress), found | metrics

    def _advance(self, state: ADSState, batch: Transition) -> tuple[Int[Array, ""], Metrics]:
        """How far the demonstrations are followed now, by episodes (T, N)."""
        shown: Any = state.shown
        reference: Any = state.reference
        shown.check(batch, "ADS")
        costs = shown.costs(batch, self.metric).reshape(-1, self.rollout, self.rollout)

        def step(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            k, _ = carry
            match = jnp.percentile(jax.vmap(lambda c: in_order(c, k))(costs), 90.0)
            better = (match >= jnp.floor(self.threshold * reference[k - 1])) & (k < self.rollout)
            return k + better, match

        k, match = jax.lax.fori_loop(0, self.most, step, (state.progress, jnp.zeros(())))
        share = match / jnp.maximum(reference[k - 1], 1.0)
        return k, {"ads/progress": k / self.rollout, "ads/matched": share}


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
