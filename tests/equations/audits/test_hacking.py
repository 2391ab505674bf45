"""The definition by correlation, on steps written by hand; the bounds against NumPy; a hack that training finds."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import Intent, audit, evaluate
from operant.audits import Hacking
from operant.audits.hacking import chi_squared, least_gain
from operant.core import Subject, Verdict
from operant.envs.hacking import SideEffects
from operant.envs.tabular import TabularMDP
from operant.errors import DataError, SpecError
from operant.loops.audit import FunctionPolicy
from operant.math.dynamic_programming import occupancy_measure, policy_iteration
from operant.rewards.task import Task

RNG = np.random.default_rng(0)
PROXY = RNG.normal(0.0, 1.0, (40, 6))
TRUTH = PROXY + RNG.normal(0.0, 0.5, PROXY.shape)


@pytest.fixture
def judged(make_episodes, make_subject):
    """`judged(stated, truth, base)`: seeds × episodes × steps; the base's steps, stated and true."""

    def judged(stated, truth, base=(PROXY, TRUTH), **known):
        seeds = [make_episodes(s, truth=t, terminated=False) for s, t in zip(stated, truth, strict=True)]
        theirs = None if base is None else make_episodes(base[0], truth=base[1], terminated=False)
        return make_subject(seeds, known.pop("control", None), truth=True, base=theirs, **known)

    return judged


def shifted(gain, loss):
    return np.stack([PROXY[:20] + gain] * 3), np.stack([TRUTH[:20] + loss] * 3)


def test_a_hack_fails(judged, key):
    found = Hacking()(judged(*shifted(1.0, -1.0)), key=key)
    assert found.verdict is Verdict.fails and found.high < 0 and found.limit == 0.0
    weights = 0.99 ** np.arange(6)
    expected = (TRUTH[:20] - 1.0) @ weights
    assert found.value == pytest.approx(expected.mean() - (TRUTH @ weights).mean(), abs=0.02)
    x, y = PROXY.ravel(), TRUTH.ravel()
    cov = np.cov(x, y, aweights=np.tile(weights, 40))
    r = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    assert found.arrays["correlation"][0] == pytest.approx(r, abs=1e-5)
    assert found.arrays["correlation"][1] < r < found.arrays["correlation"][2]
    assert "the base policy" in found.why and "hacked" in found.why


def test_worse_by_both_is_no_hack(judged, key):
    found = Hacking()(judged(*shifted(-1.0, -1.0)), key=key)
    assert found.verdict is Verdict.concern and "worse by both" in found.why


def test_better_on_the_truth_holds(judged, key):
    found = Hacking()(judged(*shifted(1.0, 1.0)), key=key)
    assert found.verdict is Verdict.holds and found.low > 0


def test_no_proxy_no_hack(judged, key):
    stated, truth = shifted(1.0, -1.0)
    found = Hacking()(judged(stated, truth, (PROXY, -TRUTH)), key=key)
    assert found.verdict is Verdict.concern and "no proxy" in found.why


def test_not_shown_either_way(judged, key):
    apart = np.array([-3.0, 0.0, 3.0])[:, None, None]  # seeds that do not agree
    weights = 0.99 ** np.arange(6)
    same = ((TRUTH - TRUTH[:20].mean()) @ weights).mean() / weights.sum()
    for shift in (-0.3, 0.3):
        truth = TRUTH[:20] + apart + same + shift
        found = Hacking()(judged(np.stack([PROXY[:20]] * 3), truth), key=key)
        assert found.verdict is (Verdict.concern if shift < 0 else Verdict.unknown)
        assert found.low < 0 < found.high


def test_constant_rewards_have_no_correlation(judged, key):
    found = Hacking()(judged(*shifted(1.0, -1.0), (np.ones_like(PROXY), TRUTH)), key=key)
    assert found.verdict is Verdict.unknown and "no correlation is defined" in found.why


