"""Claims of exact occupancy regularisation: hacks are left alone at a smaller price than by keeping near to actions.

A loophole process: 16 states, 4 actions, 3 successors each, γ = 0.9; the truth r(s, a) is standard normal; the base
policy takes an action with probability ∝ exp(Q_truth) mixed with 10% of uniform; the proxy is the truth and a loophole:
in the 2 states that the base visits least it pays 8 more, and the truth there is 4 less than drawn. Processes are kept
where proxy and truth correlate under the base, ρ ≥ 0.2. The figure is a share of what there is to gain truly:

    (J_truth(π) − J_truth(base)) / (J_truth(best) − J_truth(base))

Reference: Laidlaw, Singhal and Dragan 2024, 2403.03185, theorem 5.1, section 5 and table 2.
"""

import dataclasses
import functools
import time
from typing import Any, Literal, NamedTuple

import numpy as np

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures
from operant.claims._tests import Better, Equal
from operant.envs.tabular import TabularMDP
from operant.learners.tabular import OccupancyRegularised, Planned
from operant.learners.tabular.occupancy_regularised import Divergence, lower_bound
from operant.math.dynamic_programming import backup, occupancy_measure, policy_iteration, soft_greedy

STATES, ACTIONS, DISCOUNT = 16, 4, 0.9
LOOPHOLES, BAIT, HARM, LEAST = 2, 8.0, 4.0, 0.2
COEFFICIENTS = (100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""λ in standard deviations of the proxy under the base policy, the same for every method; the paper has the last 7."""
HALF = 0.5
"""Share of the greatest proxy gain at which methods are matched."""


class Loophole(NamedTuple):
    """A process that pays the proxy, its truth, and a base policy."""

    mdp: TabularMDP
    truth: np.ndarray
    base: np.ndarray
    visits: np.ndarray
    best: float
    """J of the truth's best policy."""


@functools.lru_cache(maxsize=256)
def loophole(seed: int) -> Loophole:
    """The seed's process: the first drawn whose proxy correlates with the truth."""
    rng = np.random.default_rng([seed, 30])
    while True:
        drawn = TabularMDP.random(rng, STATES, ACTIONS, branching=3, discount=DISCOUNT)
        P, truth = drawn.P, rng.normal(size=(STATES, ACTIONS))
        wide = lambda r, P=P: np.broadcast_to(r[:, :, None], P.shape)
        V, _, _, _ = policy_iteration(P, wide(truth), DISCOUNT)
        base = 0.9 * soft_greedy(backup(P, wide(truth), V, DISCOUNT), 1.0) + 0.1 / ACTIONS
        visits = (1 - DISCOUNT) * occupancy_measure(P, base, drawn.initial, DISCOUNT)
        rare = np.argsort(visits.sum(1))[:LOOPHOLES]
        truth, proxy = truth.copy(), truth.copy()
        truth[rare] -= HARM
        proxy[rare] += BAIT
        if correlation(proxy, truth, visits) >= LEAST:
            best = policy_iteration(P, wide(truth), DISCOUNT)[0] @ drawn.initial * (1 - DISCOUNT)
            return Loophole(TabularMDP(P, wide(proxy), drawn.initial, DISCOUNT), truth, base, visits, float(best))


def correlation(proxy: np.ndarray, truth: np.ndarray, visits: np.ndarray) -> float:
    """ρ over the base policy's visits."""
    x, y = (r - (visits * r).sum() for r in (proxy, truth))
    return float((visits * x * y).sum() / np.sqrt((visits * x * x).sum() * (visits * y * y).sum()))


def spread(world: Loophole) -> float:
    """σ of the proxy over the base policy's visits."""
    proxy = world.mdp.R[:, :, 0]
    return float(np.sqrt((world.visits * (proxy - (world.visits * proxy).sum()) ** 2).sum()))


def share(world: Loophole, occupancy: np.ndarray) -> float:
    """The figure."""
    base = (world.visits * world.truth).sum()
    return float(((occupancy * world.truth).sum() - base) / (world.best - base))


@dataclasses.dataclass(frozen=True)
class Gained(AbstractSample):
    """What each process's policy truly gains: with the best of the coefficients, or where half the proxy is gained."""

    divergence: Divergence | None
    """None: the proxy alone."""
    of: Literal["state-action", "state"] = "state-action"
    at: Literal["best", "matched"] = "best"

    def plain(self) -> dict[str, Any]:
        return {"divergence": self.divergence or "none", "of": self.of, "at": self.at}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        worlds = [loophole(seed) for seed in range(bench.seeds)]
        found = [(self._best if self.at == "best" else self._matched)(world) for world in worlds]
        return Figures(np.array(found), time.perf_counter() - began)

    def plan(self, world: Loophole, weight: float) -> Planned:
        return OccupancyRegularised(weight, self.divergence or "chi2", self.of)(world.mdp, world.base)

    def _best(self, world: Loophole) -> float:
        weights = [0.0] if self.divergence is None else [c * spread(world) for c in COEFFICIENTS]
        return max(share(world, self.plan(world, weight).occupancy) for weight in weights)

    def _matched(self, world: Loophole) -> float:
        base = float((world.visits * world.mdp.R[:, :, 0]).sum())
        aim = base + HALF * (self.plan(world, 0.0).proxy - base)
        low, high = -4.0, 4.0  # log₁₀ λ; the larger, the less proxy
        for _ in range(20):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.plan(world, 10.0**middle).proxy > aim else (low, middle)
        return share(world, self.plan(world, 10.0**high).occupancy)


@dataclasses.dataclass(frozen=True)
class Promised(AbstractSample):
    """How far each policy's true advantage falls short of what theorem 5.1 grants it: 0 where it does not.

    Policies: of λ √χ² with the theorem's λ = σ √(1 − ρ²), which are promised at least the base policy's return.
    """

    def plain(self) -> dict[str, Any]:
        return {"divergence": "sqrt_chi2", "weight": "σ √(1 − ρ²)"}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        found = []
        for world in map(loophole, range(bench.seeds)):
            proxy, occupancy = world.mdp.R[:, :, 0], rooted(world).occupancy
            promised = max(lower_bound(proxy, world.truth, occupancy, world.visits), 0.0)
            missing = promised - float(((occupancy - world.visits) * world.truth).sum())
            found.append(missing if missing > 1e-6 else 0.0)
        return Figures(np.array(found), time.perf_counter() - began)


def rooted(world: Loophole) -> Planned:
    """The best policy by r − λ √χ², λ the theorem's: that of r − w χ² with 2 w √χ² = λ."""
    weight = spread(world) * np.sqrt(1.0 - correlation(world.mdp.R[:, :, 0], world.truth, world.visits) ** 2)
    plan = lambda log: OccupancyRegularised(10.0**log, "chi2")(world.mdp, world.base)
    low, high = -4.0, 4.0
    for _ in range(24):
        middle = 0.5 * (low + high)
        root = 2.0 * 10.0**middle * np.sqrt(max(plan(middle).divergence, 0.0))
        low, high = (middle, high) if root < weight else (low, middle)
    return plan(high)


@dataclasses.dataclass(frozen=True)
class Nothing(AbstractSample):
    """Zeros, one a process."""

    def plain(self) -> dict[str, Any]:
        return {"is": 0.0}

    def figures(self, bench: Bench) -> Figures:
        return Figures(np.zeros(bench.seeds), 0.0)


_PROBLEM = (
    "random processes of 16 states and 4 actions whose proxy has a loophole: the 2 states that the base policy visits "
    "least pay 8 more than they truly would, and cost 4; exact"
)
_BEST = (
    "share of the true gain over the base policy that there is, with the best of 13 coefficients (0.01 to 100 standard "
    "deviations of the proxy)"
)
_MATCHED = "share of the true gain over the base policy that there is, at the coefficient that gains half the proxy"
_WIDER = (
    "First run with the last 7 coefficients, the paper's, whose largest was best for KL of actions in 85% of "
    "processes; the grid was widened for every method, and the verdicts stayed as they were."
)
_SHARED: dict[str, Any] = {"tier": "quick", "problem": _PROBLEM, "steps": 0, "seeds": 40, "test": Better()}

CLAIMS = (
    Claim(
        name="against-the-proxy",
        statement="Optimising a proxy that correlates with the truth hacks it; regularised by χ² it truly gains.",
        source="2403.03185, definition 4.2 and table 2",
        baseline="the proxy's best policy",
        figure=_BEST,
        subject=Gained("chi2"),
        control=Gained(None),
        **_SHARED,
    ),
    Claim(
        name="against-action-kl",
        statement="χ² between occupancies keeps more of the true return than KL between actions, each at its best.",
        source="2403.03185, table 2",
        baseline="KL between actions, with the best of the same coefficients",
        figure=_BEST,
        subject=Gained("chi2"),
        control=Gained("action_kl"),
        note=_WIDER,
        **_SHARED,
    ),
    Claim(
        name="at-matched-proxy",
        statement="At the same proxy return, χ² between occupancies has more of the true return than KL of actions.",
        source="2403.03185, section 5 and figure 4",
        baseline="KL between actions, at the same proxy return",
        figure=_MATCHED,
        subject=Gained("chi2", at="matched"),
        control=Gained("action_kl", at="matched"),
        **_SHARED,
    ),
    Claim(
        name="chi2-against-kl",
        statement="Of divergences between occupancies χ² keeps more of the true return than KL.",
        source="2403.03185, section 5 and table 2",
        baseline="KL between occupancies, with the best of the same coefficients",
        figure=_BEST,
        subject=Gained("chi2"),
        control=Gained("kl"),
        note=_WIDER,
        **_SHARED,
    ),
    Claim(
        name="state-action-against-state",
        statement="Comparing visits to states and actions keeps more of the true return than visits to states alone.",
        source="2403.03185, theorem 5.1, which is of states and actions",
        baseline="χ² between occupancies of states, with the best of the same coefficients",
        figure=_BEST,
        subject=Gained("chi2"),
        control=Gained("chi2", "state"),
        note="These loopholes are states: comparing visits to states alone sees them too, and leaves actions free. "
        "With the paper's 7 coefficients, as first run, it was 0.43 against 0.35, p = 0.07. The paper reports both "
        "without saying that either is always better.",
        **_SHARED,
    ),
    Claim(
        name="theorem",
        statement="With λ = σ √(1 − ρ²) and √χ², the policy is truly no worse than the base, and no bound is violated.",
        source="2403.03185, theorem 5.1 and corollary",
        baseline="no shortfall",
        figure="what the true advantage lacks of the promised one (0: nothing)",
        subject=Promised(),
        control=Nothing(),
        **{**_SHARED, "seeds": 40, "test": Equal()},
    ),
)
