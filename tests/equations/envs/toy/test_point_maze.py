"""PointMaze: motion by hand, walls, rewards, starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.envs.toy import PointMaze

ROOMS = """\
...#...
.#...#.
...#...
#.###.#
..S#..G
"""


def go(env, inner, action):
    inner, reward, terminated = env.advance(jnp.array(inner), jnp.array(action), key=jax.random.key(0))
    return np.asarray(inner), float(reward), bool(terminated)


def test_motion_by_hand():
    env = PointMaze("...\n...\nS.G", drag=1.0)
    # v = 0.9·1 + 5·0.1·0.5 = 1.15, x = 1.5 + 0.115; v_y = −0.9·1 + 5·0.1·(−1, clipped) = −1.4, y = 1.5 − 0.14.
    inner, reward, terminated = go(env, [1.5, 1.5, 1.0, -1.0, 2.5, 0.5], [0.5, -7.0])
    assert inner == pytest.approx([1.615, 1.36, 1.15, -1.4, 2.5, 0.5], abs=1e-6)
    assert reward == 0 and not terminated
    assert go(env, [1.5, 1.5, 2.9, 0, 2.5, 0.5], [1.0, 0.0])[0][2] == pytest.approx(3.0)  # the speed limit


def test_walls_stop_one_axis_and_leave_the_other():
    env = PointMaze("...\n...\nS.G", radius=0.2)
    inner, _, _ = go(env, [2.7, 1.5, 3.0, 1.0, 2.5, 0.5], [1.0, 0.0])
    assert inner[:4] == pytest.approx([2.8, 1.595, 0.0, 0.95], abs=2e-4)
    inner, _, _ = go(env, [0.3, 1.5, -3.0, 0.0, 2.5, 0.5], [-1.0, 0.0])
    assert inner[:4] == pytest.approx([0.2, 1.5, 0.0, 0.0], abs=2e-4)


def test_never_enters_a_wall_and_never_jumps():
    env = PointMaze(ROOMS, fixed_horizon=True, force=20.0)  # strong pushes, to hit every wall
    grid = np.pad(np.array([list(row) for row in ROOMS.split()])[::-1] == "#", 1, constant_values=True)

    def step(carry, key):
        inner, action = carry
        kick, change, key = jax.random.split(key, 3)
        fresh = jax.random.uniform(change, (2,), minval=-1.0, maxval=1.0)
        action = jnp.where(jax.random.bernoulli(kick, 0.1), fresh, action)  # the same push for ten steps on average
        inner, *_ = env.advance(inner, action, key=key)
        return (inner, action), inner

    def one(key):
        key, start = jax.random.split(key)
        first = (env.initial(key=start), jnp.ones(2))
        return first[0], jax.lax.scan(step, first, jax.random.split(key, 2000))[1]

    first, path = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 32)))
    path = np.concatenate([first[:, None], path], axis=1)
    for corner in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        x, y = (path[..., axis].astype(float) + corner[axis] * (env.radius + 5e-5) for axis in (0, 1))
        assert not grid[np.floor(y).astype(int) + 1, np.floor(x).astype(int) + 1].any()
    assert np.abs(np.diff(path[..., :2], axis=1)).max() <= env.max_speed * env.dt + 1e-5
    cells = {tuple(c) for c in np.floor(path[..., :2]).astype(int).reshape(-1, 2).tolist()}
    assert len(cells) == (~grid).sum()  # and yet it went everywhere


def test_rewards():
    at, far = [1.5, 0.5, 0.0, 0.0, 1.7, 0.5], [0.5, 0.5, 0.0, 0.0, 2.5, 0.5]
    assert go(PointMaze("S.G"), at, [0.0, 0.0])[1:] == (1.0, True)
    assert go(PointMaze("S.G"), far, [0.0, 0.0])[1:] == (0.0, False)
    assert go(PointMaze("S.G", fixed_horizon=True), at, [0.0, 0.0])[1:] == (1.0, False)
    assert go(PointMaze("S.G", reward="dense"), far, [0.0, 0.0])[1:] == (pytest.approx(-2.0), False)
    assert go(PointMaze("S.G", reward="dense"), at, [0.0, 0.0])[1:] == (pytest.approx(-0.2), True)


def test_starts_and_goals(starts):
    given = starts(PointMaze("S.G\n..G"))
    assert (np.abs(given[:, :2] - np.array([0.5, 1.5])[None]) <= 0.2 + 1e-6).all() and not given[:, 2:4].any()
    assert 0.45 < (given[:, 5] > 1).mean() < 0.55 and (given[:, 4] > 2).all()
    drawn = np.floor(starts(PointMaze("..#\n...")))
    for columns in ([0, 1], [4, 5]):  # five free cells, each drawn alike
        cells, counts = np.unique(drawn[:, columns], axis=0, return_counts=True)
        assert cells.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]] and (np.abs(counts / 4000 - 0.2) < 0.03).all()
    pairs = np.unique(drawn[:, [0, 1, 4, 5]], axis=0, return_counts=True)[1]  # independently: all 25 pairs alike
    assert len(pairs) == 25 and (np.abs(pairs / 4000 - 0.04) < 0.02).all()
