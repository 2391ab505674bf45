"""Which demonstrations hurt: those that influence calls harmful, and whether the policy is better for not having them.

    harm of example m = I(z_m), influence on the loss −log π(a | s) on held-out demonstrations (EK-FAC)
    gain = loss(trained on without a random share) − loss(trained on without the most harmful share)   nats a step

The examples are chosen by one half of the held-out episodes and judged on the other, so that choosing does not flatter
itself. Both trainings start from the policy as it is and see full batches; removing as many at random is the control.
Intervals are over seeds, or over held-out episodes where there is one.

*Concern* where the interval lies above the limit: some demonstrations are wrong, or of somebody else. *Holds* where it
lies at or below it. *Unknown* otherwise, and of policies that were not cloned by `BC` (one normal or categorical).
The rows are in the arrays, the most harmful first.

Reference: Grosse et al. 2023, Studying Large Language Model Generalization with Influence Functions, 2308.03296; wrong
labels by influence: Koh and Liang 2017, Understanding Black-box Predictions via Influence Functions, 1703.04730.
Deviations from the paper: not only ranked: the harm is tried. Limits are ours.

>>> Mislabelled().share
0.05
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from operant import nn
from operant.audits import _datasets as d
from operant.audits import _measures as m
from operant.core import AbstractAudit, AbstractPolicy, Card, Finding, Subject, Verdict
from operant.errors import DataError, check_counts
from operant.explanations import Influence, Learned
from operant.explanations._learned import of_demonstrations


class Mislabelled(AbstractAudit):
    """Do some demonstrations hurt? (See the module's docstring.)"""

    method: Influence = Influence()
    """How influence is worked out."""
    share: float = 0.05
    """How many of the demonstrations are taken away, in (0, 1)."""
    limit: float = 0.02
    """Largest gain from taking them away that still counts as none (nats a step)."""
    steps: int = 300
    """Updates of training on."""
    lr: float = 3e-4
    """Adam's step size."""
    level: float = 0.95
    """Probability the interval is to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"dataset", "held_out", "policies"})
    by_name: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        "Grosse et al. 2023, Studying Large Language Model Generalization with Influence Functions",
        "2308.03296",
        "audit",
    )

    def __check_init__(self) -> None:
        check_counts(self, "steps", "resamples")
        for name in ("share", "level"):
            m.check_share(f"Mislabelled.{name}", getattr(self, name))

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        rng = m.generator(key)
        d.steps_of(subject.dataset)  # says what is no dataset
        test = d.steps_of(subject.held_out, "held_out")
        episode, count = test.episode, test.episodes
        if count < 4:
            raise DataError(
                f"expected at least 4 held-out episodes, half to choose by and half to judge by; got {count}. "
                "Hold out more."
            )
        judges = rng.permutation(count) < count // 2
        gains, rows, harms = [], [], []
        for policy in subject.policies:
            harm, gain = self._one(policy, subject, judges[episode], rng)
            by_episode = [gain[episode[judges[episode]] == e].mean() for e in np.flatnonzero(judges)]
            gains.append(np.array(by_episode))
            harms.append(harm)
            rows.append(np.argsort(-harm)[: self._count(len(harm))])
        found = m.interval_of_mean(gains, self.level, self.resamples, rng)
        n = len(gains)
        over = "seeds" if n > 1 else "held-out episodes"
        said = (
            f"without the {len(rows[0])} demonstrations that influence calls most harmful, instead of as many others, "
            f"the held-out loss is lower by {m.span(found)} nats a step (interval over {over})"
        )
        arrays = {"rows": np.stack(rows), "harm": np.stack(harms)}
        verdict, why = Verdict.unknown, "; that is too uncertain to judge."
        if found.low > self.limit:
            verdict, why = Verdict.concern, ": look at those rows; labels may be wrong, or somebody else's."
        elif found.high <= self.limit:
            verdict, why = Verdict.holds, ": no demonstrations stand out as harmful."
        return m.finding(self, verdict, f"{said}{why}", found, n=n, limit=self.limit, arrays=arrays)

    def _count(self, size: int) -> int:
        return max(1, round(self.share * size))

    def _one(
        self, policy: AbstractPolicy, subject: Subject, judging: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Harm of each demonstration, and the gain at each judging step."""
        learned, other = (of_demonstrations(policy, data) for data in (subject.dataset, subject.held_out))
        choosing, judge = other.rows(np.flatnonzero(~judging)), other.rows(np.flatnonzero(judging))
        harm = self.method(learned, lambda network: choosing.losses(network).mean())
        worst = np.argsort(-harm)[: self._count(len(harm))]
        some = rng.choice(len(harm), len(worst), replace=False)
        losses = []
        for gone in (worst, some):
            weight = np.ones(len(harm), np.float32)
            weight[gone] = 0.0
            network = _trained_on(learned, jnp.asarray(weight), self.steps, self.lr)
            losses.append(np.asarray(judge.losses(network), np.float64))
        return harm, losses[1] - losses[0]


@eqx.filter_jit
def _trained_on(learned: Learned, weight: Array, steps: int, lr: float) -> nn.MLP:
    flat, back = learned.flat()
    adam = optax.adam(lr)

    def step(carry: Any, _: None) -> tuple[Any, None]:
        v, state = carry
        gradient = jax.grad(lambda v: (weight * learned.losses(back(v))).sum() / weight.sum())(v)
        move, state = adam.update(gradient, state)
        return (v + jnp.asarray(move), state), None

    (v, _), _ = jax.lax.scan(step, (flat, adam.init(flat)), None, length=steps)
    return back(v)
