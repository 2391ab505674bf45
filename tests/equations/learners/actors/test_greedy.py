"""Q-learning's actor: the maximum, the double estimate, ε."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec
from operant.learners.actors.greedy import Greedy
from operant.learners.critics.q_network import QNetwork, QNetworkParams
from operant.learners.off_policy import Q
from operant.math.schedules import Constant
from operant.nn import MLP, Encoder, Linear, encoder

SPEC = EnvSpec(Box((2,)), Discrete(3), 50, num_envs=4)


def linear_q(weight, bias=(0.0, 0.0, 0.0)) -> Q:
    """Q(s, ·) = s W + b."""
    body = MLP((Linear(jnp.array(weight, jnp.float32), jnp.array(bias)),), "relu")
    enc: Encoder = encoder(np.random.default_rng(0), SPEC.obs)
    return Q(QNetwork(), QNetworkParams(enc, None, None, body))


ONLINE = linear_q([[1.0, 5.0, 2.0], [0.0, 0.0, 0.0]])
TARGET = linear_q([[4.0, 3.0, 2.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(("double", "value"), [(False, 4.0), (True, 3.0)])
def test_the_next_value_is_the_maximum_or_what_the_target_says_of_the_online_choice(double, value):
    assert float(Greedy(double).next_value((), ONLINE, TARGET, jnp.array([1.0, 0.0]), ())) == value


def test_epsilon_is_how_often_the_action_is_random():
    q, obs = ONLINE, jnp.array([1.0, 0.0])
    cold, t = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    actor = Greedy(epsilon=Constant(0.3))
    draw = lambda k: actor.explore((), q, obs, (), cold, t, k)[0]
    greedy = (np.asarray(jax.vmap(draw)(jax.random.split(jax.random.key(0), 2000))) == 1).mean()
    assert greedy == pytest.approx(0.7 + 0.1, abs=0.04)
