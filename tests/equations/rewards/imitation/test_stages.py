"""Perceptual stage rewards: cuts against the paper's recursion, features and rewards by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.rewards.imitation.stages import Stages, chosen, cuts, logistic, stage_of

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((3,)), Discrete(2), 20)


def recursion(video, start, end, n, least, before=()):
    """Algorithm 1 of the paper: (spreads, cuts), every split tried."""
    spread = lambda a, b: float(video[a:b].std(0).mean())
    if n == 1:
        return [spread(start, end)], []
    best = None
    for i in range(start + least, end - (n - 1) * least + 1):
        first = [spread(start, i)]
        rest, later = recursion(video, i, end, n - 1, least, (*before, *first))
        score = np.mean([*before, *first, *rest])
        if best is None or score < best[0]:
            best = (score, first + rest, [i, *later])
    return best[1], best[2]


@pytest.mark.parametrize(("stages", "least"), [(2, 1), (3, 2), (4, 2)])
def test_cuts_are_those_of_the_recursion(stages, least):
    video = np.random.default_rng(stages).standard_normal((13, 4)).cumsum(0)
    spreads, expected = recursion(video, 0, 13, stages, least)
    found = cuts(video, stages, least)
    bounds = [0, *found, 13]
    mine = [video[a:b].std(0).mean() for a, b in itertools.pairwise(bounds)]
    np.testing.assert_allclose(np.mean(mine), np.mean(spreads), rtol=1e-6)
    assert list(found) == expected and min(np.diff(bounds)) >= least


def test_a_stage_may_count_by_its_frames():
    """A walk and a rest: split once each, stages of the rest are the cheapest; by frames, those of the walk."""
    video = np.r_[np.arange(8.0), np.full(8, 8.0)][:, None]
    assert min(cuts(video, 3, 2)) >= 6
    assert max(cuts(video, 3, 2, by_length=True)) <= 8


def test_stage_of():
    assert stage_of(5, (2, 4)).tolist() == [0, 0, 1, 1, 2]


def test_features_are_chosen_by_distance_and_spread():
    x = np.array([[0.0, 5.0, 0.0], [0.0, -5.0, 1.0], [1.0, 6.0, 0.0], [1.0, -4.0, 1.0]])
    mine = np.array([False, False, True, True])
    # z = 5 · 1 − 0 = 5;  5 · 1 − (5 + 5) = −5;  0 − (½ + ½) = −1
    assert chosen(x, mine, 5.0, 1).tolist() == [1.0, 0.0, 0.0]
    assert chosen(x, mine, 5.0, 2).tolist() == [1.0, 0.0, 1.0]
    assert chosen(x, mine, 5.0, 9).tolist() == [1.0, 1.0, 1.0]
    assert chosen(x * np.array([0.0, 1.0, 1.0]), mine, 5.0, 1).tolist() == [0.0, 0.0, 1.0]  # not what never varies


def test_logistic_tells_frames_apart():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    mine = x[:, 0] > 0.5
    w, b = logistic(x, mine)
    p = 1 / (1 + np.exp(-(x @ w + b)))
    assert ((p > 0.5) == mine).mean() > 0.95 and abs(w[1]) < 0.2 * w[0]
    weight = np.where(mine, 0.5 / mine.sum(), 0.5 / (~mine).sum())
    np.testing.assert_allclose(x.T @ (weight * (p - mine)) + 1e-2 * w, 0.0, atol=1e-6)  # the gradient vanishes


def demos(episodes=3):
    """Number 0 goes 0, 1, 2 in thirds, number 1 is noise, number 2 is always 7."""
    rng, rows = np.random.default_rng(0), 12 * episodes
    level = np.tile(np.repeat([0.0, 1.0, 2.0], 4), episodes)
    obs = np.stack([level + 0.02 * rng.standard_normal(rows), rng.standard_normal(rows), np.full(rows, 7.0)], 1)
    after = np.r_[obs[1:], obs[-1:]]
    last = np.arange(rows) % 12 == 11
    after[last] = obs[last]
    return Dataset.from_numpy(
        SPEC, obs=obs.astype(np.float32), action=np.zeros(rows, int), reward=np.zeros(rows),
        terminated=np.zeros(rows, bool), truncated=last, next_obs=after.astype(np.float32),
    )  # fmt: skip


def steps(next_obs):
    n = len(next_obs)
    no = jnp.zeros(n, bool)
    nothing = jnp.full((n, 3), jnp.nan)
    return Transition(nothing, jnp.zeros(n, int), jnp.full(n, jnp.nan), no, no, jnp.asarray(next_obs), {})


SEEN = np.array([[0.0, 0.3, 7.0], [1.0, -0.5, 7.0], [2.0, 1.0, 7.0]], np.float32)


def test_the_reward_by_hand():
    by, data = Stages(stages=3, top=1), demos()
    state = by.init(SPEC, data, key=KEY)
    assert state.kept.tolist() == [[1.0, 0.0, 0.0]] * 2
    obs = np.asarray(data.data.obs, np.float64)
    frames = np.concatenate([np.r_[obs[i : i + 12], obs[i + 11 : i + 12]] for i in (0, 12, 24)])  # with the last one
    x = (frames - frames.mean(0)) / np.where(frames.std(0) > 1e-6, frames.std(0), 1.0)
    at = (SEEN[:, 0] - frames.mean(0)[0]) / frames.std(0)[0]
    stage = np.concatenate([stage_of(13, cuts(x[i : i + 13], 3, 2)) for i in (0, 13, 26)])
    judged = []
    for level in (1, 2):
        own = x[stage == level, 0]
        judged.append(np.exp(-0.5 * np.square((at - own.mean()) / max(own.std(), 0.1))))
    expected = (2 * judged[0] + 4 * judged[1]) / 6
    np.testing.assert_allclose(by(state, steps(SEEN)), expected, rtol=1e-3, atol=1e-5)
    assert expected[0] < expected[1] < expected[2]


@pytest.mark.parametrize("judge", ["gaussian", "logistic"])
def test_later_stages_are_worth_more_whatever_else_is_seen(judge):
    by = Stages(stages=3, top=1, judge=judge)
    state = by.init(SPEC, demos(), key=KEY)
    worth = np.asarray(by(state, steps(SEEN)))
    other = np.asarray(by(state, steps(SEEN + np.array([0.0, 50.0, 0.0], np.float32))))
    np.testing.assert_allclose(worth, other)  # noise was not chosen
    assert worth[0] < worth[1] < worth[2] and (worth >= 0).all() and (worth <= 1).all()
    new, metrics = by.update(state, steps(SEEN), key=KEY)
    assert new is state and metrics == {}
    both = by(state, jax.tree.map(lambda x: jnp.stack([x, x]), steps(SEEN)))
    np.testing.assert_allclose(both[1], worth, rtol=1e-6)


def test_features_may_be_made():
    by = Stages(stages=3, top=5, features=lambda obs: obs[0] * jnp.ones(2))
    state = by.init(SPEC, demos(), key=KEY)
    assert state.kept.shape == (2, 2)
    worth = np.asarray(by(state, steps(SEEN)))
    assert worth[0] < worth[1] < worth[2]


def test_refusals():
    with pytest.raises(SpecError, match=r"expected Stages.stages ≥ 2; got 1"):
        Stages(stages=1)
    with pytest.raises(SpecError, match=r"expected Stages.floor > 0; got 0"):
        Stages(floor=0.0)
    with pytest.raises(SpecError, match=r"expected Stages.floor > 0; got 0"):
        Stages(floor=0)
    with pytest.raises(SpecError, match="gaussian or logistic; got 'bayes'"):
        Stages(judge="bayes")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"at least stages × shortest = 40 frames; the shortest has 13"):
        Stages(stages=20).init(SPEC, demos(), key=KEY)
