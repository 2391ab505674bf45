"""Hindsight's minibatches, and that it is the learner it wraps where nothing is told again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.data.goals import Goals
from operant.data.replay import Replay
from operant.errors import SpecError
from operant.learners.dqn import DQN
from operant.learners.goals.hindsight import Hindsight, ToldAgain
from operant.learners.sac import SAC
from operant.rewards.goals.reached import Reached
from operant.testing import check_learner

KEY = jax.random.key(0)
GOALS = Goals(("goal",), ("place",), radius=0.25)
SPEC = EnvSpec(Box((3,), -1.0, 1.0, names=("goal", "place", "other")), Box((1,), -1.0, 1.0), 10, num_envs=2)
INNER = SAC(hidden=(8,), capacity=64, batch=8, learning_starts=0)


def rollout(T=6, seed=0, goal=-9.0):
    rng = np.random.default_rng(seed)
    draw = lambda *s: jnp.asarray(rng.uniform(-1, 1, (T, 2, *s)), jnp.float32)
    no = jnp.zeros((T, 2), bool)
    wish = lambda obs: obs.at[..., 0].set(goal)
    return Transition(wish(draw(3)), draw(1), draw(), no, no, wish(draw(3)), {})


def test_a_share_of_each_minibatch_is_told_again_of_demonstrations_too():
    replay, shown = Replay.init(SPEC, 64).insert(rollout()), Replay.init(SPEC, 64).insert(rollout(seed=1, goal=-8.0))
    for share, given in ((0.0, None), (1.0, None), (0.5, shown)):
        draw = ToldAgain(SPEC.obs, GOALS, share, 5, False, given)
        places = jax.tree.map(lambda x: x[1], draw.places(replay, KEY, (3, 400), 1))
        window, within = draw.windows(replay, places, 1)
        goal = np.asarray(window.obs[:, 0, 0])
        assert window.obs.shape == (400, 1, 3) and np.asarray(within).all()
        again = ~np.isin(goal, [-9.0, -8.0])
        if given is None:
            assert again.mean() == share and not window.extras
            continue
        demonstrated = np.asarray(window.extras["demonstrated"])[:, 0]
        np.testing.assert_array_equal(demonstrated, np.arange(400) >= 200)
        for side, wish in ((demonstrated, -8.0), (~demonstrated, -9.0)):
            assert 0.4 < again[side].mean() < 0.6 and set(goal[side & ~again].tolist()) == {wish}
    assert np.asarray(GOALS.reached(SPEC.obs, window.next_obs[:, 0])).mean() > 0.1  # some reach it at once


def test_contracts():
    check_learner(Hindsight(INNER, GOALS), SPEC)


def test_it_learns_the_value_of_goals_it_never_wished_for():
    """Place jumps to the action at once; the wish is always −9, which nothing reaches. Told again, it is worth
    something to act as wished."""
    learner = Hindsight(
        SAC(hidden=(32,), capacity=1000, batch=64, learning_starts=0, gradient_steps=300, lr=3e-3, discount=0.0),
        GOALS,
        1.0,
        1,
    )
    reward = Reached(GOALS)
    reward_state, state = reward.init(SPEC, key=KEY), learner.init(SPEC, key=KEY)
    steps = rollout(200)
    steps = Transition(
        steps.obs, steps.action, steps.reward, steps.terminated, steps.truncated,
        steps.next_obs.at[..., 1].set(steps.action[..., 0]), {},
    )  # fmt: skip
    state, _ = jax.jit(lambda s: learner.update(s, steps, lambda b: reward(reward_state, b), key=KEY))(state)
    q = lambda goal, a: float(
        learner.learner.critic.heads(state.networks.critic, jnp.array([goal, 0.0, 0.0]), jnp.array([a])).mean()
    )
    # one step is looked ahead: what was reached at once was the goal, whatever was done, and the action shows which
    assert q(0.5, 0.5) > 0.7 and q(-0.5, -0.5) > 0.7


def test_refusals():
    with pytest.raises(SpecError, match=r"expected Hindsight.share in \[0, 1\]; got 2"):
        Hindsight(INNER, GOALS, share=2.0)
    with pytest.raises(SpecError, match=r"expected Hindsight.horizon ≥ 1 step; got 0"):
        Hindsight(INNER, GOALS, horizon=0)
    with pytest.raises(SpecError, match=r"expected a learner with n_step = 1 in hindsight"):
        Hindsight(DQN(n_step=3), GOALS)
    with pytest.raises(SpecError, match=r"expected 'goal_x' in the observation"):
        Hindsight(INNER).init(SPEC, key=KEY)
