"""Ranked factors: the first that tells decides; scale does not matter; what it measures reaches it from training."""

import jax
import numpy as np
import pytest

import operant
from operant.core import Intent, Transition
from operant.data.segments import Pairs, Segments
from operant.envs.toy import Pendulum
from operant.errors import SpecError
from operant.learners import PPO
from operant.loops.asking import Questions
from operant.rewards import BradleyTerry, Normalise, Program, Task
from operant.teachers import Answer, Ranked

FACTORS = (("speed", "energy"), {"speed": Task(), "energy": Task()})


def pairs(**factors) -> Pairs:
    """Each factor: left sums, then right sums, n each; segments of two steps that share them."""

    def side(k: int) -> Segments:
        extras = {name: np.repeat(np.asarray(x[k], float)[:, None] / 2, 2, axis=1) for name, x in factors.items()}
        n = len(next(iter(extras.values())))
        none = np.zeros((n, 2))
        return Segments(Transition(none, none, none, none, none, none, extras), np.ones((n, 2), bool))

    return Pairs(side(0), side(1))


def test_the_first_factor_that_tells_decides():
    asked = pairs(speed=([1, 5, 3, 3], [5, 1, 3, 3]), energy=([9, -9, 1, 2], [-9, 9, 7, 2]))
    assert Ranked(*FACTORS).label(asked, key=None).tolist() == [Answer.right, Answer.left, Answer.right, Answer.tie]


def test_the_margin_is_in_standard_deviations():
    speed = ([0.0, 0.0], [10.0, 1.0])  # standard deviation 4.2
    asked = pairs(speed=speed, energy=([1.0, 1.0], [0.0, 0.0]))
    assert Ranked(*FACTORS, margin=0.5).label(asked, key=None).tolist() == [Answer.right, Answer.left]
    assert Ranked(*FACTORS, margin=0.1).label(asked, key=None).tolist() == [Answer.right, Answer.right]


def test_the_scale_of_a_factor_does_not_matter():
    rng = np.random.default_rng(0)
    speed, energy = rng.normal(size=(2, 2, 50))
    small = Ranked(*FACTORS).label(pairs(speed=speed, energy=energy), key=None)
    large = Ranked(*FACTORS).label(pairs(speed=1000 * speed, energy=0.01 * energy), key=None)
    np.testing.assert_array_equal(small, large)
    assert len(set(small.tolist())) == 3


SETTINGS = {"steps": 16 * 4 * 12, "num_envs": 4, "key": jax.random.key(0), "questions": Questions(10, 5, until=1.0)}
LEARNER = PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,))
REWARD = BradleyTerry(segment=8, pool=512, capacity=64, hidden=(16,), steps=10, batch=8)


def test_it_teaches_while_training():
    factors = {"upright": Program(lambda obs: obs[0]), "effort": Program(lambda action: -abs(action[0]))}
    teacher = Ranked(("upright", "effort"), factors)
    run = operant.train(LEARNER, Pendulum(max_steps=40), Intent(REWARD), teacher=teacher, **SETTINGS)
    held = run.state.reward.comparisons
    sums = np.where(held.pairs.right.mask, held.pairs.right.steps.obs[..., 0], 0).sum(-1) - np.where(
        held.pairs.left.mask, held.pairs.left.steps.obs[..., 0], 0
    ).sum(-1)
    far = np.asarray(held.known)[0] & (np.abs(sums[0]) > np.abs(sums[0]).max() / 2)
    assert far.any() and ((sums[0] > 0) == (np.asarray(held.target)[0] > 0.5))[far].all()


def test_a_factor_that_learns_is_refused():
    with pytest.raises(SpecError, match="expected what a teacher measures to be fixed; 'speed' is Normalise"):
        teacher = Ranked(("speed",), {"speed": Normalise(Task())})
        operant.train(LEARNER, Pendulum(max_steps=40), Intent(REWARD), teacher=teacher, **SETTINGS)


@pytest.mark.parametrize("ranking", [(), ("speed",), ("speed", "energy", "speed"), ("speed", "grace")])
def test_a_ranking_names_every_factor_once(ranking):
    with pytest.raises(SpecError, match=r"expected Ranked\.ranking to name every factor once"):
        Ranked(ranking, FACTORS[1])


def test_a_nan_silences_its_own_pair_only():
    asked = pairs(speed=([1, np.nan, 3], [5, 1, 3]), energy=([9, -9, 1], [-9, 9, 7]))
    assert Ranked(*FACTORS).label(asked, key=None).tolist() == [Answer.right, Answer.unsure, Answer.right]
