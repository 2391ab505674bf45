"""Segments keep to their episodes; comparisons keep what was given, oldest overwritten first."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.replay import Replay
from operant.data.segments import Answers, Comparisons, Pairs, Segments, draw, rows
from operant.errors import SpecError

SPEC = EnvSpec(Box((1,)), Discrete(2), 100, num_envs=2)


def pool(steps: int, ends: list[int], truncated: bool = True) -> Replay:
    """Observation = time, the same in both environments; episodes end after the steps named, by their limit or not."""
    t = jnp.broadcast_to(jnp.arange(steps, dtype=jnp.float32)[:, None, None], (steps, 2, 1))
    done = jnp.zeros((steps, 2), bool).at[jnp.asarray(ends, int)].set(True)
    both = (jnp.zeros_like(done), done) if truncated else (done, jnp.zeros_like(done))
    batch = Transition(t, jnp.zeros((steps, 2), int), t[..., 0], *both, t + 1, {})
    return Replay.init(SPEC, 2 * steps).insert(batch)


def test_segments_are_consecutive_and_whole_where_they_can_be():
    found = draw(pool(40, [19]), jax.random.key(0), 30, 8)
    assert np.asarray(found.mask).all()
    time = np.asarray(found.steps.obs)[..., 0]
    assert (np.diff(time, axis=1) == 1).all()
    assert not ((time[:, 0] <= 19) & (time[:, -1] > 19)).any()  # none runs over the end of an episode


def test_falls_are_shown_as_often_as_they_happen():
    found = draw(pool(400, list(range(19, 400, 20)), truncated=False), jax.random.key(0), 100, 8)
    mask = np.asarray(found.mask)
    fell = np.take_along_axis(np.asarray(found.steps.terminated), mask.sum(1, keepdims=True) - 1, axis=1)[:, 0]
    assert (mask.all(1) | fell).all() and 0.2 < (~mask.all(1)).mean() < 0.5  # 7 starts of 20 run into an end


def test_segments_of_short_episodes_are_cut_and_masked():
    found = draw(pool(40, list(range(2, 40, 3))), jax.random.key(0), 10, 8)
    mask = np.asarray(found.mask)
    assert (mask.sum(1) <= 3).all() and mask[:, 0].all()
    np.testing.assert_array_equal(found.sum(jnp.ones(mask.shape)), mask.sum(1))


def pairs(value: float, n: int) -> Pairs:
    room = Comparisons.init(SPEC, n, 3).pairs
    return jax.tree.map(lambda x: jnp.full(x.shape, value).astype(x.dtype), room)


def answers(value: float, id: list[int], target: list[float], given: list[bool], known: list[bool]) -> Answers:
    return Answers(pairs(value, len(id)), jnp.array(id), jnp.array(target), jnp.array(given), jnp.array(known))


def test_what_is_not_given_is_not_kept_and_the_oldest_make_room():
    held = Comparisons.init(SPEC, 4, 3)
    held = held.insert(answers(1.0, [0, 1, 2], [0.0, 0.5, 1.0], [True, False, True], [True] * 3))
    assert int(held.count) == 2 and held.known.tolist() == [True, True, False, False]
    assert held.target.tolist() == [0.0, 1.0, 0.0, 0.0] and held.id.tolist() == [0, 2, -1, -1]
    held = held.insert(answers(2.0, [3, 4, 5], [0.5] * 3, [True] * 3, [True, False, True]))
    assert int(held.count) == 5 and held.target.tolist() == [0.5, 1.0, 0.5, 0.5]
    assert held.known.tolist() == [True, True, True, False]
    assert np.asarray(held.pairs.left.steps.obs)[:, 0, 0].tolist() == [2.0, 1.0, 2.0, 2.0]


def test_a_second_answer_about_a_pair_takes_the_place_of_the_first():
    held = Comparisons.init(SPEC, 4, 3)
    held = held.insert(answers(1.0, [7, 8], [0.0, 1.0], [True, True], [True, True]))
    held = held.insert(answers(1.0, [9, 7], [1.0, 0.5], [True, True], [True, False]))  # 7 is withdrawn
    assert int(held.count) == 3 and held.id.tolist() == [7, 8, 9, -1]
    assert held.known.tolist() == [False, True, True, False] and held.target.tolist() == [0.5, 1.0, 1.0, 0.0]


def test_rows_picks_throughout():
    some = rows(pairs(1.0, 5), jnp.array([3, 1]))
    assert isinstance(some.left, Segments) and some.right.mask.shape == (2, 3)


@pytest.mark.parametrize(("capacity", "length", "word"), [(0, 3, "capacity ≥ 1"), (3, 0, "length ≥ 1")])
def test_no_room_is_refused(capacity, length, word):
    with pytest.raises(SpecError, match=f"expected {word}"):
        Comparisons.init(SPEC, capacity, length)
