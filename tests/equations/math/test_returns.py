"""Returns and advantages against loops written from the definitions, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.math.returns import discounted_returns, gae, lambda_returns, n_step_returns

T, N, GAMMA, TRACE = 12, 5, 0.9, 0.7
RNG = np.random.default_rng(0)
REWARD, VALUE, NEXT = (RNG.normal(size=(T, N)).astype(np.float32) for _ in range(3))
TERMINATED = RNG.random((T, N)) < 0.2
TRUNCATED = (RNG.random((T, N)) < 0.2) & ~TERMINATED
TRUNCATED[3] = TERMINATED[3] = True  # both at once: termination wins, nothing is bootstrapped
FLAGS = (jnp.asarray(TERMINATED), jnp.asarray(TRUNCATED))


def n_step_by_hand(t, i, n):
    """Σ γᵏ r, until n steps, the episode's end or the rollout's."""
    total, k = 0.0, 0
    while True:
        total += GAMMA**k * REWARD[t + k, i]
        k += 1
        last = t + k - 1
        if TERMINATED[last, i]:
            return total
        if k == n or TRUNCATED[last, i] or last == T - 1:
            return total + GAMMA**k * NEXT[last, i]


def lambda_by_hand(t, i):
    """The mixture of n-step returns, (1 − λ) Σ λ^(n−1) G^(n), its tail on the longest."""
    end = t
    while not (TERMINATED[end, i] or TRUNCATED[end, i]) and end < T - 1:
        end += 1
    longest = end - t + 1
    mixed = sum((1 - TRACE) * TRACE ** (n - 1) * n_step_by_hand(t, i, n) for n in range(1, longest))
    return mixed + TRACE ** (longest - 1) * n_step_by_hand(t, i, longest)


def table(f):
    return np.array([[f(t, i) for i in range(N)] for t in range(T)])


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, T + 3])
def test_n_step_returns_equal_the_definition(n):
    close(n_step_returns(REWARD, NEXT, *FLAGS, GAMMA, n), table(lambda t, i: n_step_by_hand(t, i, n)))


@pytest.mark.parametrize("unroll", [1, 4])
def test_lambda_returns_equal_the_mixture_of_n_step_returns(unroll):
    close(lambda_returns(REWARD, NEXT, *FLAGS, GAMMA, TRACE, unroll=unroll), table(lambda_by_hand))


def test_lambda_zero_and_one_are_one_step_and_the_longest():
    close(lambda_returns(REWARD, NEXT, *FLAGS, GAMMA, 0.0), n_step_returns(REWARD, NEXT, *FLAGS, GAMMA, 1))
    close(lambda_returns(REWARD, NEXT, *FLAGS, GAMMA, 1.0), n_step_returns(REWARD, NEXT, *FLAGS, GAMMA, T))


def gae_by_hand(i):
    advantage, out = 0.0, np.zeros(T)
    for t in reversed(range(T)):
        successor = 0.0 if TERMINATED[t, i] else NEXT[t, i]
        delta = REWARD[t, i] + GAMMA * successor - VALUE[t, i]
        ended = TERMINATED[t, i] or TRUNCATED[t, i]
        advantage = out[t] = delta + (0.0 if ended else GAMMA * TRACE * advantage)
    return out


@pytest.mark.parametrize("unroll", [1, 4])
def test_gae_equals_the_recursion(unroll):
    by_hand = np.stack([gae_by_hand(i) for i in range(N)], axis=1)
    close(gae(REWARD, VALUE, NEXT, *FLAGS, GAMMA, TRACE, unroll=unroll), by_hand)


def test_gae_plus_value_is_the_lambda_return_where_values_agree():
    """With next_value[t] = value[t+1] inside an episode, as in a rollout."""
    within = ~(TERMINATED | TRUNCATED)[:-1]
    next_value = NEXT.copy()
    next_value[:-1][within] = VALUE[1:][within]
    advantage = gae(REWARD, VALUE, next_value, *FLAGS, GAMMA, TRACE)
    close(advantage + VALUE, lambda_returns(REWARD, next_value, *FLAGS, GAMMA, TRACE))


def test_truncation_bootstraps_and_termination_does_not():
    no, yes = jnp.zeros(1, bool), jnp.ones(1, bool)
    one = jnp.ones(1)
    assert float(gae(one, one, 10 * one, no, yes, 0.5, 0.9)[0]) == 5.0
    assert float(gae(one, one, 10 * one, yes, no, 0.5, 0.9)[0]) == 0.0
    assert float(lambda_returns(one, 10 * one, no, yes, 0.5, 0.9)[0]) == 6.0
    assert float(lambda_returns(one, 10 * one, yes, no, 0.5, 0.9)[0]) == 1.0


def test_discounted_returns_start_again_after_an_end():
    done = jnp.array([False, True, False, False])
    close(discounted_returns(jnp.array([1.0, 2.0, 3.0, 4.0]), done, 0.5), [2.0, 2.0, 5.0, 4.0])


def test_one_environment_equals_a_column_and_discounts_can_be_mapped():
    f = lambda r, v, nv, te, tr: gae(r, v, nv, te, tr, GAMMA, TRACE)
    close(f(REWARD[:, 2], VALUE[:, 2], NEXT[:, 2], *(x[:, 2] for x in FLAGS)), gae_by_hand(2))
    column = (REWARD[:, 2], VALUE[:, 2], NEXT[:, 2], *(x[:, 2] for x in FLAGS))
    both = jax.vmap(lambda g: gae(*column, g, TRACE))(jnp.array([0.1, GAMMA]))
    close(both[1], gae_by_hand(2))
