"""Random actions: uniform over each kind of space, and over what a mask allows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.audits.controls import RandomPolicy
from operant.core import Box, Composite, Discrete, EnvSpec
from operant.errors import SpecError


def draw(spec, obs, n=600):
    policy = RandomPolicy(spec)
    return np.asarray(jax.vmap(lambda k: policy(obs, (), key=k)[0])(jax.random.split(jax.random.key(0), n)))


def test_uniform_over_discrete():
    counts = np.bincount(draw(EnvSpec(Box((1,)), Discrete(3), None), jnp.zeros(1)))
    assert scipy.stats.chisquare(counts).pvalue > 0.001 and len(counts) == 3


def test_uniform_over_a_box():
    actions = draw(EnvSpec(Box((1,)), Box((2,), (-2.0, 0.0), (2.0, 1.0)), None), jnp.zeros(1))
    for i, (low, width) in enumerate([(-2.0, 4.0), (0.0, 1.0)]):
        assert scipy.stats.kstest(actions[:, i], "uniform", args=(low, width)).pvalue > 0.001


def test_masked_actions_are_never_drawn():
    spec = EnvSpec(Composite((("action_mask", Box((4,), 0.0, 1.0)), ("x", Box((1,))))), Discrete(4), None)
    actions = draw(spec, {"action_mask": jnp.array([0.0, 1.0, 0.0, 1.0]), "x": jnp.zeros(1)})
    assert set(actions.tolist()) == {1, 3} and 0.4 < np.mean(actions == 1) < 0.6


def test_there_is_no_greedy_random_action():
    with pytest.raises(SpecError, match=r"got None, which asks for the greedy action.*deterministic=False"):
        RandomPolicy(EnvSpec(Box((1,)), Discrete(3), None))(jnp.zeros(1), (), key=None)
