"""Thompson sampling against the posterior probability of being best, and its regret against uniform choice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.bandits import Arms, Thompson
from operant.errors import SpecError

KEY = jax.random.key(0)
MEANS = np.array([0.2, 0.5, 0.8], np.float32)


def test_an_arm_is_chosen_as_often_as_it_is_probably_best():
    pulls, total = np.array([4.0, 10.0]), np.array([3.0, 5.0])
    bandit, state = Thompson(2), Arms(jnp.asarray(pulls, jnp.float32), jnp.asarray(total, jnp.float32))
    chosen = jax.jit(jax.vmap(lambda k: bandit.choose(state, key=k)))(jax.random.split(KEY, 4000))
    grid = np.linspace(0, 1, 4001)
    first, second = (scipy.stats.beta(1 + s, 1 + n - s) for n, s in zip(pulls, total, strict=True))
    probability = np.trapezoid(first.pdf(grid) * second.cdf(grid), grid)
    assert abs(float((chosen == 0).mean()) - probability) < 0.03


def test_regret_is_far_below_uniform():
    bandit = Thompson(3)

    def one(key):
        def step(state, k):
            choose_key, reward_key = jax.random.split(k)
            arm = bandit.choose(state, key=choose_key)
            reward = (jax.random.uniform(reward_key) < jnp.asarray(MEANS)[arm]).astype(jnp.float32)
            return bandit.learn(state, arm, reward), MEANS.max() - jnp.asarray(MEANS)[arm]

        return jax.lax.scan(step, bandit.init(), jax.random.split(key, 500))[1].sum()

    regret = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, 4)))
    assert (regret < 0.25 * 500 * (MEANS.max() - MEANS).mean()).all()


def test_refusals():
    with pytest.raises(SpecError, match=r"expected Thompson.failures > 0; got 0"):
        Thompson(2, failures=0.0)
    with pytest.raises(SpecError, match=r"expected Thompson.arms ≥ 1"):
        Thompson(0)
