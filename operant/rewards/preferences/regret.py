"""A tabular reward from comparisons by regret: a segment is better the less its actions fall short of the best ones.

    P(right better) = σ(Σ_right A*(s, a) − Σ_left A*(s, a)),   A*(s, a) = Q*(s, a) − V*(s) = −regret

Q* and V* are those of the reward r̂(s, a) = w[s, a] that is being learned, in the process as it has been seen so far.
The best policy is found by value iteration; its value is then differentiated exactly, since where π is the best one

    ∂V^π/∂w with π held fixed = ∂V*/∂w        (the envelope theorem; V^π solves (I − γ P_π) V = w_π)

`by="return"` is the older model, Σ_right w − Σ_left w: what BradleyTerry learns with networks. It cannot tell a choice
from its luck: comparisons without error by partial return say the same of rewards whose best actions differ.

Reference: Knox, Hatgis-Kessell, Booth, Niekum, Stone, Allievi 2022, Models of human preference for learning reward
functions, 2206.02231 (equations 3–5; the identifiability proofs are sections 3.1 and 3.2).
Deviations from the paper: V* is exact for the transitions seen, where the paper maximises over the successor features
of a fixed set of policies; a discount < 1 makes it finite without terminal states; w is regularised by Adam's weight
decay; what was never tried is taken to end the episode.

>>> from operant.core import Box, Discrete
>>> reward = Regret(segment=2, capacity=4)
>>> state = reward.init(EnvSpec(Box((2,), 0.0, 1.0), Discrete(2), 10), key=jax.random.key(0))
>>> state.table.shape, state.counts.shape
((2, 2), (2, 2, 2))
"""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from operant import nn
from operant.core import Box, Card, Discrete, EnvSpec, Metrics, Obs, Transition
from operant.data.replay import Replay
from operant.data.segments import Answers, Comparisons, Pairs, draw, rows
from operant.errors import SpecError, check_counts
from operant.rewards.preferences import AbstractPreferences

SWEEPS = 200
"""Of value iteration, from where the last lesson left V: more than enough for the policy to be the best one."""


class RegretState(eqx.Module):
    """What has been seen, answered and learned."""

    table: Float[Array, "S A"]
    """w: the reward of each action in each state."""
    adam: optax.OptState
    counts: Float[Array, "S A S"]
    """How often each transition was seen; where it terminated, not at all…"""
    ends: Float[Array, "S A"]
    """… but here: how often an episode terminated there."""
    V: Float[Array, " S"]
    """Of the best policy for `table`, as far as seen."""
    pool: Replay
    """Recent behaviour, to ask about."""
    comparisons: Comparisons
    found: Metrics
    """Of the last lesson."""


