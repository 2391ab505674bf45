"""Optimal transport between two weighted sets of points, smoothed by entropy, by Sinkhorn's iterations in logarithms.

    P = argmin_{P ≥ 0, P 1 = a, Pᵀ 1 = b} ⟨P, C⟩ − ε H(P),   P_ij = exp((f_i + g_j − C_ij)/ε)
    f_i ← ε log a_i − ε log Σ_j exp((g_j − C_ij)/ε);   g_j ← ε log b_j − ε log Σ_i exp((f_i − C_ij)/ε)

As ε → 0 the plan becomes one of least cost; in logarithms nothing underflows on the way there. Points of weight 0 are
left out. The last half-step fits the columns, so that Pᵀ 1 = b holds at once and P 1 = a in the limit.

Reference: Cuturi 2013, Sinkhorn Distances, 1306.0895; in logarithms: Peyré and Cuturi 2019, Computational Optimal
Transport, 1803.00567, section 4.4.

>>> cost = jnp.array([[0.0, 1.0], [1.0, 0.0]])
>>> sinkhorn(cost, epsilon=0.01).round(3).tolist()
[[0.5, 0.0], [0.0, 0.5]]
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Metric = Literal["euclidean", "squared", "cosine"]


def distances(x: Float[Array, "n d"], y: Float[Array, "m d"], metric: Metric = "euclidean") -> Float[Array, "n m"]:
    """How far each of x is from each of y: √Σ(x − y)², its square, or 1 − cos of the angle between them.

    >>> distances(jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0]])).tolist()
    [[5.0, 4.0]]
    """
    if metric == "cosine":
        unit = lambda v: v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-8)
        return 1.0 - unit(x) @ unit(y).T
    squared = jnp.square(x[:, None] - y[None]).sum(-1)
    return squared if metric == "squared" else jnp.sqrt(squared)


def sinkhorn(
    cost: Float[Array, "n m"],
    a: Float[Array, " n"] | None = None,
    b: Float[Array, " m"] | None = None,
    *,
    epsilon: float | Float[Array, ""] = 0.01,
    iterations: int = 100,
) -> Float[Array, "n m"]:
    """The plan P.

    Args:
        a, b: weights of rows and columns, each of sum 1; uniform by default.
        epsilon: ε, in units of `cost`.
    """
    n, m = cost.shape
    log_a = jnp.log(jnp.full(n, 1.0 / n) if a is None else a)
    log_b = jnp.log(jnp.full(m, 1.0 / m) if b is None else b)
    scaled = -cost / epsilon
    finite = lambda x: jnp.where(jnp.isfinite(x), x, -jnp.inf)  # a point of weight 0: −∞ in, −∞ out

    def step(carry: tuple[Array, Array], _: Any) -> tuple[tuple[Array, Array], None]:
        _, g = carry
        f = finite(log_a - jax.nn.logsumexp(scaled + g[None, :], axis=1))
        g = finite(log_b - jax.nn.logsumexp(scaled + f[:, None], axis=0))
        return (f, g), None

    (f, g), _ = jax.lax.scan(step, (log_a, log_b), None, length=iterations)
    return jnp.exp(scaled + f[:, None] + g[None, :])
