"""A teacher that errs as people do: myopic, not quite rational, now and then mistaken, and sometimes silent.

    P(right better) = σ(β (R_γ(right) − R_γ(left))),   R_γ = Σ_t γ^{L−t} r_t      (β = ∞: always the better one)

then, with probability ε, the opposite; "cannot tell" where both sum to less than `skip`; a tie where the sums differ by
less than `equal`.

Reference: Lee, Smith, Dragan, Abbeel 2021, B-Pref: Benchmarking Preference-Based Reinforcement Learning, 2111.03026,
algorithm 1.
Deviations from the paper: `skip` and `equal` are sums of rewards; the paper's adapt to the agent's average return.

>>> from operant.core import Transition
>>> from operant.data.segments import Segments
>>> segment = lambda *r: Segments(Transition(None, None, np.array([r]), None, None, None, {}), np.array([[True, True]]))
>>> pair = Pairs(segment(3.0, 0.0), segment(0.0, 1.0))
>>> key = jax.random.key(0)
>>> [Stochastic(myopia=m, mistake=0.0).label(pair, key=key).tolist() for m in (1.0, 0.1)]
[[0], [1]]
"""

import math
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from operant.core import Card
from operant.data.segments import Pairs, Segments
from operant.errors import SpecError
from operant.teachers import AbstractTeacher, Answer
from operant.teachers.oracle import total


class Stochastic(AbstractTeacher):
    """An oracle with the failings of people (see the module's docstring)."""

    rationality: float = math.inf
    """β: how surely the better one is preferred (1/reward units); inf: always."""
    myopia: float = 1.0
    """γ: weight of a step's reward relative to the next one's, in (0, 1]; 1: all steps count alike."""
    mistake: float = 0.1
    """ε: share of answers that are the wrong way round."""
    skip: float = -math.inf
    """Sum of rewards below which, for both, the teacher cannot tell (reward units)."""
    equal: float = 0.0
    """Difference between the sums up to which it is a tie (reward units)."""

    card: ClassVar[Card] = Card(
        "Lee et al. 2021, B-Pref: Benchmarking Preference-Based Reinforcement Learning",
        "2111.03026",
        "preference-learning",
    )

    def __check_init__(self) -> None:
        if self.rationality < 0.0:
            raise SpecError(f"expected Stochastic.rationality ≥ 0; got {self.rationality:g}. 0 answers by chance.")
        if not 0.0 < self.myopia <= 1.0:
            raise SpecError(f"expected Stochastic.myopia in (0, 1]; got {self.myopia:g}. Use 1 for none.")
        if not 0.0 <= self.mistake <= 1.0:
            raise SpecError(f"expected Stochastic.mistake in [0, 1]; got {self.mistake:g}. Use 0 for none.")

    def label(self, pairs: Pairs, *, key: PRNGKeyArray) -> Int[np.ndarray, " n"]:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        left, right = total(pairs.left), total(pairs.right)
        gap = self._weighed(pairs.right) - self._weighed(pairs.left)
        with np.errstate(over="ignore", invalid="ignore"):
            p = np.where(gap == 0, 0.5, 1.0 / (1.0 + np.exp(-self.rationality * gap)))
        prefers = rng.random(len(gap)) < p
        prefers = prefers ^ (rng.random(len(gap)) < self.mistake)
        answer = np.where(prefers, Answer.right, Answer.left)
        answer = np.where(np.abs(right - left) <= self.equal, Answer.tie, answer)
        return np.where(np.isnan(gap) | (np.maximum(left, right) < self.skip), Answer.unsure, answer)

    def _weighed(self, side: Segments) -> Float[np.ndarray, " n"]:
        own = np.asarray(side.mask)
        after = own[:, ::-1].cumsum(1)[:, ::-1] - 1  # steps of the segment still to come
        return np.where(own, side.steps.reward * self.myopia ** np.maximum(after, 0), 0.0).sum(-1)
