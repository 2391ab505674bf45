"""Seeds one after another on a device: the same as alone, and their replays written where they lie."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Intent, Transition
from operant.data.replay import Replay
from operant.envs import make
from operant.learners.td3 import TD3
from operant.loops.engines import HostEngine
from operant.loops.spread import over_seeds, place
from operant.rewards.task import Task

SPEC = EnvSpec(Box((16,)), Discrete(2), 100, num_envs=2)
ALONE = len(jax.devices())
SEVERAL = 4 * ALONE
each_way = pytest.mark.parametrize("seeds", [1, ALONE, SEVERAL])


def batch(i: int) -> Transition:
    obs = jnp.full((3, 2, 16), i, jnp.float32)
    no = jnp.zeros((3, 2), bool)
    return Transition(obs, no.astype(jnp.int32), obs[..., 0], no, no, obs + 0.5, {})


def step(replay, own, shared):
    """Insert, then read: what learners from replay do."""
    new, key = own
    replay = replay.insert(new)
    return replay, (replay.sample(key, 5), shared + new.reward.sum())


def trees(capacity: int, seeds: int):
    each = [(Replay.init(SPEC, capacity), (batch(i), jax.random.key(i))) for i in range(seeds)]
    return each, jax.tree.map(lambda *x: jnp.stack(x), *each)


def raw(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


@each_way
def test_several_are_what_each_is_alone(seeds):
    each, stacked = trees(8, seeds)
    spread = jax.jit(over_seeds(step, seeds))
    for _ in range(3):  # the ring of 4 rows comes round
        answer = spread(*place(stacked, seeds), jnp.float32(1.0))
        alone = [jax.jit(step)(*tree, jnp.float32(1.0)) for tree in each]
        for a, b in zip(raw(answer), raw(jax.tree.map(lambda *x: jnp.stack(x), *alone)), strict=True):
            np.testing.assert_array_equal(a, b)
        stacked = (answer[0], stacked[1])
        each = [(one[0], tree[1]) for one, tree in zip(alone, each, strict=True)]


@each_way
def test_a_ring_is_never_copied(seeds):
    _, stacked = trees(20_000, seeds)
    spread = jax.jit(over_seeds(step, seeds), donate_argnums=0)
    compiled = spread.lower(*place(stacked, seeds), jnp.float32(1.0)).compile()
    ring = sum(x.nbytes for x in jax.tree.leaves(stacked[0])) // seeds
    assert compiled.memory_analysis().temp_size_in_bytes < 0.1 * ring


class Asked(Exception):
    """What was to be known is known."""


def temporary(learner, seeds: int) -> tuple[int, int]:
    """Bytes that one update of a host environment asks for beside its states; those of one seed's learner."""
    env = make("gym:Pendulum-v1")
    spec, keys = dataclasses.replace(env.spec, num_envs=1), list(jax.random.split(jax.random.key(0), seeds))
    engine = HostEngine(learner, env, Intent(Task()), spec, keys, 1, 1)
    states = engine.start()
    engine.compile(states)
    update, used = engine._update, []

    def asked(*args):
        used.append(update.lower(*args).compile().memory_analysis().temp_size_in_bytes)
        raise Asked

    engine._update = asked
    with pytest.raises(Asked):
        engine.advance(states, 1)
    engine.close()
    return used[0], sum(x.nbytes for x in jax.tree.leaves(states.learner) if hasattr(x, "nbytes")) // seeds


@each_way
def test_a_step_of_a_host_environment_never_copies_what_is_remembered(seeds):
    assert temporary(TD3(hidden=(8,), batch=4, capacity=100_000), seeds)[0] < 100_000


def test_nor_are_the_networks_of_all_seeds_copied_at_each_step():
    learner = TD3(hidden=(256, 256), batch=4, capacity=100)
    (few, one), (many, _) = temporary(learner, SEVERAL), temporary(learner, 2 * SEVERAL)
    assert many - few < 0.1 * one
