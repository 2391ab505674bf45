"""Optimal transport's reward against the formula in NumPy, its scale, its refusals, and what it prefers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.rewards.imitation.optimal_transport import OptimalTransport

KEY = jax.random.key(0)
T = 6
SPEC = EnvSpec(Box((2,)), Discrete(2), T, fixed_horizon=True)
RNG = np.random.default_rng(0)


def demonstrations(x, spec=SPEC, steps=T):
    x = np.asarray(x, np.float32).reshape(-1, 2)
    ends = np.arange(len(x)) % steps == steps - 1
    return Dataset.from_numpy(
        spec, obs=x, next_obs=x, action=np.zeros(len(x), int), reward=np.zeros(len(x)), terminated=0 * ends > 1,
        truncated=ends,
    )  # fmt: skip


def rollout(x, truncated=None):
    """(T, N) from successors (T, N, 2)."""
    shape = x.shape[:2]
    ends = jnp.zeros(shape, bool).at[-1].set(True) if truncated is None else truncated
    no, nothing = jnp.zeros(shape, bool), jnp.full(shape, jnp.nan)
    return Transition(x, jnp.zeros(shape, int), nothing, no, ends, jnp.asarray(x), {})


def plan(cost, epsilon, iterations):
    """Sinkhorn's plain iterations, in float64."""
    K, v = np.exp(-np.float64(cost) / epsilon), np.ones(cost.shape[1])
    for _ in range(iterations):
        u = 1 / len(cost) / (K @ v)
        v = 1 / cost.shape[1] / (K.T @ u)
    return u[:, None] * K * v[None]


DEMOS = RNG.standard_normal((2, T, 2))


@pytest.mark.parametrize("metric", ["euclidean", "squared", "cosine"])
def test_reward_is_the_cost_moved_to_the_nearest_demonstration(metric):
    by = OptimalTransport(metric=metric, epsilon=0.3, iterations=40, total=7.0)
    state = by.init(SPEC, demonstrations(DEMOS), key=KEY)
    batch = rollout(RNG.standard_normal((T, 3, 2)).astype(np.float32))
    assert float(jnp.abs(by(state, batch)).max()) == 0.0  # no unit before the first rollout
    state, metrics = by.update(state, batch, key=KEY)
    centre, spread = DEMOS.mean((0, 1)), DEMOS.std((0, 1))
    demos, own = ((x - centre) / spread for x in (DEMOS, np.asarray(batch.next_obs)))
    expected = []
    for n in range(3):
        each = []
        for demo in demos:
            cost = np.linalg.norm(own[:, n, None] - demo[None], axis=-1)
            if metric == "squared":
                cost = cost**2
            if metric == "cosine":
                unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)
                cost = 1 - unit(own[:, n]) @ unit(demo).T
            each.append((plan(cost, 0.3 * cost.mean(), 40) * cost).sum(1))
        expected.append(min(each, key=np.sum))
    total = np.sum(expected, 1).mean()
    np.testing.assert_allclose(metrics["imitation/transport"], total, rtol=1e-4)
    found = by(state, batch)
    np.testing.assert_allclose(found, -7.0 / total * np.transpose(expected), rtol=1e-3)
    np.testing.assert_allclose(found.sum(0).mean(), -7.0, rtol=1e-5)
    later, _ = by.update(state, rollout(batch.next_obs * 3.0), key=KEY)
    assert float(later.scale) == float(state.scale)  # the unit stays


def test_only_the_named_elements_are_compared():
    spec = EnvSpec(Box((2,), names=("place", "noise")), Discrete(2), T, fixed_horizon=True)
    narrow = EnvSpec(Box((1,)), Discrete(2), T, fixed_horizon=True)
    own = RNG.standard_normal((T, 3, 2)).astype(np.float32)
    x = np.asarray(DEMOS, np.float32).reshape(-1, 2)
    alone = dict(action=np.zeros(len(x), int), reward=np.zeros(len(x)), terminated=np.zeros(len(x), bool))
    ends = np.arange(len(x)) % T == T - 1
    one = Dataset.from_numpy(narrow, obs=x[:, :1], next_obs=x[:, :1], truncated=ends, **alone)
    found = []
    for by, where, data, batch in (
        (OptimalTransport(compared=("place",)), spec, demonstrations(DEMOS, spec), rollout(own)),
        (OptimalTransport(), narrow, one, rollout(own[..., :1])),
    ):
        state, _ = by.update(by.init(where, data, key=KEY), batch, key=KEY)
        found.append(by(state, batch))
    np.testing.assert_array_equal(*found)
    with pytest.raises(SpecError, match=r"OptimalTransport.compared .* got 'plac': did you mean 'place'"):
        OptimalTransport(compared=("plac",)).init(spec, demonstrations(DEMOS, spec), key=KEY)


