"""GridWorld: tables by hand, tables against sampled steps, and Russell and Norvig's utilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.envs.toy import GridWorld

RUSSELL = GridWorld("...G\n.#.H\nS...", slip=0.2, step_reward=-0.04)


def test_tables_by_hand():
    # 0 1     S .      Moves: up, right, down, left. From 0: up and left bump, right leads to 1, down to 2.
    # 2 3     H G      2 and 3 are terminal: absorbing, reward 0.
    env = GridWorld("S.\nHG", slip=0.5, step_reward=-0.1, goal_reward=2.0, hazard_reward=-3.0)
    P, R, initial = env.tables()
    assert initial.tolist() == [1, 0, 0, 0] and env.terminal.tolist() == [False, False, True, True]
    assert P[0].tolist() == [[0.75, 0.25, 0, 0], [0.25, 0.5, 0.25, 0], [0.25, 0.25, 0.5, 0], [0.75, 0, 0.25, 0]]
    assert P[1].tolist() == [[0.25, 0.75, 0, 0], [0, 0.75, 0, 0.25], [0.25, 0.25, 0, 0.5], [0.5, 0.25, 0, 0.25]]
    assert all(P[s, a, s] == 1 for s in (2, 3) for a in range(4)) and not R[2:].any()
    assert R[0, 1] == pytest.approx([-0.1, -0.1, -3.1, 0]) and R[1, 1] == pytest.approx([0, -0.1, 0, 1.9])
    assert P.sum(-1) == pytest.approx(np.ones((4, 4)))


def test_hazards_need_not_terminate():
    env = GridWorld("SHG", hazard_terminates=False, hazard_reward=-2.0)
    P, R, _ = env.tables()
    assert P[1, 1].tolist() == [0, 0, 1] and R[1, 0].tolist() == [0, -2, 0]  # bumping on a hazard costs again
    _, reward, terminated = env.advance(jnp.int32(0), jnp.int32(1), key=jax.random.key(0))
    assert float(reward) == -2 and not bool(terminated)


def test_optimal_utilities_of_russell_and_norvig():
    # Printed in figure 17.3 of the third edition, to three places, rows from the top.
    P, R, _ = RUSSELL.tables()
    value = np.zeros(len(P))
    for _ in range(200):
        value = (P * (R + np.where(RUSSELL.terminal, 0.0, value)[None, None])).sum(-1).max(-1)
    expected = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]
    assert value == pytest.approx(expected, abs=1e-3)


def test_sampled_steps_follow_the_tables():
    P, R, initial = RUSSELL.tables()
    count, draws = len(P), 4000
    keys = jax.random.split(jax.random.key(0), draws)
    step = lambda s, a: jax.vmap(lambda key: RUSSELL.advance(s, a, key=key))(keys)
    states, actions = jnp.repeat(jnp.arange(count), 4), jnp.tile(jnp.arange(4), count)
    successor, reward, terminated = jax.tree.map(np.asarray, jax.jit(jax.vmap(step))(states, actions))
    for s, a, to, r, end in zip(states.tolist(), actions.tolist(), successor, reward, terminated, strict=True):
        if RUSSELL.terminal[s]:
            continue
        assert (end == RUSSELL.terminal[to]).all() and r == pytest.approx(R[s, a, to], abs=1e-6)
        seen = np.bincount(to, minlength=count) / draws
        assert (seen[P[s, a] == 0] == 0).all()
        # Five standard deviations of a frequency.
        assert (np.abs(seen - P[s, a]) <= 5 * np.sqrt(P[s, a] * (1 - P[s, a]) / draws)).all()
    assert initial[RUSSELL.initial(key=keys[0])] == 1


def test_several_starts_are_drawn_alike(starts):
    env = GridWorld("S.S\n#GS")
    _, _, initial = env.tables()
    assert initial.tolist() == [1 / 3, 0, 1 / 3, 0, 1 / 3]
    seen = np.bincount(starts(env), minlength=5) / 4000
    assert np.abs(seen - initial).max() < 0.04 and (seen[initial == 0] == 0).all()


@pytest.mark.parametrize("observation", ["one_hot", "coordinates"])
def test_observations(observation):
    env = GridWorld("S.\n#G", observation=observation)
    seen = np.asarray(jax.vmap(env.observe)(jnp.arange(3)))
    expected = np.eye(3) if observation == "one_hot" else [[0, 0], [0, 1], [1, 1]]
    np.testing.assert_array_equal(seen, expected)
    assert seen.dtype == np.float32 and all(env.spec.obs.contains(o) for o in seen)


def test_two_rows_of_spaces_and_dots_are_the_same():
    a, b = GridWorld("S .\n G."), GridWorld("\nS..\n.G.\n")
    assert all(np.array_equal(x, y) for x, y in zip(a.tables(), b.tables(), strict=True))