class Regret(AbstractPreferences):
    """A table of rewards, learned from which of two segments shows the better decisions (see the module's docstring).

    Observations are one-hot (Box of S numbers), actions Discrete.
    """

    by: Literal["regret", "return"] = "regret"
    """What is compared: what better actions would have added ("regret"), or sums of rewards ("return")."""
    discount: float = 0.95
    """γ in [0, 1) of the behaviour that comparisons are judged by."""
    segment: int = 5
    """Steps of each segment that is compared."""
    lr: float = 0.05
    """Adam's step size (reward units)."""
    decay: float = 1e-4
    """Weight decay (share of each weight, for each unit of step size)."""
    steps: int = 40
    """Gradient steps after each round of answers, each on all answers."""
    capacity: int = 1000
    """Answers held; later ones replace the oldest."""
    pool: int = 20_000
    """Transitions of recent behaviour that pairs are drawn from."""

    card: ClassVar[Card] = Card(
        "Knox et al. 2022, Models of human preference for learning reward functions",
        "2206.02231",
        "preference-learning",
        ("env", "discrete"),
    )

    def __check_init__(self) -> None:
        check_counts(self, "segment", "steps", "capacity", "pool")
        if self.by not in ("regret", "return"):
            raise SpecError(f'expected Regret.by to be "regret" or "return"; got {self.by!r}.')
        if not 0.0 <= self.discount < 1.0:
            raise SpecError(
                f"expected Regret.discount in [0, 1); got {self.discount:g}. Use 0.95 to look 20 steps ahead."
            )

    # --- as a reward ---

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RegretState:
        # Other numbers (a cart's position and speed) have a largest one, too, which is no state.
        flags = lambda box: (
            len(box.shape) == 1 and all((b == x).all() for b, x in zip(box.bounds(), (0, 1), strict=True))
        )
        if not (isinstance(spec.obs, Box) and flags(spec.obs) and isinstance(spec.action, Discrete)):
            raise SpecError(
                f"expected one-hot observations, Box((S,), 0, 1), and Discrete actions; got {spec.obs} and "
                f"{spec.action}. Use BradleyTerry where states cannot be counted."
            )
        S, A = spec.obs.size, spec.action.n
        zeros = lambda *shape: jax.device_put(np.zeros(shape, np.float32))
        names = ("preferences/answers", "preferences/loss")
        return RegretState(
            zeros(S, A), nn.zeros_init(self._optimiser(), S * A), zeros(S, A, S), zeros(S, A), zeros(S),
            Replay.init(spec, self.pool), Comparisons.init(spec, self.capacity, self.segment),
            {name: zeros() for name in names},
        )  # fmt: skip

    def __call__(self, state: RegretState, batch: Transition) -> Float[Array, "*B"]:
        return state.table[_state(batch.obs), batch.action]

    def update(self, state: RegretState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RegretState, Metrics]:
        """Remember what the agent did, and where it led. Logs what the last lesson found."""
        s, a, after, over = (
            x.reshape(-1) for x in (_state(batch.obs), batch.action, _state(batch.next_obs), batch.terminated)
        )
        counts = state.counts.at[s, a, after].add(jnp.where(over, 0.0, 1.0))
        ends = state.ends.at[s, a].add(over.astype(jnp.float32))
        new = eqx.tree_at(lambda x: (x.counts, x.ends, x.pool), state, (counts, ends, state.pool.insert(batch)))
        return new, dict(state.found)

    # --- as a pupil ---

    def propose(self, state: RegretState, n: int, *, key: PRNGKeyArray) -> Pairs:
        both = draw(state.pool, key, 2 * n, self.segment)
        return Pairs(rows(both, slice(None, n)), rows(both, slice(n, None)))

    def choose(self, state: RegretState, pairs: Pairs, n: int, *, key: PRNGKeyArray) -> Int[Array, " n"]:
        return jax.random.permutation(key, pairs.left.mask.shape[0])[:n]

    def teach(self, state: RegretState, answers: Answers, *, key: PRNGKeyArray) -> tuple[RegretState, Metrics]:
        comparisons = state.comparisons.insert(answers)
        seen = state.counts.sum(-1) + state.ends
        P = state.counts / jnp.maximum(seen, 1.0)[..., None]
        known = comparisons.known.astype(jnp.float32)
        total = known.sum()
        optimiser, shape = self._optimiser(), state.table.shape

        def loss(w: Array, V: Array) -> tuple[Array, Array]:
            V, worth = (V, w) if self.by == "return" else advantage(w, P, self.discount, V)
            part = lambda side: side.sum(worth[_state(side.steps.obs), side.steps.action])
            margin = part(comparisons.pairs.right) - part(comparisons.pairs.left)
            t = comparisons.target
            each = -t * jax.nn.log_sigmoid(margin) - (1.0 - t) * jax.nn.log_sigmoid(-margin)
            return (known * each).sum() / jnp.maximum(total, 1.0), V

        def step(carry: Any, _: None) -> tuple[Any, Array]:
            w, adam, V = carry
            (value, V), gradient = jax.value_and_grad(loss, has_aux=True)(w, V)
            direction, adam = optimiser.update(gradient.reshape(-1), adam, w.reshape(-1))
            return (w - self.lr * jnp.asarray(direction).reshape(shape), adam, V), value

        (w, adam, V), losses = jax.lax.scan(step, (state.table, state.adam, state.V), None, self.steps)
        found = {"preferences/answers": comparisons.count.astype(jnp.float32), "preferences/loss": losses[-1]}
        new = RegretState(w, adam, state.counts, state.ends, V, state.pool, comparisons, found)
        return new, found

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(self.decay))


def advantage(
    w: Float[Array, "S A"], P: Float[Array, "S A S"], discount: float, V: Float[Array, " S"]
) -> tuple[Float[Array, " S"], Float[Array, "S A"]]:
    """V* and A* of the reward w, differentiable in w; value iteration starts from V. P may leave probability out: an
    end.

    >>> P = jnp.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])  # action 0 of state 0 leads to state 1
    >>> V, A = advantage(jnp.array([[0.0, 0.0], [1.0, 0.0]]), P, 0.5, jnp.zeros(2))
    >>> [round(float(x), 4) for x in (*V, A[0, 0], A[0, 1])]
    [1.0, 2.0, 0.0, -0.5]
    """
    backup = lambda V: w + discount * P @ V
    best = jax.lax.stop_gradient(jax.lax.fori_loop(0, SWEEPS, lambda _, v: backup(v).max(1), jax.lax.stop_gradient(V)))
    choice = jnp.argmax(jax.lax.stop_gradient(backup(best)), axis=1)
    here = jnp.arange(w.shape[0])
    V = jnp.linalg.solve(jnp.eye(w.shape[0]) - discount * P[here, choice], w[here, choice])
    Q = backup(V)
    return jax.lax.stop_gradient(V), Q - V[:, None]


def _state(obs: Obs) -> Int[Array, "*B"]:
    return jnp.argmax(obs, axis=-1)
