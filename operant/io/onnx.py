"""Policies as ONNX files: what was learned, without Operant, JAX or Python where it is used.

    export(run.policy(), "policy.onnx")

The greedy policy is traced by JAX and each of its primitives is written as ONNX operators, so that whatever is built
of the primitives in `_Graph` can be exported: normalisation, encoders, masks, squashing and memory included.

| graph | name | shape and dtype |
|---|---|---|
| input | `obs`, or the names of a composite's entries (`a/b` where nested) | `(batch, …)`, the space's |
| input | `carry`, `carry_1`, … where the policy has memory; zeros where an episode begins | `(batch, …)` |
| output | `action` | `(batch, …)` float inside the Box, or `(batch,)` int64 |
| output | `next_carry`, …, to be given as `carry` at the next step | as `carry` |

`batch` is free. Needs the extra `operant[onnx]`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jax.extend import core as jex

from operant.core import AbstractPolicy, Box
from operant.errors import SpecError
from operant.io.checkpoint import write_atomically

OPSET = 18
"""Of ONNX's operators; runtimes since 2023 know it."""
IR = 10
"""Version of ONNX's file format."""


def export(policy: AbstractPolicy, path: str | Path) -> Path:
    """Write the greedy policy as an ONNX file (its names and shapes: see the module); returns the path.

    Raises:
        SpecError: the extra `operant[onnx]` is missing, the policy uses a JAX primitive that has no translation here,
            or its memory does not begin with zeros.
        StoreError: the file cannot be written.
    """
    onnx = _onnx()
    path = Path(path)
    if not isinstance(policy, AbstractPolicy):
        raise SpecError(f"expected a policy, such as run.policy(); got {type(policy).__name__}.")
    (batch,) = jax_export.symbolic_shape("batch")
    space = policy.spec.action
    like = lambda x: jax.ShapeDtypeStruct((batch, *jnp.shape(x)), jnp.asarray(x).dtype)
    obs = jax.tree.map(like, policy.spec.obs.zero())
    first = jax.tree.map(jnp.asarray, policy.init_carry())

    def act(obs: Any, carry: Any) -> tuple[Any, Any]:
        action, _, carry = policy(obs, carry, key=None)
        if isinstance(space, Box):
            action = jnp.clip(action, *space.bounds()) if space.bounded else action  # rounding may leave it by an ulp
            return action.astype(space.dtype), carry
        return action, carry

    # A trace, not a loop: nothing is compiled or run here.
    traced = jax.make_jaxpr(jax.vmap(act))(obs, jax.tree.map(like, first))
    leaves = jax.tree_util.tree_flatten_with_path(obs)[0]
    names = ["/".join(str(k.key) for k in where) or "obs" for where, _ in leaves]
    carries = _numbered("carry", len(traced.jaxpr.invars) - len(names))
    graph = _Graph(onnx, batch, names[0])
    if not _live(traced.jaxpr, traced.jaxpr.outvars[:1]) & set(traced.jaxpr.invars[len(names) :]):
        carries = []  # exploration's memory (correlated noise): the greedy action does not read it
    elif any(np.asarray(x).any() for x in jax.tree.leaves(first)):
        raise SpecError(
            "expected a memory that begins with zeros, for an ONNX file has no other start; got other ones."
        )
    given = names + carries
    outputs = ["action", *(f"next_{name}" for name in carries)]
    wanted = traced.jaxpr.outvars[: len(outputs)]
    unread = [None] * (len(traced.jaxpr.invars) - len(given))
    results = graph.inline(traced.jaxpr, traced.consts, [*given, *unread], wanted)
    kinds = [jnp.dtype(v.aval.dtype) for v in wanted]
    kinds[0] = kinds[0] if isinstance(space, Box) else np.dtype(np.int64)
    for name, kind, result in zip(outputs, kinds, results, strict=True):
        shaped = graph.broadcast(result, wanted[outputs.index(name)].aval.shape)  # a constant has no batch of its own
        graph.add("Cast", shaped, to=graph.kind(kind), out=name)
    value = lambda name, kind, v: onnx.helper.make_tensor_value_info(
        name, graph.kind(kind), ["batch", *(int(n) for n in v.aval.shape[1:])]
    )
    body = onnx.helper.make_graph(
        graph.nodes,
        "policy",
        [value(name, v.aval.dtype, v) for name, v in zip(given, traced.jaxpr.invars, strict=False)],
        [value(name, kind, v) for name, kind, v in zip(outputs, kinds, wanted, strict=True)],
        graph.initialisers,
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(body, opset_imports=[opset], producer_name="operant", ir_version=IR)
    model.doc_string = f"Greedy policy for {policy.spec.name or 'an unnamed environment'}."
    onnx.checker.check_model(model)
    write_atomically(path, [model.SerializeToString()])
    return path


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise SpecError(
            "expected the package onnx, to write ONNX files; install it: pip install 'operant[onnx]'."
        ) from (error)
    return onnx


def _numbered(name: str, n: int) -> list[str]:
    """
    >>> _numbered("carry", 2)
    ['carry', 'carry_1']
    """
    return [name if i == 0 else f"{name}_{i}" for i in range(n)]


def _live(jaxpr: Any, wanted: Sequence[Any]) -> set[Any]:
    """The variables that `wanted` depends on."""
    live = {v for v in wanted if not isinstance(v, jex.Literal)}
    for eqn in reversed(jaxpr.eqns):
        if live & set(eqn.outvars):
            live |= {v for v in eqn.invars if not isinstance(v, jex.Literal)}
    return live


# --- primitives -----------------------------------------------------------------------------------------------------

_CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")
_SAME = {  # one operator, the same operands
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "pow": "Pow",
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "tanh": "Tanh", "logistic": "Sigmoid",
    "sqrt": "Sqrt", "erf": "Erf", "sin": "Sin", "cos": "Cos", "floor": "Floor", "ceil": "Ceil", "not": "Not",
    "and": "And", "or": "Or", "xor": "Xor", "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "stop_gradient": "Identity", "copy": "Identity", "copy_p": "Identity",
}  # fmt: skip
_LOGIC = ("not", "and", "or", "xor")
_REDUCE = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_prod": "ReduceProd"}


class _Graph:
    """Nodes and constants of an ONNX graph under way. A value is the name of a tensor, or a NumPy constant."""

    def __init__(self, onnx: Any, batch: Any, first: str):
        self.onnx, self.batch, self.first = onnx, batch, first
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []
        self.batch_size: str | None = None

    def kind(self, dtype: Any) -> int:
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def name(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        name = f"constant_{len(self.initialisers)}"
        self.initialisers.append(
            self.onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        )
        return name

    def add(self, operator: str, *operands: Any, out: str | None = None, **attributes: Any) -> str:
        out = out or f"value_{len(self.nodes)}"
        inputs = [self.name(x) for x in operands]
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [out], **attributes))
        return out

    def whole(self, numbers: Sequence[int]) -> np.ndarray:
        return np.asarray([int(n) for n in numbers], np.int64)

    def static(self, shape: Sequence[Any]) -> bool:
        return all(isinstance(n, int | np.integer) for n in shape)

    def reshape(self, x: Any, shape: Sequence[Any]) -> Any:
        if isinstance(x, np.ndarray) and self.static(shape):
            return x.reshape([int(n) for n in shape])
        if sum(not self.static([n]) for n in shape) > 1:
            raise SpecError(
                f"expected one free axis in an array's shape; got {tuple(shape)}, which ONNX cannot reshape to."
            )
        return self.add("Reshape", x, self.whole([n if self.static([n]) else -1 for n in shape]))

    def broadcast(self, x: Any, shape: Sequence[Any]) -> Any:
        """To `shape`, by NumPy's rules; an axis that has the batch already keeps it."""
        if isinstance(x, np.ndarray) and self.static(shape):
            return np.broadcast_to(x, [int(n) for n in shape])
        if self.static(shape):
            return self.add("Expand", x, self.whole(shape))
        if self.batch_size is None:
            self.batch_size = self.add("Shape", self.first, start=0, end=1)
        parts = []
        for n in shape:
            if not self.static([n]) and n != self.batch:
                raise SpecError(f"expected axes of a fixed size or of the batch's; got one of size {n}.")
            parts.append(self.whole([n]) if self.static([n]) else self.batch_size)
        return self.add("Expand", x, self.add("Concat", *parts, axis=0))

    def inline(self, jaxpr: Any, consts: Sequence[Any], given: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
        """Write a jaxpr's equations as far as `wanted` needs them; returns the values of `wanted`."""
        known = dict(zip(jaxpr.invars, given, strict=True))
        known |= {v: np.asarray(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}
        read = lambda v: np.asarray(v.val, v.aval.dtype) if isinstance(v, jex.Literal) else known[v]
        live = _live(jaxpr, wanted)
        for eqn in jaxpr.eqns:
            if live & set(eqn.outvars):
                values = self.equation(eqn, [read(v) for v in eqn.invars])
                known |= dict(zip(eqn.outvars, values, strict=True))
        return [read(v) for v in wanted]

    def equation(self, eqn: Any, x: list[Any]) -> list[Any]:
        primitive, p = eqn.primitive.name, eqn.params
        if primitive in _CALLS:
            inner = p["jaxpr"] if "jaxpr" in p else p["call_jaxpr"]
            inner, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
            return self.inline(inner, consts, x, inner.outvars)
        fixed = all(isinstance(v, np.ndarray) for v in x) and all(self.static(v.aval.shape) for v in eqn.outvars)
        if fixed:  # of constants: worked out now
            with jax.ensure_compile_time_eval():
                result = eqn.primitive.bind(*map(jnp.asarray, x), **p)
            return [np.asarray(r) for r in (result if eqn.primitive.multiple_results else [result])]
        if primitive == "split":
            outs = [f"value_{len(self.nodes)}_{i}" for i in range(len(eqn.outvars))]
            inputs = [self.name(x[0]), self.name(self.whole(p["sizes"]))]
            self.nodes.append(self.onnx.helper.make_node("Split", inputs, outs, axis=int(p["axis"])))
            return list(outs)
        shape, dtype = eqn.outvars[0].aval.shape, eqn.outvars[0].aval.dtype
        integers = primitive in _LOGIC and dtype != np.dtype(bool)
        if primitive in _SAME and not integers:
            return [self.add(_SAME[primitive], *x)]
        method: Callable[..., Any] | None = getattr(self, f"_{primitive}", None)
        if primitive in _REDUCE:
            return [self.add(_REDUCE[primitive], x[0], self.whole(p["axes"]), keepdims=0)]
        if method is None or integers:
            raise SpecError(
                f"expected a policy made of primitives that ONNX export knows; got {primitive!r} on "
                f"{', '.join(str(v.aval.str_short()) for v in eqn.invars)}. Write that part of the policy with others: "
                f"{', '.join(sorted([*_SAME, *_REDUCE, *_written()]))}."
            )
        return [method(eqn, x, p, shape, dtype)]

    # Each takes (equation, operands, parameters, the result's shape and dtype).

    def _ne(self, eqn, x, p, shape, dtype):
        return self.add("Not", self.add("Equal", *x))

    def _rsqrt(self, eqn, x, p, shape, dtype):
        return self.add("Reciprocal", self.add("Sqrt", x[0]))

    def _square(self, eqn, x, p, shape, dtype):
        return self.add("Mul", x[0], x[0])

    def _integer_pow(self, eqn, x, p, shape, dtype):
        return self.add("Pow", x[0], np.asarray(p["y"], dtype))

    def _expm1(self, eqn, x, p, shape, dtype):
        return self.add("Sub", self.add("Exp", x[0]), np.asarray(1, dtype))

    def _log1p(self, eqn, x, p, shape, dtype):
        return self.add("Log", self.add("Add", x[0], np.asarray(1, dtype)))

    def _clamp(self, eqn, x, p, shape, dtype):
        return self.add("Min", self.add("Max", x[1], x[0]), x[2])

    def _select_n(self, eqn, x, p, shape, dtype):
        if len(x) != 3 or eqn.invars[0].aval.dtype != np.dtype(bool):
            raise SpecError("expected a choice between two by a boolean; got select_n of more. Nest jnp.where.")
        return self.add("Where", x[0], x[2], x[1])

    def _convert_element_type(self, eqn, x, p, shape, dtype):
        return self.add("Cast", x[0], to=self.kind(dtype))

    def _reshape(self, eqn, x, p, shape, dtype):
        return self.reshape(x[0], shape)

    _squeeze = _expand_dims = _reshape

    def _broadcast_in_dim(self, eqn, x, p, shape, dtype):
        ready: list[Any] = [1] * len(shape)
        for axis, n in zip(p["broadcast_dimensions"], eqn.invars[0].aval.shape, strict=True):
            ready[axis] = n
        value = self.reshape(x[0], ready)
        return value if tuple(ready) == tuple(shape) else self.broadcast(value, shape)

    def _iota(self, eqn, x, p, shape, dtype):
        axis = p["dimension"]
        ready = [1] * len(shape)
        ready[axis] = int(shape[axis])
        return self.broadcast(np.arange(ready[axis]).astype(dtype).reshape(ready), shape)

    def _transpose(self, eqn, x, p, shape, dtype):
        return self.add("Transpose", x[0], perm=[int(i) for i in p["permutation"]])

    def _concatenate(self, eqn, x, p, shape, dtype):
        return self.add("Concat", *x, axis=int(p["dimension"]))

    def _stack(self, eqn, x, p, shape, dtype):
        axis = self.whole([p["axis"]])
        return self.add("Concat", *(self.add("Unsqueeze", one, axis) for one in x), axis=int(p["axis"]))

    def _slice(self, eqn, x, p, shape, dtype):
        whole = eqn.invars[0].aval.shape
        cut = [i for i, n in enumerate(whole) if self.static([n])]
        if any(
            p["start_indices"][i] != 0 or p["limit_indices"][i] != whole[i] for i in set(range(len(whole))) - set(cut)
        ):
            raise SpecError("expected a policy that does not mix the observations of a batch; got a slice of them.")
        pick = lambda numbers: self.whole([numbers[i] for i in cut])
        steps = p["strides"] or [1] * len(whole)
        return self.add("Slice", x[0], pick(p["start_indices"]), pick(p["limit_indices"]), self.whole(cut), pick(steps))

    def _argmax(self, eqn, x, p, shape, dtype, operator="ArgMax"):
        return self.add("Cast", self.add(operator, x[0], axis=int(p["axes"][0]), keepdims=0), to=self.kind(dtype))

    def _argmin(self, eqn, x, p, shape, dtype):
        return self._argmax(eqn, x, p, shape, dtype, "ArgMin")

    def _reduce_and(self, eqn, x, p, shape, dtype, operator="ReduceMin"):
        numbers = self.add("Cast", x[0], to=self.kind(np.int32))
        return self.add("Cast", self.add(operator, numbers, self.whole(p["axes"]), keepdims=0), to=self.kind(bool))

    def _reduce_or(self, eqn, x, p, shape, dtype):
        return self._reduce_and(eqn, x, p, shape, dtype, "ReduceMax")

    def _dot_general(self, eqn, x, p, shape, dtype):
        (left, right), (left_batch, right_batch) = p["dimension_numbers"]
        a, b = (len(v.aval.shape) for v in eqn.invars)
        if (tuple(left), tuple(right), a, b) == ((1,), (0,), 2, 2):
            return self.add("MatMul", *x)
        letters = iter("abcdefghijklmnopqrstuvwxyz")
        rows, columns = [""] * a, [""] * b
        for i, j in [*zip(left, right, strict=True), *zip(left_batch, right_batch, strict=True)]:
            rows[i] = columns[j] = next(letters)
        rows = [c or next(letters) for c in rows]
        columns = [c or next(letters) for c in columns]
        kept = [rows[i] for i in left_batch]
        kept += [c for i, c in enumerate(rows) if i not in (*left, *left_batch)]
        kept += [c for i, c in enumerate(columns) if i not in (*right, *right_batch)]
        return self.add("Einsum", *x, equation=f"{''.join(rows)},{''.join(columns)}->{''.join(kept)}")

    def _conv_general_dilated(self, eqn, x, p, shape, dtype):
        numbers = p["dimension_numbers"]
        if any(n != 1 for n in p["lhs_dilation"]) or p["batch_group_count"] != 1:
            raise SpecError("expected a convolution without lhs_dilation or batch groups; got one with.")
        image = self.add("Transpose", x[0], perm=list(numbers.lhs_spec))
        kernel = x[1]
        if isinstance(kernel, np.ndarray):
            kernel = kernel.transpose(numbers.rhs_spec)
        else:
            kernel = self.add("Transpose", kernel, perm=list(numbers.rhs_spec))
        before, after = zip(*p["padding"], strict=True)
        result = self.add(
            "Conv",
            image,
            kernel,
            strides=list(p["window_strides"]),
            dilations=list(p["rhs_dilation"]),
            pads=[*before, *after],
            group=p["feature_group_count"],
        )
        return self.add("Transpose", result, perm=[int(i) for i in np.argsort(numbers.out_spec)])


def _written() -> list[str]:
    """The primitives that have a method of their own."""
    own = [name[1:] for name in vars(_Graph) if name.startswith("_") and not name.startswith("__")]
    return [name for name in own if name not in _SAME]
