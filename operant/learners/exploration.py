"""Exploration noise with a standard normal marginal: white, or pink, which wanders and so reaches further.

White noise is drawn afresh at every step; pink noise has a power spectrum ∝ 1/f, so that an episode holds both quick
jitter and long pushes in one direction. It is made step by step as a sum of J autoregressive processes whose time
constants grow by a factor of 4, each begun in its stationary distribution:

    x_j ← φ_j x_j + √(1 − φ_j²) ε,  φ_j = exp(−1/4ʲ⁻¹),  j = 0 … 5,  z = Σ_j x_j / √6

Its correlation over k steps is that of 1/f noise of 1,000 steps within 0.1 (k = 1, 16, 64, 256: 0.68, 0.35, 0.19,
0.06; there 0.77, 0.38, 0.20, 0.02). Redder noise does harm: with time constants of 1 to 1,024 (0.84, 0.52, 0.35, 0.19)
SAC and TD3 stayed at a quarter of their return on HalfCheetah-v5.

Reference: Eberhard, Hollenstein, Pinneri and Martius 2023, Pink Noise Is All You Need: Colored Noise Exploration in
Deep Reinforcement Learning, ICLR (openreview hQ9V5QN27eS); sums of relaxations as 1/f: Bernamont 1937.
Deviations from the paper: the paper draws whole episodes by inverse Fourier transform, which needs their length.

>>> carry = begin("pink", 2)
>>> z, carry = draw("pink", carry, jax.random.key(0), 2)
>>> z.shape, bool(carry.begun)
((2,), True)
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant.errors import SpecError

Colour = Literal["white", "pink"]
COLOURS = ("white", "pink")
_MEMORY = np.exp(-4.0 / 4.0 ** np.arange(6)).astype(np.float32)
"""φ: time constants of 1/4, 1, …, 256 steps."""


class Wander(eqx.Module):
    """Where pink noise stands in this episode."""

    levels: Float[Array, "J d"]
    begun: Bool[Array, ""]


def check(**colours: str) -> None:
    """Raise SpecError for a colour that is neither white nor pink."""
    for name, colour in colours.items():
        if colour not in COLOURS:
            raise SpecError(f"expected {name} 'white' or 'pink'; got {colour!r}. Choose one of them.")


def begin(colour: Colour, size: int) -> Wander | tuple[()]:
    """The carry at an episode's start, for noise of `size` numbers."""
    return () if colour == "white" else Wander(jnp.zeros((len(_MEMORY), size)), jnp.zeros((), bool))


def draw(
    colour: Colour, carry: Wander | tuple[()], key: PRNGKeyArray, size: int
) -> tuple[Float[Array, " size"], Wander | tuple[()]]:
    """The next z ~ N(0, I) and the carry after it."""
    if not isinstance(carry, Wander):
        return jax.random.normal(key, (size,)), carry
    fresh = jax.random.normal(key, carry.levels.shape)
    memory = jnp.where(carry.begun, _MEMORY, 0.0)[:, None]
    levels = memory * carry.levels + jnp.sqrt(1.0 - memory * memory) * fresh
    return levels.sum(0) / np.sqrt(np.float32(len(_MEMORY))), Wander(levels, jnp.ones((), bool))


def uniform(z: Float[Array, " d"]) -> Float[Array, " d"]:
    """Standard normal → uniform in (−1, 1), by the normal distribution's own function."""
    return jax.lax.erf(z / np.sqrt(np.float32(2.0)))
