"""A constrained wish as one reward: costs are priced, and prices rise while their limits are broken.

    maximise E[r] subject to E[cᵢ] ≤ dᵢ
    r' = (r − Σᵢ λᵢ·cᵢ) / (1 + Σᵢ λᵢ)
    Δᵢ = mean cᵢ − dᵢ ,   Iᵢ ← max(0, Iᵢ + lr·Δᵢ) ,   λᵢ = max(0, Iᵢ + proportional·Δᵢ)

With `proportional` 0 this is projected dual ascent. The division keeps rewards of one size whatever the prices.

Reference: Stooke, Achiam and Abbeel 2020, Responsive Safety in Reinforcement Learning by PID Lagrangian Methods, arXiv
2007.03964; the step size 0.05 is that of Ray, Achiam and Amodei 2019, Benchmarking Safe Exploration.
Deviations from the paper: costs are means a step, not sums an episode, so one limit holds whatever the horizon and a
step size means more the larger a step's cost is; one critic for the priced reward, where the papers train a second for
costs; no derivative term.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, Constraint, EnvSpec, Metrics, RewardState, Transition
from operant.errors import SpecError
from operant.rewards._checks import check_number


class LagrangianState(eqx.Module):
    """States of the reward and of each cost; the integral and the price λ of each of K constraints."""

    reward: RewardState
    costs: tuple[RewardState, ...]
    integral: Float[Array, " K"]
    multiplier: Float[Array, " K"]


class Lagrangian(AbstractReward):
    """`(r − Σ λ·cost)/(1 + Σ λ)`, with λ learned so that mean costs come down to their limits.

    Raises:
        SpecError: no constraints; as many names as there are not constraints; a negative step size or price.

    >>> from operant.core import Box
    >>> from operant.rewards.program import Program
    >>> cost = Program(lambda action: action[0] ** 2)
    >>> reward = Lagrangian(Program(lambda action: action[0]), (Constraint(cost, 1.0),), lr=0.5)
    >>> state = reward.init(EnvSpec(Box((1,)), Box((1,)), None), key=jax.random.key(0))
    >>> x, no = jnp.zeros((1, 1)), jnp.zeros((1, 1), bool)
    >>> batch = Transition(x[..., None], 2.0 + x[..., None], x, no, no, x[..., None], {})
    >>> state, metrics = reward.update(state, batch, key=jax.random.key(0))
    >>> float(metrics["constraint/0_cost"]), state.multiplier.tolist()  # λ = 0.5 · (4 − 1)
    (4.0, [1.5])
    >>> round(float(reward(state, batch)[0, 0]), 6)  # (2 − 1.5 · 4)/(1 + 1.5)
    -1.6
    """

    reward: AbstractReward
    """What to maximise."""
    constraints: tuple[Constraint, ...]
    """Costs and the largest mean of each a step."""
    lr: float = 0.05
    """Rise of a price a rollout, per unit of mean cost above its limit."""
    initial: float = 0.0
    """Price λ of every cost at the start (reward units per cost unit)."""
    proportional: float = 0.0
    """Share of the present excess in the price, which damps oscillation (reward units per squared cost unit)."""

    card: ClassVar[Card] = Card(
        "Stooke, Achiam and Abbeel 2020, Responsive Safety in Reinforcement Learning by PID Lagrangian Methods",
        "2007.03964",
        "reward",
    )

    def __check_init__(self):
        if not self.constraints:
            raise SpecError("expected at least one constraint in Lagrangian; got none. Use the reward as it is.")
        names = [c.name or str(i) for i, c in enumerate(self.constraints)]
        if len(set(names)) < len(names):
            raise SpecError(f"expected {len(names)} different names, one a constraint; got {names}. Rename one.")
        for what in ("lr", "initial", "proportional"):
            check_number(f"Lagrangian.{what}", getattr(self, what), 0.0, float("inf"))

    @property
    def reads_env_reward(self) -> bool:
        return any(part.reads_env_reward for part in (self.reward, *(c.cost for c in self.constraints)))

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> LagrangianState:
        reward_key, *keys = jax.random.split(key, 1 + len(self.constraints))
        costs = tuple(c.cost.init(spec, key=k) for c, k in zip(self.constraints, keys, strict=True))
        # Two arrays, not one twice: the loops donate this state, and a buffer can be donated once.
        price = lambda: jnp.zeros(len(self.constraints)) + self.initial
        return LagrangianState(self.reward.init(spec, key=reward_key), costs, price(), price())

    def __call__(self, state: LagrangianState, batch: Transition) -> Float[Array, "*B"]:
        """Priced reward of any leading axes *B (reward units)."""
        total = self.reward(state.reward, batch)
        for i, constraint in enumerate(self.constraints):
            total = total - state.multiplier[i] * constraint.cost(state.costs[i], batch)
        return total / (1.0 + jnp.sum(state.multiplier))

    def shows(self, state: LagrangianState) -> Any:
        return self.reward.shows(state.reward)

    def update(
        self, state: LagrangianState, batch: Transition, *, key: PRNGKeyArray
    ) -> tuple[LagrangianState, Metrics]:
        """Reprice from a rollout. Logs `constraint/<name>_cost` (mean a step) and `constraint/<name>_multiplier`."""
        reward_key, *keys = jax.random.split(key, 1 + len(self.constraints))
        inner, metrics = self.reward.update(state.reward, batch, key=reward_key)
        costs, means = [], []
        for constraint, old, k in zip(self.constraints, state.costs, keys, strict=True):
            new, more = constraint.cost.update(old, batch, key=k)
            metrics = metrics | more
            costs.append(new)
            means.append(jnp.mean(constraint.cost(new, batch)))
        excess = jnp.stack(means) - jnp.stack([jnp.asarray(c.limit, jnp.float32) for c in self.constraints])
        integral = jnp.maximum(0.0, state.integral + self.lr * excess)
        multiplier = jnp.maximum(0.0, integral + self.proportional * excess)
        for i, constraint in enumerate(self.constraints):
            name = constraint.name or str(i)
            metrics = metrics | {f"constraint/{name}_cost": means[i], f"constraint/{name}_multiplier": multiplier[i]}
        return LagrangianState(inner, tuple(costs), integral, multiplier), metrics
