"""ADS: the subsequence, the references and the schedule by hand; what the learner inside is given."""

from bisect import bisect_left
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractLearner, Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.learners.bc import BC
from operant.learners.dqn import DQN
from operant.learners.imitation.ads import ADS, Watched, in_order, longest_increasing
from operant.learners.ppo import PPO
from operant.learners.td3 import TD3
from operant.loops.rollout import carries, where
from operant.testing import check_learner, small_spec

KEY = jax.random.key(0)
T = 10
SPEC = EnvSpec(Box((1,)), Discrete(2), T, fixed_horizon=True)


class Listens(AbstractLearner):
    """A learner that reports what it was given."""

    discount: float = 0.5
    rollout: int = T

    def init(self, spec, *, key):
        return jnp.zeros(3)

    def policy(self, state):
        raise NotImplementedError

    def update(self, state, batch, reward, *, key):
        return jnp.stack([jnp.asarray(self.discount), reward(batch).sum(), batch.reward.sum()]), {}


def patience(a):
    """Length of the longest strictly increasing subsequence, by patience sorting."""
    tops: list[Any] = []
    for x in a:
        i = bisect_left(tops, x)
        tops[i : i + 1] = [x]
    return len(tops)


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """Two demonstrations: 0 … 9, and the same a little off, with one step out of order."""
    one = np.arange(T, dtype=np.float32)
    other = one + 0.1
    other[[3, 4]] = other[[4, 3]]
    x = np.r_[one, other][:, None]
    ends = np.arange(2 * T) % T == T - 1
    data = Dataset.from_numpy(
        SPEC, obs=x, next_obs=x, action=np.zeros(2 * T, int), reward=np.zeros(2 * T), terminated=0 * ends > 1,
        truncated=ends,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("ads") / "demos.operant"
    data.save(path)
    return str(path), one, other


def rollout(x):
    """(T, N) from places (T, N)."""
    no = jnp.zeros(x.shape, bool)
    where = jnp.asarray(x, jnp.float32)[..., None]
    return Transition(where, jnp.zeros(x.shape, int), jnp.full(x.shape, jnp.nan), no, no.at[-1].set(True), where, {})


def test_longest_increasing():
    rng = np.random.default_rng(0)
    length = jax.jit(longest_increasing)
    for n in (12, 5, 1):
        for _ in range(5):
            a = rng.integers(0, 8, 12)
            assert int(length(jnp.asarray(a), n)) == patience(a[:n])


def test_references_are_demonstrations_beside_each_other(demos):
    source, one, other = demos
    state = ADS(Listens(), source, greedy=0.0).init(SPEC, key=KEY)
    expected = []
    for k in range(1, T + 1):
        scores = [patience(np.abs(a[:k, None] - b[None, :k]).argmin(1)) for a, b in ((one, other), (other, one))]
        expected.append(np.percentile(scores, 50))
    np.testing.assert_array_equal(state.reference, expected)
    assert int(state.progress) == 2
    cost = np.abs(one[:, None] - other[None]).astype(np.float32)
    assert float(in_order(jnp.asarray(cost), T)) == T - 1


def test_progress_by_hand(demos):
    """It follows the first four steps, then turns back: k grows while 90% of the reference is met."""
    source, one, other = demos
    learner = ADS(Listens(), source, most=20, greedy=0.0)
    own = np.r_[0, 1, 2, 3, 2, 1, 0, 1, 0, 1].astype(np.float32)[:, None]
    state = learner.init(SPEC, key=KEY)
    reference, k = np.asarray(state.reference), 2
    centre, spread = np.r_[one, other].mean(), np.r_[one, other].std()
    scale = lambda x: (x - centre) / spread
    for _ in range(20):
        scores = [patience(np.abs(scale(own[:k]) - scale(d[None, :k])).argmin(1)) for d in (one, other)]
        if k < T and np.percentile(scores, 90) >= int(0.9 * reference[k - 1]):
            k += 1
    state, metrics = learner.update(state, rollout(own), lambda b: jnp.ones(b.terminated.shape), key=KEY)
    assert int(state.progress) == k and 4 <= k < T
    np.testing.assert_allclose(metrics["ads/progress"], k / T)
    np.testing.assert_allclose(state.learner, [0.2 ** (1 / k), T, T], rtol=1e-6)  # γ, and the reward written down


def test_at_most_five_steps_an_update_and_never_back(demos):
    learner = ADS(Listens(), demos[0], greedy=0.0)
    update = jax.jit(lambda s, b: learner.update(s, b, lambda b: jnp.ones(b.terminated.shape), key=KEY)[0])
    perfect, state = rollout(demos[1][:, None]), learner.init(SPEC, key=KEY)
    found = []
    for batch in (perfect, perfect, rollout(np.zeros((T, 1), np.float32)), perfect):
        state = update(state, batch)
        found.append(int(state.progress))
    assert found == [7, T, T, T]
    np.testing.assert_allclose(state.learner[0], 0.2 ** (1 / T), rtol=1e-6)


def test_only_greedy_episodes_count(demos):
    """The first column follows the demonstration, the second stays where it is: k grows by whichever was greedy."""
    learner = ADS(TD3(rollout=T), demos[0])
    state = ADS(Listens(), demos[0], greedy=0.0).init(SPEC, key=KEY)
    batch = rollout(np.stack([demos[1], np.zeros(T, np.float32)], 1))
    advance = jax.jit(lambda who: learner._advance(state, eqx.tree_at(lambda b: b.extras, batch, {"greedy": who})))
    rows = lambda *who: jnp.broadcast_to(jnp.array(who), (T, 2))
    k, matched = advance(rows(True, False))
    assert int(k) == 7 and matched > 0.9
    assert int(advance(rows(False, True))[0]) == 3  # one step in order is enough for k = 2
    assert int(advance(rows(False, False))[0]) == 2
    assert float(advance(rows(False, False))[1]) == 0.0  # as it was


def test_a_coin_decides_who_explores_an_episode_long():
    spec = small_spec(continuous=True)
    inner = TD3(rollout=10, hidden=(8,), capacity=64, batch=8, learning_starts=0)
    own = inner.policy(inner.init(spec, key=KEY))
    policy, n = Watched(spec, own, 0.3), 400
    assert not policy.remembers
    obs = jax.random.normal(KEY, (6, n, *spec.obs.shape))
    plain = jax.vmap(jax.vmap(lambda o: own(o, own.init_carry(), key=None)[0]))(obs)
    act = jax.jit(jax.vmap(lambda o, c, k: policy(o, c, key=k)))
    carry, seen = carries(policy, n), []
    for t in range(6):
        begins = jnp.full(n, t in (0, 3))
        action, extras, carry = act(
            obs[t], where(begins, carries(policy, n), carry), jax.random.split(jax.random.key(t), n)
        )
        same = jnp.isclose(action, plain[t], atol=1e-5).all(-1)
        assert (same == extras["greedy"]).all()
        seen.append(np.asarray(extras["greedy"]))
    seen = np.array(seen)
    for episode in (seen[:3], seen[3:]):
        assert (episode == episode[0]).all() and 0.2 < episode[0].mean() < 0.4
    assert (seen[0] != seen[3]).any()
    greedy, extras, _ = policy(obs[0, 0], policy.init_carry(), key=None)
    np.testing.assert_array_equal(greedy, plain[0, 0])
    assert extras == {}


def test_unscheduled_it_only_writes_rewards_down():
    learner = ADS(Listens(), scheduled=False)
    state = learner.init(SPEC, key=KEY)
    asked = []
    paid = lambda b: asked.append(b.terminated.shape) or jnp.full(b.terminated.shape, 2.0)
    state, metrics = learner.update(state, rollout(np.zeros((T, 3))), paid, key=KEY)
    np.testing.assert_allclose(state.learner, [0.5, 60.0, 60.0])
    assert asked == [(T, 3)] and metrics == {}


def test_contract():
    inner = DQN(rollout=10, hidden=(8,), capacity=64, batch=8, learning_starts=0, gradient_steps=2)
    check_learner(ADS(inner, scheduled=False), small_spec())


def test_refusals(demos):
    with pytest.raises(SpecError, match="to have a field `discount`; BC has none"):
        ADS(BC(), scheduled=False)
    with pytest.raises(SpecError, match=r"expected ADS.source.*or scheduled=False"):
        ADS(Listens())
    with pytest.raises(SpecError, match=r"0 < ADS.alpha < 1; got 1"):
        ADS(Listens(), scheduled=False, alpha=1.0)
    with pytest.raises(SpecError, match=r"ADS.most ≥ 1"):
        ADS(Listens(), scheduled=False, most=0)
    with pytest.raises(SpecError, match="expected a metric of ADS"):
        ADS(Listens(), scheduled=False, metric="far")
    with pytest.raises(SpecError, match=r"ADS.learner.rollout = max_steps = 10.*got 4"):
        ADS(Listens(rollout=4), demos[0], greedy=0.0).init(SPEC, key=KEY)
    with pytest.raises(SpecError, match=r"0 ≤ ADS.greedy ≤ 1; got 1.5"):
        ADS(Listens(), demos[0], greedy=1.5)
    with pytest.raises(SpecError, match=r"PPO learns from what it explored alone. Use greedy=0"):
        ADS(PPO(rollout=T), demos[0])
    ADS(PPO(rollout=T), demos[0], greedy=0.0)
    with pytest.raises(
        SpecError, match=r"ADS.compared to be elements of the observation; got 'x': its observations have"
    ):
        ADS(Listens(), demos[0], greedy=0.0, compared=("x",)).init(SPEC, key=KEY)
