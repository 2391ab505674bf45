"""BESO: preconditioning, noise levels and DDIM by hand; exact denoising; goals and guidance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.learners.imitation.beso import BESO, denoised, geometric, guided, log_logistic, scalings

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((1,), -2.0, 2.0), Box((1,), -1.0, 1.0), 10)
SMALL = BESO(window=2, width=8, layers=1, heads=1, hidden=(64, 64), batch=8, lr=0.005)


def test_preconditioning_keeps_target_and_input_of_size_one():
    rng = np.random.default_rng(0)
    for sigma in (0.05, 0.5, 1.0):
        a = 0.5 * rng.standard_normal(200_000)
        x = a + sigma * rng.standard_normal(200_000)
        c_skip, c_out = (float(c) for c in scalings(jnp.array(sigma), 0.5))
        assert np.std((a - c_skip * x) / c_out) == pytest.approx(1.0, abs=0.01)
        assert np.std(x) / np.sqrt(sigma**2 + 0.25) == pytest.approx(1.0, abs=0.01)


def test_levels_of_noise():
    np.testing.assert_allclose(geometric(1.0, 0.05, 3), [1.0, np.sqrt(0.05), 0.05, 0.0], rtol=1e-6)
    np.testing.assert_allclose(geometric(1.0, 0.05, 1), [1.0, 0.0])
    u = (np.arange(2000) + 0.5) / 2000
    found = np.log(np.asarray(log_logistic(jnp.asarray(u), 0.5, 0.05, 1.0), np.float64))
    law = scipy.stats.logistic(np.log(0.5), 0.5)
    low, high = law.cdf(np.log([0.05, 1.0]))
    np.testing.assert_allclose(found, law.ppf(low + u * (high - low)), atol=1e-4)
    assert np.exp(found).min() >= 0.05 and np.exp(found).max() <= 1.0


def test_ddim_by_hand_and_where_the_answer_is_known():
    d = lambda x, sigma: 0.5 * x
    x = 1.0
    for now, then in ((1.0, 0.5), (0.5, 0.0)):
        x = (then / now) * x + (1 - then / now) * 0.5 * x
    assert float(denoised(d, jnp.ones(1), jnp.array([1.0, 0.5, 0.0]))[0]) == pytest.approx(x)
    # of data N(m, s²) the denoiser is linear, and the flow takes x to m + (x − m) s/√(s² + σ_max²)
    m, s = 0.3, 0.1
    exact = lambda x, sigma: (s**2 * x + sigma**2 * m) / (s**2 + sigma**2)
    noise = jnp.asarray(np.random.default_rng(0).standard_normal((4000, 1)), jnp.float32)
    out = np.asarray(jax.vmap(lambda x: denoised(exact, x, geometric(1.0, 0.01, 60)))(noise))
    np.testing.assert_allclose(out, m + (noise - m) * s / np.sqrt(s**2 + 1.0), atol=0.02)
    told, free = jnp.ones(1), jnp.zeros(1)
    values = [float(guided(lambda c: 2.0 * c + 1.0, told, free, w)[0]) for w in (0.0, 1.0, 2.0, 0.5)]
    assert values == [1.0, 3.0, 5.0, 2.0]


def test_loss_by_hand():
    learner = BESO(window=1, width=8, layers=1, heads=1, hidden=(4,), goal_dropout=1.0)
    state = learner.init(SPEC, key=KEY)
    rng = np.random.default_rng(1)
    obs, action = (rng.uniform(-1, 1, (1, 5, 1)).astype(np.float32) for _ in range(2))
    no = jnp.zeros((1, 5), bool)
    batch = Transition(obs, action, jnp.full((1, 5), jnp.nan), no, no, obs, {})
    new, metrics = jax.jit(lambda s: learner.update(s, batch, lambda b: 1 / 0, key=KEY))(state)
    u_key, noise_key, _ = jax.random.split(KEY, 3)
    sigma = np.asarray(log_logistic(jax.random.uniform(u_key, (5,)), 0.5, 0.05, 1.0))
    noised = action[0] + sigma[:, None] * np.asarray(jax.random.normal(noise_key, (5, 1)))
    target = (action[0] - 0.25 / (sigma**2 + 0.25)[:, None] * noised) / (sigma * 0.5 / np.sqrt(sigma**2 + 0.25))[
        :, None
    ]
    out = []
    for i in range(5):
        context = state.network.context(obs[0, i : i + 1], jnp.ones(1, bool), jnp.zeros(1), jnp.zeros(()))
        out.append(state.network(jnp.asarray(noised[i]), jnp.asarray(sigma[i]), context, 0.5))
    np.testing.assert_allclose(metrics["loss/policy"], np.square(np.array(out) - target).mean(), rtol=1e-4)
    keep = 0.1  # (1 + 0)/(10 + 0)
    a, b, c = (np.asarray(x.body.layers[0].weight) for x in (state.trailing, new.network, new.trailing))
    np.testing.assert_allclose(c, keep * a + (1 - keep) * b, atol=1e-6)


def test_ways_are_kept_apart_and_goals_choose_between_them():
    side = np.repeat(np.where(np.arange(100) % 2, 1.0, -1.0), 2).astype(np.float32)
    obs = (side * np.tile([0.0, 1.0], 100)).astype(np.float32)[:, None]
    data = Dataset.from_numpy(
        SPEC, obs=obs, action=0.7 * side[:, None], reward=np.zeros(200), terminated=np.arange(200) % 2 == 1,
        next_obs=obs + side[:, None],
    )  # fmt: skip
    state = SMALL.prepare(SMALL.init(SPEC, key=KEY), data, key=KEY)

    @jax.jit
    def many(state):
        def one(s, k):
            draw, update = jax.random.split(k)
            batch = jax.tree.map(lambda x: x[None], SMALL.draw(data, 64, draw))
            return SMALL.update(s, batch, lambda b: 1 / 0, key=update)

        return jax.lax.scan(one, state, jax.random.split(KEY, 800))

    policy = SMALL.policy(many(state)[0])

    @jax.jit
    def acts(policy):
        act = lambda k: policy(jnp.zeros(1), policy.init_carry(), key=k)[0][0]
        return jax.vmap(act)(jax.random.split(KEY, 200))

    free = np.asarray(acts(policy))
    assert 50 < (free > 0).sum() < 150 and np.mean(np.abs(np.abs(free) - 0.7) < 0.3) > 0.6
    for goal in (-2.0, 2.0):
        sent = np.asarray(acts(policy.towards(jnp.full(1, goal))))
        assert np.mean(np.sign(sent) == np.sign(goal)) > 0.95
    assert len(policy.in_steps(30).sigmas) == 31


def test_refusals():
    with pytest.raises(SpecError, match=r"expected 0 < BESO.sigma_min < BESO.sigma_max; got 2 and 1"):
        BESO(sigma_min=2.0)
    with pytest.raises(SpecError, match=r"expected BESO.goal_dropout in \[0, 1\]; got 3"):
        BESO(goal_dropout=3.0)
    with pytest.raises(SpecError, match="expected for BESO: actions in a Box"):
        SMALL.init(EnvSpec(Box((3,)), Discrete(2), 10), key=KEY)
