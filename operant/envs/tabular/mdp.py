"""TabularMDP: a Markov decision process as arrays, which can be solved exactly and learned on.

Reference: Puterman 1994, Markov Decision Processes; Archibald, McKinnon and Thomas 1995, On the Generation of Markov
Decision Processes, JORS 46(3) (the random ones, known as Garnet).
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from operant.envs.tabular.tabular_env import TabularEnv
from operant.envs.toy.gridworld import GridWorld
from operant.errors import DataError, SpecError


@dataclasses.dataclass(frozen=True, eq=False)
class TabularMDP:
    """States 0 … S−1, actions 0 … A−1, and all that is to know about them; float64, read-only.

    Terminal states are absorbing: every action leads back to them with reward 0.

    Raises:
        DataError: shapes that do not fit, rows that are no probabilities (which row, its sum), non-finite rewards.
        SpecError: a discount outside [0, 1].

    >>> mdp = TabularMDP.chain(4, discount=0.5)
    >>> mdp.P.shape, mdp.terminal.tolist()
    ((4, 2, 4), [False, False, False, True])
    """

    P: Float[np.ndarray, "S A S"]
    """P[s, a, s′], probability of s′ after a in s."""
    R: Float[np.ndarray, "S A S"]
    """R[s, a, s′], reward of that step."""
    initial: Float[np.ndarray, " S"]
    """Probability of starting in each state."""
    discount: float
    """γ in [0, 1]."""

    def __post_init__(self) -> None:
        for name in ("P", "R", "initial"):
            copy = np.array(getattr(self, name), np.float64)
            copy.setflags(write=False)
            object.__setattr__(self, name, copy)
        P, R, initial = self.P, self.R, self.initial
        if P.ndim != 3 or P.shape[0] != P.shape[2] or 0 in P.shape:
            raise DataError(
                f"expected P (S, A, S), the last axis the successor; got {P.shape}. Transpose it if it is (A, S, S)."
            )
        if R.shape != P.shape or initial.shape != P.shape[:1]:
            raise DataError(
                f"expected R {P.shape} and initial {P.shape[:1]} to go with P {P.shape}; got {R.shape} and "
                f"{initial.shape}. Rewards (S, A) become np.broadcast_to(R[:, :, None], P.shape)."
            )
        rows = [(f"P[{s}, {a}]", P[s, a]) for s, a in np.ndindex(P.shape[:2])]
        for name, row in [*rows, ("initial", initial)]:
            if not abs(row.sum() - 1.0) <= 1e-6:
                raise DataError(f"expected {name} to sum to 1; its sum is {row.sum():.9g}. Divide the row by its sum.")
            if (row < 0.0).any():
                raise DataError(f"expected {name} ≥ 0; its smallest number is {row.min():.6g}. Give probabilities.")
        if not np.isfinite(R).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(R))[0])
            raise DataError(f"expected finite rewards; got R{list(where)} = {R[where]}. Use a large finite penalty.")
        if not 0.0 <= self.discount <= 1.0:
            raise SpecError(f"expected 0 ≤ discount ≤ 1; got {self.discount}. Use 0.99 to look about 100 steps ahead.")

    @property
    def terminal(self) -> np.ndarray:
        """(S,) bool: the absorbing states without reward."""
        stays = np.diagonal(self.P, axis1=0, axis2=2).T >= 1.0 - 1e-6
        paid = (np.where(self.P > 0.0, self.R, 0.0) != 0.0).any(-1)
        return (stays & ~paid).all(1)

    @classmethod
    def random(
        cls, rng: np.random.Generator, S: int, A: int, *, branching: int | None = None, discount: float = 0.9
    ) -> "TabularMDP":
        """Each (s, a) leads to `branching` random states (all S if None), with probabilities uniform on the simplex.

        Rewards are standard normal; the initial distribution is uniform on the simplex.
        Raises SpecError unless 1 ≤ branching ≤ S.
        """
        branching = S if branching is None else branching
        if not 1 <= branching <= S:
            raise SpecError(f"expected 1 ≤ branching ≤ S = {S}; got {branching}.")
        P = np.zeros((S, A, S))
        support = rng.random((S, A, S)).argsort(-1)[..., :branching]
        np.put_along_axis(P, support, rng.dirichlet(np.ones(branching), size=(S, A)), axis=-1)
        return cls(P, rng.normal(size=(S, A, S)), rng.dirichlet(np.ones(S)), discount)

    @classmethod
    def chain(cls, n: int, *, discount: float = 0.99) -> "TabularMDP":
        """n ≥ 2 states in a row, from the first; action 0 steps left, 1 right; entering the last pays 1 and ends."""
        if n < 2:
            raise SpecError(f"expected n ≥ 2 states, a start and an end; got {n}.")
        P, R, state = np.zeros((n, 2, n)), np.zeros((n, 2, n)), np.arange(n)
        P[state, 0, np.maximum(state - 1, 0)] = 1.0
        P[state, 1, np.minimum(state + 1, n - 1)] = 1.0
        P[-1] = np.eye(n)[-1]
        R[-2, 1, -1] = 1.0
        return cls(P, R, np.eye(n)[0], discount)

    @classmethod
    def from_gridworld(cls, env: GridWorld, *, discount: float = 0.99) -> "TabularMDP":
        """The process of a gridworld, states and actions numbered as it numbers them; its time limit is left out."""
        return cls(*env.tables(), discount)

    def as_env(self, max_steps: int | None = 100) -> TabularEnv:
        """An environment to learn on: one-hot observations, episodes that end in terminal states or are truncated."""
        return TabularEnv(self.P, self.R, self.initial, max_steps)
