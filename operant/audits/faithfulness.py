"""Can an explanation be believed: does it foretell how the policy's action changes when what it sees changes a little?

    R² = 1 − Var(f(x_ξ) − slopes · x_ξ)/Var f(x_ξ)   over perturbations ξ the explanation has not seen

f is the log-probability of the action taken (discrete), or an element of the greedy action (Box, all in turn); x are
observations of the subject's own episodes, perturbed by a share of what each element varied there. The value is the
mean R² over observations; intervals are over seeds, or over observations where there is one.

*Holds* where the interval lies at or above the limit; *fails* where it lies below 0: such an explanation is worse than
none; *concern* otherwise. *Unknown* where the action hardly ever changes, or where the policy remembers.

Reference: Han, Srinivas and Lakkaraju 2022, Which Explanation Should I Choose?, 2206.01254 (section 4: judge an
explanation in the neighbourhood that matters).
Deviations from the paper: limits are ours.

>>> Faithfulness().limit
0.8
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, AbstractPolicy, Box, Card, Finding, Subject, Verdict
from operant.errors import DataError, SpecError, check_counts
from operant.explanations import AbstractNeighbourhood, LocalApproximation, Nearby, output_of
from operant.explanations.local_approximation import faithfulness


class Faithfulness(AbstractAudit):
    """Does an explanation foretell how actions change? (See the module's docstring.)"""

    method: LocalApproximation = LocalApproximation(Nearby(0.1), "gradients", 500)
    """The explanation; SmoothGrad."""
    neighbourhood: AbstractNeighbourhood = Nearby(0.1)
    """Where it is to be right: in standard deviations of each element over the episodes."""
    observations: int = 20
    """Observations of each seed that are explained."""
    limit: float = 0.8
    """Smallest R² of an explanation that may be believed."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"policies", "episodes"})
    by_name: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        "Han et al. 2022, Which Explanation Should I Choose? A Function Approximation Perspective",
        "2206.01254",
        "audit",
        ("env",),
    )

    def __check_init__(self) -> None:
        check_counts(self, "observations", "resamples")
        m.check_share("Faithfulness.level", self.level)
        m.check_share("Faithfulness.limit", self.limit)

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        if any(p.remembers for p in subject.policies):
            why = "the policy remembers: what it does is no function of one observation."
            return m.finding(self, Verdict.unknown, why)
        both = list(zip(subject.policies, subject.episodes, strict=False))
        each = [self._one(policy, episodes, rng) for policy, episodes in both]
        kept = [x[np.isfinite(x)] for x in each]
        asked, n = sum(map(len, each)), sum(map(len, kept))
        said = f"{len(each)} seed{'s' if len(each) > 1 else ''}, {asked} observations"
        if n < max(3, asked / 2) or not all(map(len, kept)):
            why = f"{said}: the action hardly changes at {asked - n} of them, so there is nothing to foretell."
            return m.finding(self, Verdict.unknown, why, n=n)
        found = m.interval_of_mean(kept, self.level, self.resamples, rng)
        tell = lambda verdict, why: m.finding(
            self, verdict, f"{said}: R² {m.span(found)} on perturbations it had not seen{why}", found, n=n,
            limit=self.limit, arrays={"r2": np.concatenate(each)},
        )  # fmt: skip
        if found.low >= self.limit:
            return tell(Verdict.holds, "; linear explanations say how this policy acts nearby.")
        if found.high < 0.0:
            return tell(Verdict.fails, ": worse than no explanation. Try another method, or a smaller neighbourhood.")
        return tell(Verdict.concern, f", and {self.limit:g} are asked for: do not read much into such explanations.")

    def _one(self, policy: AbstractPolicy, episodes: Any, rng: np.random.Generator) -> np.ndarray:
        """R² at some of the observations of a seed; NaN where nothing changes."""
        space, actions = policy.spec.obs, policy.spec.action
        if not isinstance(space, Box):
            raise SpecError(f"expected observations that are a Box of floats, whose elements can vary; got {space}.")
        mask = np.asarray(episodes.mask)
        seen = np.asarray(episodes.transitions.obs, np.float64)[mask].reshape(int(mask.sum()), -1)
        if not np.isfinite(seen).all():
            raise DataError("expected finite observations; the episodes hold NaN or infinity. Mend the environment.")
        deviation = seen.std(0)
        if not deviation.any():
            return np.full(self.observations, np.nan)
        scale = np.maximum(deviation, 1e-6 * deviation.max())
        about, functions, found = seen.mean(0), {}, []
        act = jax.jit(lambda v: policy(v, policy.init_carry(), key=None)[0])
        for i, row in enumerate(rng.integers(len(seen), size=self.observations)):
            obs = seen[row].reshape(space.shape)
            which = i % actions.size if isinstance(actions, Box) else int(act(jnp.asarray(obs, space.dtype)))
            if which not in functions:  # one compilation for each
                chosen: Any = {"element": which} if isinstance(actions, Box) else {"action": which}
                functions[which] = output_of(policy, obs, **chosen)[0]
            key = jax.random.key(int(rng.integers(2**31)))
            around: dict[str, Any] = {"baseline": about, "scale": scale}
            slopes = self.method(functions[which], seen[row], key=key, **around).slopes
            judged = jax.random.fold_in(key, 1)
            near = self.neighbourhood
            found.append(faithfulness(functions[which], seen[row], slopes, near, samples=500, key=judged, **around))
        return np.array(found)
