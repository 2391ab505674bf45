"""Mazes and their expert, against shortest paths by SciPy."""

import numpy as np
import pytest
import scipy.sparse.csgraph

from operant.data.mazes import NOTHING, expansions, maze_demonstrations, observe, random_mazes
from operant.envs.toy.gridworld import MOVES
from operant.errors import SpecError

MAZES = random_mazes(np.random.default_rng(0), 4, side=6)


def test_an_expansion_adds_the_cells_one_step_further():
    walls, goal = MAZES.walls[0], MAZES.goal[0]
    index = {tuple(c): i for i, c in enumerate(np.argwhere(~walls).tolist())}
    graph = np.zeros((len(index), len(index)))
    for (r, c), i in index.items():
        for dr, dc in MOVES:
            if (r + dr, c + dc) in index:
                graph[i, index[r + dr, c + dc]] = 1
    steps = scipy.sparse.csgraph.shortest_path(graph, unweighted=True)[index[tuple(goal.tolist())]]
    maps = expansions(walls, goal)
    for (r, c), i in index.items():
        known = maps[:, r, c] != NOTHING
        np.testing.assert_array_equal(known, np.arange(1, len(maps) + 1) >= steps[i] if steps[i] else known & False)
        if known.any():
            dr, dc = MOVES[maps[-1, r, c]]
            assert steps[index[r + dr, c + dc]] == steps[i] - 1  # the move brings the goal nearer
    assert (maps[:, walls] == NOTHING).all()


def test_demonstrations_reach_the_goal_with_their_work():
    data = maze_demonstrations(MAZES)
    steps, work = data.data, np.asarray(data.data.extras["procedure"])
    assert data.episodes == 4 and float(np.asarray(steps.reward).sum()) == 4.0
    obs = np.asarray(steps.obs)
    for i in range(data.size):
        at, count = np.argwhere(obs[i, ..., 2])[0], int((work[i, :, 0, 0] >= 0).sum())
        assert work[i, count - 1][tuple(at)] == int(steps.action[i])  # the last map knows the action…
        assert count == 1 or work[i, count - 2][tuple(at)] == NOTHING  # …and none before it
    last = maze_demonstrations(MAZES, only_last=True).data.extras["procedure"]
    assert last.shape[1] == 1
    np.testing.assert_array_equal(np.asarray(last)[0, 0], work[0, int((work[0, :, 0, 0] >= 0).sum()) - 1])
    np.testing.assert_array_equal(observe(MAZES.walls[0], MAZES.goal[0], MAZES.start[0]), obs[0])


def test_refusals():
    with pytest.raises(SpecError, match=r"expected side ≥ 4"):
        random_mazes(np.random.default_rng(0), 1, side=3)
