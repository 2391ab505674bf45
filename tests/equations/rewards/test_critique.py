"""Critique against running averages kept by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractFixedReward, Box, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.rewards.critique import Critique

SPEC = EnvSpec(Box((2,), 0.0, 1.0), Discrete(2), 10)


class Second(AbstractFixedReward):
    """Action 1 is worth 3, action 0 nothing."""

    def __call__(self, state, batch):
        return 3.0 * batch.action


def step(state: int, action: int) -> Transition:
    obs, no = jnp.eye(2)[state][None, None], jnp.zeros((1, 1), bool)
    return Transition(obs, jnp.full((1, 1), action), jnp.full((1, 1), jnp.nan), no, no, obs, {})


def test_praise_ends_when_the_good_becomes_usual_and_the_bad_is_blamed():
    watcher = Critique(Second(), lr=0.5)
    state = watcher.init(SPEC, key=jax.random.key(0))
    usual = 0.0
    for _ in range(9):
        assert float(watcher(state, step(0, 1))[0, 0]) == 1.0
        state, metrics = watcher.update(state, step(0, 1), key=jax.random.key(0))
        assert float(metrics["feedback/surprise"]) == pytest.approx(3.0 - usual, abs=1e-5)
        usual += 0.5 * (3.0 - usual)
    assert float(watcher(state, step(0, 1))[0, 0]) == 0.0  # 3 · 2⁻⁹ < 0.01
    assert float(watcher(state, step(0, 0))[0, 0]) == -1.0


def test_what_is_usual_is_so_of_each_state():
    watcher = Critique(Second(), lr=1.0)
    state = watcher.init(SPEC, key=jax.random.key(0))
    for _ in range(60):
        for s, a in ((0, 1), (1, 0)):
            state, _ = watcher.update(state, step(s, a), key=jax.random.key(0))
    usual = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]) @ np.asarray(state.usual)
    np.testing.assert_allclose(usual, [3.0, 0.0], atol=1e-4)


def test_bad_settings_are_told():
    with pytest.raises(SpecError, match=r"lr in \(0, 1\]; got 0"):
        Critique(Second(), lr=0.0)