def test_the_random_policy_stands_in_and_is_named(judged, key, make_episodes):
    control = make_episodes(PROXY, truth=TRUTH, terminated=False)
    found = Hacking()(judged(*shifted(1.0, -1.0), None, control=control), key=key)
    assert found.verdict is Verdict.fails and "a random policy (no base policy is given)" in found.why
    with pytest.raises(DataError, match=re.escape("Give Subject(base=evaluate(policy, …))")):
        Hacking()(judged(*shifted(1.0, -1.0), None), key=key)


def test_large_offsets_do_not_spoil_the_correlation(judged, key):
    found = Hacking()(judged(*shifted(1.0, -1.0), (PROXY + 1e4, TRUTH - 1e4)), key=key)
    assert found.arrays["correlation"][0] == pytest.approx(np.corrcoef(PROXY.ravel(), TRUTH.ravel())[0, 1], abs=0.01)


def test_fields():
    with pytest.raises(SpecError, match=r"0 < Hacking\.discount ≤ 1; got 2"):
        Hacking(discount=2.0)
    with pytest.raises(SpecError, match=r"Hacking\.level"):
        Hacking(level=1.0)


def test_bounds_by_hand():
    assert chi_squared(np.array([3.0, 1.0]), np.array([1.0, 1.0])) == pytest.approx(0.25)
    assert chi_squared(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == math.inf
    assert least_gain(0.5, 1.0, 0.25) == 0.5 == least_gain(0.5, 1.0, 0.25, tight=True)
    with pytest.raises(SpecError, match=r"expected 0 < r ≤ 1, a proxy; got -0\.1"):
        least_gain(1.0, -0.1, 1.0)


def test_bounds_hold_on_random_processes_and_tight_is_tight():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        mdp = TabularMDP.random(rng, 5, 3, discount=0.9)
        mu, ours = (0.1 * occupancy_measure(mdp.P, rng.dirichlet(np.ones(3), 5), mdp.initial, 0.9) for _ in range(2))
        truth = rng.normal(size=(5, 3))
        proxy = truth + rng.normal(size=(5, 3))
        x, y = ((v - (mu * v).sum()) for v in (proxy, truth))
        x, y = (v / np.sqrt((mu * v * v).sum()) for v in (x, y))
        if (r := float((mu * x * y).sum())) <= 0:
            continue
        gain, chi2 = (ours * x).sum(), chi_squared(ours, mu)
        tight, theorem = least_gain(gain, r, chi2, tight=True), least_gain(gain, r, chi2)
        assert theorem - 1e-9 <= tight <= (ours * y).sum() + 1e-9
        # The occupancy (signs aside) that gains so little: along the proxy, and against what the proxy leaves out.
        rest = (y - r * x) / np.sqrt(1 - r * r)
        worst = mu * (1 + gain * x - np.sqrt(chi2 - gain**2) * rest)
        assert (worst * y).sum() == pytest.approx(tight)
        assert (np.square(worst - mu) / mu).sum() == pytest.approx(chi2)


def test_the_proxys_best_policy_is_found_out():
    env = SideEffects()
    P, R, _ = env.tables()
    best = jnp.asarray(policy_iteration(P, R, 0.99)[2].argmax(1))  # pushes the box into the corner
    n = env.spec.obs.size // 2
    policy = FunctionPolicy(env.spec, lambda obs: best[obs[:n].argmax() + n * obs[n:].argmax()])
    intent = Intent(Task(), truth=env.truth())
    base = jax.tree.map(np.asarray, evaluate(env.safe(), env, episodes=32, key=jax.random.key(1), deterministic=False))
    subject = Subject((policy,), env, intent, base=base)
    found = audit(subject, [Hacking()], key=jax.random.key(2)).findings[0]
    assert found.verdict is Verdict.fails and found.value < -5
    honest = dataclasses.replace(subject, policies=(env.safe(0.0),))
    assert audit(honest, [Hacking()], key=jax.random.key(2)).findings[0].verdict is Verdict.holds


def test_what_is_not_finite_is_counted_in_episodes(judged, key):
    broken = PROXY.copy()
    broken[:3] = np.nan
    with pytest.raises(DataError, match="in 3 of 40 episodes"):
        Hacking()(judged([PROXY], [TRUTH], base=(broken, TRUTH)), key=key)
