"""The Q network: dueling streams and the loss, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec
from operant.errors import SpecError
from operant.learners.critics.q_network import QNetwork, QNetworkParams
from operant.learners.off_policy import Q
from operant.learners.sac import SAC
from operant.nn import MLP, Encoder, Linear, encoder

SPEC = EnvSpec(Box((2,)), Discrete(3), 50, num_envs=4)


def linear_q(weight, bias=(0.0, 0.0, 0.0)) -> Q:
    """Q(s, ·) = s W + b."""
    body = MLP((Linear(jnp.array(weight, jnp.float32), jnp.array(bias)),), "relu")
    enc: Encoder = encoder(np.random.default_rng(0), SPEC.obs)
    return Q(QNetwork(), QNetworkParams(enc, None, None, body))


ONLINE = linear_q([[1.0, 5.0, 2.0], [0.0, 0.0, 0.0]])


def test_boxes_are_refused():
    with pytest.raises(SpecError, match="expected for the critic QNetwork: Discrete"):
        SAC(critic=QNetwork()).init(EnvSpec(Box((2,)), Box((1,), -1.0, 1.0), 10), key=jax.random.key(0))


def test_dueling_adds_the_value_to_centred_advantages():
    enc = encoder(np.random.default_rng(0), SPEC.obs)
    layer = lambda weight: MLP((Linear(jnp.array(weight), jnp.zeros(len(weight[0]))),), "relu")
    params = QNetworkParams(enc, None, layer([[7.0], [0.0]]), layer([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(QNetwork(dueling=True).heads(params, jnp.array([1.0, 0.0]), None), [[5.0, 6.0, 10.0]])


@pytest.mark.parametrize(
    ("error", "target", "loss"), [("huber", 5.5, 0.125), ("huber", 8.0, 2.5), ("squared", 8.0, 4.5)]
)
def test_the_loss_is_quadratic_then_linear(error, target, loss):
    critic = QNetwork(error=error)
    got = critic.loss(ONLINE.params, jnp.array([1.0, 0.0]), jnp.array(1), jnp.array(target))
    assert float(got) == pytest.approx(loss)
