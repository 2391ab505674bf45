"""Maximum causal entropy inverse reinforcement learning: the reward under which what was shown is no surprise.

    max_π H(π)  subject to  E_π[Σ_t γᵗ φ(s_t, a_t)] = E_D[Σ_t γᵗ φ(s_t, a_t)],    H: causal entropy, discounted

Its dual is convex in θ, the weights of the reward r_θ = θ·φ, and its gradient is the gap between expected features:

    min_θ E_{s₀}[V_θ(s₀)] − θ·φ_D + ½ λ|θ|²,    ∇ = φ_π − φ_D + λθ,    V_θ, π: soft values and policy for r_θ

V_θ, π and its visits are exact (`sparse.soft_optimal`); θ is found by L-BFGS.

Reference: Ziebart, Bagnell and Dey 2010, Modeling Interaction via the Principle of Maximum Causal Entropy, ICML;
Ziebart 2010, Modeling Purposeful Adaptive Behavior with the Principle of Maximum Causal Entropy, CMU-ML-10-110;
infinite horizons with a discount: Bloem and Bambos 2014, 10.1109/CDC.2014.7039693.
Deviations from the paper:
1. The horizon is infinite and discounted, and episodes end in the process's terminal states (there: a fixed horizon).
2. L-BFGS on the dual, with a slight quadratic penalty λ: features nobody showed would get weights without bound.
3. Learner and demonstrations begin in the same states: those the demonstrations began in.

>>> from operant.envs.toy.gridworld import GridWorld
>>> mdp = SparseMDP.from_gridworld(GridWorld("S..G"), discount=0.9)
>>> found = MCEIRL()(mdp, [([0, 1, 2, 3], [1, 1, 1])] * 3)
>>> found.policy[0].argmax().item(), found.feature_gap < 0.01
(1, True)
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.optimize

from operant.core import Card
from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.sparse import SoftOptimal, SparseMDP, soft_optimal
from operant.errors import DataError, SpecError
from operant.rewards.inverse import AbstractInverse, Demonstrations, Found, demonstrated, sparse

Features = Literal["states", "actions"] | np.ndarray


class MCEIRL(AbstractInverse):
    """Maximum causal entropy IRL (see the module's docstring)."""

    features: Features = "states"
    """φ: "states", one a state; "actions", one a state and action; or an array (S, d) or (S, A, d)."""
    temperature: float = 1.0
    """τ > 0: how much a unit of entropy is worth (reward units); it only scales θ."""
    decay: float = 1e-3
    """λ ≥ 0: of the penalty ½ λ|θ|² (discounted visits for each reward unit)."""
    tolerance: float = 1e-5
    """Largest entry of the gradient at which to stop (discounted visits)."""
    iterations: int = 500
    """Of L-BFGS, at most."""

    card: ClassVar[Card] = Card(
        "Ziebart, Bagnell and Dey 2010, Modeling Interaction via the Principle of Maximum Causal Entropy",
        "",
        "inverse-rl",
        ("dataset", "model", "discrete"),
    )

    def __check_init__(self) -> None:
        check("MCEIRL", self)

    def __call__(self, mdp: TabularMDP | SparseMDP, demonstrations: Demonstrations) -> Found:
        process = sparse(mdp)
        pay, expect = feature_maps(self.features, process)
        shown, start = demonstrated(process, demonstrations)
        target = expect(shown)
        solved, weights, answer = descend_dual(process, pay, expect, target, start, self, None)
        gradient = expect(solved.visits) - target + self.decay * weights
        gap, residual = (float(np.abs(x).max()) for x in (expect(solved.visits) - target, gradient))
        return Found(pay(weights), None, weights, solved.policy, solved.visits, gap, answer.nit, residual)


def check(name: str, method: Any) -> None:
    """Refuse numbers that cannot be; sweeps pass."""
    features = method.features
    if isinstance(features, str) and features not in ("states", "actions"):
        raise SpecError(
            f'expected {name}.features to be "states", "actions", or an array (S, d) or (S, A, d); got {features!r}.'
        )
    if isinstance(method.temperature, int | float) and not method.temperature > 0.0:
        raise SpecError(f"expected {name}.temperature > 0; got {method.temperature:g}. Use 1.0.")
    if isinstance(method.decay, int | float) and not method.decay >= 0.0:
        raise SpecError(f"expected {name}.decay ≥ 0; got {method.decay:g}. Use 1e-3.")


def feature_maps(features: Features, mdp: SparseMDP) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """`pay(θ) -> (S, A)`, the number θ·φ(s, a), and `expect(visits (S, A)) -> (d,)`, the expected features.

    Raises:
        DataError: features whose axes are not the process's, or not finite.
    """
    S, A = mdp.rewards.shape
    if isinstance(features, str):
        if features == "states":
            return lambda w: np.repeat(w[:, None], A, axis=1), lambda visits: visits.sum(1)
        return lambda w: w.reshape(S, A), lambda visits: visits.reshape(-1)
    phi = np.asarray(features, float)
    if phi.shape[:-1] not in ((S,), (S, A)) or not np.isfinite(phi).all():
        raise DataError(
            f"expected finite features (S, d) = ({S}, d) or (S, A, d) = ({S}, {A}, d); got {phi.shape}. Give one row a "
            "state of the process."
        )
    if phi.ndim == 2:
        return lambda w: np.repeat((phi @ w)[:, None], A, axis=1), lambda visits: visits.sum(1) @ phi
    return lambda w: phi @ w, lambda visits: np.tensordot(visits, phi, 2)


def descend_dual(
    mdp: SparseMDP,
    pay: Callable[..., np.ndarray],
    expect: Callable[..., np.ndarray],
    target: np.ndarray,
    start: np.ndarray,
    method: Any,
    bounds: tuple[float, float] | None,
    known: Any = 0.0,
) -> tuple[SoftOptimal, np.ndarray, Any]:
    """min_θ E[V(s₀)] − θ·target + ½ λ|θ|² for the reward `known` + pay(θ): the solution at the best θ, θ, and what
    SciPy said. Soft values start from those of the θ before."""
    last: dict[str, Any] = {"V": None}

    def solve(weights: np.ndarray) -> SoftOptimal:
        solved = soft_optimal(mdp, known + pay(weights), method.temperature, start=start, V=last["V"])
        last["V"] = solved.V
        return solved

    def dual(weights: np.ndarray) -> tuple[float, np.ndarray]:
        solved = solve(weights)
        value = start @ solved.V - weights @ target + 0.5 * method.decay * weights @ weights
        return float(value), expect(solved.visits) - target + method.decay * weights

    options = {"maxiter": method.iterations, "gtol": method.tolerance, "ftol": 1e-15, "maxcor": 20}
    box = None if bounds is None else [bounds] * len(target)
    answer = scipy.optimize.minimize(
        dual, np.zeros(len(target)), jac=True, method="L-BFGS-B", bounds=box, options=options
    )
    return solve(answer.x), answer.x, answer
