"""A small causal transformer: blocks of attention and an MLP, each added to what it was given, normalised before.

    x ← x + Attention(LN(x)),   x ← x + W₂ gelu(W₁ LN(x)),   at the end LN(x)

Position t sees positions ≤ t, and of those only the ones `mask` allows (itself always).

Reference: Vaswani et al. 2017, 1706.03762; the order of normalisation: Radford et al. 2019 (GPT-2). No dropout.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from operant import nn
from operant.errors import SpecError

SCALE = 0.02
"""Standard deviation of fresh weights, GPT-2's; what is added to the stream is drawn smaller, 1/√(2 layers)."""


class LayerNorm(eqx.Module):
    """(x − mean)/√(variance + 10⁻⁵) · gain + bias."""

    gain: Float[Array, " d"]
    bias: Float[Array, " d"]

    def __call__(self, x: Float[Array, "L d"]) -> Float[Array, "L d"]:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)
        return scaled * self.gain[None] + self.bias[None]


class Block(eqx.Module):
    """Attention of several heads, and an MLP four times as wide."""

    first: LayerNorm
    mixing: nn.Linear
    """To queries, keys and values of all heads (d, 3d)."""
    out: nn.Linear
    second: LayerNorm
    wide: nn.Linear
    narrow: nn.Linear
    heads: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, "L d"], allowed: Bool[Array, "L L"]) -> Float[Array, "L d"]:
        length, size = x.shape
        split = each(self.mixing, self.first(x)).reshape(length, 3, self.heads, size // self.heads)
        query, key, value = split[:, 0], split[:, 1], split[:, 2]
        score = jnp.einsum("ihd,jhd->hij", query, key) / np.sqrt(size // self.heads)
        weight = jax.nn.softmax(jnp.where(allowed[None], score, -1e9), axis=-1)
        x = x + each(self.out, jnp.einsum("hij,jhd->ihd", weight, value).reshape(length, size))
        return x + each(self.narrow, jax.nn.gelu(each(self.wide, self.second(x))))


class Transformer(eqx.Module):
    """Tokens (L, d), places included, to what the network makes of each (L, d)."""

    blocks: tuple[Block, ...]
    last: LayerNorm

    def __call__(self, tokens: Float[Array, "L d"], mask: Bool[Array, " L"]) -> Float[Array, "L d"]:
        length = len(tokens)
        allowed = jnp.tri(length, dtype=bool) & (mask[None] | jnp.eye(length, dtype=bool))
        for block in self.blocks:
            tokens = block(tokens, allowed)
        return self.last(tokens)


def each(layer: nn.Linear, x: Float[Array, "L n"]) -> Float[Array, "L m"]:
    """A linear layer at every position."""
    return x @ layer.weight + layer.bias[None]


def transformer(rng: np.random.Generator, size: int, layers: int, heads: int) -> Transformer:
    """A fresh one. Raises SpecError unless heads divide the size, and there is a layer."""
    if layers < 1 or heads < 1 or size % heads:
        raise SpecError(
            f"expected layers ≥ 1 and heads ≥ 1 that divide the width; got {layers} layers, {heads} heads and width "
            f"{size}. Use for instance 2 layers, 4 heads, width 64."
        )
    norm = lambda: LayerNorm(jax.device_put(np.ones(size, np.float32)), jax.device_put(np.zeros(size, np.float32)))
    inner, added = SCALE, SCALE / np.sqrt(2 * layers)
    block = lambda: Block(
        norm(), normal(rng, size, 3 * size, inner), normal(rng, size, size, added), norm(),
        normal(rng, size, 4 * size, inner), normal(rng, 4 * size, size, added), heads,
    )  # fmt: skip
    return Transformer(tuple(block() for _ in range(layers)), norm())


def normal(rng: np.random.Generator, n_in: int, n_out: int, scale: float = SCALE) -> nn.Linear:
    """A linear layer with normal weights and no bias to begin with."""
    weight = (scale * rng.standard_normal((n_in, n_out))).astype(np.float32)
    return nn.Linear(jax.device_put(weight), jax.device_put(np.zeros(n_out, np.float32)))
