"""Maximum causal entropy inverse constrained RL: the reward is known, what must not be done is learned.

    max_π E_π[Σ_t γᵗ r(s_t, a_t)] + τ H(π)   subject to   E_π[Σ_t γᵗ φ_i] ≤ E_D[Σ_t γᵗ φ_i] for every feature i

Nothing may be done more than those who abide by the constraints do it. The multipliers are the weights of a cost:

    min_{w ≥ 0} E_{s₀}[V_w(s₀)] + w·φ_D + ½ λ|w|²,    ∇ = φ_D − φ_π + λw,    V_w, π: soft, for r − c,  c = w·φ ≥ 0

A cost, unlike a reward, goes with another agent: `c` is taken from whatever that one is paid.

Reference: Baert, Mazzaglia, Leroux, Simoens 2023, Maximum Causal Entropy Inverse Constrained Reinforcement Learning,
2305.02857 (Machine Learning 114, 2025).
Deviations from the paper:
1. Exact, on tabular processes: the dual is minimised by bounded L-BFGS with exact soft values, where the paper takes
   one gradient step on the cost after each improvement of the policy.
2. Weights have a ceiling, and a slight quadratic penalty λ: what nobody ever did would cost without bound.
3. φ counts states or state-actions, or is given; the paper's larger problems learn a network.

>>> from operant.envs.toy.gridworld import GridWorld
>>> mdp = SparseMDP.from_gridworld(GridWorld("...\\nS.G", step_reward=-0.1), discount=0.9)  # the way round is longer
>>> found = MCEICRL(temperature=0.05)(mdp, [([3, 0, 1, 2, 5], [0, 1, 1, 2])] * 3)
>>> found.cost[:, 0].argmax().item()  # so the cell on the short way must not be entered
4
"""

from typing import ClassVar

import numpy as np

from operant.core import Card
from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.sparse import SparseMDP
from operant.errors import SpecError
from operant.rewards.inverse import AbstractInverse, Demonstrations, Found, demonstrated, sparse
from operant.rewards.inverse.mce_irl import Features, check, descend_dual, feature_maps


class MCEICRL(AbstractInverse):
    """Inverse constrained RL (see the module's docstring); the process's rewards are the known ones."""

    features: Features = "states"
    """φ ≥ 0, what may cost: "states", one a state; "actions", one a state and action; or (S, d) or (S, A, d)."""
    temperature: float = 1.0
    """τ > 0: how much a unit of entropy is worth to the demonstrators (reward units)."""
    decay: float = 1e-3
    """λ ≥ 0: of the penalty ½ λ|w|² (discounted visits for each reward unit)."""
    ceiling: float = 10.0
    """Largest weight of a feature (reward units)."""
    tolerance: float = 1e-5
    """Largest entry of the projected gradient at which to stop (discounted visits)."""
    iterations: int = 500
    """Of L-BFGS, at most."""

    card: ClassVar[Card] = Card(
        "Baert et al. 2023, Maximum Causal Entropy Inverse Constrained Reinforcement Learning",
        "2305.02857",
        "inverse-rl",
        ("dataset", "model", "true_reward", "discrete"),
    )

    def __check_init__(self) -> None:
        check("MCEICRL", self)
        if isinstance(self.ceiling, int | float) and not self.ceiling > 0.0:
            raise SpecError(f"expected MCEICRL.ceiling > 0; got {self.ceiling:g}. Use what a violation is worth.")
        if isinstance(self.features, np.ndarray) and (self.features < 0.0).any():
            raise SpecError(
                f"expected MCEICRL.features ≥ 0, so that costs are; the smallest is {self.features.min():.3g}. Split a "
                "feature of both signs in two."
            )

    def __call__(self, mdp: TabularMDP | SparseMDP, demonstrations: Demonstrations) -> Found:
        process = sparse(mdp)
        pay, expect = feature_maps(self.features, process)
        shown, start = demonstrated(process, demonstrations)
        target, top = expect(shown), float(self.ceiling)
        minus = lambda w: -pay(w)
        # With θ = −w the dual is that of IRL, in a box: 0 ≤ w ≤ ceiling.
        solved, weights, answer = descend_dual(
            process, minus, lambda x: -expect(x), -target, start, self, (0.0, top), process.rewards
        )
        gap = expect(solved.visits) - target
        gradient = -gap + self.decay * weights
        held = ((weights <= 0.0) & (gradient > 0.0)) | ((weights >= top) & (gradient < 0.0))
        residual, excess = (float(x.max(initial=0.0)) for x in (np.abs(gradient[~held]), gap))
        cost = pay(weights)
        return Found(process.rewards - cost, cost, weights, solved.policy, solved.visits, excess, answer.nit, residual)
