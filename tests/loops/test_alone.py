"""`Alone`: one environment of either kind; the same steps as in a batch; it rests at the end; what it refuses."""

import jax
import numpy as np
import pytest

from operant.core import Box, Discrete
from operant.envs import make
from operant.envs.toy import CartPole, GridWorld, Pendulum
from operant.errors import DataError, RunError
from operant.loops.alone import Alone, fitting


def played(env, actions, seed=3):
    alone = Alone(env, seed=seed)
    steps = [alone.step(a) for a in actions]
    alone.close()
    return steps


@pytest.mark.parametrize("id", ["CartPole-v1", "gym:CartPole-v1"])
def test_an_episode_follows_from_its_seed_and_actions(id):
    pytest.importorskip("pygame") if id.startswith("gym") else None
    actions = [0, 1, 1, 0, 1, 0]
    a, b, other = played(make(id), actions), played(make(id), actions), played(make(id), actions, seed=4)
    assert all(np.array_equal(x.obs, y.obs) and x.reward == y.reward == 1.0 for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[-1].obs, other[-1].obs)


def test_a_jax_environment_steps_as_it_does_itself():
    env = Pendulum()
    alone = Alone(env, seed=5)
    inner = env.initial(key=jax.random.key(5))
    assert np.allclose(alone.obs, env.observe(inner))
    for force in (0.5, -2.0, 1.5):
        inner, reward, terminated = env.advance(inner, np.float32([force]), key=jax.random.key(0))
        moved = alone.step(np.float32([force]))
        assert np.allclose(moved.obs, env.observe(inner), atol=1e-6) and np.isclose(moved.reward, reward)
        assert moved[2:] == (bool(terminated), False)
        assert np.array_equal(alone.frame(), env.render(inner))


def test_it_rests_at_the_end_and_shows_it():
    alone = Alone(GridWorld("S.G", max_steps=2), seed=0)
    before = alone.frame()
    assert [alone.step(3)[2:], alone.step(1)[2:]] == [(False, False), (False, True)], "truncated by the limit"
    assert alone.over and not np.array_equal(alone.frame(), before)
    with pytest.raises(RunError, match=r"expected an episode under way; it ended after 2 steps\. Reset first\."):
        alone.step(1)
    alone.reset(1)
    assert (alone.seed, alone.t, alone.over) == (1, 0, False)
    alone.step(1)
    assert alone.step(1)[1:] == (1.0, True, True), "the goal, at the last step there is"


def test_a_gymnasium_environment_gives_the_true_successor_and_rests():
    pytest.importorskip("pygame", reason="Gymnasium draws CartPole with pygame")
    alone = Alone(make("gym:CartPole-v1"), seed=0)
    while not alone.over:
        moved = alone.step(1)
    assert moved.terminated and abs(moved.obs[2]) > 0.2, "fallen, not reset"
    assert alone.frame().ndim == 3
    assert abs(alone.reset(1)[2]) < 0.06
    alone.close()


def test_slips_differ_from_step_to_step():
    alone = Alone(GridWorld(".....\n.....\n..S..\n.....\n.....", slip=1.0, observation="coordinates"), seed=0)
    columns = [alone.step(0).obs[1] for _ in range(12)]
    assert len(set(np.diff(columns))) > 1


@pytest.mark.parametrize(
    ("space", "action", "said"),
    [
        (Discrete(3), 3, r"expected an action that is an integer 0 … 2; got 3\."),
        (Discrete(3), 1.0, r"an integer 0 … 2; got 1\.0\."),
        (Discrete(3), [1], r"an integer 0 … 2; got \[1\]"),
        (Discrete(3), True, r"an integer 0 … 2; got True"),
        (Box((2,), -1, 1), [0.0], r"expected an action in Box\(shape=\(2,\).*; got \[0\.0\]\. Keep every element"),
        (Box((2,), -1, 1), [0.0, 1.5], r"got \[0\.0, 1\.5\]"),
        (Box((2,), -1, 1), [0.0, float("nan")], "got .*nan"),
        (Box((2,), -1, 1), ["a", "b"], "got .*'a'"),
    ],
)
def test_an_action_that_does_not_fit_is_refused(space, action, said):
    with pytest.raises(DataError, match=said):
        fitting(action, space)


def test_an_action_is_brought_to_the_spaces_dtype():
    assert fitting(2, Discrete(3)).dtype == np.int32 and fitting([0, 1], Box((2,), -1, 1)).dtype == np.float32
    assert Alone(CartPole(), seed=0).step(1).reward == 1.0
