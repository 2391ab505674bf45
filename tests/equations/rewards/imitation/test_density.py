"""Density of the demonstrations, against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.rewards.imitation.density import Density

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Box((1,), 0.0, 4.0), 10, num_envs=2, fixed_horizon=True)
RNG = np.random.default_rng(0)
OBS, ACTION = 5.0 * RNG.standard_normal((10, 2)).astype(np.float32), RNG.uniform(0, 4, (10, 1)).astype(np.float32)


def shown(spec=SPEC, action=ACTION):
    ends = np.arange(10) % 5 == 4
    return Dataset.from_numpy(
        spec, obs=OBS, action=action, reward=np.zeros(10), terminated=ends & False, truncated=ends, next_obs=OBS + 1
    )


def batch(action=ACTION):
    no = jnp.zeros((3, 2), bool)
    obs = jnp.asarray(4.0 * RNG.standard_normal((3, 2, 2)), jnp.float32)
    return Transition(obs, jnp.asarray(action[:6]).reshape(3, 2, *action.shape[1:]), 0.0 * no, no, no, obs + 1, {})


@pytest.mark.parametrize("use", ["state", "state-action", "transition"])
def test_log_density_of_standardised_features(use):
    b = batch()
    by = Density(bandwidth=0.7, use=use)
    state = by.init(SPEC, shown(), key=KEY)
    columns = {
        "state": lambda o, a, n: [o],
        "state-action": lambda o, a, n: [o, a],
        "transition": lambda o, a, n: [o, n],
    }
    flat = lambda x: np.asarray(x, np.float64).reshape(-1, x.shape[-1])
    look = lambda o, a, n: np.concatenate(columns[use](flat(o), flat(a), flat(n)), 1)
    there, here = look(OBS, ACTION, OBS + 1), look(b.obs, b.action, b.next_obs)
    mean, std = there.mean(0), there.std(0)
    if use == "state-action":  # actions are in units of the box before, and only scaled
        mean[-1] = 2.0
    if use == "transition":  # both observations by the moments of the first
        mean[2:], std[2:] = mean[:2], std[:2]
    z, x = (there - mean) / std, (here - mean) / std
    d = z.shape[1]
    each = scipy.stats.multivariate_normal(np.zeros(d), 0.7**2 * np.eye(d)).logpdf(x[:, None] - z[None])
    expected = scipy.special.logsumexp(each, axis=1) - np.log(10) + d * np.log(0.7 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(by(state, b).reshape(-1), expected, rtol=1e-3, atol=1e-3)
    kernel = Density(bandwidth=0.7, use=use, pays="kernel")
    np.testing.assert_allclose(kernel(state, b).reshape(-1), np.exp(expected), rtol=1e-3, atol=1e-6)
    new, metrics = by.update(state, b, key=KEY)
    assert new is state and not metrics


def test_discrete_actions_are_one_hot_and_constants_do_no_harm():
    spec = EnvSpec(Box((2,)), Discrete(3), 10, num_envs=2, fixed_horizon=True)
    action = np.ones(10, np.int32)
    by = Density(use="state-action")
    state = by.init(spec, shown(spec, action), key=KEY)
    same, other = batch(action), batch(action + 1)
    other = Transition(same.obs, other.action, *jax.tree.leaves(same)[2:5], same.next_obs, {})
    assert bool((by(state, same) > by(state, other)).all())


def test_refusals():
    with pytest.raises(SpecError, match=r"expected Density.pays to be log or kernel; got 'p'"):
        Density(pays="p")
    with pytest.raises(SpecError, match=r"expected Density.bandwidth in"):
        Density(bandwidth=0.0)
    with pytest.raises(SpecError, match=r"expected Density.use to be one of"):
        Density(use="actions")
    with pytest.raises(SpecError, match=r"expected for Density episodes of one length"):
        Density().init(EnvSpec(SPEC.obs, SPEC.action, 10), shown(), key=KEY)
