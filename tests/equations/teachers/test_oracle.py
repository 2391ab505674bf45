"""The oracle compares sums of the segments' own rewards."""

import jax
import numpy as np

from operant.core import Transition
from operant.data.segments import Pairs, Segments
from operant.teachers import TARGET, Answer, Oracle, Stochastic


def segments(rewards, mask=None) -> Segments:
    rewards = np.asarray(rewards, np.float32)
    none = np.zeros(rewards.shape, bool)
    mask = np.ones(rewards.shape, bool) if mask is None else np.asarray(mask)
    return Segments(Transition(rewards, none, rewards, none, none, rewards, {}), mask)


def test_the_larger_sum_wins_and_equal_sums_tie():
    pairs = Pairs(segments([[1, 1], [0, 3], [2, 2]]), segments([[1, 0], [2, 2], [4, 0]]))
    answers = Oracle().label(pairs, key=jax.random.key(0))
    assert answers.tolist() == [Answer.left, Answer.right, Answer.tie]
    assert TARGET[answers].tolist() == [0.0, 1.0, 0.5]


def test_steps_after_the_end_do_not_count():
    pairs = Pairs(segments([[1, 100]], [[True, False]]), segments([[1, 1]]))
    assert Oracle().label(pairs, key=jax.random.key(0)).tolist() == [Answer.right]
    assert Oracle(equal=1.0).label(pairs, key=jax.random.key(0)).tolist() == [Answer.tie]


def test_of_nan_nobody_can_tell():
    pairs = Pairs(segments([[1, np.nan], [0, 1]]), segments([[0, 0], [2, np.nan]]))
    assert Oracle().label(pairs, key=jax.random.key(0)).tolist() == [Answer.unsure] * 2
    assert Stochastic(mistake=0.0).label(pairs, key=jax.random.key(0)).tolist() == [Answer.unsure] * 2
