"""Threefry with its rounds written out: `jax.random`'s own numbers for the same key, sooner compiled and drawn.

On a CPU `jax.random` rolls the 20 rounds of its generator up into a loop of small kernels: 40–120 ns a number, and a
loop to compile at every place that draws. Written out, XLA fuses the rounds into one loop over the numbers wanted: 5 ns
a number (98,304 numbers, two cores), and an iteration of PPO compiles in 0.9 of the time. Loops turn the keys they are
given into such keys; learners, rewards and environments go on calling `jax.random` and never know.

Reference: Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy as 1, 2, 3, SC'11.

>>> key = jax.random.key(0)
>>> bool((jax.random.normal(unrolled(key), (3,)) == jax.random.normal(key, (3,))).all())
True
"""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import define_prng_impl
from jaxtyping import Array, Int, PRNGKeyArray, UInt, UInt32

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_WORDS = {8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32}


def threefry2x32(k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two words of cipher for two words of counter, elementwise: of NumPy, (…) uint32 each."""
    rotate = lambda x, r: (x << np.uint32(r)) | (x >> np.uint32(32 - r))
    return _rounds(k0, k1, x0, x1, operator.add, operator.xor, rotate, np.uint32)


def _cipher(k0: Any, k1: Any, x1: Array) -> tuple[Array, Array]:
    """The same of JAX, for keys () and counters (0, x1), by `lax`'s own operations: those of `jnp` take 44 ms a
    shape to trace and lower, these 19, and PPO draws at five places."""
    full = functools.cache(lambda r: lax.full_like(x1, r))
    rotate = lambda x, r: lax.bitwise_or(lax.shift_left(x, full(r)), lax.shift_right_logical(x, full(32 - r)))
    k0, k1 = (lax.broadcast(k, x1.shape) for k in (k0, k1))
    return _rounds(k0, k1, full(0), x1, lax.add, lax.bitwise_xor, rotate, full)


def _rounds(k0: Any, k1: Any, x0: Any, x1: Any, add: Any, xor: Any, rotate: Any, word: Any) -> tuple[Any, Any]:
    keys = (k0, k1, xor(xor(k0, k1), word(0x1BD11BDA)))
    x0, x1 = add(x0, keys[0]), add(x1, keys[1])
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            x0 = add(x0, x1)
            x1 = xor(x0, rotate(x1, r))
        x0 = add(x0, keys[(i + 1) % 3])
        x1 = add(add(x1, keys[(i + 2) % 3]), word(i + 1))
    return x0, x1


def unrolled(key: PRNGKeyArray) -> PRNGKeyArray:
    """The same key or keys, whose numbers come from the generator above; keys of other generators as they are."""
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_UNROLLED) if _is_threefry(key) else key


def child(key: PRNGKeyArray, data: int) -> PRNGKeyArray:
    """`jax.random.fold_in(key, data)`, computed in NumPy: nothing is compiled for it."""
    return _numpy(key, np.full(1, data))[0] if _is_threefry(key) else jax.random.fold_in(key, data)


def children(key: PRNGKeyArray, n: int) -> list[PRNGKeyArray]:
    """`jax.random.split(key, n)` as a list, computed in NumPy: nothing is compiled for it."""
    return _numpy(key, np.arange(n)) if _is_threefry(key) else list(jax.random.split(key, n))


def stack(keys: Sequence[PRNGKeyArray]) -> PRNGKeyArray:
    """Keys with a leading axis; nothing is compiled for it."""
    return jax.random.wrap_key_data(np.stack([np.asarray(jax.random.key_data(k)) for k in keys]), dtype=keys[0].dtype)


def shuffles(key: PRNGKeyArray, n: int, size: int) -> Int[Array, "n size"]:
    """`n` random orders of 0 … size − 1, by sorting random words.

    Equal words keep their order: a bias of about size²/2³³ an order. `jax.random.permutation` sorts several times to
    avoid that, and takes ten times as long to compile.
    """
    return jnp.argsort(jax.random.bits(key, (n, size)), axis=1)


def integers(key: PRNGKeyArray, shape: tuple[int, ...], n: Int[Array, ""] | int) -> Int[Array, "..."]:
    """Uniform in 0 … n − 1, with a bias of at most n/2³²; half the words of `randint`. `n` may be traced; 0 is as 1."""
    top = jnp.maximum(jnp.asarray(n, jnp.uint32), np.uint32(1))
    return (jax.random.bits(key, shape) % jnp.broadcast_to(top, shape)).astype(jnp.int32)


def _is_threefry(key: PRNGKeyArray) -> bool:
    return str(jax.random.key_impl(key)) == _NAME


def _numpy(key: PRNGKeyArray, low: np.ndarray) -> list[PRNGKeyArray]:
    k = np.asarray(jax.random.key_data(key))
    words = threefry2x32(k[:1], k[1:], np.zeros(low.shape, np.uint32), low.astype(np.uint32))
    return [jax.random.wrap_key_data(x, dtype=key.dtype) for x in np.stack(words, axis=-1)]


def _counted(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Cipher words of counters 0, 1, 2, … laid out in `shape`: what jax.random calls partitionable."""
    assert math.prod(shape) < 2**32, "one draw of 2³² numbers or more needs both words of the counter"
    counter = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
    return _cipher(key[0], key[1], counter)


def _once(words: tuple[Array, Array]) -> UInt32[Array, "... 2"]:
    """Keys from words, behind a barrier: else XLA works (and compiles) them out anew wherever they are used."""
    return jax.lax.optimization_barrier(jnp.stack(words, axis=-1))


def _bits(key: UInt32[Array, "2"], width: int, shape: tuple[int, ...]) -> UInt[Array, "..."]:
    high, low = _counted(key, shape)
    if width == 64:
        return (high.astype(jnp.uint64) << np.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(_WORDS[width])


def _split(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> UInt32[Array, "... 2"]:
    return _once(_counted(key, shape))


def _fold_in(key: UInt32[Array, "2"], data: Int[Array, ""]) -> UInt32[Array, "2"]:
    return _once(_cipher(key[0], key[1], jnp.asarray(data).astype(jnp.uint32)))


def _seed(seed: Int[Array, ""]) -> UInt32[Array, "2"]:
    return jax.random.key_data(jax.random.key(seed))


_NAME = "threefry2x32"
_UNROLLED = define_prng_impl(
    key_shape=(2,), seed=_seed, split=_split, random_bits=_bits, fold_in=_fold_in, name=_NAME, tag="fry"
)
