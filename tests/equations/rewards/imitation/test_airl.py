"""AIRL's logit, shaping and losses, against NumPy; and what its theorem says, in exact arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.envs.toy import GridWorld
from operant.errors import SpecError
from operant.rewards.imitation.airl import AIRL

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Box((1,), 0.0, 4.0), 5, num_envs=2, fixed_horizon=True)


def shown(spec=SPEC):
    rng = np.random.default_rng(0)
    obs, ends = rng.standard_normal((10, 2)).astype(np.float32), np.arange(10) % 5 == 4
    action = rng.uniform(0, 4, (10, 1)) if isinstance(spec.action, Box) else rng.integers(2, size=10)
    return Dataset.from_numpy(
        spec, obs=obs, action=action, reward=np.zeros(10), terminated=ends & False, truncated=ends, next_obs=obs + 1
    )


def rollout(discrete=False):
    rng = np.random.default_rng(1)
    draw = lambda *s: jnp.asarray(rng.standard_normal((3, 2, *s)), jnp.float32)
    action = jnp.asarray(rng.integers(2, size=(3, 2))) if discrete else jnp.clip(2.0 + draw(1), 0.0, 4.0)
    no = jnp.zeros((3, 2), bool)
    return Transition(draw(2), action, jnp.full((3, 2), jnp.nan), no.at[1, 1].set(True), no, draw(2), {})


def forward(layers, x):
    for i, layer in enumerate(layers):
        x = x @ np.asarray(layer.weight, np.float64) + np.asarray(layer.bias)
        x = x if i == len(layers) - 1 else np.tanh(x)
    return x


@pytest.mark.parametrize("use", ["state", "state-action"])
def test_logit_is_shaped_reward_less_log_policy(use):
    demos, b = shown(), rollout()
    by = {
        pays: AIRL(pays=pays, use=use, discount=0.9, hidden=(5,), policy_hidden=(4,))
        for pays in ("logit", "shaped", "reward")
    }
    state = by["logit"].init(SPEC, demos, key=KEY)
    obs = np.asarray(demos.data.obs)
    flat = lambda x: np.asarray(x, np.float64).reshape(-1, x.shape[-1])
    s, after = ((flat(o) - obs.mean(0)) / obs.std(0) for o in (b.obs, b.next_obs))
    a = flat(b.action) / 2 - 1
    g = forward(state.networks.reward.body.layers, np.concatenate([s, a], 1) if use == "state-action" else s)[:, 0]
    h = lambda x: forward(state.networks.shaping.body.layers, x)[:, 0]
    f = g + 0.9 * np.where(np.asarray(b.terminated).reshape(-1), 0, h(after)) - h(s)
    mean = forward(state.policy.head.layers, s)
    log = scipy.stats.norm(mean, 1.0).logpdf(a)[:, 0]
    for pays, expected in (("reward", g), ("shaped", f), ("logit", f - log)):
        np.testing.assert_allclose(by[pays](state, b).reshape(-1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("discrete", [False, True])
def test_it_tells_the_sides_apart_and_follows_the_agents_policy(discrete):
    spec = EnvSpec(SPEC.obs, Discrete(2), 5, num_envs=2, fixed_horizon=True) if discrete else SPEC
    by = AIRL(
        hidden=(16,), policy_hidden=(8,), lr=1e-2, policy_lr=1e-2, steps=20, batch=16, memory=6 if discrete else None
    )
    demos, b = shown(spec), rollout(discrete)
    state = by.init(spec, demos, key=KEY)
    update = jax.jit(lambda s, k: by.update(s, b, key=k))
    state, first = update(state, KEY)
    for i in range(10):
        state, metrics = update(state, jax.random.key(i))
    assert float(metrics["imitation/policy"]) < float(first["imitation/policy"])
    assert float(metrics["imitation/expert"]) > 0.9 and float(metrics["imitation/agent"]) > 0.9
    assert float(by(state, demos.data).mean()) > float(by(state, b).mean())


def test_the_theorem_that_a_reward_of_states_is_recovered_up_to_a_constant():
    """Where f is the soft-optimal advantage, dynamics are deterministic and g sees the state, g is r + constant."""
    world, gamma = GridWorld("S..\n.#.\n..."), 0.9
    after = world.successors
    n = len(after)
    r = np.random.default_rng(0).standard_normal(n)
    V = np.zeros(n)
    for _ in range(500):
        V = scipy.special.logsumexp(r[:, None] + gamma * V[after], axis=1)
    advantage = r[:, None] + gamma * V[after] - V[:, None]
    np.testing.assert_allclose(np.exp(advantage).sum(1), 1.0)  # log π of the demonstrator
    rows, target = [], []
    for s in range(n):
        for a in range(4):
            row = np.zeros(2 * n)
            row[s] += 1.0  # g(s)
            row[n + after[s, a]] += gamma  # γ h(s')
            row[n + s] -= 1.0  # − h(s)
            rows.append(row)
            target.append(advantage[s, a])
    found = np.linalg.lstsq(np.array(rows), np.array(target), rcond=None)[0]
    np.testing.assert_allclose(np.array(rows) @ found, target, atol=1e-8)
    assert np.ptp(found[:n] - r) < 1e-6


def test_refusals():
    with pytest.raises(SpecError, match=r"expected AIRL.pays to be known; got 'g': "):
        AIRL(pays="g")
    with pytest.raises(SpecError, match=r"expected AIRL.use to be known; got 'transition'"):
        AIRL(use="transition")
    with pytest.raises(SpecError, match=r"expected AIRL.discount in \[0, 1\]; got 2"):
        AIRL(discount=2.0)
    with pytest.raises(SpecError, match=r"expected AIRL.batch ≥ 1; got 0"):
        AIRL(batch=0)
    with pytest.raises(SpecError, match=r"expected for AIRL episodes of one length"):
        AIRL().init(EnvSpec(SPEC.obs, SPEC.action, 5), shown(), key=KEY)
