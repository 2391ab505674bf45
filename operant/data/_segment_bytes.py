"""A segment as bytes, the same for the same numbers: what the comparison store and its exports hold.

    header length (4 bytes, little-endian) · header (JSON, UTF-8) · leaves, in the header's order, little-endian

The header is `{"format": 1, "leaves": [{"path": [...], "dtype": ..., "shape": [...]}, ...]}`; leaves are in C order. A
path begins with a field of `Transition` or with "mask"; names of a dict observation follow. No pickle: reading one
never runs code.

>>> zero = np.zeros((1, 3), np.float32)
>>> no = np.zeros((1, 3), bool)
>>> one = Segments(Transition({"eye": zero}, zero, zero, no, no, {"eye": zero}, {}), ~no)
>>> [blob] = pack(one, "left")
>>> back = unpack([blob])
>>> back.steps.obs["eye"].shape, bool(back.mask.all())
((1, 3), True)
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from operant.core import Transition
from operant.data.segments import Segments
from operant.errors import DataError, StoreError

FORMAT = 1
FIELDS = tuple(field.name for field in dataclasses.fields(Transition))


def _walk(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    if tree is None:
        return
    if isinstance(tree, dict):
        for name in sorted(tree, key=str):
            if not isinstance(name, str):
                raise DataError(f"expected names in {'.'.join(path)} to be strings; got {name!r}. Rename it.")
            yield from _walk(tree[name], (*path, name))
        return
    if isinstance(tree, list | tuple):
        raise DataError(
            f"expected {'.'.join(path)} to be an array or a dict of arrays; got a {type(tree).__name__} of "
            f"{len(tree)}. Give its parts names."
        )
    yield path, np.asarray(tree)


def _leaves(segments: Segments, side: str) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """Every leaf with its path, checked: (n, L, …) with one n and L, of numbers."""
    leaves = [pair for name in FIELDS for pair in _walk(getattr(segments.steps, name), (name,))]
    leaves.append((("mask",), np.asarray(segments.mask)))
    lead = leaves[-1][1].shape
    if len(lead) != 2 or leaves[-1][1].dtype != bool:
        raise DataError(
            f"expected {side}.mask to be bool (n, L); got {leaves[-1][1].dtype} {lead}. Give n segments of L steps."
        )
    for path, array in leaves:
        name = ".".join((side, *path))
        if array.shape[:2] != lead:
            raise DataError(f"expected {name} to be ({lead[0]}, {lead[1]}, …) as the mask is; got {array.shape}.")
        if array.dtype.hasobject or (array.dtype.kind in "USMmV" and array.dtype.isbuiltin == 1):
            raise DataError(f"expected {name} to hold numbers or booleans; got dtype {array.dtype}. Convert it.")
    return leaves


def pack(segments: Segments, side: str) -> list[bytes]:
    """n segments (n, L, …) as n strings of bytes; `side` names them in errors.

    Raises:
        DataError: leaves that do not share (n, L), that are not numbers, or that lie in lists.
    """
    leaves = _leaves(segments, side)
    described = [
        {"path": list(path), "dtype": array.dtype.name, "shape": list(array.shape[1:])} for path, array in leaves
    ]
    header = json.dumps({"format": FORMAT, "leaves": described}, separators=(",", ":")).encode()
    start = len(header).to_bytes(4, "little") + header
    # astype gives little-endian C order; copy=False leaves alone what is so already.
    plain = [np.ascontiguousarray(x.astype(x.dtype.newbyteorder("<"), copy=False)) for _, x in leaves]
    return [b"".join([start, *(x[i].tobytes() for x in plain)]) for i in range(len(segments.mask))]


def read(blob: bytes) -> dict[tuple[str, ...], np.ndarray]:
    """One segment's leaves (L, …) by path.

    Raises:
        StoreError: cut short, or of another format.
    """
    length = int.from_bytes(blob[:4], "little")
    try:
        header = json.loads(blob[4 : 4 + length])
        form, leaves = header["format"], header["leaves"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"expected a segment: a header of {length} bytes and its numbers; got {len(blob)} bytes that do not begin "
            "with one. They were altered or damaged: take them from a copy."
        ) from error
    if form != FORMAT:
        raise StoreError(
            f"expected a segment of format {FORMAT}; got format {form}. Install the operant that wrote it."
        )
    found, at = {}, 4 + length
    for leaf in leaves:
        dtype = np.dtype(leaf["dtype"])
        count = math.prod(leaf["shape"])
        if at + count * dtype.itemsize > len(blob):
            raise StoreError(
                f"expected {at + count * dtype.itemsize:,} bytes or more in a segment; got {len(blob):,}: it was cut "
                "short. Take it from a copy."
            )
        found[tuple(leaf["path"])] = np.frombuffer(blob, dtype, count, at).reshape(leaf["shape"])
        at += count * dtype.itemsize
    return found


def unpack(blobs: Sequence[bytes]) -> Segments:
    """The segments (n, L, …) that `pack` made bytes of, equal to the bit.

    Raises:
        DataError: they are not of one shape.
        StoreError: see `read`.
    """
    parts = [read(blob) for blob in blobs]
    shapes = [{path: (x.shape, x.dtype) for path, x in part.items()} for part in parts]
    for shape in shapes:
        if shape != shapes[0]:
            raise DataError(
                f"expected segments of one shape; got {_describe(shapes[0])} and {_describe(shape)}. "
                "Read those of one environment and length at a time."
            )
    tree: dict[str, Any] = dict.fromkeys(FIELDS) | {"extras": {}}
    for path in parts[0]:
        inner = tree
        for name in path[:-1]:
            inner[name] = inner[name] if isinstance(inner.get(name), dict) else {}
            inner = inner[name]
        inner[path[-1]] = np.stack([part[path] for part in parts])
    mask = tree.pop("mask")
    return Segments(Transition(**tree), mask)


def _describe(shapes: dict) -> str:
    return ", ".join(
        f"{'.'.join(path)} {dtype} {shape}" for path, (shape, dtype) in shapes.items() if path[0] != "mask"
    )
