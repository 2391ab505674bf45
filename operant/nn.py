"""Small networks: linear layers, MLP, CNN, GRU, and encoders from any observation space to one feature vector.

Networks are Equinox modules called unbatched; loops and learners vmap them. Weights are drawn in NumPy, outside any
compiled function: orthogonal initialisation inside a jitted, vmapped one multiplies compile time and can deadlock.

>>> net = mlp(np.random.default_rng(0), (3, 8, 2))
>>> net(jnp.ones(3)).shape
(2,)
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import Box, Composite, Discrete, Obs, Space
from operant.errors import SpecError
from operant.math.running import Moments

Activation = Literal["tanh", "relu", "silu", "gelu", "elu"]
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}


def generator(key: PRNGKeyArray) -> np.random.Generator:
    """A NumPy generator from a JAX key: the same key, the same weights."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def orthogonal(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Orthogonal rows or columns times `scale`. Source: Saxe, McClelland, Ganguli 2014, 1312.6120."""
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return np.asarray(scale * (q if rows >= columns else q.T), np.float32)


class Linear(eqx.Module):
    """x ↦ x W + b."""

    weight: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"]

    def __call__(self, x: Float[Array, " n_in"]) -> Float[Array, " n_out"]:
        return x @ self.weight + self.bias


def linear(rng: np.random.Generator, n_in: int, n_out: int, scale: float | None = None) -> Linear:
    """`scale` times an orthogonal matrix and zero bias; None: uniform in ±1/√n_in, as PyTorch's `Linear`."""
    if scale is not None:
        weight = orthogonal(rng, (n_in, n_out), scale)
        return Linear(jax.device_put(weight), jax.device_put(np.zeros(n_out, np.float32)))
    bound = 1 / np.sqrt(n_in)
    draw = lambda *shape: jax.device_put(rng.uniform(-bound, bound, shape).astype(np.float32))
    return Linear(draw(n_in, n_out), draw(n_out))


class MLP(eqx.Module):
    """Linear layers with an activation between them; the last one is linear unless `activate_final`."""

    layers: tuple[Linear, ...]
    activation: Activation = eqx.field(static=True, default="tanh")
    activate_final: bool = eqx.field(static=True, default=False)

    def __call__(self, x: Float[Array, " n_in"]) -> Float[Array, " n_out"]:
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < last or self.activate_final:
                x = _ACTIVATIONS[self.activation](x)
        return x


def mlp(
    rng: np.random.Generator,
    sizes: Sequence[int],
    *,
    activation: Activation = "tanh",
    scale: float | None = float(np.sqrt(2)),
    final_scale: float | None = 1.0,
    activate_final: bool = False,
) -> MLP:
    """An MLP of the given layer sizes; `scale=None` draws as PyTorch does (see `linear`)."""
    pairs = list(itertools.pairwise(sizes))
    scales = [scale] * (len(pairs) - 1) + [scale if activate_final or scale is None else final_scale]
    layers = tuple(linear(rng, a, b, s) for (a, b), s in zip(pairs, scales, strict=True))
    return MLP(layers, activation, activate_final)


class GRU(eqx.Module):
    """Gated recurrent unit: r, z = σ(·), n = tanh(x W + b + r ⊙ (h U + c)), h' = (1 − z) n + z h.

    Reference: Cho et al. 2014, 1406.1078, in PyTorch's and cuDNN's form (reset gate after the product).
    """

    inputs: Linear
    hidden: Linear

    def __call__(self, x: Float[Array, " n_in"], h: Float[Array, " n"]) -> Float[Array, " n"]:
        xr, xz, xn = jnp.split(self.inputs(x), 3)
        hr, hz, hn = jnp.split(self.hidden(h), 3)
        z = jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
        return (1 - z) * n + z * h


def gru(rng: np.random.Generator, n_in: int, n: int) -> GRU:
    """Orthogonal blocks, one a gate."""
    stack = lambda rows: np.concatenate([orthogonal(rng, (rows, n), 1.0) for _ in range(3)], axis=1)
    zeros = lambda: jax.device_put(np.zeros(3 * n, np.float32))
    return GRU(Linear(jax.device_put(stack(n_in)), zeros()), Linear(jax.device_put(stack(n)), zeros()))


