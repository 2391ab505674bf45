"""Demonstration-regularised RL: optimistic planning that pays for leaving what was demonstrated.

    π_BC(a|s) = (N_E(s, a) + 1)/(N_E(s) + A)                                       cloning, never sure
    Q̄_h = r̂ + p̂ V̄_{h+1} + b_h,   Q̲_h = r̂ + p̂ V̲_{h+1} − b_h,   b_h = c (H − h)(r_max − r_min)/√n,   both clipped
    V_h(s) = max_π Σ π Q_h − λ KL(π ‖ π_BC) = λ log Σ_a π_BC(a|s) exp(Q_h(s, a)/λ),   π_h ∝ π_BC exp(Q̄_h/λ)

Each episode follows π but for one stage, drawn uniformly among H and none, where the action is taken whose bounds are
furthest apart. The more demonstrations, the more a unit of KL costs: λ = ε/KL_E, KL_E ≈ S(A − 1)/N_E being how far
cloning N_E episodes of a deterministic expert stays from it; so following the expert costs at most ε. Without
demonstrations λ = 0: plain optimism.

Reference: Tiapkin et al. 2023, Demonstration-Regularized RL, 2310.17303 (UCBVI-Ent+, Laplace-smoothed cloning); Azar,
Osband and Munos 2017, Minimax Regret Bounds for Reinforcement Learning, 1703.05449 (the bonus).
Deviations from the paper:
1. The bonus is Hoeffding's up to a constant c (there: Bernstein's, with the constants that make it a proof), so that
   gridworlds are learned in hundreds of episodes; there is no certificate and no stopping rule.
2. Counts are pooled over stages, for the process does not change with them; terminal states are known to end.
3. KL_E is its leading term, not the bound that holds with probability 1 − δ.

>>> import jax
>>> learner = DemonstrationRegularised()
>>> found = learner(TabularMDP.chain(3), [([0, 1], [1, 1])] * 9, horizon=4, episodes=9, key=jax.random.key(0))
>>> found.best, round(found.cloned, 2), found.episodes_to(0.1) < 9
(1.0, 0.98, True)
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from operant import nn
from operant.core import Card
from operant.envs.tabular.mdp import TabularMDP
from operant.errors import DataError, SpecError
from operant.learners.tabular import AbstractTabularLearner, Learning


class DemonstrationRegularised(AbstractTabularLearner):
    """Demonstration-regularised optimistic value iteration (see the module's docstring)."""

    epsilon: float = 0.1
    """ε > 0: what following the expert may cost in KL (units of an episode's return)."""
    bonus: float = 0.1
    """c ≥ 0: how much is hoped of what was seen once (shares of the largest return)."""
    every: int = 1
    """Episodes between plans."""

    card: ClassVar[Card] = Card(
        "Tiapkin et al. 2023, Demonstration-Regularized RL",
        "2310.17303",
        "tabular",
        ("env", "dataset", "discrete"),
    )

    def __check_init__(self) -> None:
        if self.every < 1 or not self.epsilon > 0.0 or not self.bonus >= 0.0:
            raise SpecError(
                "expected DemonstrationRegularised.every ≥ 1, epsilon > 0 and bonus ≥ 0; got "
                f"{self.every}, {self.epsilon:g} and {self.bonus:g}. Use 1, 0.1 and 0.1."
            )

    def __call__(
        self,
        mdp: TabularMDP,
        demonstrations: Sequence[tuple[Any, Any]],
        *,
        horizon: int,
        episodes: int,
        key: PRNGKeyArray,
    ) -> Learning:
        if horizon < 1 or episodes < 1:
            raise SpecError(f"expected horizon ≥ 1 and episodes ≥ 1; got {horizon} and {episodes}. Raise them.")
        S, A, _ = mdp.P.shape
        rng, ahead = nn.generator(key), mdp.P.cumsum(-1)
        prior, weight = cloned(demonstrations, S, A), self.weight(mdp, len(demonstrations))
        model = Model(mdp)
        returns = np.zeros(episodes)
        policy = spread = np.zeros((horizon, S, A))
        value = 0.0
        for episode in range(episodes):
            if episode % self.every == 0:
                policy, spread = plan(model, prior, weight, self.bonus, horizon)
                value = returned(mdp, policy)
            returns[episode] = value
            curious = rng.integers(horizon + 1)  # the last: at no stage
            u = rng.random((horizon, 2))
            s = int(rng.choice(S, p=mdp.initial))
            for h in range(horizon):
                if model.terminal[s]:
                    break
                a = int((policy[h, s].cumsum() > u[h, 0]).argmax()) if h != curious else int(spread[h, s].argmax())
                after = int((ahead[s, a] > u[h, 1] * ahead[s, a, -1]).argmax())
                model.see(s, a, after)
                s = after
        best, _ = optimal(mdp, horizon)
        always = np.broadcast_to(prior, (horizon, S, A))
        return Learning(returns, best, returned(mdp, always), policy)

    def weight(self, mdp: TabularMDP, demonstrations: int) -> float:
        """λ = ε N_E/(S (A − 1)), S without the terminal states (units of return for each nat)."""
        states = max(int((~mdp.terminal).sum()), 1)
        return self.epsilon * demonstrations / (states * max(mdp.P.shape[1] - 1, 1))


class Model:
    """What the episodes have shown: counts, and rewards where they were seen."""

    def __init__(self, mdp: TabularMDP):
        self.counts = np.zeros(mdp.P.shape)
        self.R, self.terminal = mdp.R, mdp.terminal
        paid = mdp.R[mdp.P > 0.0]
        self.low, self.high = float(paid.min()), float(paid.max())

    def see(self, s: int, a: int, after: int) -> None:
        self.counts[s, a, after] += 1.0


def plan(
    model: Model, prior: Float[np.ndarray, "S A"], weight: float, bonus: float, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """The regularised optimistic policy (H, S, A), and Q̄ − Q̲ (H, S, A)."""
    S, A = prior.shape
    n = model.counts.sum(-1)
    p = model.counts / np.maximum(n, 1.0)[..., None]
    reward, chain = (p * model.R).sum(-1), p.reshape(S * A, S)
    doubt, new = bonus * (model.high - model.low) / np.sqrt(np.maximum(n, 1.0)), n == 0.0
    policy, spread = np.zeros((horizon, S, A)), np.zeros((horizon, S, A))
    V = np.zeros((S, 2))  # upper and lower
    live = ~model.terminal[:, None]
    for h in reversed(range(horizon)):
        left = horizon - h
        top, bottom = left * model.high, left * model.low
        ahead = (chain @ V).reshape(S, A, 2)
        upper = np.where(new, top, np.clip(reward + ahead[..., 0] + left * doubt, bottom, top)) * live
        lower = np.where(new, bottom, np.clip(reward + ahead[..., 1] - left * doubt, bottom, top)) * live
        policy[h], high = regularised(upper, prior, weight)
        V = np.stack([high, regularised(lower, prior, weight)[1]], 1)
        spread[h] = upper - lower
    return policy, spread


def regularised(
    Q: Float[np.ndarray, "S A"], prior: Float[np.ndarray, "S A"], weight: float
) -> tuple[Float[np.ndarray, "S A"], Float[np.ndarray, " S"]]:
    """argmax and max over π of Σ π Q − λ KL(π ‖ prior), in every state; λ = 0: the best action, the first of them.

    >>> policy, value = regularised(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), 1.0)
    >>> policy.round(3).tolist(), value.round(3).tolist()
    ([[0.731, 0.269]], [0.62])
    """
    best = Q.max(1)
    if weight == 0.0:
        return np.eye(Q.shape[1])[Q.argmax(1)], best
    tilted = prior * np.exp((Q - best[:, None]) / weight)
    total = tilted.sum(1)
    return tilted / total[:, None], best + weight * np.log(total)


def cloned(demonstrations: Sequence[tuple[Any, Any]], S: int, A: int) -> Float[np.ndarray, "S A"]:
    """π_BC from episodes (states, actions); uniform where nobody was.

    Raises:
        DataError: states or actions the process does not have.
    """
    counts = np.ones((S, A))
    for number, (states, actions) in enumerate(demonstrations):
        actions = np.asarray(actions, int)
        states = np.asarray(states, int)[: len(actions)]
        fits = len(states) == len(actions) and (len(actions) == 0 or min(states.min(), actions.min()) >= 0)
        if not fits or (len(actions) and (states.max() >= S or actions.max() >= A)):
            raise DataError(
                f"expected demonstration {number} to be states in 0 … {S - 1} and as many actions in 0 … {A - 1}; got "
                f"{states.tolist()} and {actions.tolist()}. Give (states, actions) of each episode."
            )
        np.add.at(counts, (states, actions), 1.0)
    return counts / counts.sum(1, keepdims=True)


def returned(mdp: TabularMDP, policy: Float[np.ndarray, "H S A"]) -> float:
    """Expected undiscounted return of a policy with one table a stage."""
    reward, V = (mdp.P * mdp.R).sum(-1), np.zeros(len(mdp.P))
    for table in policy[::-1]:
        V = (table * (reward + mdp.P @ V)).sum(1)
    return float(mdp.initial @ V)


def optimal(mdp: TabularMDP, horizon: int) -> tuple[float, Float[np.ndarray, "H S A"]]:
    """The best undiscounted return over `horizon` steps, and a policy that has it."""
    reward, V = (mdp.P * mdp.R).sum(-1), np.zeros(len(mdp.P))
    policy = np.zeros((horizon, *reward.shape))
    for h in reversed(range(horizon)):
        Q = reward + mdp.P @ V
        policy[h], V = np.eye(Q.shape[1])[Q.argmax(1)], Q.max(1)
    return float(mdp.initial @ V), policy
