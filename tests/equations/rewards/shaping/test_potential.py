"""Potential-based shaping: returns move by −Φ(s₀), and no optimal action moves; a mishandled terminal shows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.rewards import Heuristic, Normalise, PotentialShaping, Program, Task

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((1,), names=("s",)), Discrete(2), None)
SQUARE = Program(lambda s: 4.0 * s * s - 6.0)


def apply(reward, data):
    return np.asarray(reward(reward.init(SPEC, key=KEY), data))


def episode(terminated):
    """Seven steps over small whole numbers, so that float32 holds every sum exactly."""
    states = np.array([1, 2, 4, 3, 0, 5, 2, 6], np.float32)[:, None]
    reward = np.array([1, 0, -2, 3, 0, 0, 8], np.float32)
    last = np.arange(7) == 6
    ended, cut = (last, ~last & last) if terminated else (~last & last, last)
    return Transition(states[:-1], np.zeros(7, np.int32), reward, ended, cut, states[1:], {})


@pytest.mark.parametrize("discount", [1.0, 0.5])
@pytest.mark.parametrize("terminated", [True, False])
def test_returns_of_whole_episodes_move_by_the_first_potential(discount, terminated):
    data = jax.tree.map(jnp.asarray, episode(terminated))
    shaped = apply(PotentialShaping(Task(), SQUARE, discount), data)
    weights = discount ** np.arange(7)
    moved = float(weights @ shaped) - float(weights @ np.asarray(data.reward))
    first, last = 4.0 * 1 - 6.0, 4.0 * 36 - 6.0
    # A truncated episode is bootstrapped, from V − Φ where rewards are shaped: the difference is −Φ(s₀) again.
    bootstrap = 0.0 if terminated else -(discount**7) * last
    assert moved + bootstrap == -first
    if not terminated:
        assert moved != -first


def test_by_hand():
    data = jax.tree.map(jnp.asarray, episode(True))
    shaped = apply(PotentialShaping(Task(), SQUARE, 0.5), data)
    assert shaped[0] == 1.0 + 0.5 * (16.0 - 6.0) - (4.0 - 6.0)
    assert shaped[6] == 8.0 - (16.0 - 6.0)


def test_an_undefined_terminal_potential_does_no_harm():
    data = jax.tree.map(jnp.asarray, episode(True))
    shaped = apply(PotentialShaping(Task(), Program(lambda s: jnp.where(s == 6.0, jnp.nan, s)), 0.9), data)
    assert np.isfinite(shaped).all()


# --- a corridor with two exits, solved exactly ----------------------------------------------------------------------

STATES, DISCOUNT, SLIP = 7, 0.9, 0.1
EXITS = (0, STATES - 1)
PAY = {0: 1.0, STATES - 1: 0.6}
POTENTIAL = Program(lambda s, high=0.5: high * s - 1.0)  # wrong about which exit is better


def transitions():
    """`P` (S, A, S) of a slippery corridor whose ends are exits, and every (s, a, s') as one flat batch."""
    P = np.zeros((STATES, 2, STATES))
    for s in range(1, STATES - 1):
        for a, step in enumerate((-1, 1)):
            P[s, a, s + step] += 1 - SLIP
            P[s, a, s - step] += SLIP
    s, a, following = (x.ravel() for x in np.indices(P.shape))
    reward = np.array([PAY.get(int(x), -0.02) for x in following], np.float32)
    ended = np.isin(following, EXITS)
    column = lambda x: jnp.asarray(x[:, None], jnp.float32)
    no = jnp.zeros(len(s), bool)
    return P, Transition(column(s), jnp.asarray(a), jnp.asarray(reward), jnp.asarray(ended), no, column(following), {})


def solve(P, reward):
    """Q (S, A) by value iteration; exits are worth nothing."""
    inside = ~np.isin(np.arange(STATES), EXITS)
    R = np.asarray(reward, np.float64).reshape(P.shape)
    Q = np.zeros((STATES, 2))
    for _ in range(500):
        V = np.where(inside, Q.max(1), 0.0)
        Q = (P * (R + DISCOUNT * V)).sum(-1)
    return Q[inside]


def test_optimal_actions_stay_and_values_move_by_the_potential():
    P, data = transitions()
    plain = solve(P, data.reward)
    shaped = solve(P, apply(PotentialShaping(Task(), POTENTIAL, DISCOUNT), data))
    assert np.abs(plain[:, 0] - plain[:, 1]).min() > 1e-3  # every choice is clear, and they are not all one
    assert len(set(plain.argmax(1))) == 2
    assert np.array_equal(plain.argmax(1), shaped.argmax(1))
    phi = 0.5 * np.arange(1, STATES - 1) - 1.0
    np.testing.assert_allclose(shaped, plain - phi[:, None], atol=1e-5)


def test_optimal_actions_move_where_terminal_potentials_are_kept():
    P, data = transitions()
    plain = solve(P, data.reward)
    kept = eqx.tree_at(lambda d: d.terminated, data, data.truncated)  # nothing terminates, as shaping sees it
    mishandled = solve(P, apply(PotentialShaping(Task(), POTENTIAL, DISCOUNT), kept))
    assert not np.array_equal(plain.argmax(1), mishandled.argmax(1))


def test_optimal_actions_move_where_the_potential_is_added_naively():
    P, data = transitions()
    plain = solve(P, data.reward)
    naive = solve(P, apply(Heuristic(Task(), POTENTIAL), data))
    assert not np.array_equal(plain.argmax(1), naive.argmax(1))


def test_optimal_actions_move_with_another_discount():
    P, data = transitions()
    other = solve(P, apply(PotentialShaping(Task(), POTENTIAL, 0.99), data))
    assert not np.array_equal(solve(P, data.reward).argmax(1), other.argmax(1))


# --- the rest -------------------------------------------------------------------------------------------------------


def test_the_potential_sees_the_state_alone():
    asking = {"action": Program(lambda s, action: s), "reward": Task(), "next_s": Program(lambda next_s: next_s)}
    for asks, potential in asking.items():
        with pytest.raises(SpecError, match=rf"potential of the state alone, Φ\(s\); got one that asks for {asks}"):
            PotentialShaping(Task(), potential).init(SPEC, key=KEY)


def test_learns_with_the_reward_it_wraps_and_logs_its_bonus():
    reward = PotentialShaping(Normalise(Task(), discount=0.5), SQUARE, 0.5)
    state = reward.init(SPEC, key=KEY)
    data = jax.tree.map(lambda x: jnp.asarray(x)[:, None], episode(True))
    new, metrics = reward.update(state, data, key=KEY)
    alone, _ = reward.reward.update(state[0], data, key=KEY)
    assert jnp.array_equal(new[0].returns.moments.variance, alone.returns.moments.variance)
    bonus = apply(PotentialShaping(Program(lambda: 0.0), SQUARE, 0.5), data)
    assert float(metrics["shaping/bonus"]) == pytest.approx(float(bonus.mean()))
    assert "normalise/scale" in metrics