class CNN(eqx.Module):
    """Image (height, width, channels) of bytes → features: three strided convolutions, then a linear layer.

    Kernels 8/4/3 with strides 4/2/1 from 36 pixels on (Mnih et al. 2015); 3/3/3 with strides 1/2/2 for smaller images.
    """

    kernels: tuple[Float[Array, "h w c_in c_out"], ...]
    biases: tuple[Float[Array, " c_out"], ...]
    head: Linear
    strides: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, image: Array) -> Float[Array, " n"]:
        x = (image.astype(jnp.float32) / 255.0)[None]
        for kernel, bias, stride in zip(self.kernels, self.biases, self.strides, strict=True):
            x = jax.lax.conv_general_dilated(
                x, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + bias[None, None, None])
        return jax.nn.relu(self.head(x.reshape(-1)))


def cnn(rng: np.random.Generator, shape: tuple[int, int, int], features: int = 512) -> CNN:
    height, width, channels = shape
    big = min(height, width) >= 36
    plan = [(8, 4, 32), (4, 2, 64), (3, 1, 64)] if big else [(3, 1, 16), (3, 2, 32), (3, 2, 32)]
    kernels, biases = [], []
    for size, stride, out in plan:
        if min(height, width) < size:
            raise SpecError(
                f"expected images (height, width, channels) of at least 9×9 pixels; got {shape}. Put channels last, "
                "flatten them, or use float32."
            )
        weight = orthogonal(rng, (size * size * channels, out), float(np.sqrt(2)))
        kernels.append(jax.device_put(weight.reshape(size, size, channels, out)))
        biases.append(jax.device_put(np.zeros(out, np.float32)))
        height, width, channels = (height - size) // stride + 1, (width - size) // stride + 1, out
    head = linear(rng, height * width * channels, features if big else min(features, 128), float(np.sqrt(2)))
    return CNN(tuple(kernels), tuple(biases), head, tuple(stride for _, stride, _ in plan))


class Encoder(eqx.Module):
    """Observation of any space → one feature vector: floats flattened, integers one-hot, images (bytes, also grey ones
    of two axes) through a CNN, other bytes flattened in units of their upper bounds, dicts by concatenating their
    entries' encodings (an `action_mask` is left out)."""

    space: Space = eqx.field(static=True)
    parts: dict[str, "Encoder"]
    image: CNN | None
    size: int = eqx.field(static=True)

    def __call__(self, obs: Any) -> Float[Array, " size"]:
        match self.space:
            case Composite():
                return jnp.concatenate([part(obs[name]) for name, part in self.parts.items()])
            case Discrete(n):
                return jax.nn.one_hot(obs, n)
            case Box():
                if self.image is not None:
                    return self.image(obs.reshape((*obs.shape, 1)[:3]))
                flat = jnp.ravel(obs).astype(jnp.float32)
                if self.space.dtype != "uint8":
                    return flat
                return flat / np.clip(self.space.bounds()[1], 1.0, 255.0).ravel()


def encoder(rng: np.random.Generator, space: Space) -> Encoder:
    match space:
        case Composite(spaces):
            parts = {name: encoder(rng, s) for name, s in spaces if name != "action_mask"}
            if not parts:
                raise SpecError(
                    f"expected something to see beside an action_mask; got {space}. Add an entry, if only a constant."
                )
            return Encoder(space, parts, None, sum(part.size for part in parts.values()))
        case Discrete(n):
            return Encoder(space, {}, None, n)
        case Box(shape=shape, dtype="uint8") if len(shape) == 3 or (len(shape) == 2 and min(shape) >= 9):
            image = cnn(rng, (shape[0], shape[1], (*shape, 1)[2]))
            return Encoder(space, {}, image, image.head.bias.shape[0])
        case Box():
            return Encoder(space, {}, None, space.size)


def action_size(space: Box | Discrete) -> int:
    """Length of `action_features`."""
    return space.n if isinstance(space, Discrete) else space.size


def action_features(space: Box | Discrete, action: Any) -> Float[Array, " d"]:
    """An action as a network takes it in: one-hot, or flat in units of the box (−1, 1: its bounds, where it has any).

    >>> action_features(Box((2,), 0.0, 4.0), jnp.array([0.0, 3.0])).tolist()
    [-1.0, 0.5]
    """
    if isinstance(space, Discrete):
        return jax.nn.one_hot(action, space.n)
    if space.bounded:
        action = (action - space.bounds()[0]) * (2.0 / width(space)) - 1.0
    return jnp.ravel(action).astype(jnp.float32)


