"""The distributions actions are drawn from: categorical (masked), normal, mixture of normals, tanh-normal, Bernoulli,
delta.

Equinox modules of arrays and pure methods: parameters may carry any leading axes *B, and everything broadcasts over
them, so the same object serves one action inside a `vmap` and a rollout (T, N) outside one. A parameter given as a
number or with fewer axes is broadcast to the others at construction, which keeps leaves alike under `vmap`.

What is one event: the index of a `Categorical` (last axis of the logits), the vector of a `Normal`, `Mixture`,
`TanhNormal` or `Delta` (last axis of the value), one number of a `Bernoulli`.

Reference: Haarnoja et al. 2018, Soft Actor-Critic, 1801.01290, appendix C (tanh-normal); Huang and Ontañón 2020,
A Closer Look at Invalid Action Masking in Policy Gradient Algorithms, 2006.14171 (masked logits).
"""

import abc
import math
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.errors import SpecError

MASKED = -1e9
"""Logit of a masked action: its probability is exactly 0 in float32, and every gradient stays finite."""
_EDGE = 1.0 - 6e-8
"""Largest |tanh u| that `TanhNormal.log_prob` inverts: float32's last number below 1, where u is about 8.7."""
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class AbstractDistribution(eqx.Module):
    """A probability distribution over actions; `*B` are the parameters' leading axes."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Array:
        """One draw for each of *B, differentiable in the parameters where the distribution is continuous."""

    @abc.abstractmethod
    def log_prob(self, x: Array) -> Float[Array, "*B"]:
        """Log probability (or density) of `x`, nats."""

    @abc.abstractmethod
    def entropy(self) -> Float[Array, "*B"]:
        """Entropy (differential where continuous), nats."""

    @abc.abstractmethod
    def mode(self) -> Array:
        """The greedy choice."""

    @abc.abstractmethod
    def kl(self, other: Self) -> Float[Array, "*B"]:
        """KL(self ‖ other), nats. Raises SpecError unless both are of one class."""

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Array, Float[Array, "*B"]]:
        """A draw and its log probability."""
        x = self.sample(key)
        return x, self.log_prob(x)


def _like(x: Array | float, shape: tuple[int, ...]) -> Array:
    """`x` with exactly this shape: explicit, because implicit rank promotion is an error in the tests."""
    return jnp.broadcast_to(jnp.asarray(x), shape)


def _same_class(p: AbstractDistribution, q: AbstractDistribution) -> None:
    if type(p) is not type(q):
        raise SpecError(
            f"expected KL({type(p).__name__} ‖ {type(p).__name__}), the case with a closed form; got "
            f"KL({type(p).__name__} ‖ {type(q).__name__}). Compare distributions of one class, or estimate the mean of "
            "p.log_prob(x) − q.log_prob(x) over x = p.sample(key)."
        )


class Categorical(AbstractDistribution):
    """One of n actions with p ∝ exp(logits).

    >>> bool(Categorical.masked(jnp.zeros(3), jnp.array([True, False, True])).entropy() == jnp.log(2.0))
    True
    """

    logits: Float[Array, "*B n"]

    @classmethod
    def masked(cls, logits: Float[Array, "*B n"], mask: Bool[Array, "*B n"]) -> "Categorical":
        """Only where `mask` is true (or non-zero); masked actions get log probability near −1e9, never −inf.

        Where every action is masked the result is uniform over all of them.
        """
        return cls(jnp.where(_like(mask, logits.shape).astype(bool), logits, MASKED))

    def log_probs(self) -> Float[Array, "*B n"]:
        """Log probability of every action."""
        return jax.nn.log_softmax(self.logits)

    def probs(self) -> Float[Array, "*B n"]:
        """Probability of every action."""
        return jax.nn.softmax(self.logits)

    def sample(self, key: PRNGKeyArray) -> Int[Array, "*B"]:
        return jax.random.categorical(key, self.logits)

    def log_prob(self, x: Int[Array, "*B"]) -> Float[Array, "*B"]:
        logits = self.log_probs()
        shape = jnp.broadcast_shapes((*jnp.shape(x), 1), logits.shape)
        chosen = _like(jnp.asarray(x)[..., None], shape) == jax.lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
        return jnp.where(chosen, _like(logits, shape), 0.0).sum(-1)  # a mask broadcasts; a gather is no faster

    def entropy(self) -> Float[Array, "*B"]:
        return -(self.probs() * self.log_probs()).sum(-1)

    def mode(self) -> Int[Array, "*B"]:
        return jnp.argmax(self.logits, axis=-1)

    def kl(self, other: "Categorical") -> Float[Array, "*B"]:
        _same_class(self, other)
        return (self.probs() * (self.log_probs() - other.log_probs())).sum(-1)


class Normal(AbstractDistribution):
    """Independent normals: log_prob, entropy and KL are summed over the last axis.

    >>> round(float(Normal(jnp.zeros(2), 1.0).entropy()), 4)
    2.8379
    """

    mean: Float[Array, "*B d"]
    scale: Float[Array, "*B d"]

    def __init__(self, mean: Float[Array, "*B d"], scale: Float[Array, "*B d"] | float):
        """`scale`: standard deviation, positive; a number, (d,) or the mean's shape."""
        shape = jnp.broadcast_shapes(jnp.shape(mean), jnp.shape(scale))
        self.mean, self.scale = _like(mean, shape), _like(scale, shape)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*B d"]:
        return self.mean + self.scale * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def log_prob(self, x: Float[Array, "*B d"]) -> Float[Array, "*B"]:
        shape = jnp.broadcast_shapes(jnp.shape(x), self.mean.shape)
        mean, scale = _like(self.mean, shape), _like(self.scale, shape)
        z = (_like(x, shape) - mean) / scale
        return (-0.5 * z * z - jnp.log(scale) - _HALF_LOG_2PI).sum(-1)

    def entropy(self) -> Float[Array, "*B"]:
        return (0.5 + _HALF_LOG_2PI + jnp.log(self.scale)).sum(-1)

    def mode(self) -> Float[Array, "*B d"]:
        return self.mean

    def kl(self, other: "Normal") -> Float[Array, "*B"]:
        _same_class(self, other)
        ratio = self.scale / other.scale
        z = (self.mean - other.mean) / other.scale
        return (0.5 * (ratio * ratio + z * z - 1.0) - jnp.log(ratio)).sum(-1)


