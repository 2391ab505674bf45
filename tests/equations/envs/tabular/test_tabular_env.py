"""The environment made from a tabular process: frequencies, rewards, endings and returns equal the tables."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from operant.envs.tabular.mdp import TabularMDP
from operant.math.dynamic_programming import expected_return

MDP = TabularMDP.random(np.random.default_rng(0), 5, 3, branching=3, discount=0.8)
ENV = MDP.as_env(max_steps=None)


def test_transitions_have_the_tables_frequencies_and_rewards():
    n = 4000
    step = jax.jit(jax.vmap(lambda s, a, k: ENV.advance(s, a, key=k), in_axes=(None, None, 0)))
    for s, a in ((0, 0), (2, 1), (4, 2)):
        successor, reward, terminated = step(s, a, jax.random.split(jax.random.key(s), n))
        successor = np.asarray(successor)
        counts, p = np.bincount(successor, minlength=5), MDP.P[s, a]
        assert (counts[p == 0] == 0).all()
        assert scipy.stats.chisquare(counts[p > 0], n * p[p > 0] / p.sum()).pvalue > 1e-3
        np.testing.assert_allclose(reward, MDP.R[s, a, successor], rtol=1e-6)
        assert not terminated.any()
    starts = jax.jit(jax.vmap(lambda k: ENV.initial(key=k)))(jax.random.split(jax.random.key(9), n))
    assert scipy.stats.chisquare(np.bincount(starts, minlength=5), n * MDP.initial).pvalue > 1e-3


def test_observations_are_one_hot_and_in_the_space():
    assert ENV.observe(jnp.array(3)).tolist() == [0.0, 0.0, 0.0, 1.0, 0.0]
    assert ENV.spec.obs.contains(np.asarray(ENV.observe(jnp.array(3))))
    assert (ENV.spec.action.n, ENV.spec.max_steps) == (3, None)


def test_entering_an_absorbing_state_terminates_and_time_truncates():
    env = TabularMDP.chain(3).as_env(max_steps=4)
    key = jax.random.key(0)
    step = eqx.filter_jit(env.step)
    state, _ = env.reset(key=key)
    seen = []
    for action in (0, 1, 1, 0, 0, 0, 0):
        state, out = step(state, jnp.array(action), key=key)
        seen.append((int(out.final_obs.argmax()), float(out.reward), bool(out.terminated), bool(out.truncated)))
    assert seen == [
        (0, 0.0, False, False),
        (1, 0.0, False, False),
        (2, 1.0, True, False),  # the end, and back to the start
        (0, 0.0, False, False),
        (0, 0.0, False, False),
        (0, 0.0, False, False),
        (0, 0.0, False, True),
    ]


def test_sampled_returns_agree_with_the_exact_one():
    """1,000 walks of 60 steps (0.8⁶⁰ is 10⁻⁶) under the uniform policy."""

    def walk(key):
        def one(carry, key):
            state, weight = carry
            act, go = jax.random.split(key)
            state, reward, _ = ENV.advance(state, jax.random.randint(act, (), 0, 3), key=go)
            return (state, weight * MDP.discount), weight * reward

        first, rest = jax.random.split(key)
        return jax.lax.scan(one, (ENV.initial(key=first), 1.0), jax.random.split(rest, 60))[1].sum()

    returns = np.asarray(jax.jit(jax.vmap(walk))(jax.random.split(jax.random.key(1), 1000)))
    exact = expected_return(MDP.P, MDP.R, np.full((5, 3), 1 / 3), MDP.initial, MDP.discount)
    assert abs(returns.mean() - exact) < 4 * returns.std() / np.sqrt(1000)
    assert returns.std() > 0.1
