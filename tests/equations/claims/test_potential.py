"""Potential shaping's claim: its corridor's rewards by hand, its walk, and that its learner learns at all."""

import jax
import numpy as np

from operant.claims import potential
from operant.claims._samples import Bench
from operant.io.recorders import Silent
from operant.rewards.task import Task


def test_rewards_of_the_corridor_by_hand():
    shaped, naive, plain = map(potential.rewards, (potential.SHAPED, potential.NAIVE, Task()))
    right, left = 1, 3
    np.testing.assert_allclose(plain[18, right, 19], 1.0)
    np.testing.assert_allclose(shaped[3, right, 4], 0.99 * 4 / 19 - 3 / 19, rtol=1e-5)
    np.testing.assert_allclose(shaped[3, left, 2], 0.99 * 2 / 19 - 3 / 19, rtol=1e-5)
    np.testing.assert_allclose(shaped[18, right, 19], 1.0 - 18 / 19, rtol=1e-5)  # a terminal state has potential 0
    np.testing.assert_allclose(naive[18, right, 19], 2.0, rtol=1e-5)
    assert not shaped[19].any()


def test_naive_advice_moves_the_optimum_and_the_potential_does_not():
    plain = potential.optimal_actions(Task()).reshape(19, 4)
    assert (plain == [0, 1, 0, 0]).all()  # right, everywhere
    naive = potential.optimal_actions(potential.NAIVE).reshape(19, 4)
    assert naive[18].tolist() == [1, 0, 1, 0]  # beside the goal: stay


def test_a_walk_reaches_the_goal_or_does_not():
    Q = np.zeros((3, 20, 4))
    Q[0, :, 1] = 1.0
    Q[1, :10, 1] = Q[1, 10:, 3] = 1.0
    after = potential.CORRIDOR.successors
    assert potential._reaches(Q, after, 19).tolist() == [True, False, False]
    assert potential._reaches(Q, after, 18).tolist() == [False, False, False]


def test_the_table_learns_the_same_from_the_same_key():
    table = potential.Table(potential.SHAPED, "steps")
    bench = lambda seed: Bench(jax.random.key(seed), 1_000, 6, None, Silent())
    found = table.figures(bench(0)).values
    assert (found < 500).all() and (found >= 19).all()
    assert table.figures(bench(0)).values.tolist() == found.tolist()
