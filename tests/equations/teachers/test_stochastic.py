"""The stochastic teacher's failings, each against its own formula."""

import jax
import numpy as np
import pytest
from scipy import stats

from operant.core import Transition
from operant.data.segments import Pairs, Segments
from operant.errors import SpecError
from operant.teachers import Answer, Oracle, Stochastic


def pairs(left, right, n=1) -> Pairs:
    def segments(rewards) -> Segments:
        rewards = np.tile(np.asarray(rewards, np.float32), (n, 1))
        no = np.zeros(rewards.shape, bool)
        return Segments(Transition(rewards, no, rewards, no, no, rewards, {}), ~no)

    return Pairs(segments(left), segments(right))


def share(teacher, left, right, answer, n=4000) -> tuple[int, int]:
    return int((teacher.label(pairs(left, right, n), key=jax.random.key(1)) == answer).sum()), n


def test_without_failings_it_is_the_oracle():
    rng = np.random.default_rng(0)
    no = np.zeros((50, 4), bool)
    side = lambda: (lambda r: Segments(Transition(r, no, r, no, no, r, {}), ~no))(rng.normal(size=(50, 4)))
    both = Pairs(side(), side())
    perfect = Stochastic(mistake=0.0).label(both, key=jax.random.key(0))
    np.testing.assert_array_equal(perfect, Oracle().label(both, key=None))


def test_rationality_is_a_logistic_in_the_gap():
    k, n = share(Stochastic(rationality=0.7, mistake=0.0), [0.0, 0.0], [1.0, 1.0], Answer.right)
    assert stats.binomtest(k, n, 1 / (1 + np.exp(-1.4))).pvalue > 1e-3


def test_mistakes_turn_answers_round():
    k, n = share(Stochastic(mistake=0.3), [0.0, 0.0], [1.0, 1.0], Answer.left)
    assert stats.binomtest(k, n, 0.3).pvalue > 1e-3


def test_myopia_weighs_the_end():
    """With γ = ½: left (3, 0) is worth 1.5, right (0, 2) is worth 2, though its sum is smaller."""
    teacher = Stochastic(myopia=0.5, mistake=0.0)
    assert teacher.label(pairs([3.0, 0.0], [0.0, 2.0]), key=jax.random.key(0)).tolist() == [Answer.right]


def test_it_is_silent_below_skip_and_ties_when_close():
    teacher = Stochastic(mistake=0.0, skip=1.0, equal=0.5)
    ask = lambda a, b: teacher.label(pairs([a], [b]), key=jax.random.key(0)).tolist()
    assert ask(0.2, 0.4) == [Answer.unsure] and ask(2.0, 2.4) == [Answer.tie] and ask(2.0, 3.0) == [Answer.right]


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"rationality": -1.0}, "rationality ≥ 0"), ({"myopia": 0.0}, "myopia in"), ({"mistake": 1.5}, "mistake in")],
)
def test_impossible_failings_are_refused(fields, words):
    with pytest.raises(SpecError, match=f"expected Stochastic.{words}"):
        Stochastic(**fields)
