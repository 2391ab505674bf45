"""IPO's claims: held to its reference where answers never contradict each other, and the logistic loss is not.

Reference: Azar et al. 2023, 2310.12036.
"""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from operant.claims import Claim
from operant.claims._fitted import segments
from operant.claims._samples import AbstractSample, Bench, Exact, Figures, plain_fields
from operant.claims._tests import Above
from operant.core import Box, Discrete, EnvSpec, Intent
from operant.data.comparison_dataset import ComparisonDataset
from operant.data.segments import Pairs
from operant.learners.preferences.cpl import CPL
from operant.learners.preferences.losses import IPO, Logistic
from operant.loops.fit import fit
from operant.math.schedules import Linear
from operant.rewards.task import Task

STRENGTHS = (0.1, 0.3, 1.0, 3.0)
"""τ, one a figure: how strongly the policy is held to the reference (the logistic loss's temperature)."""
BANDIT = EnvSpec(Box((1,)), Discrete(3), 1, name="three actions")


def certain() -> ComparisonDataset:
    """Every pair of three actions, either way round: the first beats the others, the second the third."""
    left, right = np.array([(a, b) for a in range(3) for b in range(3) if a != b], np.int32).T
    x, yes = np.zeros((6, 1), np.float32), np.ones((6, 1), bool)
    side = lambda action: segments(x[..., None], action[:, None], x, yes, yes)
    return ComparisonDataset(Pairs(side(left), side(right)), (right < left).astype(np.float32), BANDIT)


@dataclasses.dataclass(frozen=True)
class Bandit(AbstractSample):
    """Learn from certain answers, at each of `STRENGTHS`; the figure is the overlap Σ_a min(π, π*)."""

    def plain(self) -> dict[str, Any]:
        return {"data": "certain answers about three actions", "learners": [plain_fields(self._learner(1.0, 1))]}

    def _learner(self, strength: float, steps: int) -> CPL:
        lr = Linear(0.05, 0.0, float(steps))
        return CPL(IPO(strength), reference=True, bc_steps=0, hidden=(), batch=60, lr=lr)

    def figures(self, bench: Bench) -> Figures:
        values, began = [], time.perf_counter()
        for i, strength in enumerate(STRENGTHS):
            learner, key = self._learner(strength, bench.steps), jax.random.fold_in(bench.key, i)
            run = fit(learner, certain(), Intent(Task()), steps=bench.steps, key=key)
            state = jax.tree.map(lambda x: x[0], run.state.learner)
            probs = lambda net: np.asarray(net.distribution(np.zeros(1), np.zeros(1)).probs(), float)
            win = np.array([5 / 6, 3 / 6, 1 / 6])  # against an action drawn uniformly, itself included
            closed = probs(state.reference) * np.exp(win / strength)
            found = probs(state.network)
            values.append(np.minimum(found, closed / closed.sum()).sum())
        return Figures(np.array(values), time.perf_counter() - began)


def forgetting() -> np.ndarray:
    """The best action's probability after 30 Newton steps on the logistic loss, from a uniform reference, at each of
    `STRENGTHS`."""
    better, worse = jnp.array([0, 0, 1]), jnp.array([1, 2, 2])

    def best(strength: float) -> float:
        def loss(free: Array) -> Array:
            ratio = jax.nn.log_softmax(jnp.append(free, 0.0)) + jnp.log(3.0)
            return Logistic(strength, 1.0)(ratio[worse], ratio[better], jnp.ones(3)).mean()

        step = lambda free, _: (free - jnp.linalg.solve(jax.hessian(loss)(free), jax.grad(loss)(free)), None)
        free, _ = jax.jit(lambda: jax.lax.scan(step, jnp.zeros(2), None, length=30))()
        return float(jax.nn.softmax(jnp.append(free, 0.0))[0])

    return np.array([best(strength) for strength in STRENGTHS])


_SHARED: dict[str, Any] = {
    "tier": "quick",
    "problem": "a bandit of three actions whose order is never contradicted; τ (DPO's β) 0.1, 0.3, 1 and 3 in place of "
    "seeds",
    "seeds": 4,
    "control": None,
}
CLAIMS = (
    Claim(
        name="keeps-the-reference",
        statement="IPO finds the policy of its closed form, π ∝ π_ref exp(p(y ≻ μ)/τ), also where the better action "
        "always wins: it stays regularised, as strongly as τ says.",
        source="2310.12036, sections 5.2 and 5.4",
        baseline="the closed form",
        figure="Σ_a min(π(a), π*(a)): 1 where learned policy and closed form are the same",
        test=Above(0.99),
        steps=3_000,
        subject=Bandit(),
        **_SHARED,
    ),
    Claim(
        name="logistic-forgets-it",
        statement="With DPO's logistic loss the policy becomes deterministic however strong its regularisation.",
        source="2310.12036, section 4.2",
        baseline="probability 0.99 of the best action (under IPO, at these τ: 0.96, 0.71, 0.45 and 0.37)",
        figure="probability of the best action after learning",
        test=Above(0.99),
        steps=0,
        subject=Exact(forgetting, "30 Newton steps on the logistic loss of the three pairs, from a uniform reference"),
        note="The minimum lies at infinity, and how near to it one gets is a matter of steps: tried first by fitting "
        "as IPO is (3,000 updates of Adam, step size falling to 0), the lowest of the four "
        "probabilities was 0.94, which a threshold of 0.99 did not pass.",
        **_SHARED,
    ),
)