def width(space: Box) -> np.ndarray:
    """high − low of each element; 1 where a bounded one has no room, for 0/0 is no number.

    >>> width(Box((2,), (0.0, 3.0), (4.0, 3.0))).tolist()
    [4.0, 1.0]
    """
    low, high = space.bounds()
    return np.where(high > low, high - low, np.ones_like(high))


def action_mask(space: Space, obs: Any) -> Array | None:
    """The entry `action_mask` of a composite observation as booleans, or None."""
    if isinstance(space, Composite) and any(name == "action_mask" for name, _ in space.spaces):
        return obs["action_mask"].astype(bool)
    return None


def merge_axes(tree: Any, n: int) -> Any:
    """The first `n` axes of every leaf made one (a new axis of length 1 where n is 0).

    >>> merge_axes({"x": jnp.zeros((2, 3, 4))}, 2)["x"].shape
    (6, 4)
    """
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[n:]), tree)


class Normaliser(eqx.Module):
    """Running standardisation of the float entries of an observation, clipped to ±10; bytes and integers pass through.

    Source: the observation normalisation of Schulman et al. 2017's reference code and Gymnasium's wrapper.
    """

    space: Space = eqx.field(static=True)
    moments: Moments | dict[str, "Normaliser"] | None

    @staticmethod
    def init(space: Space) -> "Normaliser":
        match space:
            case Composite(spaces):
                parts = {name: Normaliser.init(s) for name, s in spaces if name != "action_mask"}
                return Normaliser(space, parts)
            case Box(dtype="float32"):
                return Normaliser(space, Moments.init(space.shape))
        return Normaliser(space, None)

    def __call__(self, obs: Obs) -> Obs:
        if isinstance(self.moments, Moments):
            return self.moments.normalise(obs)
        if isinstance(self.moments, dict):
            return obs | {name: part(obs[name]) for name, part in self.moments.items()}
        return obs

    def update(self, obs: Obs, weights: Float[Array, "*B"] | None = None) -> "Normaliser":
        """Take in observations with any leading axes *B; `weights` as `Moments.update`."""
        if isinstance(self.moments, Moments):
            flat = obs.reshape(-1, *self.space.shape)
            flat_weights = None if weights is None else weights.reshape(-1)
            return Normaliser(self.space, self.moments.update(flat, axes=(0,), weights=flat_weights))
        if isinstance(self.moments, dict):
            parts = {name: part.update(obs[name], weights) for name, part in self.moments.items()}
            return Normaliser(self.space, parts)
        return self


# --- parameters as one vector ---------------------------------------------------------------------------------------


def flatten(module: Any) -> tuple[Float[Array, " p"], Callable[[Float[Array, " p"]], Any]]:
    """All of a module's arrays as one vector, and the way back. An optimiser then costs one kernel, not one a leaf."""
    arrays, static = eqx.partition(module, eqx.is_array)
    flat, unravel = jax.flatten_util.ravel_pytree(arrays)
    return flat, lambda vector: eqx.combine(unravel(vector), static)


def flat_size(module: Any) -> int:
    """Length of `flatten`'s vector."""
    return sum(x.size for x in jax.tree.leaves(eqx.filter(module, eqx.is_array)))


def zeros_init(optimiser: optax.GradientTransformation, size: int) -> optax.OptState:
    """The state of an optimiser that starts from zeros (Adam, momentum), for a vector; nothing is compiled for it."""
    shapes = jax.eval_shape(optimiser.init, jax.ShapeDtypeStruct((size,), jnp.float32))
    return jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)


def descend(module: Any, adam: optax.OptState, loss: Callable[[Any], Any], lr: Any) -> tuple[Any, optax.OptState, Any]:
    """One step of Adam on `loss(module) -> (number, found)`: the module after it, Adam's state, and `found`.

    >>> x, adam = jnp.ones(1), zeros_init(optax.scale_by_adam(), 1)
    >>> [round(float(part[0]), 3) for part in descend(x, adam, lambda x: ((x**2).sum(), x), 0.25)[::2]]
    [0.75, 1.0]
    """
    flat, unflatten = flatten(module)
    gradient, found = jax.grad(lambda vector: loss(unflatten(vector)), has_aux=True)(flat)
    direction, adam = optax.scale_by_adam().update(gradient, adam)
    return unflatten(flat - lr * jnp.asarray(direction)), adam, found
