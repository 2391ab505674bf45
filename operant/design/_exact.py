"""What exact designers share: tables of an intent, gaps between actions as linear functions of the reward, and how a
soft-optimal policy's return moves with the reward it is optimal for.

    Q^π_R = R + γ P (I − γ P_π)⁻¹ R_π,   gap(s, a) = Q^π_R(s, π(s)) − Q^π_R(s, a)        linear in R for a fixed π

    V(s) = τ log Σ_a exp(Q(s, a)/τ),  Q = R + γ P V,  π ∝ exp(Q/τ);  V = 0 where the episode has ended
    J(R) = E_π[Σ_t γ_u^t u(s_t, a_t)]:   w(s, a) = d_π(s) π(a|s)(Q^π_u(s, a) − V^π_u(s))/τ,   y = (I − γ P_πᵀ)⁻¹ γ Σ w P
    ∂J/∂R(s, a) = w(s, a) + y(s) π(a|s),      ∂J/∂γ = Σ_{s,a} ∂J/∂R(s, a) · (P V)(s, a)

Here d_π are visits discounted by γ_u. The second is implicit differentiation of the soft Bellman equation: no policy
is ever differentiated through its iterations. NumPy, float64.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from operant.core import AbstractEnv, AbstractReward, Intent
from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.tables import model_of, reward_table
from operant.errors import SpecError
from operant.math.dynamic_programming import policy_evaluation
from operant.rewards.terms import Terms

TIE = 1e-9
"""Actions within this of the best (shares of the largest value) are as good."""


def table_of(reward: AbstractReward, env: AbstractEnv) -> Float[np.ndarray, "S A S"]:
    """What a reward pays for each step of an environment with tables. Raises as `reward_table` does, and SpecError for
    a reward that learns: before it has, its table is that of nothing."""
    state = reward.init(env.spec, key=jax.random.key(0))
    if jax.tree.leaves(state):
        raise SpecError(
            f"expected rewards that are fixed, to design by; {type(reward).__name__} learns, so that there is no one "
            "table of it. Give what it has learned as a Table."
        )
    return reward_table(reward, env, state)


def process_of(env: AbstractEnv, intent: Intent, discount: float) -> TabularMDP:
    """The exact process with what is wanted as its reward: the truth, or the stated reward where there is none."""
    mdp = model_of(env, discount)
    wanted = intent.reward if intent.truth is None else intent.truth
    return TabularMDP(mdp.P, np.where(mdp.P > 0.0, table_of(wanted, env), 0.0), mdp.initial, discount)


def parts_of(env: AbstractEnv, reward: AbstractReward) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, expected rewards (K, S, A) and weights (K,) of the parts of a reward: its terms, or itself."""
    P = model_of(env, 0.0).P
    expected = lambda r: (P * table_of(r, env)).sum(-1)
    if not isinstance(reward, Terms):
        return ["stated"], expected(reward)[None], np.ones(1)
    names = sorted(reward.terms)
    tables = np.stack([expected(reward.terms[name]) for name in names])
    return names, tables, np.array([float(reward.weights.get(name, 1.0)) for name in names])


def expected(mdp: TabularMDP, R: Any = None) -> Float[np.ndarray, "S A"]:
    """Expected reward of each action; 0 where the episode has ended."""
    return (mdp.P * (mdp.R if R is None else R)).sum(-1) * ~mdp.terminal[:, None]


def solved(mdp: TabularMDP, reward: Float[np.ndarray, "S A"]) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, "S A"]]:
    """Optimal V (S,), Q (S, A), and which actions are optimal (S, A); ties by relative tolerance."""
    V = np.zeros(len(reward))
    actions = (reward).argmax(1)
    while True:
        V = evaluate(mdp, reward, np.eye(reward.shape[1])[actions])
        Q = reward + mdp.discount * mdp.P @ V
        scale = 1.0 + np.abs(Q).max()
        here = Q[np.arange(len(Q)), actions]
        better = Q.max(1) > here + 1e-10 * scale
        if not better.any():
            return V, Q, Q.max(1, keepdims=True) - TIE * scale <= Q
        actions = np.where(better, Q.argmax(1), actions)


def evaluate(mdp: TabularMDP, reward: Float[np.ndarray, "S A"], policy: Float[np.ndarray, "S A"]) -> np.ndarray:
    """V (S,) of a policy."""
    return policy_evaluation(mdp.P, np.broadcast_to(reward[:, :, None], mdp.P.shape), policy, mdp.discount)