class Mixture(AbstractDistribution):
    """One of k vectors of independent normals, the i-th with probability softmax(logits)_i.

    log p(x) = log Σ_i softmax(logits)_i Π_j N(x_j | mean_ij, scale_ij). `mode` is the mean of the likeliest component
    (the density's own mode has no closed form).

    >>> Mixture(jnp.array([0.0, 1.0]), jnp.array([[-1.0], [1.0]]), 0.1).mode().tolist()
    [1.0]
    """

    logits: Float[Array, "*B k"]
    mean: Float[Array, "*B k d"]
    scale: Float[Array, "*B k d"]

    def __init__(
        self, logits: Float[Array, "*B k"], mean: Float[Array, "*B k d"], scale: Float[Array, "*B k d"] | float
    ):
        """`scale`: standard deviations, positive; a number, (d,), (k, d) or the mean's shape."""
        shape = jnp.broadcast_shapes((*jnp.shape(logits), 1), jnp.shape(mean), jnp.shape(scale))
        self.logits = _like(logits, shape[:-1])
        self.mean, self.scale = _like(mean, shape), _like(scale, shape)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*B d"]:
        """One draw; differentiable in the component's mean and scale, not in the logits."""
        which, noise = jax.random.split(key)
        chosen = self._one(jax.random.categorical(which, self.logits))
        drawn = self.mean + self.scale * jax.random.normal(noise, self.mean.shape, self.mean.dtype)
        return jnp.where(chosen, drawn, 0.0).sum(-2)

    def log_prob(self, x: Float[Array, "*B d"]) -> Float[Array, "*B"]:
        each = Normal(self.mean, self.scale).log_prob(jnp.asarray(x)[..., None, :])
        return jax.nn.logsumexp(_like(jax.nn.log_softmax(self.logits), each.shape) + each, axis=-1)

    def entropy(self) -> Float[Array, "*B"]:
        """Raises SpecError: there is no closed form."""
        raise SpecError(
            "expected a distribution with an entropy in closed form; Mixture has none. Use the sample estimate "
            "−log_prob(x), averaged over draws x = sample(key)."
        )

    def mode(self) -> Float[Array, "*B d"]:
        return jnp.where(self._one(jnp.argmax(self.logits, axis=-1)), self.mean, 0.0).sum(-2)

    def kl(self, other: "Mixture") -> Float[Array, "*B"]:
        """Raises SpecError: there is no closed form."""
        raise SpecError(
            "expected distributions with a KL in closed form; mixtures have none. Estimate the mean of "
            "p.log_prob(x) − q.log_prob(x) over x = p.sample(key)."
        )

    def _one(self, index: Int[Array, "*B"]) -> Bool[Array, "*B k d"]:
        """True in the rows of one component."""
        shape = self.mean.shape
        return _like(index[..., None, None], shape) == jax.lax.broadcasted_iota(jnp.int32, shape, len(shape) - 2)


