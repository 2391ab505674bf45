"""UCB1 against its equation, and its regret against uniform choice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.bandits import UCB1, Arms
from operant.errors import SpecError

KEY = jax.random.key(0)
MEANS = np.array([0.2, 0.5, 0.8], np.float32)


def regret(bandit, steps=500, runs=4):
    """Pseudo-regret Σ (best mean − mean of the arm pulled) of each run, with Bernoulli rewards."""

    def one(key):
        def step(state, k):
            choose_key, reward_key = jax.random.split(k)
            arm = bandit.choose(state, key=choose_key)
            reward = (jax.random.uniform(reward_key) < jnp.asarray(MEANS)[arm]).astype(jnp.float32)
            return bandit.learn(state, arm, reward), MEANS.max() - jnp.asarray(MEANS)[arm]

        return jax.lax.scan(step, bandit.init(), jax.random.split(key, steps))[1].sum()

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, runs)))


UNIFORM = 500 * (MEANS.max() - MEANS).mean()


def test_choice_is_the_highest_bound():
    bandit, rng = UCB1(3), np.random.default_rng(0)
    for _ in range(20):
        pulls = rng.integers(1, 50, 3).astype(np.float32)
        total = np.floor(pulls * rng.random(3)).astype(np.float32)
        bound = total / pulls + np.sqrt(2 * np.log(pulls.sum()) / pulls)
        assert int(bandit.choose(Arms(jnp.asarray(pulls), jnp.asarray(total)), key=KEY)) == int(np.argmax(bound))


def test_every_arm_comes_first_once():
    bandit, state, seen = UCB1(4), UCB1(4).init(), []
    for _ in range(4):
        arm = bandit.choose(state, key=KEY)
        seen.append(int(arm))
        state = bandit.learn(state, arm, jnp.float32(9.0))
    assert seen == [0, 1, 2, 3] and state.total.tolist() == [1, 1, 1, 1]  # rewards are clipped to [0, 1]


def test_regret_is_far_below_uniform():
    assert (regret(UCB1(3)) < 0.5 * UNIFORM).all()


def test_refusal():
    with pytest.raises(SpecError, match=r"expected UCB1.arms ≥ 1; got 0"):
        UCB1(0)
