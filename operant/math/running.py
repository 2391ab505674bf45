"""Running mean and variance of a stream of batches, merged exactly whatever the batches' sizes.

With n, μ, σ² so far and m, μ', σ'² of the batch, δ = μ' − μ and N = n + m:
μ ← μ + δ·m/N,  σ² ← (n·σ² + m·σ'² + δ²·n·m/N)/N.

Reference: Chan, Golub and LeVeque 1983, Algorithms for Computing the Sample Variance, The American Statistician 37(3).
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from operant.errors import DataError


class Moments(eqx.Module):
    """Mean, population variance and count of what was seen; a pytree of arrays, updated by replacement.

    Before anything is seen the mean is 0 and the variance 1, so `normalise` only clips.

    >>> m = Moments.init((2,)).update(jnp.array([[0.0, 1.0], [2.0, 5.0]]))
    >>> m.mean.tolist(), m.variance.tolist(), float(m.count)
    ([1.0, 3.0], [1.0, 4.0], 2.0)
    """

    mean: Float[Array, "*D"]
    variance: Float[Array, "*D"]
    count: Float[Array, ""]

    @classmethod
    def init(cls, shape: tuple[int, ...] = ()) -> "Moments":
        """Nothing seen yet of things with this shape."""
        return cls(jnp.zeros(shape), jnp.ones(shape), jnp.zeros(()))

    def update(
        self, x: Array, axes: tuple[int, ...] | None = None, weights: Float[Array, "*B"] | None = None
    ) -> "Moments":
        """These moments after a batch.

        Raises DataError where the shapes do not fit.

        Args:
            x: the batch; any dtype that becomes float32.
            axes: the axes of `x` that number samples; by default all leading ones beyond this mean's own.
            weights: how much each sample counts, of the shape of `axes` (a mask: 0 or 1). A sample of weight 0 may hold
                anything, even NaN; a batch of weight 0 changes nothing.
        """
        x = jnp.asarray(x, self.mean.dtype)
        axes = tuple(range(x.ndim - self.mean.ndim)) if axes is None else tuple(a % x.ndim for a in axes)
        left = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        if left != self.mean.shape:
            raise DataError(
                f"expected samples of shape {self.mean.shape} once the sample axes are reduced; got {left} from a "
                f"batch of shape {x.shape} reduced over axes {axes}. Name the sample axes, or init with shape {left}."
            )
        kept = lambda a: a.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])  # ready to broadcast
        if weights is None:
            m = jnp.asarray(float(jnp.size(x)) / max(self.mean.size, 1), self.count.dtype)
            mean = x.mean(axes)
            variance = jnp.square(x - kept(mean)).mean(axes)
        else:
            w = jnp.asarray(weights, self.mean.dtype)
            m = w.sum()
            w = w.reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])
            x = jnp.where(w > 0, x, 0.0)
            some = jnp.where(m > 0, m, 1.0)
            mean = (w * x).sum(axes) / some
            variance = (w * jnp.square(x - kept(mean))).sum(axes) / some
        total = self.count + m
        share = m / jnp.where(total > 0, total, 1.0)
        delta = mean - self.mean
        merged = self.variance + share * (variance - self.variance + (1.0 - share) * delta * delta)
        return Moments(self.mean + share * delta, merged, total)

    def normalise(self, x: Float[Array, "..."], clip: float = 10.0, epsilon: float = 1e-8) -> Float[Array, "..."]:
        """(x − mean)/√(variance + epsilon), clipped to ±`clip` standard deviations."""
        x = jnp.asarray(x, self.mean.dtype)
        mean, variance = jnp.broadcast_to(self.mean, x.shape), jnp.broadcast_to(self.variance, x.shape)
        return jnp.clip((x - mean) / jnp.sqrt(variance + epsilon), -clip, clip)

    def scale(self, x: Float[Array, "..."], clip: float = 10.0, epsilon: float = 1e-8) -> Float[Array, "..."]:
        """x/√(variance + epsilon), clipped: for rewards, whose zero must stay zero."""
        x = jnp.asarray(x, self.mean.dtype)
        return jnp.clip(x / jnp.sqrt(jnp.broadcast_to(self.variance, x.shape) + epsilon), -clip, clip)
