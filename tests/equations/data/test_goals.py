"""Goals in the observation, and what was reached later in the same episode, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, EnvSpec, Transition
from operant.data.goals import Goals, later, tell_again
from operant.data.replay import Replay
from operant.errors import SpecError

KEY = jax.random.key(0)
SPACE = Box((3,), names=("goal", "place", "other"))
GOALS = Goals(("goal",), ("place",), radius=0.5)
SPEC = EnvSpec(SPACE, Box((1,), -1.0, 1.0), 4, num_envs=2)


def walk():
    """Six steps in two environments; place counts 1, 2, … after each; episodes end after steps 2 and 3, and 6."""
    t = np.arange(6.0)[:, None] + np.array([[0.0, 100.0]])
    obs = lambda place: jnp.asarray(np.stack([np.full((6, 2), -9.0), place, np.zeros((6, 2))], -1), jnp.float32)
    ends = np.zeros((6, 2), bool)
    ends[1, 0] = ends[2, 1] = True
    cut = np.zeros((6, 2), bool)
    cut[5] = True
    return Transition(
        obs(t), jnp.zeros((6, 2, 1)), jnp.zeros((6, 2)), jnp.asarray(ends), jnp.asarray(cut), obs(t + 1), {}
    )


def test_reading_and_writing_goals():
    obs = jnp.array([[1.0, 1.4, 0.0], [1.0, 1.6, 0.0]])
    np.testing.assert_array_equal(GOALS.reached(SPACE, obs), [True, False])
    np.testing.assert_allclose(GOALS.achieved(SPACE, obs), [[1.4], [1.6]])
    np.testing.assert_allclose(GOALS.towards(SPACE, obs, jnp.array([[7.0], [8.0]]))[:, 0], [7.0, 8.0])


@pytest.mark.parametrize("turned", [0, 3])
def test_later_stays_in_the_episode(turned):
    """Also where the ring has gone round: old rows first."""
    replay, steps = Replay.init(SPEC, 12), walk()
    for i in range(turned):
        replay = replay.insert(jax.tree.map(lambda x, i=i: x[i][None], steps))
    replay = replay.insert(steps)
    n = 400
    for age, column, horizon, expected in (
        (0, 0, 9, {1, 2}), (2, 0, 9, {3, 4, 5, 6}), (2, 0, 2, {3, 4}), (1, 1, 9, {102, 103}), (5, 1, 9, {106}),
    ):  # fmt: skip
        found = later(replay, jnp.full(n, age), jnp.full(n, column), horizon, KEY)[:, 1]
        values, counts = np.unique(np.asarray(found), return_counts=True)
        assert set(values.tolist()) == expected
        assert counts.min() > 0.6 * n / len(expected)  # uniformly
    half = Replay.init(SPEC, 100).insert(jax.tree.map(lambda x: x[3:5], steps))  # under way: no end yet
    assert set(np.asarray(later(half, jnp.full(n, 0), jnp.full(n, 0), 9, KEY)[:, 1]).tolist()) == {4, 5}


def test_told_again_both_observations_wish_for_what_was_reached():
    replay = Replay.init(SPEC, 12).insert(walk())
    place = replay.places(KEY, (300,))
    drawn = jax.tree.map(lambda x: x[:, 0], replay.windows(*place, 1)[0])
    for ends in (False, True):
        told = tell_again(SPACE, GOALS, 0.5, 9, ends, replay, place, drawn, KEY)
        changed = np.asarray(told.obs[:, 0]) != -9.0
        assert 0.4 < changed.mean() < 0.6
        np.testing.assert_array_equal(told.obs[:, 0], told.next_obs[:, 0])
        np.testing.assert_array_equal(told.obs[:, 1:], drawn.obs[:, 1:])
        reached = np.asarray(GOALS.reached(SPACE, told.next_obs))
        assert reached[changed].any() and not reached[~changed].any()
        expected = np.where(changed, reached, drawn.terminated) if ends else drawn.terminated
        np.testing.assert_array_equal(told.terminated, expected)


def test_refusals():
    with pytest.raises(SpecError, match=r"expected as many names in Goals.wished as in Goals.there, at least one"):
        Goals(("a", "b"), ("c",))
    with pytest.raises(SpecError, match=r"expected 'goal_x' in the observation; it has none: .*'goal'"):
        Goals().columns(SPACE)
    for space in (Box((3,)), Composite((("x", SPACE),))):
        with pytest.raises(SpecError, match="expected for goals observations in one Box of named numbers"):
            GOALS.columns(space)
