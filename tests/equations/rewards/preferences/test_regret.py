"""Regret against exact advantages, finite differences and a hand-made loss; and what partial return cannot tell."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers, Pairs, Segments
from operant.envs.tabular import TabularMDP
from operant.errors import SpecError
from operant.math.dynamic_programming import value_iteration
from operant.rewards.preferences.regret import Regret, advantage
from operant.testing import check_reward

MDP = TabularMDP.random(np.random.default_rng(3), 5, 3, branching=2, discount=0.8)
P = jnp.asarray(MDP.P, jnp.float32)
W = jnp.asarray(np.random.default_rng(4).normal(size=(5, 3)), jnp.float32)


def one_hot(states) -> np.ndarray:
    return np.eye(5, dtype=np.float32)[np.asarray(states)]


def transitions(s, a, after, over=False) -> Transition:
    shape = np.shape(a)
    flags, no = np.full(shape, over), np.zeros(shape, bool)
    return Transition(one_hot(s), np.asarray(a), np.zeros(shape, np.float32), flags, no, one_hot(after), {})


def started(reward: Regret):
    """All of MDP seen, each transition in proportion to its probability."""
    state = reward.init(EnvSpec(Box((5,), 0.0, 1.0), Discrete(3), 10), key=jax.random.key(0))
    return eqx.tree_at(lambda x: x.counts, state, P)


def judged(chosen: Pairs, worth) -> list[np.ndarray]:
    """Σ worth[s, a] of the left ones and of the right ones."""
    at = lambda steps: np.asarray(worth)[np.asarray(steps.obs).argmax(-1), np.asarray(steps.action)]
    return [np.where(s.mask, at(s.steps), 0.0).sum(1) for s in (chosen.left, chosen.right)]


def pairs(rng: np.random.Generator, n: int, length: int = 4) -> Pairs:
    def side() -> Segments:
        s, a = rng.integers(5, size=(n, length)), rng.integers(3, size=(n, length))
        steps = jax.tree.map(jnp.asarray, transitions(s, a, s))
        return Segments(steps, jnp.asarray(rng.random((n, length)) < 0.9))

    return Pairs(side(), side())


def test_contracts():
    check_reward(Regret(segment=2, pool=64, capacity=8), EnvSpec(Box((5,), 0.0, 1.0), Discrete(3), 10, num_envs=4))


def test_advantage_is_that_of_value_iteration():
    V, A = advantage(W, P, 0.8, jnp.zeros(5))
    R = np.broadcast_to(np.asarray(W)[:, :, None], MDP.P.shape)
    exact = value_iteration(MDP.P, R, 0.8)
    Q = np.asarray(W) + 0.8 * MDP.P @ np.asarray(exact[0])
    np.testing.assert_allclose(V, exact[0], atol=1e-4)
    np.testing.assert_allclose(A, Q - np.asarray(exact[0])[:, None], atol=1e-4)
    assert float(jnp.abs(A.max(1)).max()) < 1e-5


def test_its_gradient_is_that_of_the_optimum():
    def f(w):
        return (advantage(w, P, 0.8, jnp.zeros(5))[1] * jnp.arange(15.0).reshape(5, 3)).sum()

    g, eps = jax.grad(f)(W), 1e-2
    for s, a in np.ndindex(5, 3):
        bump = jnp.zeros((5, 3)).at[s, a].set(eps)
        assert float(g[s, a]) == pytest.approx(float((f(W + bump) - f(W - bump)) / (2 * eps)), abs=0.05)


def test_what_ends_an_episode_is_worth_nothing_afterwards():
    reward = Regret(segment=2, capacity=4, pool=16)
    state = reward.init(EnvSpec(Box((5,), 0.0, 1.0), Discrete(3), 10), key=jax.random.key(0))
    parts = (transitions([0, 0, 1], [1, 1, 0], [2, 2, 1]), transitions([0], [1], [2], True))
    whole = zip(*map(jax.tree.leaves, parts), strict=True)
    leaves = [np.concatenate(x)[:, None] for x in whole]
    batch = jax.tree.unflatten(jax.tree.structure(transitions([0], [1], [2])), leaves)
    state, _ = reward.update(state, batch, key=jax.random.key(0))
    assert float(state.counts[0, 1, 2]) == 2 and float(state.ends[0, 1]) == 1 and float(state.counts[1, 0, 1]) == 1


@pytest.mark.parametrize("by", ["regret", "return"])
def test_the_first_loss_is_the_hand_made_one(by):
    reward = Regret(by=by, discount=0.8, segment=4, capacity=8, pool=64, steps=1, lr=0.1)
    state = started(reward)
    state = eqx.tree_at(lambda x: x.table, state, W)
    chosen, target = pairs(np.random.default_rng(0), 3), np.array([1.0, 0.5, 0.0], np.float32)
    answers = Answers(chosen, jnp.arange(3), jnp.asarray(target), jnp.ones(3, bool), jnp.ones(3, bool))
    _, metrics = reward.teach(state, answers, key=jax.random.key(0))
    worth = np.asarray(W if by == "return" else advantage(W, P, 0.8, jnp.zeros(5))[1])
    left, right = judged(chosen, worth)
    p = 1.0 / (1.0 + np.exp(left - right))
    loss = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
    assert float(metrics["preferences/loss"]) == pytest.approx(float(loss), rel=1e-4)


def test_it_finds_the_best_actions_from_comparisons_of_decisions():
    reward = Regret(discount=0.8, segment=4, capacity=512, pool=64, steps=200)
    state = started(reward)
    truth = np.asarray(advantage(W, P, 0.8, jnp.zeros(5))[1])
    chosen = pairs(np.random.default_rng(1), 256)
    left, right = judged(chosen, truth)
    target = jnp.asarray(right > left, jnp.float32)
    yes = jnp.ones(256, bool)
    state, _ = reward.teach(state, Answers(chosen, jnp.arange(256), target, yes, yes), key=jax.random.key(0))
    learned = np.asarray(advantage(state.table, P, 0.8, jnp.zeros(5))[1])
    assert truth[range(5), learned.argmax(1)].min() > -0.05  # one action of state 1 is 0.03 short of the best


def test_bad_settings_are_told():
    with pytest.raises(SpecError, match=r"discount in \[0, 1\); got 1"):
        Regret(discount=1.0)
    with pytest.raises(SpecError, match='to be "regret" or "return"; got \'luck\''):
        Regret(by="luck")
    with pytest.raises(SpecError, match="Use BradleyTerry where states cannot be counted"):
        Regret().init(EnvSpec(Box((5,)), Box((1,)), 10), key=jax.random.key(0))
    with pytest.raises(SpecError, match="expected one-hot observations"):  # a cart's position and speed, say
        Regret().init(EnvSpec(Box((4,)), Discrete(2), 10), key=jax.random.key(0))
