"""SparseMDP: a tabular Markov decision process that keeps only the successors there are: tens of thousands of states.

    Q(s, a) = r(s, a) + γ Σ_j p_j(s, a) V(s′_j),     j = 1 … k successors of each action
    soft: V(s) = τ log Σ_a exp(Q(s, a)/τ);  at an end, where no action follows, V(s) = mean_a r(s, a), once

2k + 1 numbers an action, where P takes S: 10,000 states with 4 actions and 3 successors take 1.9 MB, P 3.2 GB.
Two kinds, as in `math.dynamic_programming`: JAX, by iteration, under jit and vmap (`soft_value_iteration`,
`occupancy`), and NumPy, float64, exact: `soft_optimal` is policy iteration for soft values (a Newton method: each step
squares the error) by sparse factorisation, and finds the visits of its policy with the same factors.

Reference: Puterman 1994, Markov Decision Processes, chapter 6; Ziebart 2010, Modeling Purposeful Adaptive Behavior with
the Principle of Maximum Causal Entropy, CMU-ML-10-110 (soft values); Geist, Scherrer and Pietquin 2019, A Theory of
Regularized Markov Decision Processes, 1901.11275 (policy iteration with entropy).

>>> mdp = SparseMDP.from_gridworld(GridWorld("S.G"), discount=0.5)
>>> mdp.successors.shape, mdp.terminal.tolist(), soft_optimal(mdp, mdp.rewards, 0.01).V.round(3).tolist()
((3, 4, 1), [False, False, True], [0.5, 1.0, 0.0])
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Array, Bool, Float, Int

from operant.envs.tabular.mdp import TabularMDP
from operant.envs.toy.gridworld import GridWorld
from operant.errors import DataError, SpecError
from operant.math.dynamic_programming import MAX_ITERATIONS, Solution, settle, soft_greedy


@dataclasses.dataclass(frozen=True, eq=False)
class SparseMDP:
    """States 0 … S−1, actions 0 … A−1, and the k states each action may lead to; NumPy, read-only.

    Raises:
        DataError: shapes that do not fit, successors that are no states, probabilities that do not sum to 1, rewards
            that are not finite.
        SpecError: a discount outside [0, 1).
    """

    successors: Int[np.ndarray, "S A k"]
    """Where each action may lead; a state may stand there twice."""
    probabilities: Float[np.ndarray, "S A k"]
    """How likely; each row sums to 1. Rows of terminal states are not read."""
    rewards: Float[np.ndarray, "S A"]
    """Expected reward of each action."""
    initial: Float[np.ndarray, " S"]
    """Probability of starting in each state."""
    terminal: Bool[np.ndarray, " S"]
    """Where episodes end."""
    discount: float
    """γ in [0, 1)."""

    def __post_init__(self) -> None:
        kinds = {"successors": np.int32, "probabilities": float, "rewards": float, "initial": float, "terminal": bool}
        for name, kind in kinds.items():
            copy = np.array(getattr(self, name), kind)
            copy.setflags(write=False)
            object.__setattr__(self, name, copy)
        p, to = self.probabilities, self.successors
        S = len(p)
        if p.ndim != 3 or p.shape != to.shape or self.rewards.shape != p.shape[:2] or self.initial.shape != (S,):
            raise DataError(
                f"expected successors and probabilities (S, A, k), rewards (S, A), initial (S,); got {to.shape}, "
                f"{p.shape}, {self.rewards.shape}, {self.initial.shape}. Fill up missing successors with probability 0."
            )
        if self.terminal.shape != (S,) or to.min() < 0 or to.max() >= S:
            raise DataError(
                f"expected terminal ({S},) and successors in 0 … {S - 1}; got {self.terminal.shape} and "
                f"{to.min()} … {to.max()}. Number states from 0."
            )
        off = np.abs(p.sum(-1) - 1.0)[~self.terminal]
        within = (off <= 1e-6).all() and abs(self.initial.sum() - 1.0) <= 1e-6  # NaN is not
        if (p < 0.0).any() or (self.initial < 0.0).any() or not within:
            raise DataError(
                f"expected probabilities ≥ 0 that sum to 1 over axis 2, and initial to sum to 1; smallest "
                f"{min(p.min(), self.initial.min()):.3g}, largest error {off.max() if off.size else 0.0:.3g}, initial "
                f"sums to {self.initial.sum():.6g}. Divide by the sums."
            )
        if not np.isfinite(self.rewards).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(self.rewards))[0])
            raise DataError(
                f"expected finite rewards; got rewards{list(where)} = {self.rewards[where]}. Use a large penalty."
            )
        if not 0.0 <= self.discount < 1.0:
            raise SpecError(f"expected 0 ≤ discount < 1; got {self.discount}. Use 0.99 to look 100 steps ahead.")

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(x.nbytes for x in (self.successors, self.probabilities, self.rewards, self.initial, self.terminal))

    @classmethod
    def from_mdp(cls, mdp: TabularMDP) -> "SparseMDP":
        """The same process; k is the largest number of successors."""
        k = int((mdp.P > 0.0).sum(-1).max())
        successors = np.argsort(-mdp.P, axis=-1, kind="stable")[..., :k]
        p = np.take_along_axis(mdp.P, successors, -1)
        return cls(successors, p, (mdp.P * mdp.R).sum(-1), mdp.initial, mdp.terminal, mdp.discount)

    @classmethod
    def from_gridworld(cls, env: GridWorld, *, discount: float = 0.99) -> "SparseMDP":
        """A gridworld's process, numbered as it numbers cells, without its time limit: k is 1, or 3 where it slips."""
        straight, terminal, starts = env.successors, env.terminal, env.letters == "S"
        S, slips = len(terminal), env.slip > 0
        turns = ((0, 1 - env.slip), (1, env.slip / 2), (-1, env.slip / 2)) if slips else ((0, 1.0),)
        turned = lambda turn: straight[:, (np.arange(4) + turn) % 4]
        successors = np.stack([turned(turn) for turn, _ in turns], -1)
        successors[terminal] = np.arange(S)[terminal, None, None]
        p = np.broadcast_to(np.array([weight for _, weight in turns]), successors.shape)
        rewards = np.where(terminal[:, None], 0.0, (p * env.entering[successors]).sum(-1))
        return cls(successors, p, rewards, starts / starts.sum(), terminal, discount)

    def chain(self, policy: Float[np.ndarray, "S A"]) -> scipy.sparse.csc_array:
        """The chain a policy induces, (S, S); rows of terminal states are empty: nothing follows."""
        S, A, k = self.successors.shape
        weight = np.where(self.terminal[:, None, None], 0.0, policy[:, :, None] * self.probabilities)
        row = np.broadcast_to(np.arange(S)[:, None], (S, A * k))
        entries = (weight.reshape(-1), (row.reshape(-1), self.successors.reshape(-1)))
        return scipy.sparse.csc_array(entries, shape=(S, S))

    def backup(self, reward: Float[np.ndarray, "S A"], V: Float[np.ndarray, " S"]) -> Float[np.ndarray, "S A"]:
        """Q of one look ahead; reward alone in terminal states."""
        ahead = self.discount * (self.probabilities * V[self.successors]).sum(-1)
        return reward + np.where(self.terminal[:, None], 0.0, ahead)


