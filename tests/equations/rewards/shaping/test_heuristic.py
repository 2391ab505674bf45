"""A heuristic added naively: r + w · h(s'), by hand; it does not telescope."""

import jax
import jax.numpy as jnp

from operant.core import Box, EnvSpec, Transition
from operant.rewards import Heuristic, Program, Task

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((1,), names=("s",)), Box((1,)), None)


def test_adds_the_successors_worth_at_every_step():
    reward = Heuristic(Task(), Program(lambda s: s), weight=2.0)
    state = reward.init(SPEC, key=KEY)
    s = jnp.array([[0.0], [1.0], [0.0], [1.0], [0.0]])  # back and forth: a potential would pay nothing for it
    no = jnp.zeros(4, bool)
    end = jnp.array([False, False, False, True])
    batch = Transition(s[:-1], jnp.zeros((4, 1)), jnp.ones(4), end, no, s[1:], {})
    assert reward(state, batch).tolist() == [3.0, 1.0, 3.0, 1.0]
    _, metrics = reward.update(state, batch, key=KEY)
    assert float(metrics["shaping/heuristic"]) == 1.0
