"""Seeds one after another on a device: the same as alone, and their replays written where they lie."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.replay import Replay
from operant.loops.spread import over_seeds, place

SPEC = EnvSpec(Box((16,)), Discrete(2), 100, num_envs=2)
SEEDS = 4 * len(jax.devices())


def batch(i: int) -> Transition:
    obs = jnp.full((3, 2, 16), i, jnp.float32)
    no = jnp.zeros((3, 2), bool)
    return Transition(obs, no.astype(jnp.int32), obs[..., 0], no, no, obs + 0.5, {})


def step(tree, shared):
    """Insert, then read: what learners from replay do."""
    replay, new, key = tree
    replay = replay.insert(new)
    return replay, replay.sample(key, 5), shared + new.reward.sum()


def trees(capacity: int):
    each = [(Replay.init(SPEC, capacity), batch(i), jax.random.key(i)) for i in range(SEEDS)]
    return each, jax.tree.map(lambda *x: jnp.stack(x), *each)


def raw(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_several_are_what_each_is_alone():
    each, stacked = trees(8)
    spread = jax.jit(lambda tree, shared: over_seeds(step, SEEDS)(tree, shared))
    for _ in range(3):  # the ring of 4 rows comes round
        answer = spread(place(stacked, SEEDS), jnp.float32(1.0))
        alone = [jax.jit(step)(tree, jnp.float32(1.0)) for tree in each]
        for a, b in zip(raw(answer), raw(jax.tree.map(lambda *x: jnp.stack(x), *alone)), strict=True):
            np.testing.assert_array_equal(a, b)
        stacked = (answer[0], *stacked[1:])
        each = [(one[0], *tree[1:]) for one, tree in zip(alone, each, strict=True)]


def test_a_ring_is_never_copied():
    _, stacked = trees(20_000)
    spread = jax.jit(lambda tree, shared: over_seeds(step, SEEDS)(tree, shared), donate_argnums=0)
    compiled = spread.lower(place(stacked, SEEDS), jnp.float32(1.0)).compile()
    ring = sum(x.nbytes for x in jax.tree.leaves(stacked[0])) // SEEDS
    assert compiled.memory_analysis().temp_size_in_bytes < 0.1 * ring
