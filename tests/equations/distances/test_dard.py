"""DARD against sums written out, its invariances, what it asks for off the path, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import operant
from operant.audits.controls import RandomPolicy
from operant.core import Transition
from operant.distances import DARD, Parts, Steps
from operant.distances._process import Process
from operant.distances._sampling import nearest_successor
from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.sparse import SparseMDP
from operant.errors import DataError, SpecError


def process(seed, S=5, A=3, branching=None, discount=0.9):
    return TabularMDP.random(np.random.default_rng(seed), S, A, branching=branching, discount=discount)


def by_hand(mdp, R, B):
    """C(R), every sum of its definition in a loop."""
    P, g = mdp.P, mdp.discount
    S, A, _ = R.shape
    found = np.zeros_like(R)
    for s, a, t in np.ndindex(R.shape):
        total = R[s, a, t]
        for b in range(A):
            for u in range(S):
                total += B[b] * (g * P[t, b, u] * R[t, b, u] - P[s, b, u] * R[s, b, u])
                total -= sum(B[b] * g * P[s, b, u] * P[t, b, v] * R[u, b, v] for v in range(S))
        found[s, a, t] = total
    return found


def pearson(x, y, w):
    x, y = x - (w * x).sum(), y - (w * y).sum()
    return (w * x * y).sum() / np.sqrt((w * x * x).sum() * (w * y * y).sum())


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("uniform", [True, False])
def test_by_hand(sparse, uniform):
    rng, mdp = np.random.default_rng(1), process(1, branching=3 if sparse else None)
    R = rng.normal(size=(3, 5, 3, 5))
    D, B = (np.full(5, 0.2), np.full(3, 1 / 3)) if uniform else (rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(3)))
    w = D[:, None, None] * B[:, None] * mdp.P
    c = [by_hand(mdp, r, B) for r in R]
    expected = [[np.sqrt(max(0.0, (1 - pearson(a, b, w)) / 2)) for b in c] for a in c]
    where = SparseMDP.from_mdp(mdp) if sparse else mdp
    assert (DARD() if uniform else DARD(D, B)).exact(where, list(R)) == pytest.approx(np.array(expected), abs=1e-7)


def test_shaping_and_scale_change_nothing():
    for seed in range(60):
        rng = np.random.default_rng([seed, 2])
        S, A = int(rng.integers(2, 9)), int(rng.integers(2, 5))
        mdp = process(seed, S, A, int(rng.integers(2, S + 1)), float(rng.uniform(0, 0.99)))
        R, other = rng.normal(size=(2, S, A, S))
        phi = 10 * rng.normal(size=S)
        d = DARD().exact(mdp, [R, 3.0 * (R + mdp.discount * phi - phi[:, None, None]), other])
        assert d[0, 1] < 1e-6 and d[0, 2] == pytest.approx(d[1, 2], abs=1e-6)


def test_sparse_is_dense():
    rng, mdp = np.random.default_rng(3), process(3, S=16, A=2, branching=2)
    R = rng.normal(size=(3, 16, 2, 16))
    dense = Process(0.9, mdp.initial, 2, dense=mdp.P)
    assert Process.of(mdp).dense is None
    expected = DARD().exact(dense, list(R))
    assert DARD().exact(mdp, list(R)) == pytest.approx(expected, abs=1e-9)
    assert DARD().exact(mdp, [r.astype(np.float32) for r in R]) == pytest.approx(expected, abs=1e-3)
    f, g = rng.normal(size=(16, 2)), rng.normal(size=16)
    table = f[:, :, None] + np.broadcast_to(g, (16, 2, 16))
    for where in (dense, mdp, SparseMDP.from_mdp(mdp)):
        both = DARD().exact(where, [Parts(f, g), table, R[0]])
        assert both[0, 1] < 1e-6 and both[0, 2] == pytest.approx(both[1, 2], abs=1e-9)


def test_what_is_far_from_what_happens_is_not_asked_for():
    """A corridor: from one end the other is never near, and a reward may be NaN there."""
    mdp = TabularMDP.chain(8, discount=0.9)
    near = np.abs(np.arange(8)[:, None] - np.arange(8)) <= 4
    R = np.where(np.repeat(near[:, None, :], 2, 1), np.arange(8.0), np.nan)
    assert np.isfinite(DARD().exact(mdp, [R, -R])).all()
    with pytest.raises(DataError, match=r"reward '0' is not finite.*STARC"):
        DARD().exact(mdp, [np.where(mdp.P > 0, 1.0, np.nan)])


def test_bad_input():
    sparse = SparseMDP.from_mdp(process(6, S=12, branching=3))
    with pytest.raises(DataError, match=r"on the 3 successors of each action only"):
        DARD().exact(sparse, [np.zeros(sparse.successors.shape)])
    with pytest.raises(DataError, match=r"expected D_A as 3 probabilities"):
        DARD(actions=np.ones(3)).exact(process(1), [np.zeros((5, 3, 5))])
    with pytest.raises(SpecError, match=r"DARD.means ≥ 1"):
        DARD(means=0)


def test_sampled_finds_the_exact_distance():
    """A deterministic process in one-hot observations: the nearest step is the right one."""
    mdp = process(7, S=6, A=2, branching=1)
    env = mdp.as_env(50)
    run = operant.evaluate(RandomPolicy(env.spec), env, episodes=40, key=jax.random.key(0), deterministic=False)
    steps = Steps.of(run, 0.9)
    rng = np.random.default_rng(8)
    R, other = rng.normal(size=(2, 6, 2, 6))
    phi = rng.normal(size=6)
    shaped = 2 * (R + 0.9 * phi - phi[:, None, None])
    fn = lambda x: lambda b: jnp.asarray(x, jnp.float32)[b.obs.argmax(-1), b.action, b.next_obs.argmax(-1)]
    rewards = {"a": fn(R), "b": fn(shaped), "c": fn(other)}
    found = DARD(samples=1000, means=32).sampled(steps, rewards, key=jax.random.key(1), resamples=20)
    D = np.bincount(steps.data.obs.argmax(-1), minlength=6) / len(steps.episode)
    exact = DARD(D).exact(mdp, [R, shaped, other])
    assert found.value[0, 1] < 1e-3
    assert found.value[0, 2] == pytest.approx(exact[0, 2], abs=0.05)


def test_dicts_have_no_nearest():
    mdp = process(9)
    env = mdp.as_env(20)
    run = operant.evaluate(RandomPolicy(env.spec), env, episodes=8, key=jax.random.key(0), deterministic=False)
    steps = Steps.of(run, 0.9)
    data = jax.tree.map(lambda x: x, steps.data)
    object.__setattr__(data, "obs", {"x": data.obs})
    object.__setattr__(data, "next_obs", {"x": data.next_obs})
    with pytest.raises(SpecError, match=r"observations that are arrays"):
        DARD().sampled(Steps(data, steps.episode, 0.9), {"a": lambda b: b.reward}, key=jax.random.key(0))


def test_bytes_do_not_wrap_around():
    """Every step takes 5 from the first number; from 2 that is 0, and not 253."""
    obs = np.stack([np.full(20, 5), np.arange(20)], axis=1).astype(np.uint8)
    after, no, zero = obs - np.array([5, 0], np.uint8), np.zeros(20, bool), np.zeros(20, np.int32)
    steps = Steps(Transition(obs, zero, np.zeros(20), no, no, after, {}), zero, 0.9)
    assert nearest_successor(steps)(np.array([[2, 3]], np.uint8), np.array([0])).tolist() == [[0, 3]]
