"""The logistic preference loss by hand, and by the reference code's other way of writing it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from operant.errors import SpecError
from operant.learners.preferences.losses.logistic import Logistic

LEFT, RIGHT = np.array([1.0, -3.0, 40.0]), np.array([2.0, 5.0, -60.0])


def test_conservative_loss_by_hand():
    loss = Logistic(temperature=0.5, bias=0.25)(jnp.array(LEFT), jnp.array(RIGHT), jnp.array([1.0, 0.0, 0.5]))
    logit_right, logit_left = 0.5 * (RIGHT - 0.25 * LEFT), 0.5 * (LEFT - 0.25 * RIGHT)
    log_right, log_left = scipy.special.log_expit(logit_right), scipy.special.log_expit(logit_left)
    np.testing.assert_allclose(loss, [-log_right[0], -log_left[1], -0.5 * (log_right + log_left)[2]], rtol=1e-6)


def test_of_policies_as_far_apart_the_likelier_costs_less():
    loss = lambda shift, bias: float(Logistic(1.0, bias)(jnp.zeros(1) + shift, jnp.ones(1) + shift, jnp.ones(1))[0])
    assert loss(0.0, 0.5) < loss(-2.0, 0.5) and loss(0.0, 1.0) == pytest.approx(loss(-2.0, 1.0))


def test_smoothing_has_its_minimum_where_the_model_says_as_much():
    loss = Logistic(temperature=2.0, bias=1.0, smoothing=0.2)
    gradient = jax.grad(lambda gap: loss(jnp.zeros(1), gap[None], jnp.ones(1))[0])
    assert float(gradient(jnp.log(4.0) / 2.0)) == pytest.approx(0.0, abs=1e-6)  # σ(2 gap) = 0.8
    assert float(gradient(jnp.log(4.0))) > 0.01


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"temperature": 0.0}, "expected Logistic.temperature > 0; got 0"),
        ({"bias": 1.5}, r"expected Logistic.bias in \(0, 1\]; got 1.5"),
        ({"smoothing": 0.5}, r"expected Logistic.smoothing in \[0, 0.5\); got 0.5"),
    ],
)
def test_refusals(given, text):
    with pytest.raises(SpecError, match=text):
        Logistic(**given)