def gaps_of(mdp: TabularMDP, actions: np.ndarray, steps: int | None = None) -> Float[np.ndarray, "S A SA"]:
    """The matrix that takes a reward (S·A,) to gap(s, a) of the deterministic policy; `steps`: looking so far ahead.

    After the h-th look ahead: Q^{π,h}(s, a) = E[Σ_{t ≤ h} γᵗ R(s_t, a_t)], actions after the first by π.
    """
    S, A, _ = mdp.P.shape
    chain = mdp.P[np.arange(S), actions]
    if steps is None:
        ahead = np.linalg.inv(np.eye(S) - mdp.discount * chain)
    else:
        ahead, power = np.zeros((S, S)), np.eye(S)
        for _ in range(steps):
            ahead, power = ahead + power, mdp.discount * power @ chain
    picked = np.zeros((S, S, A))
    picked[np.arange(S), np.arange(S), actions] = 1.0
    Q = np.eye(S * A).reshape(S, A, S * A) + mdp.discount * np.einsum("sat,tu->sau", mdp.P, ahead) @ picked.reshape(
        S, S * A
    )
    return Q[np.arange(S), actions][:, None] - Q


# --- soft-optimal policies ------------------------------------------------------------------------------------------


class Soft(NamedTuple):
    """The policy of greatest reward plus τ times entropy."""

    V: Float[np.ndarray, " S"]
    Q: Float[np.ndarray, "S A"]
    policy: Float[np.ndarray, "S A"]


def soft_solved(
    mdp: TabularMDP, reward: Float[np.ndarray, "S A"], discount: float, temperature: float, V: Any = None
) -> Soft:
    """By soft policy iteration (Newton's method), to 12 digits; V = 0 where the episode has ended."""
    live = ~mdp.terminal
    V = np.zeros(len(reward)) if V is None else V
    eye = np.eye(len(reward))
    Q = policy = reward
    for _ in range(200):
        Q = reward + discount * mdp.P @ V
        best = Q.max(1)
        weights = np.exp((Q - best[:, None]) / temperature)
        soft = np.where(live, best + temperature * np.log(weights.sum(1)), 0.0)
        policy = weights / weights.sum(1, keepdims=True)
        if np.abs(soft - V).max() <= 1e-12 * (1.0 + np.abs(soft).max()):
            break
        entropy = -(policy * np.log(np.maximum(policy, 1e-300))).sum(1)
        chain = np.einsum("sa,sat->st", policy, mdp.P) * live[:, None]
        V = np.linalg.solve(eye - discount * chain, ((policy * reward).sum(1) + temperature * entropy) * live)
    return Soft(V, Q, policy)


def pulled(
    mdp: TabularMDP, soft: Soft, weight: Float[np.ndarray, "S A"], discount: float, temperature: float
) -> tuple[np.ndarray, float]:
    """(∂/∂R (S, A), ∂/∂γ) of Σ weight(s, a) π(a|s), for the soft-optimal policy of (R, γ): `weight` is ∂J/∂π."""
    policy, live = soft.policy, ~mdp.terminal[:, None]
    w = policy * (weight - (policy * weight).sum(1, keepdims=True)) / temperature * live
    chain = np.einsum("sa,sat->st", policy, mdp.P) * live
    y = np.linalg.solve((np.eye(len(w)) - discount * chain).T, discount * np.einsum("sa,sat->t", w, mdp.P) * live[:, 0])
    gradient = (w + y[:, None] * policy) * live
    return gradient, float((gradient * (mdp.P @ soft.V)).sum())


def hypergradient(
    mdp: TabularMDP, utility: Float[np.ndarray, "S A"], soft: Soft, discount: float, temperature: float
) -> tuple[float, np.ndarray, float]:
    """`(J, ∂J/∂R (S, A), ∂J/∂γ)`: J the return of `utility`, discounted by the process's own γ_u."""
    V = evaluate(mdp, utility, soft.policy)
    chain = np.einsum("sa,sat->st", soft.policy, mdp.P)
    visits = np.linalg.solve((np.eye(len(V)) - mdp.discount * chain).T, mdp.initial)
    Q = utility + mdp.discount * mdp.P @ V
    return float(mdp.initial @ V), *pulled(mdp, soft, visits[:, None] * Q, discount, temperature)
