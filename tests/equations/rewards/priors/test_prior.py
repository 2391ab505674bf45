"""PRIOR: importance and redistribution by hand, and their place in a lesson."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers, Comparisons, Pairs, Segments
from operant.errors import SpecError
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.priors import PRIOR
from operant.testing import check_reward, small_spec

SPEC = EnvSpec(Box((1,)), Discrete(2), 100, num_envs=2)
CELLS = PRIOR(lambda obs: obs[0].astype(int), count=4, weight=0.5)


def segments(cells, mask=None) -> Segments:
    cells = jnp.asarray(cells, jnp.float32)
    no = jnp.zeros(cells.shape, bool)
    obs = cells[..., None]
    return Segments(
        Transition(obs, no.astype(int), no.astype(float), no, no, obs, {}), ~no if mask is None else jnp.asarray(mask)
    )


def answers(left: Segments, right: Segments, target) -> Answers:
    n = len(target)
    yes = jnp.ones(n, bool)
    return Answers(Pairs(left, right), jnp.arange(n), jnp.asarray(target, jnp.float32), yes, yes)


def test_it_finds_how_surely_more_of_a_state_goes_with_better():
    left = segments([[0, 1, 1], [2, 2, 0], [3, 0, 0]])
    right = segments([[0, 0, 0], [1, 1, 1], [2, 2, 2]], [[1, 1, 1], [1, 1, 0], [1, 1, 1]])
    held = Comparisons.init(SPEC, 4, 3).insert(answers(left, right, [1.0, 0.0, 0.5]))
    train = jnp.array([True, True, True, False])
    n = np.zeros((3, 2, 4))
    for i, (a, b) in enumerate(((([0, 1, 1]), [0, 0, 0]), ([2, 2, 0], [1, 1]), ([3, 0, 0], [2, 2, 2]))):
        for k in range(4):
            n[i, 0, k], n[i, 1, k] = a.count(k), b.count(k)
    gap = n[:, 1] - n[:, 0]
    expected = np.array([1.0, -1.0, 0.0]) @ gap / (1 + np.abs(gap).sum(0))
    np.testing.assert_allclose(CELLS.look_back(held, train), expected, rtol=1e-6)
    assert expected[1] == pytest.approx(-4 / 5) and expected[3] == 0  # state 1 is worse both times; a tie says no
    np.testing.assert_allclose(CELLS.look_back(held, jnp.zeros(4, bool)), 0.0)


def test_the_constraint_is_the_distance_from_what_hindsight_says():
    s = segments([[0, 1, 2], [3, 3, 1]], [[1, 1, 1], [1, 1, 0]])
    value, seen = jnp.array([[1.0, 2.0, -1.0], [0.5, 0.5, 9.0]]), jnp.array([0.0, 0.6, -0.2, 0.1])
    c, own = np.array([0.0, 0.6, -0.2, 0.1, 0.1]), np.array([1.0, 2.0, -1.0, 0.5, 0.5])
    scale = (own @ c) / (c @ c)
    np.testing.assert_allclose(CELLS.loss(seen, value, s), 0.5 * np.square(own - scale * c).sum() / 2, rtol=1e-6)
    slope = np.asarray(jax.grad(lambda v: CELLS.loss(seen, v, s))(value)).ravel()
    np.testing.assert_allclose(slope[:5], 0.5 * (own - scale * c), rtol=1e-5)
    assert slope[5] == 0.0  # beyond the segment's end
    np.testing.assert_allclose(CELLS.loss(seen, -value, s), 0.5 * np.square(own).sum() / 2, rtol=1e-6)  # never turned
    assert float(CELLS.loss(0.0 * seen, value, s)) == 0.0  # nothing is known yet


def test_predicates_and_numbers_say_the_same():
    named = PRIOR(lambda obs: jnp.stack([obs[0] == k for k in range(4)]), weight=0.5)
    rng = np.random.default_rng(0)
    s = segments(rng.integers(4, size=(5, 6)))
    value, seen = jnp.asarray(rng.normal(size=(5, 6)), jnp.float32), jnp.asarray(rng.random(4), jnp.float32)
    np.testing.assert_allclose(named.loss(seen, value, s), CELLS.loss(seen, value, s), rtol=1e-6)


def test_a_lesson_with_it_pays_where_it_matters():
    """Walks among cells 0 and 1 of which half step on 3 once: the reward of the step is of 3, not of the others."""
    rng = np.random.default_rng(0)
    good = rng.integers(2, size=40)
    walk = lambda g: segments(np.concatenate([rng.integers(2, size=(40, 9)), np.where(g, 3, 0)[:, None]], 1))
    told = answers(walk(1 - good), walk(good), good)
    elsewhere = {}
    for weight in (0.0, 1.0):
        prior = eqx.tree_at(lambda p: p.weight, CELLS, weight)
        reward = BradleyTerry(1, (16,), segment=10, capacity=40, pool=400, steps=300, lr=3e-3, prior=prior)
        state = reward.init(SPEC, key=jax.random.key(0))
        state, _ = jax.jit(lambda s, a, k: reward.teach(s, a, key=k))(state, told, jax.random.key(1))  # noqa: B023
        network, look = jax.tree.map(lambda x: x[0], state.networks), state.normaliser
        r = [float(network(jnp.log1p(jnp.array([float(k)])), jnp.int32(0), look)) for k in (0, 1, 3)]
        assert np.argmax(r) == 2
        elsewhere[weight] = max(abs(r[0]), abs(r[1])) / abs(r[2])
    assert elsewhere[1.0] < elsewhere[0.0] - 0.2, elsewhere


def test_as_a_reward():
    prior = PRIOR(lambda obs: obs[0] > 0)
    check_reward(BradleyTerry(segment=2, pool=64, capacity=8, hidden=(8,), prior=prior), small_spec(), plain=False)


def test_impossible_settings_are_refused():
    with pytest.raises(SpecError, match=r"expected a function for PRIOR\.symbols; got 3"):
        PRIOR(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SpecError, match=r"expected PRIOR\.weight ≥ 0; got -1"):
        PRIOR(lambda obs: 0, weight=-1.0)
