"""Priced costs: one update by hand, and dual ascent on a problem whose answer is known."""

import jax
import jax.numpy as jnp
import pytest

from operant.core import Box, Constraint, EnvSpec, Transition
from operant.rewards import Lagrangian, Normalise, Program, Task

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((1,)), Box((2,), names=("a", "b")), None)


def batch(actions):
    action = jnp.asarray(actions, jnp.float32)
    zero = jnp.zeros(action.shape[:-1])
    no = zero.astype(bool)
    return Transition(zero[..., None], action, zero, no, no, zero[..., None], {})


COSTS = (Constraint(Program(lambda a: a), 1.0, "fuel"), Constraint(Program(lambda b: b), 5.0, "heat"))


def test_two_updates_by_hand():
    reward = Lagrangian(Program(lambda a, b: a + b), COSTS, lr=0.5, initial=0.25)
    state = reward.init(SPEC, key=KEY)
    assert state.multiplier.tolist() == [0.25, 0.25]
    data = batch([[[2.0, 4.0]], [[4.0, 2.0]]])  # mean costs 3 and 3
    state, metrics = reward.update(state, data, key=KEY)
    assert state.multiplier.tolist() == [0.25 + 0.5 * 2.0, 0.0]  # 0.25 − 0.5 · 2 would be negative
    assert {k: float(v) for k, v in metrics.items()} == {
        "constraint/fuel_cost": 3.0,
        "constraint/fuel_multiplier": 1.25,
        "constraint/heat_cost": 3.0,
        "constraint/heat_multiplier": 0.0,
    }
    expected = (6.0 - 1.25 * 2.0) / 2.25
    assert float(reward(state, data)[0, 0]) == pytest.approx(expected)
    state, _ = reward.update(state, batch([[[0.0, 0.0]]]), key=KEY)
    assert state.multiplier.tolist() == [0.75, 0.0]


def test_the_proportional_part_answers_at_once_and_is_not_kept():
    reward = Lagrangian(Program(lambda a: a), COSTS[:1], lr=0.5, proportional=2.0)
    state = reward.init(SPEC, key=KEY)
    state, metrics = reward.update(state, batch([[[3.0, 0.0]]]), key=KEY)
    assert (state.integral.tolist(), state.multiplier.tolist()) == ([1.0], [5.0])
    assert float(metrics["constraint/fuel_multiplier"]) == 5.0
    state, _ = reward.update(state, batch([[[0.5, 0.0]]]), key=KEY)
    assert (state.integral.tolist(), state.multiplier.tolist()) == ([0.75], [0.0])  # 0.75 − 2 · 0.5 < 0


@pytest.mark.parametrize(("limit", "answer", "price"), [(1.0, 1.0, 4.0), (10.0, 3.0, 0.0)])
def test_converges_on_a_problem_with_a_known_answer(limit, answer, price):
    """max −(a − 3)² subject to a ≤ limit. Stationarity: −2(a − 3) = λ, so a = 1, λ = 4; or the limit does not bind."""
    reward = Lagrangian(Program(lambda a: -((a - 3.0) ** 2)), (Constraint(Program(lambda a: a), limit),), initial=1.0)

    def one(carry, _):
        a, state = carry
        gain = jax.grad(lambda x: reward(state, batch(jnp.stack([x, 0.0])[None, None]))[0, 0])(a)
        a = a + 0.1 * gain
        state, _ = reward.update(state, batch(jnp.stack([a, 0.0])[None, None]), key=KEY)
        return (a, state), None

    start = (jnp.zeros(()), reward.init(SPEC, key=KEY))
    (a, state), _ = jax.jit(lambda s: jax.lax.scan(one, s, None, length=3000))(start)
    assert float(a) == pytest.approx(answer, abs=1e-3)
    assert float(state.multiplier[0]) == pytest.approx(price, abs=1e-2)


def test_costs_and_reward_learn_too():
    reward = Lagrangian(Task(), (Constraint(Normalise(Program(lambda a: a)), 0.1),))
    state = reward.init(SPEC, key=KEY)
    new, metrics = reward.update(state, batch([[[3.0, 0.0]], [[1.0, 0.0]]]), key=KEY)
    assert float(new.costs[0].returns.moments.count) > float(state.costs[0].returns.moments.count)
    assert "normalise/scale" in metrics and reward.reads_env_reward
