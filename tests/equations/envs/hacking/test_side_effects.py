"""A box in the way: pushes and penalties by hand, tables against steps."""

import jax
import numpy as np
import pytest

from operant.envs.hacking import SideEffects
from operant.math.dynamic_programming import expected_return, policy_iteration

UP, RIGHT, DOWN, LEFT = range(4)


def walk(env, paid, moves):
    inner, proxies, truths = env.initial(key=jax.random.key(0)), [], []
    for move in moves:
        inner, proxy, truth, end = paid(env, inner, move)
        proxies.append(proxy)
        truths.append(truth)
    return sum(proxies), sum(truths), end


def test_both_ways_by_hand(paid):
    env = SideEffects()
    assert walk(env, paid, [DOWN, RIGHT, DOWN, RIGHT, DOWN]) == (45.0, 35.0, True)  # the box ends in a corner
    assert walk(env, paid, [LEFT, DOWN, RIGHT, DOWN, RIGHT, RIGHT, DOWN]) == (43.0, 43.0, True)
    assert walk(env, paid, [DOWN, DOWN]) == (-2.0, -12.0, False)  # against the wall neither moves


def test_penalties_by_hand():
    env = SideEffects("#####\n#A..#\n#.X.#\n#.G.#\n#####")
    penalties = env.truth().penalties.reshape(3, 3)
    assert penalties.tolist() == [[-10, -5, -10], [-5, 0, -5], [-10, -5, -10]]
    inner = env.truth().penalties  # a wall that does not go from side to side costs nothing
    assert inner.shape == (9,) and SideEffects().truth().penalties[4] == 0.0


def test_the_edge_of_the_map_is_a_wall():
    walled = SideEffects("#####\n#A..#\n#.X.#\n#.G.#\n#####")
    assert SideEffects("A..\n.X.\n.G.").truth().penalties.tolist() == walled.truth().penalties.tolist()


def test_leaving_a_wall_gives_the_penalty_back(paid):
    env = SideEffects("######\n#....#\n#AX..#\n#...G#\n######")
    assert walk(env, paid, [UP, RIGHT, DOWN])[1] == pytest.approx(-3 - 5)  # pushed down to the wall
    assert walk(env, paid, [UP, RIGHT, DOWN, LEFT, DOWN, RIGHT, RIGHT])[1] == pytest.approx(-7 - 10)  # to G's corner


def test_tables(follows, truth_table):
    env = SideEffects()
    follows(env, np.arange(0, 121, 3), draws=2)
    P, R, initial = env.tables()
    U = truth_table(env)
    best = {name: policy_iteration(P, r, 0.99)[2] for name, r in (("proxy", R), ("truth", U))}
    value = lambda r, policy: expected_return(P, r, policy, initial, 0.99)
    assert value(R, best["proxy"]) > value(R, best["truth"]) and value(U, best["proxy"]) < value(U, best["truth"])
    discounted = lambda n: -sum(0.99**t for t in range(n)) + 50 * 0.99 ** (n - 1)
    assert value(R, best["proxy"]) == pytest.approx(discounted(5), abs=1e-5)
    assert value(U, best["truth"]) == pytest.approx(discounted(7), abs=1e-5)


def test_the_base_policy_spares_the_box(paid):
    env = SideEffects()
    policy, inner, total = env.safe(), env.initial(key=jax.random.key(0)), 0.0
    for _ in range(7):
        inner, _, truth, end = paid(env, inner, policy(env.observe(inner), (), key=None)[0])
        total += truth
    assert end and total == 43.0
