"""GoalGAIL's reward, its fading, and that both sides are told again."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.data.goals import Goals
from operant.data.replay import Replay
from operant.errors import SpecError
from operant.rewards.imitation.gail import GAIL
from operant.rewards.imitation.goal_gail import GoalGAIL

KEY = jax.random.key(0)
GOALS = Goals(("goal",), ("place",), radius=0.6)
SPEC = EnvSpec(Box((2,), names=("goal", "place")), Box((1,), -1.0, 1.0), 5, num_envs=2, fixed_horizon=True)
BY = GoalGAIL(GOALS, hidden=(5,), memory=20, batch=32, lr=1e-2)


def shown():
    rng = np.random.default_rng(0)
    obs, ends = np.stack([np.full(10, 0.5), rng.uniform(-1, 1, 10)], 1), np.arange(10) % 5 == 4
    return Dataset.from_numpy(
        SPEC, obs=obs, action=rng.uniform(-1, 1, (10, 1)), reward=np.zeros(10), terminated=ends & False, truncated=ends,
        next_obs=obs,
    )  # fmt: skip


def rollout():
    rng = np.random.default_rng(1)
    draw = lambda *s: jnp.asarray(rng.uniform(-1, 1, (4, 2, *s)), jnp.float32)
    no = jnp.zeros((4, 2), bool)
    return Transition(draw(2), draw(1), jnp.full((4, 2), jnp.nan), no, no, draw(2), {})


def test_pays_for_the_goal_and_for_likeness_which_fades():
    demos, b = shown(), rollout()
    state = BY.init(SPEC, demos, key=KEY)
    negative = GAIL(hidden=(5,), pays="negative")
    log_D = np.asarray(negative(state, b))
    reached = np.abs(np.asarray(b.next_obs[..., 0] - b.next_obs[..., 1])) <= 0.6
    assert reached.any() and not reached.all()
    np.testing.assert_allclose(BY(state, b), reached + log_D, rtol=1e-5)
    fading = dataclasses.replace(BY, fades=10, weight=0.5)
    for updates, left in ((0, 1.0), (5, 0.5), (10, 0.0), (30, 0.0)):
        now = eqx.tree_at(lambda s: s.updates, state, jnp.int32(updates))
        np.testing.assert_allclose(fading(now, b), reached + 0.5 * left * log_D, rtol=1e-5)


def test_both_sides_are_told_again_and_the_learner_is_shown_demonstrations():
    demos = shown()
    state = BY.init(SPEC, demos, key=KEY)
    ring = state.expert
    assert BY.shows(state) is ring and dataclasses.replace(BY, shown=False).shows(state) is None
    place = ring.places(KEY, (200,))
    drawn = jax.tree.map(lambda x: x[:, 0], ring.windows(*place, 1)[0])
    told = BY.relabel(SPEC.obs, ring, place, drawn, KEY)
    again = np.asarray(told.obs[:, 0]) != 0.5
    assert 0.7 < again.mean() < 0.9  # a share of 0.8
    assert set(np.asarray(told.obs[again, 0]).tolist()) <= set(np.asarray(demos.data.obs[:, 1]).tolist())
    new, metrics = jax.jit(lambda s: BY.update(s, rollout(), key=KEY))(state)
    assert isinstance(new.memory, Replay) and int(new.memory.size) == 8
    assert np.isfinite([float(x) for x in metrics.values()]).all()


def test_refusals():
    with pytest.raises(SpecError, match=r"expected GoalGAIL.share in \[0, 1\]; got -1"):
        GoalGAIL(share=-1.0)
    with pytest.raises(SpecError, match=r"expected GoalGAIL.fades ≥ 1; got 0"):
        GoalGAIL(fades=0)
    with pytest.raises(SpecError, match=r"expected 'goal_x' in the observation"):
        GoalGAIL().init(SPEC, shown(), key=KEY)
    with pytest.raises(SpecError, match=r"expected for GoalGAIL episodes of one length"):
        BY.init(EnvSpec(SPEC.obs, SPEC.action, 5), shown(), key=KEY)
