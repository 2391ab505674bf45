"""The replay ring against a plain list of what was put in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.replay import Replay

N = 2
SPEC = EnvSpec(Box((1,)), Discrete(3), None, num_envs=N)
DONE = {4: "terminated", 7: "truncated", 10: "terminated"}
"""Rows at which environment 1's episodes end; environment 0's never does."""


def rows(start: int, count: int) -> Transition:
    """Rows start … start + count − 1: row t of environment n has reward 10 t + n."""
    t = np.arange(start, start + count)
    value = (10.0 * t[:, None] + np.arange(N)[None]).astype(np.float32)
    flag = lambda kind: np.stack([np.zeros(count, bool), np.array([DONE.get(int(i)) == kind for i in t])], axis=1)
    return Transition(
        jnp.asarray(value[..., None]),
        jnp.zeros((count, N), jnp.int32),
        jnp.asarray(value),
        jnp.asarray(flag("terminated")),
        jnp.asarray(flag("truncated")),
        jnp.asarray(value[..., None] + 10.0),
        {"log_prob": jnp.zeros((count, N))},
    )


def filled(steps: int, capacity: int = 10, each: int = 2) -> Replay:
    replay = Replay.init(SPEC, capacity)
    for start in range(0, steps, each):
        replay = replay.insert(rows(start, min(each, steps - start)))
    return replay


def test_the_ring_keeps_the_newest_rows_and_wraps():
    replay = filled(11, each=3)  # 5 rows; 3 does not divide 5
    assert (int(replay.cursor), int(replay.filled), int(replay.size)) == (1, 5, 10)
    np.testing.assert_array_equal(replay.data.reward[:, 0], [100.0, 60.0, 70.0, 80.0, 90.0])
    np.testing.assert_array_equal(replay.data.obs[:, 1, 0], [101.0, 61.0, 71.0, 81.0, 91.0])
    assert replay.data.extras == {}


@pytest.mark.parametrize("steps", [2, 5, 11])
def test_windows_stop_at_episode_ends_and_at_the_newest_row(steps):
    replay, length = filled(steps), 4  # longer than any episode of environment 1
    held = min(steps, 5)
    age, column = (jnp.asarray(x.ravel()) for x in np.meshgrid(np.arange(held), np.arange(N), indexing="ij"))
    window, within = replay.windows(age, column, length)
    for i, (a, n) in enumerate(zip(np.asarray(age), np.asarray(column), strict=True)):
        first = steps - held + int(a)
        expected = []
        for t in range(first, min(first + length, steps)):
            expected.append(10.0 * t + n)
            if n == 1 and t in DONE:
                break
        np.testing.assert_array_equal(np.asarray(window.reward)[i][np.asarray(within)[i]], expected)
        assert np.asarray(within)[i].sum() == len(expected)


def test_places_leave_out_windows_that_are_not_complete_yet():
    replay = filled(11)
    draw = jax.jit(lambda r: r.places(jax.random.key(0), (400,), steps=3))
    age, column = draw(replay)
    assert set(np.asarray(age)) == {0, 1, 2}
    assert set(np.asarray(column)) == {0, 1}
    few = filled(2)  # fewer rows than the window is long: the oldest is still drawn
    assert set(np.asarray(draw(few)[0])) == {0}


def test_samples_are_uniform_over_what_is_held():
    replay = filled(3)  # 3 of 5 rows
    batch = jax.jit(lambda r, k: r.sample(k, 6000))(replay, jax.random.key(1))
    values, counts = np.unique(np.asarray(batch.reward), return_counts=True)
    np.testing.assert_array_equal(values, [0.0, 1.0, 10.0, 11.0, 20.0, 21.0])
    assert np.abs(counts - 1000).max() < 150  # five standard deviations
    np.testing.assert_array_equal(batch.next_obs[:, 0], np.asarray(batch.reward) + 10.0)
    window, within = jax.jit(lambda r, k: r.sample_windows(k, 7, 2))(replay, jax.random.key(2))
    assert window.reward.shape == within.shape == (7, 2)


def test_images_stay_bytes():
    replay = Replay.init(EnvSpec(Box((4, 4, 3), 0, 255, "uint8"), Box((2,), -1.0, 1.0), None, num_envs=N), 6)
    assert replay.data.obs.dtype == replay.data.next_obs.dtype == jnp.uint8
    assert replay.data.action.shape == (3, N, 2)


def test_inserting_is_in_place_whatever_the_capacity():
    def temporary(capacity: int) -> int:
        def run(replay: Replay) -> Replay:
            return jax.lax.fori_loop(0, 10, lambda i, r: r.insert(rows(0, 2)), replay)

        compiled = jax.jit(run, donate_argnums=0).lower(Replay.init(SPEC, capacity)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(100_000) - temporary(1_000) < 1_000