# --- NumPy, float64, exact ------------------------------------------------------------------------------------------


class SoftOptimal(NamedTuple):
    """The policy of greatest reward plus entropy, with what it is worth and where it goes."""

    V: Float[np.ndarray, " S"]
    """Soft values (reward units)."""
    policy: Float[np.ndarray, "S A"]
    """π(a|s); uniform in terminal states, where it means nothing."""
    visits: Float[np.ndarray, "S A"]
    """Σ_t γᵗ Pr(s_t = s, a_t = a); of a terminal state, the discounted probability to end there, over all actions."""
    iterations: int
    residual: float
    """How far V is from its own backup (reward units)."""


def soft_optimal(
    mdp: SparseMDP,
    reward: Float[np.ndarray, "S A"],
    temperature: float,
    *,
    start: Float[np.ndarray, " S"] | None = None,
    V: Float[np.ndarray, " S"] | None = None,
    tolerance: float = 1e-11,
    max_iterations: int = 100,
) -> SoftOptimal:
    """Soft policy iteration from the values V, until V and its backup differ by at most `tolerance`·(1 + max|V|).

    Args:
        reward: of each action; in terminal states their mean is paid once, on arrival.
        temperature: τ > 0 (reward units).
        start: where visits begin; None: `mdp.initial`.

    Raises:
        SpecError: τ ≤ 0. DataError: a reward that is not (S, A).
    """
    if temperature <= 0.0:
        raise SpecError(f"expected temperature > 0; got {temperature}. Use a small one for nearly the best policy.")
    if reward.shape != mdp.rewards.shape:
        raise DataError(f"expected rewards (S, A) = {mdp.rewards.shape}; got {reward.shape}. Give one an action.")
    S, A = reward.shape
    values: Any = np.zeros(S) if V is None else V
    start = mdp.initial if start is None else start
    end, eye = mdp.terminal, scipy.sparse.eye_array(S, format="csc")
    settled = reward.mean(1)
    iterations = 0
    while True:
        iterations += 1
        Q = mdp.backup(reward, values)
        policy = np.where(end[:, None], 1.0 / A, soft_greedy(Q, temperature))
        entropy = -(policy * np.log(np.maximum(policy, 1e-300))).sum(1)
        earned = np.where(end, settled, (policy * reward).sum(1) + temperature * entropy)
        factors = scipy.sparse.linalg.splu(eye - mdp.discount * mdp.chain(policy), permc_spec="MMD_AT_PLUS_A")
        values = factors.solve(earned)
        Q = mdp.backup(reward, values)
        best = Q.max(1)
        soft = best + temperature * np.log(np.exp((Q - best[:, None]) / temperature).sum(1))
        residual = float(np.abs(np.where(end, settled, soft) - values).max())
        if residual <= tolerance * (1.0 + float(np.abs(values).max())) or iterations == max_iterations:
            visits = factors.solve(np.asarray(start, float), trans="T")
            return SoftOptimal(values, policy, visits[:, None] * policy, iterations, residual)