class TanhNormal(AbstractDistribution):
    """A normal squashed into [low, high]: x = low + (high − low)·(tanh u + 1)/2 with u ~ Normal(mean, scale).

    log p(x) = Σ log N(u) − log((high − low)/2) − 2(log 2 − u − softplus(−2u)), the last term being log(1 − tanh²u)
    without its cancellation. Take log probabilities from `sample_and_log_prob`, which knows u; `log_prob` has to
    invert tanh, and clips at the last float32 below 1. `mode` is the squashed mean (the median; the density's own
    mode has no closed form).

    >>> bool(TanhNormal(jnp.zeros(2), 1.0, -2.0, 2.0).mode().max() == 0.0)
    True
    """

    mean: Float[Array, "*B d"]
    scale: Float[Array, "*B d"]
    low: Float[Array, "*B d"]
    high: Float[Array, "*B d"]

    def __init__(
        self,
        mean: Float[Array, "*B d"],
        scale: Float[Array, "*B d"] | float,
        low: Float[Array, "*B d"] | float = -1.0,
        high: Float[Array, "*B d"] | float = 1.0,
    ):
        """`scale`: standard deviation before tanh, positive. `low`, `high`: numbers, (d,) or like the mean."""
        shape = jnp.broadcast_shapes(jnp.shape(mean), jnp.shape(scale))
        self.mean, self.scale, self.low, self.high = (_like(x, shape) for x in (mean, scale, low, high))

    def _squash(self, u: Array) -> Array:
        return self.low + 0.5 * (self.high - self.low) * (jnp.tanh(u) + 1.0)

    def _log_prob(self, z: Array, u: Array, shape: tuple[int, ...]) -> Array:
        spread = jnp.log(0.5 * _like(self.scale * (self.high - self.low), shape))
        slope = 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u))
        return (-0.5 * z * z - _HALF_LOG_2PI - slope - spread).sum(-1)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*B d"]:
        return self.sample_and_log_prob(key)[0]

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Float[Array, "*B d"], Float[Array, "*B"]]:
        z = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        u = self.mean + self.scale * z
        return self._squash(u), self._log_prob(z, u, self.mean.shape)

    def log_prob(self, x: Float[Array, "*B d"]) -> Float[Array, "*B"]:
        shape = jnp.broadcast_shapes(jnp.shape(x), self.mean.shape)
        mean, scale, low, high = (_like(a, shape) for a in (self.mean, self.scale, self.low, self.high))
        y = jnp.clip(2.0 * (_like(x, shape) - low) / (high - low) - 1.0, -_EDGE, _EDGE)
        u = jnp.arctanh(y)
        return self._log_prob((u - mean) / scale, u, shape)

    def entropy(self) -> Float[Array, "*B"]:
        """Raises SpecError: there is no closed form."""
        raise SpecError(
            "expected a distribution with an entropy in closed form; TanhNormal has none. Use the sample estimate "
            "−log_prob from sample_and_log_prob(key), averaged over draws."
        )

    def mode(self) -> Float[Array, "*B d"]:
        return self._squash(self.mean)

    def kl(self, other: "TanhNormal") -> Float[Array, "*B"]:
        """KL of the normals before tanh, which a shared bijection leaves as it is; both must share `low` and `high`."""
        _same_class(self, other)
        return Normal(self.mean, self.scale).kl(Normal(other.mean, other.scale))


class Bernoulli(AbstractDistribution):
    """1 with probability sigmoid(logits), else 0; each number is an event of its own (nothing is summed).

    >>> round(float(Bernoulli(jnp.array(0.0)).log_prob(jnp.array(1))), 4)
    -0.6931
    """

    logits: Float[Array, "*B"]

    def sample(self, key: PRNGKeyArray) -> Int[Array, "*B"]:
        return jax.random.bernoulli(key, jax.nn.sigmoid(self.logits)).astype(jnp.int32)

    def log_prob(self, x: Array) -> Float[Array, "*B"]:
        return jax.nn.log_sigmoid(jnp.where(jnp.asarray(x).astype(bool), self.logits, -self.logits))

    def entropy(self) -> Float[Array, "*B"]:
        sigmoid, log_sigmoid = jax.nn.sigmoid, jax.nn.log_sigmoid
        return -sigmoid(self.logits) * log_sigmoid(self.logits) - sigmoid(-self.logits) * log_sigmoid(-self.logits)

    def mode(self) -> Int[Array, "*B"]:
        return (self.logits > 0).astype(jnp.int32)

    def kl(self, other: "Bernoulli") -> Float[Array, "*B"]:
        _same_class(self, other)
        side = lambda p, q: jax.nn.sigmoid(p) * (jax.nn.log_sigmoid(p) - jax.nn.log_sigmoid(q))
        return side(self.logits, other.logits) + side(-self.logits, -other.logits)


class Delta(AbstractDistribution):
    """All probability on one value, the last axis (where there is one) being the event.

    >>> float(Delta(jnp.ones(2)).log_prob(jnp.ones(2)))
    0.0
    """

    value: Array

    def sample(self, key: PRNGKeyArray) -> Array:
        return self.value

    def log_prob(self, x: Array) -> Float[Array, "*B"]:
        """0 at the value, −inf elsewhere."""
        shape = jnp.broadcast_shapes(jnp.shape(x), self.value.shape)
        equal = _like(x, shape) == _like(self.value, shape)
        return jnp.where(equal.all(-1) if shape else equal, 0.0, -jnp.inf)

    def entropy(self) -> Float[Array, "*B"]:
        return jnp.zeros(self.value.shape[:-1])

    def mode(self) -> Array:
        return self.value

    def kl(self, other: "Delta") -> Float[Array, "*B"]:
        """0 where both hold the same value, inf elsewhere."""
        _same_class(self, other)
        return -other.log_prob(self.value)
