"""What holds for every reward here: any leading axes, a stable state, environment rewards unread unless declared."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Constraint, EnvSpec, Transition
from operant.rewards import Clip, Heuristic, Lagrangian, Normalise, PotentialShaping, Program, Scale, Task, Terms

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,), names=("x", "v")), Box((1,)), 10, num_envs=2)
T, N = 3, 2
LOOK = Program(lambda x: 0.5 * x)
WRAPPERS = {
    "alone": lambda r: r,
    "terms": lambda r: Terms({"inner": r, "look": LOOK}, {"inner": 2.0}),
    "clip": Clip,
    "scale": lambda r: Scale(r, 2.0, 1.0),
    "normalise": Normalise,
    "potential": lambda r: PotentialShaping(r, LOOK),
    "heuristic": lambda r: Heuristic(r, LOOK),
    "lagrangian": lambda r: Lagrangian(r, (Constraint(LOOK, 0.1),), initial=0.5),
    "priced": lambda r: Lagrangian(LOOK, (Constraint(r, 0.1),), initial=0.5),
    "nested": lambda r: Normalise(Terms({"a": PotentialShaping(Normalise(r), LOOK), "b": Clip(LOOK)})),
}


def rollout(poison=False):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    reward = draw(T, N)
    ended, cut = jnp.zeros((T, N), bool).at[1, 0].set(True), jnp.zeros((T, N), bool).at[2, 1].set(True)
    reward = jnp.full_like(reward, jnp.nan) if poison else reward
    return Transition(draw(T, N, 2), draw(T, N, 1), reward, ended, cut, draw(T, N, 2), {})


def finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", WRAPPERS)
def test_an_environments_reward_is_unread_unless_declared(name):
    """Both ways round: poison reaches nothing where undeclared, and everything where declared."""
    for inner, reads in ((Program(lambda x, v: x * v), False), (Task(), True), (Program(lambda reward: reward), True)):
        reward = WRAPPERS[name](inner)
        assert reward.reads_env_reward == reads
        state = reward.init(SPEC, key=KEY)
        new, metrics = reward.update(state, rollout(poison=True), key=KEY)
        value = reward(state, rollout(poison=True))
        assert finite((value, new, metrics)) != reads


@pytest.mark.parametrize("name", WRAPPERS)
def test_any_leading_axes(name):
    reward = WRAPPERS[name](Task())
    data = rollout()
    state, _ = reward.update(reward.init(SPEC, key=KEY), data, key=KEY)
    whole = reward(state, data)
    flat = reward(state, jax.tree.map(lambda x: x.reshape(T * N, *x.shape[2:]), data))
    single = reward(state, jax.tree.map(lambda x: x[2, 1], data))
    assert (whole.shape, flat.shape, single.shape) == ((T, N), (T * N,), ())
    np.testing.assert_allclose(flat.reshape(T, N), whole, rtol=1e-6)
    np.testing.assert_allclose(single, whole[2, 1], rtol=1e-6)


@pytest.mark.parametrize("name", WRAPPERS)
def test_state_is_stable_repeatable_and_donatable(name):
    reward = WRAPPERS[name](Task())
    state = reward.init(SPEC, key=KEY)
    new, metrics = reward.update(state, rollout(), key=KEY)
    assert eqx.tree_equal(jax.eval_shape(lambda: state), jax.eval_shape(lambda: new))  # shapes, types, weak types
    assert all(value.shape == () and metric.count("/") >= 1 for metric, value in metrics.items())
    assert eqx.tree_equal(reward.update(state, rollout(), key=KEY), (new, metrics))
    leaves = jax.tree.leaves(state)
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize("name", WRAPPERS)
def test_seeds_are_independent_under_vmap(name):
    reward = WRAPPERS[name](Task())
    keys = jax.random.split(KEY, 2)
    states = eqx.filter_vmap(lambda key: reward.init(SPEC, key=key))(keys)
    data = jax.tree.map(lambda x: jnp.stack([x, x[::-1]]), rollout())
    swept = jax.vmap(lambda s, d, key: reward(reward.update(s, d, key=key)[0], d), axis_size=2)(states, data, keys)
    for i in range(2):
        one = jax.tree.map(lambda x, i=i: x[i], data)
        state, _ = reward.update(reward.init(SPEC, key=keys[i]), one, key=keys[i])
        np.testing.assert_allclose(swept[i], reward(state, one), rtol=1e-5, atol=1e-6)