def visits_of(mdp: SparseMDP, policy: Float[np.ndarray, "S A"], start: Any = None) -> Float[np.ndarray, "S A"]:
    """Discounted visits of any policy, as `SoftOptimal.visits`; Σ visits · reward is its expected return."""
    system = scipy.sparse.eye_array(len(policy), format="csc") - mdp.discount * mdp.chain(policy)
    rows = scipy.sparse.linalg.splu(system).solve(np.asarray(mdp.initial if start is None else start), trans="T")
    return rows[:, None] * policy


# --- JAX, iterated --------------------------------------------------------------------------------------------------


def soft_value_iteration(
    successors: Int[Array, "S A k"],
    probabilities: Float[Array, "S A k"],
    reward: Float[Array, "S A"],
    terminal: Bool[Array, " S"],
    discount: float | Float[Array, ""],
    temperature: float | Float[Array, ""],
    *,
    tolerance: float = 1e-6,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """V and Q by soft value iteration from 0; the policy is `soft_greedy(Q, temperature)`. JAX, vmappable."""
    settled = reward.mean(1)

    def look(V: Array) -> Array:
        return reward + jnp.where(terminal[:, None], 0.0, discount * (probabilities * V[successors]).sum(-1))

    def improve(V: Array) -> Array:
        return jnp.where(terminal, settled, temperature * jax.nn.logsumexp(look(V) / temperature, axis=-1))

    V, i, change = settle(improve, jnp.zeros(reward.shape[0]), tolerance, max_iterations)
    return Solution(V, look(V), i, change)


def occupancy(
    successors: Int[Array, "S A k"],
    probabilities: Float[Array, "S A k"],
    policy: Float[Array, "S A"],
    start: Float[Array, " S"],
    terminal: Bool[Array, " S"],
    discount: float | Float[Array, ""],
    *,
    tolerance: float = 1e-7,
    max_iterations: int = MAX_ITERATIONS,
) -> Float[Array, "S A"]:
    """Discounted visits of a policy by iteration, as `visits_of`. JAX, vmappable."""
    flow = jnp.where(terminal[:, None, None], 0.0, discount * policy[:, :, None] * probabilities)

    def follow(visits: Array) -> Array:
        return start.at[successors].add(flow * visits[:, None, None])

    visits, _, _ = settle(follow, start, tolerance, max_iterations)
    return visits[:, None] * policy
