"""Exploration noise: its marginal, its spectrum, its beginning."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from operant.learners import exploration


def series(colour, steps, episodes):
    def one(key):
        step = lambda carry, k: exploration.draw(colour, carry, k, 1)[::-1]
        return jax.lax.scan(step, exploration.begin(colour, 1), jax.random.split(key, steps))[1][:, 0]

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), episodes)))


def test_pink_noise_falls_with_frequency_as_one_over_f_and_white_noise_does_not_fall():
    frequency = np.fft.rfftfreq(1024)[4:256]
    for colour, slope in (("pink", -1.0), ("white", 0.0)):
        power = (np.abs(np.fft.rfft(series(colour, 1024, 64), axis=1)) ** 2).mean(0)[4:256]
        assert abs(np.polyfit(np.log(frequency), np.log(power), 1)[0] - slope) < 0.2, colour


def test_every_step_is_standard_normal_from_the_first_on():
    x = series("pink", 33, 4000)
    for t in (0, 1, 32):
        assert stats.kstest(x[:, t], "norm").pvalue > 1e-3
    assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] > 0.6


def test_pink_noise_is_correlated_as_the_papers_episodes_of_1_000_steps_are():
    x, f = series("pink", 513, 3000), np.arange(1, 501)
    for k in (1, 4, 16, 64, 256, 512):
        waves = ((np.cos(2 * np.pi * f * k / 1000) / f).sum() + 0.5) / ((1 / f).sum() + 0.5)
        assert abs((x[:, 0] * x[:, k]).mean() - waves) < 0.1 + 4 / np.sqrt(len(x)), k


def test_uniform_is_the_normals_own_distribution_function():
    z = jnp.array([-1.5, 0.0, 0.3])
    np.testing.assert_allclose(exploration.uniform(z), 2 * stats.norm.cdf(np.asarray(z)) - 1, atol=1e-6)
