"""ReCOIL's regression against the χ² objective, its losses, draw and refusals, and its dual against the primal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.claims.recoil import dual, primal
from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.learners.offline.iql import heads
from operant.learners.offline.recoil import ReCOIL, targets
from operant.testing import check_learner, small_spec

KEY = jax.random.key(0)
ARM = EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 10)
KEYS = EnvSpec(Box((3,)), Discrete(4), 10)
B = 6
RNG = np.random.default_rng(0)
EXPERT = np.array([[1, 1, 0, 0, 0, 0]], bool)


def unread(_):
    raise AssertionError("ReCOIL asked for a reward")


@pytest.mark.parametrize("continuous", [False, True])
def test_contract(continuous):
    check_learner(ReCOIL(hidden=(8,), batch=8), small_spec(continuous), extras={"expert": np.array([[True, False]])})


def batch(spec, terminated=None):
    obs, after = RNG.standard_normal((2, 1, B, 3)).astype(np.float32)
    discrete = isinstance(spec.action, Discrete)
    action = RNG.integers(0, 4, (1, B)) if discrete else RNG.uniform(-2, 2, (1, B, 2)).astype(np.float32)
    no = np.zeros((1, B), bool)
    ends = no if terminated is None else terminated
    return Transition(obs, action, np.full((1, B), np.nan), ends, no, after, {"expert": EXPERT})


@pytest.mark.parametrize("beta", [0.5, 0.3])
def test_the_regression_has_the_gradient_of_the_chi_square_objective(beta):
    """β (E_S Q − E_E Q) + ¼ E_mix (γV' − Q)², in units of 2/(1 − γ): a quarter of the regression's, up to a factor."""
    gamma, unit = 0.9, 20.0
    q, after = (jnp.asarray(RNG.standard_normal(B), jnp.float32) for _ in range(2))
    expert, no = jnp.asarray(EXPERT[0]), jnp.zeros(B, bool)
    share = lambda m: m / m.sum()
    weight = beta * share(expert) + (1 - beta) * share(~expert)

    def paper(q):  # in its own units
        bellman = (weight * jnp.square(unit * (gamma * after - q))).sum() / 4
        return beta * unit * ((share(~expert) - share(expert)) * q).sum() + bellman

    y = targets(after, expert, no, gamma, beta, False)
    regression = lambda q: (weight * jnp.square(q - y)).sum()
    np.testing.assert_allclose(jax.grad(paper)(q), unit**2 / 4 * jax.grad(regression)(q), rtol=1e-4, atol=1e-4)


def test_bounded_targets_and_termination():
    after, yes = jnp.array([0.5, -0.2, 0.5, -1.0]), jnp.array([True, False, False, False])
    found = targets(after, yes, jnp.array([True, False, False, True]), 0.9, 0.5, True)
    np.testing.assert_allclose(found, [1.0, -0.28, 0.35, -1.0], atol=1e-6)


@pytest.mark.parametrize("spec", [ARM, KEYS], ids=["continuous", "discrete"])
def test_losses_by_hand(spec):
    learner = ReCOIL(hidden=(5,), discount=0.9, mixture=0.4, expectile=0.7, temperature=0.5, lr=0.0)
    state = learner.init(spec, key=KEY)
    ends = np.array([[0, 0, 0, 0, 0, 1]], bool)
    b = batch(spec, ends)
    new, metrics = jax.jit(lambda s, b: learner.update(s, b, unread, key=KEY))(state, b)
    n = state.networks
    obs, action, after = (jnp.asarray(x[0]) for x in (b.obs, b.action, b.next_obs))
    q = np.asarray(jax.vmap(lambda o, a: heads(n.critic, o, a))(obs, action), np.float64)
    v, w = (np.asarray(jax.vmap(n.value)(x), np.float64) for x in (obs, after))
    own = EXPERT[0]
    weight = np.where(own, 0.4 / 2, 0.6 / 4)
    u = q.min(1) - v
    np.testing.assert_allclose(metrics["loss/value"], (weight * np.where(u > 0, 0.7, 0.3) * u**2).sum(), rtol=1e-4)
    y = np.where(own, 1.0, 0.9 * np.where(ends[0], -1.0, w) - 0.1 * 0.4 / 0.6)
    np.testing.assert_allclose(metrics["loss/critic"], (weight[:, None] * (q - y[:, None]) ** 2).sum(), rtol=1e-4)
    dist = jax.vmap(n.policy.distribution)(obs, obs)
    log_prob = np.asarray(dist.log_prob(action if spec is KEYS else action / 2.0))
    sharp = np.minimum(np.exp(u * 0.5 * 2 / 0.1), 100.0)
    np.testing.assert_allclose(metrics["loss/policy"], -(weight * sharp * log_prob).sum(), rtol=1e-3)
    np.testing.assert_allclose(metrics["recoil/expert"], q[:2].mean(), rtol=1e-4)
    assert int(new.steps) == 1


def dataset(marks):
    x = np.arange(len(marks), dtype=np.float32)[:, None] * np.ones(3, np.float32)
    extras = {} if marks is None else {"expert": marks}
    return Dataset.from_numpy(
        KEYS, obs=x, action=np.zeros(len(marks), int), reward=x[:, 0], terminated=np.zeros(len(marks), bool),
        next_obs=x, extras=extras,
    )  # fmt: skip


def test_half_of_a_draw_is_the_experts():
    marks = np.arange(40) < 3
    drawn = jax.jit(lambda key: ReCOIL().draw(dataset(marks), 101, key))(KEY)
    expert = np.asarray(drawn.extras["expert"])
    assert expert[:51].all() and not expert[51:].any()
    assert set(np.asarray(drawn.obs)[:51, 0]) == {0, 1, 2} and len(set(np.asarray(drawn.obs)[51:, 0])) > 20


@pytest.mark.parametrize("marks", [np.zeros(4, bool), np.ones(4, bool)])
def test_datasets_without_both_kinds_are_refused(marks):
    learner = ReCOIL(hidden=(5,))
    state = learner.init(KEYS, key=KEY)
    with pytest.raises(DataError, match=rf"got {marks.sum()} of 4 rows marked"):
        learner.prepare(state, dataset(marks), key=KEY)
    plain = dataset(np.zeros(4, bool))
    bare = Dataset(Transition(*(getattr(plain.data, f) for f in ("obs", "action", "reward", "terminated", "truncated",
        "next_obs")), {}), plain.episode, KEYS)  # fmt: skip
    with pytest.raises(DataError, match="got no such extra"):
        learner.prepare(state, bare, key=KEY)
    assert learner.prepare(state, dataset(np.arange(4) < 1), key=KEY) is state


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_the_dual_has_the_primal_optimum(seed):
    np.testing.assert_allclose(dual(seed), primal(seed), atol=1e-5)
    assert primal(seed) < -1e-3  # not the trivial one: these visits are no policy's


def test_refusals():
    with pytest.raises(SpecError, match=r"0 < ReCOIL.mixture < 1; got 1"):
        ReCOIL(mixture=1.0)
    with pytest.raises(SpecError, match=r"ReCOIL.discount in \[0, 1\); got 1"):
        ReCOIL(discount=1.0)
    with pytest.raises(SpecError, match=r"ReCOIL.expectile in \[0.5, 1\); got 0.2"):
        ReCOIL(expectile=0.2)
    with pytest.raises(SpecError, match=r"ReCOIL.batch ≥ 2"):
        ReCOIL(batch=1)
    with pytest.raises(SpecError, match="expected for ReCOIL: actions in a Box of float32 with finite bounds"):
        ReCOIL().init(EnvSpec(Box((3,)), Box((2,)), None), key=KEY)
