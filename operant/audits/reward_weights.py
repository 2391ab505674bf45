"""How much hangs on a reward's weights: what is lost if each is off by a factor, by exact solution.

The reward is a sum of named terms, r_w(s, a) = Σᵢ wᵢ rᵢ(s, a) (`Terms`). For every term and every factor f one
weighting w′ = w with f·wᵢ in place of wᵢ, solved exactly; its optimal policy is then judged by the stated weights:

    loss(w′)    = (V_w(π*_w) − V_w(π*_w′))/(V_w(π*_w) − V_w(π₀))      V: from the initial states, π₀: uniformly random
    changed(w′) = Pr(π*_w′(s) is not optimal for w),  s ~ discounted visits of π*_w

*fails* where the largest loss is above `limit`: the weights decide what is done, and being wrong by such a factor costs
that much. *Holds* where none is. *Unknown* without terms to reweigh, or where π*_w is no better than random. The
numbers are exact, so their interval is a point. Among several optimal actions those of π*_w are kept.

All weightings are solved side by side, by policy iteration with batched linear solves in float64: value iteration under
`vmap` is slower beyond a few hundred states, and jitted batches of solves can deadlock two cores. Where transitions are
not tables, train once for each weighting instead.

Reference: Ng and Russell 2000, Algorithms for Inverse Reinforcement Learning, section 3 (the set of rewards for which a
policy is optimal); Puterman 1994, Markov Decision Processes, chapter 6 (policy iteration).
Deviations from the paper: the loss over a grid of factors, not the set itself; the limit is ours.

>>> RewardWeights().factors
(0.5, 0.8, 1.25, 2.0)
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, Card, Finding, Subject, Verdict
from operant.envs.tabular.tables import model_of, reward_table
from operant.errors import DataError, SpecError
from operant.math.stats import Interval
from operant.rewards.terms import Terms


class RewardWeights(AbstractAudit):
    """What is lost if a weight is wrong? (See the module's docstring.)"""

    factors: tuple[float, ...] = (0.5, 0.8, 1.25, 2.0)
    """What each weight is multiplied by, one at a time; 0 leaves its term out."""
    limit: float = 0.1
    """Largest loss, as a share of the optimal policy's gain over a random one, in (0, 1)."""
    discount: float = 0.99
    """γ in [0, 1): weight of the next step's reward."""

    needs: ClassVar[frozenset[str]] = frozenset({"model", "intent"})
    card: ClassVar[Card] = Card(
        "Ng and Russell 2000, Algorithms for Inverse Reinforcement Learning",
        "",
        "audit",
        ("model",),
    )

    def __check_init__(self) -> None:
        m.check_share("RewardWeights.limit", self.limit)
        if not 0.0 <= self.discount < 1.0:
            raise SpecError(f"expected 0 ≤ RewardWeights.discount < 1; got {self.discount}.")
        if not self.factors or any(not (np.isfinite(f) and f >= 0.0) for f in self.factors):
            raise SpecError(f"expected RewardWeights.factors, finite numbers ≥ 0; got {self.factors}.")

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        intent, env = subject.intent, subject.env
        assert intent is not None
        if not isinstance(intent.reward, Terms) or len(intent.reward.terms) < 2:
            why = (
                f"expected a reward of two terms or more, whose weights can be wrong; got "
                f"{type(intent.reward).__name__}. Write it as Terms({{'name': reward, …}}, {{'name': weight, …}})."
            )
            return m.finding(self, Verdict.unknown, why)
        reward, mdp = intent.reward, model_of(env, self.discount)  # type: ignore[arg-type]
        own = subject.reward_states
        states: Any = own[0] if own else m.fresh(reward, env.spec, "the stated reward")  # type: ignore[union-attr]
        names = sorted(reward.terms)
        tables = [reward_table(reward.terms[n], env, states[n]) for n in names]  # type: ignore[arg-type]
        each = np.stack([(mdp.P * t).sum(-1) for t in tables])  # (terms, S, A)
        base = np.array([float(reward.weights.get(n, 1.0)) for n in names])
        weights = np.stack([base * np.where(np.arange(len(names)) == i, f, 1.0) for i, f in self._cases(names)])
        found = sweep(mdp.P, each, base, weights, mdp.initial, self.discount)
        return self._judge(names, found)

    def _cases(self, names: list[str]) -> list[tuple[int, float]]:
        return [(i, f) for i in range(len(names)) for f in self.factors]

    def _judge(self, names: list[str], found: "Sweep") -> Finding:
        if not found.gain > 1e-9:
            why = (
                "under the stated weights no policy is better than a random one from the initial states, so nothing "
                "can be lost. Check the terms' signs."
            )
            return m.finding(self, Verdict.unknown, why)
        shape = (len(names), len(self.factors))
        arrays = {
            "factor": np.array(self.factors),
            "loss": found.loss.reshape(shape),
            "changed": found.changed.reshape(shape),
        }
        worst = int(found.loss.argmax())
        i, f = self._cases(names)[worst]
        value = float(found.loss[worst])
        said = f"over {len(found.loss)} weightings ({', '.join(names)}; one weight at a time)"
        if value <= 1e-9:
            why = f"{said}, the optimal behaviour loses nothing by the stated weights: none of them decides it."
        else:
            why = (
                f"{said}, the worst is {f:g} times '{names[i]}': its optimal behaviour loses {value:.1%} of the gain "
                f"over a random policy, and acts otherwise in {found.changed[worst]:.0%} of what is visited."
            )
        verdict = Verdict.fails if value > self.limit else Verdict.holds
        return m.finding(
            self, verdict, why, Interval(value, value, value), n=len(found.loss), limit=self.limit, arrays=arrays
        )


class Sweep(NamedTuple):
    """What K other weightings would cost."""

    loss: Float[np.ndarray, " K"]
    changed: Float[np.ndarray, " K"]
    gain: float
    """V_w(π*_w) − V_w(π₀), reward units."""


def sweep(
    P: Float[np.ndarray, "S A S"],
    each: Float[np.ndarray, "n S A"],
    base: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, "K n"],
    initial: Float[np.ndarray, " S"],
    discount: float,
) -> Sweep:
    """Loss and change of each weighting's optimal policy, judged by `base`. NumPy, float64.

    Args:
        each: expected reward of every term, rᵢ(s, a).

    Raises:
        DataError: a reward that is not finite.
    """
    if not np.isfinite(each).all():
        raise DataError("expected finite rewards of every term; some are NaN or infinite.")
    rewards = np.einsum("kn,nsa->ksa", np.concatenate([base[None], weights]), each)
    stated, S = rewards[0], P.shape[0]
    best, V = improved(P, stated[None], np.zeros((1, S), int), discount)
    actions, _ = improved(P, rewards[1:], np.broadcast_to(best, (len(weights), S)), discount)
    worth = values(P, np.broadcast_to(stated, rewards[1:].shape), actions, discount)
    uniform = P.mean(1)
    plain = np.linalg.solve(np.eye(S) - discount * uniform, stated.mean(1))
    gain = float(initial @ (V[0] - plain))
    loss = (V[0] - worth) @ initial
    Q = stated + discount * P @ V[0]
    chosen = np.take_along_axis(Q[None], actions[..., None], axis=2)[..., 0]
    worse = chosen < Q.max(1) - 1e-9 * (1.0 + np.abs(Q).max())
    chain = P[np.arange(S), best[0]]
    visits = (1.0 - discount) * np.linalg.solve(np.eye(S) - discount * chain.T, initial)
    return Sweep(np.maximum(loss, 0.0) / gain if gain > 0.0 else np.zeros_like(loss), worse @ visits, gain)


