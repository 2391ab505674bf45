"""r' = min(max(r, low), high), by hand."""

import jax
import jax.numpy as jnp

from operant.core import Transition
from operant.rewards import Clip, Task

ZERO, NO = jnp.zeros((2, 2)), jnp.zeros((2, 2), bool)
BATCH = Transition(ZERO, ZERO, jnp.array([[3.0, -3.0], [0.5, 1.0]]), NO, NO, ZERO, {})


def test_defaults_are_those_of_dqn():
    assert Clip(Task())((), BATCH).tolist() == [[1.0, -1.0], [0.5, 1.0]]


def test_bounds_may_differ():
    assert Clip(Task(), -5.0, 0.75)((), BATCH).tolist() == [[0.75, -3.0], [0.5, 0.75]]


def test_logs_how_often_a_bound_was_hit():
    _, metrics = Clip(Task()).update((), BATCH, key=jax.random.key(0))
    assert float(metrics["clip/share"]) == 0.5  # 1.0 lies on the bound and loses nothing
