"""Plain: the standardised observation and the action, side by side, and nothing learned."""

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, Composite, Discrete, EnvSpec
from operant.rewards.representations import Plain


def test_it_is_the_observation_as_it_looks_and_the_action():
    spec = EnvSpec(Composite((("a", Box((2,))), ("b", Discrete(3)))), Box((1,), -2.0, 2.0), 100)
    view, rest = Plain().init(np.random.default_rng(0), spec)
    obs = {"a": jnp.array([3.0, 5.0]), "b": jnp.int32(1)}
    look = lambda o: o | {"a": o["a"] / 2.0}
    np.testing.assert_allclose(view(obs, jnp.array([1.0]), look), [1.5, 2.5, 0.0, 1.0, 0.0, 0.5])
    assert view.size == 6 and not Plain().frozen
    same, _, metrics = Plain().learn(view, rest, lambda key, n: 1 / 0, look, key=jax.random.key(0))
    assert same is view and metrics == {}
