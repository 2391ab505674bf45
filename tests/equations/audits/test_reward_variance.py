"""Starts that are paid alike and apart; the gradient of a softmax policy against JAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.audits import RewardVariance
from operant.audits.reward_variance import accuracy, gradient, softmax, time_to_gain, variance
from operant.core import Verdict
from operant.errors import SpecError

RNG = np.random.default_rng(0)
column = lambda x: [[float(v)] for v in x]
BEST = [column([10.0, 10.0])] * 2


def test_a_start_that_varies_holds(make_subject, key):
    start = RNG.normal(0.0, 1.0, 64)
    found = RewardVariance()(make_subject(BEST, column(start)), key=key)
    start = start.astype(np.float32)
    assert found.verdict is Verdict.holds and found.value == pytest.approx(
        start.std() / (10.0 - start.mean()), rel=1e-5
    )
    assert found.low > 0.05 and found.n == 64 and "random policy" in found.why


def test_a_start_that_hardly_varies_is_a_concern(make_subject, key):
    found = RewardVariance()(make_subject(BEST, column(RNG.normal(0.0, 0.01, 64))), key=key)
    assert found.verdict is Verdict.concern and found.high < 0.05 and "flat" in found.why


def test_between_is_a_concern(make_subject, key):
    start = RNG.normal(0.0, 1.0, 16)
    found = RewardVariance(least=float(start.std() / (10 - start.mean())))(make_subject(BEST, column(start)), key=key)
    assert found.verdict is Verdict.concern


def test_a_start_that_is_paid_alike_is_a_concern_but_for_rare_events(make_subject, key):
    found = RewardVariance()(make_subject(BEST, column(np.zeros(40))), key=key)
    assert found.verdict is Verdict.concern and found.value == 0.0 and "7%" in found.why  # 1 − 0.05^(1/40)


def test_the_base_policy_is_the_start_where_there_is_one(make_subject, make_episodes, key):
    base = make_episodes(column(RNG.normal(0.0, 1.0, 32)))
    found = RewardVariance()(make_subject(BEST, column(np.zeros(32)), base=base), key=key)
    assert found.verdict is Verdict.holds and "base policy" in found.why


def test_accuracy_is_told_where_there_is_a_truth(make_subject, make_episodes, key):
    stated = RNG.normal(0.0, 1.0, 20)
    control = make_episodes(column(stated), truth=column(-stated))
    best = [make_episodes(column([10.0]), truth=column([10.0]))] * 2
    assert "orders 0% of pairs" in RewardVariance()(make_subject(best, control, truth=True), key=key).why
    assert accuracy(np.array([1.0, 1.0]), np.array([1.0, 2.0])) == 0.5
    assert np.isnan(accuracy(np.arange(3.0), np.ones(3)))


def test_unknown(make_subject, key):
    few = RewardVariance()(make_subject(BEST, column([0.0, 1.0])), key=key)
    assert few.verdict is Verdict.unknown and "too few" in few.why
    same = RewardVariance()(make_subject([[[0.0, 1.0]]] * 2, [[1.0, 0.0]] * 20), key=key)
    assert same.verdict is Verdict.unknown and "there is to gain" in same.why
    with pytest.raises(SpecError, match="least > 0"):
        RewardVariance(least=0.0)


def test_a_reward_that_is_the_same_everywhere_teaches_nothing(make_subject, key):
    """As where a policy is cloned from demonstrations, and the intent pays nothing."""
    found = RewardVariance()(make_subject([[[0.0] * 3, [0.0]]] * 2, [[0.0] * 2] * 20), key=key)
    assert found.verdict is Verdict.unknown and "reward is 0 in every step" in found.why
    assert "nothing is learned from it" in found.why and "to gain" not in found.why


def test_variance_and_gradient():
    logits, reward = RNG.normal(size=(3, 5)), RNG.normal(size=(3, 5))
    policy = softmax(logits)
    drawn = [np.var(RNG.choice(r, 200_000, p=p)) for p, r in zip(policy, reward, strict=True)]
    assert variance(policy, reward) == pytest.approx(np.mean(drawn), rel=0.02)
    value = lambda z: (jax.nn.softmax(z) * jnp.asarray(reward)).sum(-1).mean()
    assert gradient(logits, reward) == pytest.approx(np.asarray(jax.grad(value)(jnp.asarray(logits))), abs=1e-6)
    assert np.linalg.norm(gradient(logits, reward)) <= np.sqrt(variance(policy, reward) / 3)


def test_time_to_gain():
    logits, reward = np.zeros((1, 2)), np.array([[0.0, 1.0]])
    z, steps = np.zeros(2), 0
    while softmax(z)[1] < 0.8:
        p = softmax(z)
        z, steps = z + 0.5 * p * (np.array([0.0, 1.0]) - p[1]), steps + 1
    assert time_to_gain(logits, reward, reward, 0.3, rate=0.5) == steps
    assert time_to_gain(logits, -reward, reward, 0.3, max_steps=50) == 50
