"""SIRL: its loss by hand, that it finds what likeness is of, and that comparisons leave it as it is."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import nn
from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers, Pairs, Segments
from operant.errors import SpecError
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.program import Program
from operant.rewards.representations import SIRL, squash
from operant.rewards.representations.sirl import alike
from operant.teachers import Alike
from operant.testing import check_reward, small_spec

SPEC = EnvSpec(Box((4,)), Discrete(2), 100, num_envs=4)
SMALL = SIRL(hidden=(16,), features=2, steps=300, batch=32, lr=3e-3)


def segments(rng: np.random.Generator, *shape: int, extras: bool = True) -> Segments:
    """Behaviour of which only the first entry matters."""
    centre = rng.normal(size=(*shape[:-1], 1, 4))
    obs = jnp.asarray(centre + 0.3 * rng.normal(size=(*shape, 4)), jnp.float32)
    no = jnp.zeros(shape, bool)
    found = {"first": np.asarray(obs[..., 0])} if extras else {}
    return Segments(Transition(obs, no.astype(int), no.astype(float), no, no, obs, found), ~no)


@pytest.fixture(scope="module")
def learned() -> SIRL:
    rng = np.random.default_rng(0)
    triplets = segments(rng, 400, 3, 5)
    odd = Alike({"first": Program(lambda obs: obs[0])}).odd(triplets, key=None)
    return SMALL.fit(SPEC, triplets, jnp.asarray(odd), key=jax.random.key(0))


def test_the_loss_is_the_triplet_loss_both_ways():
    rng = np.random.default_rng(1)
    view, _ = SMALL.init(rng, SPEC)
    triplets = segments(rng, 7, 3, 5)
    own = jnp.asarray(rng.random((7, 3, 5)) < 0.7).at[..., 0].set(True)
    triplets = Segments(triplets.steps, own)
    total = 0.0
    for i in range(7):
        phi = []
        for j in range(3):
            each = [
                view(triplets.steps.obs[i, j, t], triplets.steps.action[i, j, t], None)
                for t in range(5)
                if own[i, j, t]
            ]
            phi.append(np.mean(np.array(each), axis=0))
        a, p, n = phi
        gap = lambda x, y: float(((x - y) ** 2).sum())
        total += max(gap(a, p) - gap(a, n) + 0.4, 0.0) + max(gap(p, a) - gap(p, n) + 0.4, 0.0)
    np.testing.assert_allclose(alike(view, triplets, 0.4), total / 7, rtol=1e-4)


def test_it_sees_what_matters_and_forgets_what_does_not(learned):
    view, _ = learned.init(np.random.default_rng(5), SPEC)
    fresh = segments(np.random.default_rng(2), 200, 3, 5)
    odd = Alike({"first": Program(lambda obs: obs[0])}).odd(fresh, key=None)

    def right(view) -> float:
        phi = jax.vmap(jax.vmap(jax.vmap(lambda o, a: view(squash(o), a, None))))(
            fresh.steps.obs, fresh.steps.action
        ).mean(2)
        gap = lambda i, j: np.square(np.asarray(phi[:, i] - phi[:, j])).sum(-1)
        return float((np.argmin([gap(1, 2), gap(0, 2), gap(0, 1)], axis=0) == odd).mean())

    assert right(view) > 0.85 > right(SMALL.init(np.random.default_rng(5), SPEC)[0])


def test_comparisons_move_the_head_alone(learned):
    reward = BradleyTerry(members=2, hidden=(), segment=5, capacity=8, pool=64, steps=3, representation=learned)
    state = reward.init(SPEC, key=jax.random.key(0))
    rng, yes = np.random.default_rng(3), jnp.ones(6, bool)
    pairs = Pairs(segments(rng, 6, 5, extras=False), segments(rng, 6, 5, extras=False))
    target = (pairs.right.steps.obs[..., 0].sum(1) > pairs.left.steps.obs[..., 0].sum(1)).astype(jnp.float32)
    teach = eqx.filter_jit(reward.teach)
    new, _ = teach(state, Answers(pairs, jnp.arange(6), target, yes, yes), key=jax.random.key(1))
    for x, y in zip(jax.tree.leaves(new.networks.view), jax.tree.leaves(state.networks.view), strict=True):
        np.testing.assert_array_equal(x, y)
    assert float(jnp.abs(new.networks.body.layers[0].weight - state.networks.body.layers[0].weight).max()) > 0
    one = jax.tree.map(lambda x: x[0], state.networks.view)
    np.testing.assert_array_equal(nn.flatten(one)[0], learned.weights)


def test_as_a_reward():
    check_reward(BradleyTerry(members=2, hidden=(), segment=2, pool=64, capacity=8, representation=SMALL), small_spec())


def test_weights_of_another_size_are_refused():
    with pytest.raises(SpecError, match=r"expected SIRL.weights of \d+ numbers .* got \(3,\)"):
        SIRL(weights=jnp.zeros(3)).init(np.random.default_rng(0), SPEC)