def values(P: np.ndarray, r: np.ndarray, actions: Int[np.ndarray, "K S"], discount: float) -> np.ndarray:
    """V (K, S) of K deterministic policies under K rewards r (K, S, A)."""
    states = np.arange(P.shape[0])
    chain = P[states, actions]  # (K, S, S)
    paid = np.take_along_axis(r, actions[..., None], axis=2)
    return np.linalg.solve(np.eye(P.shape[0]) - discount * chain, paid)[..., 0]


def improved(
    P: np.ndarray, r: np.ndarray, actions: Int[np.ndarray, "K S"], discount: float
) -> tuple[np.ndarray, np.ndarray]:
    """`(actions (K, S), V (K, S))` of optimal policies, by policy iteration from `actions`, K side by side.

    An action is changed only for one better by more than rounding, so that ties stay as they were.

    >>> improved(np.ones((1, 2, 1)), np.array([[[0.0, 1.0]]]), np.zeros((1, 1), int), 0.5)[1].tolist()
    [[2.0]]
    """
    actions = np.array(actions)
    while True:
        V = values(P, r, actions, discount)
        Q = r + discount * np.einsum("sat,kt->ksa", P, V, optimize=True)
        now = np.take_along_axis(Q, actions[..., None], axis=2)[..., 0]
        better = Q.max(2) > now + 1e-10 * (1.0 + np.abs(Q).max((1, 2), keepdims=True)[..., 0])
        if not better.any():
            return actions, V
        actions = np.where(better, Q.argmax(2), actions)
