"""The task reward is the environment's, whatever the axes."""

import jax.numpy as jnp
import pytest

from operant.core import Transition
from operant.rewards import Task


@pytest.mark.parametrize("lead", [(), (4,), (3, 2)])
def test_is_the_environments_reward(lead):
    reward, no = jnp.arange(24.0)[: max(1, jnp.zeros(lead).size)].reshape(lead), jnp.zeros(lead, bool)
    batch = Transition(reward, reward, reward, no, no, reward, {})
    assert Task().reads_env_reward
    assert jnp.array_equal(Task()((), batch), reward)
