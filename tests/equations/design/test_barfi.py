"""The blend's hypergradient against finite differences, and soft-optimal policies against value iteration."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import operant
from operant.core import Intent
from operant.design import BARFI, _sampled
from operant.design import _exact as exact
from operant.envs.tabular import TabularMDP
from operant.errors import SpecError
from operant.math.dynamic_programming import soft_value_iteration
from operant.rewards import Table, Task, Terms


@pytest.fixture(scope="module")
def mdp():
    """Five states with chance, the last of them an end."""
    random = TabularMDP.random(np.random.default_rng(0), 5, 3, discount=0.9)
    P, R = np.array(random.P), np.array(random.R)
    P[-1], R[-1] = np.eye(5)[-1], 0.0
    return TabularMDP(P, R, random.initial, 0.9)


def test_soft_optimal_without_ends_is_soft_value_iteration():
    mdp = TabularMDP.random(np.random.default_rng(1), 4, 3, discount=0.8)
    reward = exact.expected(mdp)
    told = soft_value_iteration(jnp.asarray(mdp.P), jnp.asarray(mdp.R), 0.8, 0.3)
    np.testing.assert_allclose(exact.soft_solved(mdp, reward, 0.8, 0.3).V, told.V, atol=1e-4)


def test_soft_optimal_is_a_fixed_point_with_no_value_at_the_end(mdp):
    reward = np.random.default_rng(2).normal(size=(5, 3)) * ~mdp.terminal[:, None]
    soft = exact.soft_solved(mdp, reward, 0.7, 0.2)
    V = 0.2 * np.log(np.exp((reward + 0.7 * mdp.P @ soft.V) / 0.2).sum(1))
    np.testing.assert_allclose(soft.V, np.where(mdp.terminal, 0.0, V), atol=1e-9)


@pytest.mark.parametrize("discount", [0.5, 0.95])
def test_hypergradient_is_the_gradient(mdp, discount):
    rng = np.random.default_rng(3)
    live = ~mdp.terminal[:, None]
    reward, utility = rng.normal(size=(5, 3)) * live, rng.normal(size=(5, 3)) * live

    def J(r, g):
        return exact.hypergradient(mdp, utility, exact.soft_solved(mdp, r, g, 0.3), g, 0.3)[0]

    _, table, far = exact.hypergradient(mdp, utility, exact.soft_solved(mdp, reward, discount, 0.3), discount, 0.3)
    e, told = 1e-6, np.zeros((5, 3))
    for s, a in np.ndindex(5, 3):
        d = np.zeros((5, 3))
        d[s, a] = e * live[s, 0]
        told[s, a] = (J(reward + d, discount) - J(reward - d, discount)) / (2 * e)
    np.testing.assert_allclose(table, told, atol=1e-7)
    assert far == pytest.approx((J(reward, discount + e) - J(reward, discount - e)) / (2 * e), rel=1e-5)


def test_gradient_in_weights_and_discount(mdp):
    rng = np.random.default_rng(4)
    tables, x, ours = rng.normal(size=(2, 5, 3)), np.array([0.7, -0.4, 1.5]), BARFI(discount=0.9, temperature=0.3)
    primary = exact.expected(mdp)
    G = lambda y: ours.gradient(mdp, primary, tables, y)[0]
    told = [(G(x + d) - G(x - d)) / 2e-6 for d in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(ours.gradient(mdp, primary, tables, x)[1], told, atol=1e-6)


def test_fixed_discount_is_not_moved(mdp):
    ours = BARFI(discount=0.9, learn_discount=False, temperature=0.3, steps=5)
    design = ours.blend(mdp, ["a"], np.ones((1, 5, 3)), np.ones(1))
    np.testing.assert_allclose(design.curves["discount"], 0.9)


def test_a_price_of_looking_ahead_shortens_it(mdp):
    run = lambda price: BARFI(discount=0.9, price=price, temperature=0.3, steps=50).blend(
        mdp, ["a"], np.zeros((1, 5, 3)), np.ones(1)
    )  # fmt: skip
    assert run(5.0).record["discount"] < run(0.0).record["discount"]


def test_terms_are_weighed_each():
    env = TabularMDP.chain(4).as_env()
    reward = Terms({"away": Table(np.array([[1.0, 0.0]] * 4)), "on": Table(np.array([[0.0, 0.2]] * 4))}, {"on": 0.5})
    found = BARFI(discount=0.9, steps=100)(env, Intent(reward, truth=Task()), key=jax.random.key(0)).record
    assert found["return/designed"] >= found["return/none"] > found["return/naive"]
    assert found["weight/away"] < 1.0 and {"weight/primary", "weight/on"} <= found.keys()


def test_implicit_gradient_from_episodes_is_the_gradient():
    """For fixed episodes: through the inner optimum, found anew for other weights, by finite differences."""
    env, rng = TabularMDP.chain(3).as_env(4), np.random.default_rng(0)
    intent = Intent(Table(rng.normal(size=(3, 2))), truth=Task())
    batch = _sampled.gather(env, intent, jnp.zeros((4, 2)), 64, jax.random.key(0))
    inner, x = (0.3, 0.5), np.array([1.0, 0.5, 1.0])

    def settled(x):
        theta = jnp.zeros((4, 2))
        for _ in range(800):
            theta = _sampled.climb(theta, jnp.asarray(x, jnp.float32), batch, *inner, 0.3)
        return theta

    found = _sampled.implicit(settled(x), jnp.asarray(x), batch, batch, 0.9, *inner, 0.3, 200)
    J = lambda y: float(_sampled.upper(settled(y), batch, 0.9))
    told = [(J(x + d) - J(x - d)) / 0.1 for d in 0.05 * np.eye(3)]
    np.testing.assert_allclose(found, told, atol=5e-3)


def test_inner_gradient_is_reinforce():
    env = TabularMDP.chain(3, discount=0.5).as_env(4)
    batch = _sampled.gather(env, Intent(Task(), truth=Task()), jnp.zeros((4, 2)), 8, jax.random.key(1))
    found = jax.grad(_sampled.lower)(jnp.zeros((4, 2)), jnp.array([1.0, 0.0, 0.0]), batch, 0.0, 0.0)
    told = np.zeros((4, 2))
    for f, a, r, m in zip(
        *map(np.asarray, (batch.features, batch.actions, batch.rewards[..., 0], batch.mask)), strict=True
    ):
        for t in range(int(m.sum())):
            G = sum(0.5**j * r[j] for j in range(t, int(m.sum())))
            told += np.outer(f[t], np.eye(2)[int(a[t])] - 0.5) * G / 8
    np.testing.assert_allclose(found, told, atol=1e-5)


def test_from_episodes():
    env = TabularMDP.chain(4).as_env(8)
    reward = Terms({"away": Table(np.array([[0.3, 0.0]] * 4))})
    ours = BARFI(discount=0.9, episodes=32, steps=3, inner_steps=2)
    design = ours(env, Intent(reward, truth=Task()), key=jax.random.key(0))
    assert isinstance(design.reward, Terms) and set(design.reward.terms) == {"primary", "away"}
    assert design.curves["weights"].shape == (4, 2) and np.isfinite(design.curves["weights"]).all()
    pendulum: Any = operant.make("Pendulum-v1")
    with pytest.raises(SpecError, match="discrete actions"):
        ours(pendulum, Intent(Task(), truth=Task()), key=jax.random.key(0))


def test_a_truth_is_needed_and_settings_checked():
    with pytest.raises(SpecError, match="primary reward"):
        BARFI()(TabularMDP.chain(3).as_env(), Intent(Task()), key=jax.random.key(0))
    with pytest.raises(SpecError, match=r"BARFI\.temperature"):
        BARFI(temperature=0.0)


def test_the_price_of_looking_ahead_is_no_part_of_the_return():
    designer = BARFI(discount=0.9, steps=1, episodes=16, inner_steps=1, price=0.5)
    found = designer(TabularMDP.chain(4).as_env(8), Intent(Task(), truth=Task()), key=jax.random.key(0))
    assert found.record["return/designed"] in found.curves["return"]