def test_squared_distances_keep_the_order_along_a_line():
    """Half of the way, one step behind, then waiting: the early steps are not to blame for the half that is missing."""
    steps = 10
    spec = EnvSpec(Box((1,)), Discrete(2), steps, fixed_horizon=True)
    x = np.arange(steps, dtype=np.float32)[:, None]
    ends = np.arange(steps) == steps - 1
    demo = Dataset.from_numpy(
        spec, obs=x, next_obs=x, action=np.zeros(steps, int), reward=np.zeros(steps), terminated=0 * ends > 1,
        truncated=ends,
    )  # fmt: skip
    own = rollout(np.minimum(np.maximum(x - 1.0, 0.0), 4.0)[:, None])
    share = {}
    for metric in ("euclidean", "squared"):
        by = OptimalTransport(metric=metric, epsilon=0.002, iterations=2_000, standardise=False)
        state, _ = by.update(by.init(spec, demo, key=KEY), own, key=KEY)
        paid = np.asarray(by(state, own))[:, 0]
        share[metric] = paid[:4].sum() / paid.sum()
    assert share["squared"] < 0.1 < 0.2 < share["euclidean"]


def test_a_demonstration_itself_costs_nothing_and_order_does_not_matter():
    by = OptimalTransport(iterations=50)
    state = by.init(SPEC, demonstrations(DEMOS), key=KEY)
    state, _ = by.update(state, rollout(RNG.standard_normal((T, 1, 2)).astype(np.float32)), key=KEY)
    same = np.stack([DEMOS[1], DEMOS[1][::-1]], 1).astype(np.float32)
    np.testing.assert_allclose(by(state, rollout(same)), 0.0, atol=1e-2)


def test_episodes_that_end_early_are_no_rewards():
    by = OptimalTransport()
    state = by.init(SPEC, demonstrations(DEMOS), key=KEY)
    ends = jnp.zeros((T, 2), bool).at[-1].set(True).at[2, 1].set(True)
    found = np.asarray(by(state, rollout(np.zeros((T, 2, 2), np.float32), ends)))
    assert np.isfinite(found[:, 0]).all() and np.isnan(found[:, 1]).all()


def test_constant_numbers_keep_their_unit():
    x = DEMOS.copy()
    x[..., 1] = 3.0
    shown = OptimalTransport().init(SPEC, demonstrations(x), key=KEY).shown
    assert float(shown.spread[1]) == 1.0
    raw = OptimalTransport(standardise=False).init(SPEC, demonstrations(x), key=KEY).shown
    np.testing.assert_allclose(raw.obs, x, rtol=1e-6)


def test_refusals():
    by = OptimalTransport()
    state = by.init(SPEC, demonstrations(DEMOS), key=KEY)
    with pytest.raises(SpecError, match=r"whole episodes, a rollout \(6, N\); got \(5, 2\).*ADS"):
        by(state, rollout(np.zeros((5, 2, 2), np.float32)))
    with pytest.raises(SpecError, match=r"got \(6,\)"):
        by(state, jax.tree.map(lambda x: x[:, 0], rollout(np.zeros((T, 1, 2), np.float32))))
    with pytest.raises(DataError, match=r"demonstrations of 6 steps, as long as an episode; got 3 … 3"):
        by.init(SPEC, demonstrations(DEMOS, steps=3), key=KEY)
    with pytest.raises(SpecError, match="max_steps=None"):
        by.init(EnvSpec(Box((2,)), Discrete(2), None), demonstrations(DEMOS), key=KEY)
    with pytest.raises(SpecError, match="does not say fixed_horizon=True"):
        by.init(EnvSpec(Box((2,)), Discrete(2), T), demonstrations(DEMOS), key=KEY)
    with pytest.raises(SpecError, match="Box of float32"):
        by.init(EnvSpec(Composite((("x", Box((2,))),)), Discrete(2), T), demonstrations(DEMOS), key=KEY)
    with pytest.raises(SpecError, match="expected a metric of OptimalTransport; got 'cosin'"):
        OptimalTransport(metric="cosin")
    with pytest.raises(SpecError, match=r"OptimalTransport.epsilon > 0; got 0"):
        OptimalTransport(epsilon=0.0)


def test_a_rollout_that_is_the_demonstration_leaves_the_unit_open():
    by = OptimalTransport()
    state = by.init(SPEC, demonstrations(DEMOS[:1]), key=KEY)
    same = rollout(np.repeat(DEMOS[0][:, None], 2, axis=1).astype(np.float32))
    state, _ = by.update(state, same, key=KEY)
    assert float(state.scale) == 0.0
    state, _ = by.update(state, rollout(same.next_obs + 1.0), key=KEY)
    np.testing.assert_allclose(by(state, rollout(same.next_obs + 1.0)).sum(0), -10.0, rtol=1e-4)
    assert float(jnp.abs(by(state, same)).max()) < 1e-3
