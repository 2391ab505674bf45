"""IPO's loss by hand, its gradient against the paper's sum of two squares, and its closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.errors import SpecError
from operant.learners.preferences.losses.ipo import IPO


def test_by_hand():
    loss = IPO(tau=0.25)(jnp.array([0.0, 3.0, 1.0]), jnp.array([3.0, 0.0, 2.0]), jnp.array([1.0, 1.0, 0.5]))
    np.testing.assert_allclose(loss, [1.0, 25.0, 1.0])  # margins 2, 2, 0


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_gradient_is_that_of_the_papers_sum(p):
    """p (h − 1/2τ)² + (1 − p)(h + 1/2τ)²."""
    tau, h = 0.3, jnp.float32(0.7)
    ours = jax.grad(lambda h: IPO(tau)(jnp.zeros(1), h[None], jnp.array([p]))[0])(h)
    papers = jax.grad(lambda h: p * (h - 0.5 / tau) ** 2 + (1 - p) * (h + 0.5 / tau) ** 2)(h)
    assert float(ours) == pytest.approx(float(papers), rel=1e-5)


def test_minimum_over_policies_is_the_closed_form():
    """Three actions, the first beats both others and the second the third; every pair as often."""
    tau, reference = 0.5, jnp.log(jnp.array([0.2, 0.5, 0.3]))
    pairs = jnp.array([[0, 1], [0, 2], [1, 2]])

    def loss(logits):
        ratio = jax.nn.log_softmax(logits) - reference
        return IPO(tau)(ratio[pairs[:, 1]], ratio[pairs[:, 0]], jnp.ones(3)).sum()

    logits = reference
    for _ in range(200):
        logits = logits - 0.1 * jax.grad(loss)(logits)
    win = np.array([5 / 6, 3 / 6, 1 / 6])  # against an action drawn uniformly, itself included
    expected = np.exp(reference) * np.exp(win / tau)
    np.testing.assert_allclose(jax.nn.softmax(logits), expected / expected.sum(), rtol=1e-4)


def test_refusals():
    with pytest.raises(SpecError, match=r"expected IPO.tau > 0; got 0"):
        IPO(tau=0.0)
