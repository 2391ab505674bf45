"""Distributions against SciPy, and finite values and gradients at the extremes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from operant.dists import Bernoulli, Categorical, Delta, Mixture, Normal, TanhNormal
from operant.errors import SpecError

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 5)).astype(np.float32)
MEAN, SCALE = RNG.normal(size=(4, 3)).astype(np.float32), RNG.uniform(0.3, 2.0, (4, 3)).astype(np.float32)


def close(a, b, tol=1e-5):
    np.testing.assert_allclose(np.asarray(a), b, rtol=tol, atol=tol)


def finite(tree):
    return all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(tree))


def test_categorical_equals_scipy():
    d = Categorical(jnp.asarray(LOGITS))
    p = scipy.special.softmax(LOGITS.astype(np.float64), axis=-1)
    x = jnp.array([0, 4, 2, 2])
    close(d.log_prob(x), np.log(p[np.arange(4), x]))
    close(d.entropy(), scipy.stats.entropy(p, axis=-1))
    close(d.mode(), LOGITS.argmax(-1))
    other = Categorical(jnp.asarray(LOGITS[::-1].copy()))
    close(d.kl(other), scipy.stats.entropy(p, p[::-1], axis=-1))
    close(d.kl(d), 0.0)
    row = Categorical(jnp.asarray(LOGITS[0]))
    close(row.log_prob(jnp.arange(5)), np.log(p[0]))  # events broadcast over the parameters


def test_categorical_samples_follow_the_probabilities():
    d = Categorical(jnp.asarray(LOGITS[0]))
    draws = jax.jit(jax.vmap(d.sample))(jax.random.split(KEY, 4000))
    p = np.asarray(d.probs(), np.float64)
    assert scipy.stats.chisquare(np.bincount(draws, minlength=5), 4000 * p / p.sum()).pvalue > 1e-3
    x, log_prob = Categorical(jnp.asarray(LOGITS)).sample_and_log_prob(KEY)
    close(log_prob, Categorical(jnp.asarray(LOGITS)).log_prob(x))


def test_masked_categorical_ignores_masked_actions():
    mask = jnp.array([True, False, True, True, False])
    d = Categorical.masked(jnp.asarray(LOGITS), mask)
    kept = LOGITS[:, [0, 2, 3]]
    close(d.entropy(), scipy.stats.entropy(scipy.special.softmax(kept, axis=-1), axis=-1))
    close(d.log_prob(jnp.zeros(4, int)), scipy.special.log_softmax(kept, axis=-1)[:, 0])
    assert bool((d.log_prob(jnp.ones(4, int)) < -1e8).all())
    draws = jax.jit(jax.vmap(d.sample))(jax.random.split(KEY, 500))
    assert set(np.unique(draws)) == {0, 2, 3}

    def everything(logits):
        d = Categorical.masked(logits, mask)
        return (d.entropy() + d.log_prob(jnp.zeros(4, int)) + d.kl(Categorical(jnp.asarray(LOGITS)))).sum()

    grad = jax.jit(jax.grad(everything))(jnp.asarray(LOGITS))
    assert finite(grad)
    assert bool((grad[:, [1, 4]] == 0).all())
    nothing = Categorical.masked(jnp.asarray(LOGITS), jnp.zeros(5, bool))
    close(nothing.probs(), 0.2)


def test_normal_equals_scipy():
    d = Normal(jnp.asarray(MEAN), jnp.asarray(SCALE))
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    reference = scipy.stats.norm(MEAN.astype(np.float64), SCALE)
    close(d.log_prob(x), reference.logpdf(x).sum(-1))
    close(d.entropy(), reference.entropy().sum(-1))
    close(d.mode(), MEAN)
    other = Normal(jnp.zeros((4, 3)), 2.0)
    by_hand = np.log(2.0 / SCALE) + (SCALE**2 + MEAN**2) / 8.0 - 0.5
    close(d.kl(other), by_hand.sum(-1))
    draws = jax.jit(jax.vmap(d.sample))(jax.random.split(KEY, 4000))
    assert scipy.stats.kstest(np.asarray((draws[:, 0, 0] - MEAN[0, 0]) / SCALE[0, 0]), "norm").pvalue > 1e-3


def test_a_scale_of_fewer_axes_is_broadcast():
    d = Normal(jnp.asarray(MEAN), jnp.array([1.0, 2.0, 3.0]))
    close(d.log_prob(MEAN), scipy.stats.norm(0, [1.0, 2.0, 3.0]).logpdf(0).sum())
    low = TanhNormal(jnp.asarray(MEAN), 1.0, jnp.array([-1.0, -2.0, 0.0]), 2.0)
    assert {leaf.shape for leaf in jax.tree.leaves(low)} == {(4, 3)}


def tanh_log_density(u, mean, scale, low, high):
    """In float64, from u."""
    u = np.asarray(u, np.float64)
    log_slope = np.log((high - low) / 2) - 2 * np.log(np.cosh(u))
    return (scipy.stats.norm(mean, scale).logpdf(u) - log_slope).sum(-1)


def test_tanh_normal_equals_the_change_of_variables():
    low, high = np.array([-1.0, -2.0, 0.0], np.float32), np.array([1.0, 3.0, 5.0], np.float32)
    d = TanhNormal(jnp.asarray(MEAN), jnp.asarray(SCALE), low, high)
    u = RNG.normal(size=(4, 3))
    x = low + (high - low) * (np.tanh(u) + 1) / 2
    close(d.log_prob(x.astype(np.float32)), tanh_log_density(u, MEAN, SCALE, low, high), 1e-4)
    close(d.mode(), low + (high - low) * (np.tanh(MEAN) + 1) / 2)
    x, log_prob = d.sample_and_log_prob(KEY)
    assert np.all((np.asarray(x) >= low) & (np.asarray(x) <= high))
    close(d.sample(KEY), x)
    close(d.log_prob(x), log_prob, 1e-3)
    close(d.kl(TanhNormal(jnp.zeros((4, 3)), 2.0, low, high)), Normal(MEAN, SCALE).kl(Normal(jnp.zeros((4, 3)), 2.0)))


def test_tanh_normal_density_integrates_to_one():
    d = TanhNormal(jnp.array([0.4]), 0.8, -2.0, 3.0)
    x = np.linspace(-2, 3, 20001)[1:-1].astype(np.float32)
    close(np.trapezoid(np.exp(jax.vmap(d.log_prob)(jnp.asarray(x)[:, None])), x), 1.0, 1e-4)


@pytest.mark.parametrize("u", [-60.0, -9.0, 9.0, 60.0])
def test_tanh_normal_is_stable_where_tanh_saturates(u):
    """Where 1 − tanh² is 0 in float32, the log probability of the sample is still right, and has gradients."""

    def from_sample(mean):
        x, log_prob = TanhNormal(mean, 0.1).sample_and_log_prob(KEY)
        return log_prob, x

    mean = jnp.full(2, u)
    (log_prob, x), grad = jax.jit(jax.value_and_grad(from_sample, has_aux=True))(mean)
    z = np.asarray(jax.random.normal(KEY, (2,)), np.float64)
    exact = u + 0.1 * z
    log_cosh = np.abs(exact) - math.log(2) + np.log1p(np.exp(-2 * np.abs(exact)))
    close(log_prob, (scipy.stats.norm.logpdf(z) - np.log(0.1) + 2 * log_cosh).sum(), 1e-4)
    assert finite(grad)
    close(grad, 2 * np.sign(u), 1e-4)  # d/du of −log(1 − tanh² u) = 2 tanh u
    inverse = jax.jit(jax.value_and_grad(lambda m, x: TanhNormal(m, 0.1).log_prob(x)))
    assert finite(inverse(mean, x))
    assert finite(inverse(mean, jnp.sign(x)))


def test_tanh_normal_has_no_entropy_and_says_what_to_do():
    with pytest.raises(SpecError, match=r"TanhNormal has none. Use the sample estimate −log_prob from sample_and_log"):
        TanhNormal(jnp.zeros(1), 1.0).entropy()


def test_bernoulli_equals_scipy():
    d, p = Bernoulli(jnp.asarray(LOGITS)), scipy.special.expit(LOGITS.astype(np.float64))
    x = (RNG.random((4, 5)) < 0.5).astype(np.int32)
    close(d.log_prob(x), scipy.stats.bernoulli(p).logpmf(x))
    close(d.entropy(), scipy.stats.bernoulli(p).entropy())
    close(d.mode(), LOGITS > 0)
    q = scipy.special.expit(-LOGITS.astype(np.float64))
    close(d.kl(Bernoulli(-jnp.asarray(LOGITS))), p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    draws = jax.jit(jax.vmap(d.sample))(jax.random.split(KEY, 4000))
    assert np.abs(draws.mean(0) - p).max() < 5 * 0.5 / math.sqrt(4000)


def test_delta_holds_one_value():
    d = Delta(jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    close(d.sample(KEY), [[1.0, 2.0], [3.0, 4.0]])
    close(d.mode(), d.value)
    assert d.log_prob(jnp.array([[1.0, 2.0], [3.0, 5.0]])).tolist() == [0.0, -math.inf]
    assert d.kl(d).tolist() == [0.0, 0.0]
    assert d.entropy().tolist() == [0.0, 0.0]
    assert float(Delta(jnp.array(3)).log_prob(jnp.array(3))) == 0.0
    _, log_prob = d.sample_and_log_prob(KEY)
    assert log_prob.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("big", [30.0, 1e3, 1e6])
def test_values_and_gradients_are_finite_at_extremes(big):
    logits = jnp.array([[big, -big, 0.0], [-big, -big, big]])

    def discrete(logits):
        c, b = Categorical(logits), Bernoulli(logits)
        values = (c.log_prob(jnp.array([1, 0])), c.entropy(), c.kl(Categorical(-logits)))
        values += (b.log_prob(jnp.array([[0, 1, 0], [1, 0, 1]])), b.entropy(), b.kl(Bernoulli(-logits)))
        return sum(v.sum() for v in values), values

    def continuous(mean, scale):
        d = Normal(mean, scale)
        values = (d.log_prob(-mean), d.entropy(), d.kl(Normal(-mean, scale * 2)))
        t = TanhNormal(mean, scale)
        x, log_prob = t.sample_and_log_prob(KEY)
        values += (log_prob, t.log_prob(jnp.array([-1.0, 1.0, 0.0])), x, t.mode())
        return sum(v.sum() for v in values), values

    assert finite(jax.jit(jax.value_and_grad(discrete, has_aux=True))(logits))
    assert float(abs(Categorical(logits).entropy()).max()) < 1e-5
    step = jax.jit(jax.value_and_grad(continuous, (0, 1), has_aux=True))
    for scale in (1e-4, 1.0, 1e4):
        out = step(jnp.array([big, -big, 0.0]), jnp.full(3, scale))
        assert finite(out), scale


def test_a_vmapped_distribution_equals_the_batched_one():
    build = lambda m, s: TanhNormal(m, s, -2.0, 2.0)
    d = jax.vmap(build)(jnp.asarray(MEAN), jnp.asarray(SCALE))
    close(d.mode(), build(MEAN, SCALE).mode())
    x = jnp.zeros((4, 3))
    close(d.log_prob(x), jax.vmap(lambda m, s, a: build(m, s).log_prob(a))(MEAN, SCALE, x))
    x = jnp.array([0, 1, 2, 3])
    close(jax.vmap(lambda q, a: Categorical(q).log_prob(a))(LOGITS, x), Categorical(jnp.asarray(LOGITS)).log_prob(x))


def test_kl_of_two_classes_is_refused():
    with pytest.raises(SpecError, match=r"expected KL\(Normal ‖ Normal\), .* got KL\(Normal ‖ TanhNormal\)"):
        Normal(jnp.zeros(1), 1.0).kl(TanhNormal(jnp.zeros(1), 1.0))


def test_mixture_equals_scipy():
    logits, mean = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=(4, 3, 2)).astype(np.float32)
    scale = RNG.uniform(0.3, 2.0, (4, 3, 2)).astype(np.float32)
    d, x = Mixture(jnp.asarray(logits), jnp.asarray(mean), jnp.asarray(scale)), RNG.normal(size=(4, 2))
    each = scipy.stats.norm(mean.astype(np.float64), scale).logpdf(x[:, None]).sum(-1)
    close(d.log_prob(jnp.asarray(x, jnp.float32)), scipy.special.logsumexp(each, 1, scipy.special.softmax(logits, 1)))
    close(d.mode(), mean[np.arange(4), logits.argmax(1)])
    one = Mixture(jnp.zeros(1), jnp.asarray(mean[0, :1]), jnp.asarray(scale[0, 0]))
    close(one.log_prob(x[0]), Normal(jnp.asarray(mean[0, 0]), jnp.asarray(scale[0, 0])).log_prob(x[0]))
    for call in (d.entropy, lambda: d.kl(d)):
        with pytest.raises(SpecError, match="closed form"):
            call()


def test_mixture_samples_follow_weights_and_normals():
    d = Mixture(jnp.log(jnp.array([0.2, 0.8])), jnp.array([[-3.0, 0.0], [3.0, 1.0]]), jnp.array([0.1, 0.5]))
    draws = np.asarray(jax.jit(jax.vmap(d.sample))(jax.random.split(KEY, 4000)))
    right = draws[:, 0] > 0
    assert scipy.stats.binomtest(int(right.sum()), 4000, 0.8).pvalue > 1e-3
    for part, mean in ((draws[~right], [-3.0, 0.0]), (draws[right], [3.0, 1.0])):
        np.testing.assert_allclose(part.mean(0), mean, atol=0.06)
        np.testing.assert_allclose(part.std(0), [0.1, 0.5], rtol=0.12)
    grad = jax.grad(lambda m: Mixture(d.logits, m, d.scale).log_prob(jnp.array([40.0, -40.0])))(d.mean)
    assert finite(grad)
