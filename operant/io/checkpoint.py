"""Checkpoints: a JSON header, then the leaves of a pytree as raw bytes. Loading one never runs code.

    OPERANT\\0 · header length (8 bytes, little-endian) · header (JSON, UTF-8) · leaves, in the header's order

The header holds the format, versions, whatever the caller adds (configuration, intent), every leaf's path, dtype and
shape, and the SHA-256 of the leaves. Writing is atomic: a temporary file beside the target, fsync, rename.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "x.operant"
>>> save(path, {"w": np.ones(2, np.float32)}, {"note": "two ones"})
>>> load(path, {"w": np.zeros(2, np.float32)})["w"], read_header(path)["note"]
(array([1., 1.], dtype=float32), 'two ones')
"""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import operant
from operant.errors import RunError, StoreError

MAGIC = b"OPERANT\0"
FORMAT = 1


def is_key(x: Any) -> bool:
    """Whether `x` is an array of typed JAX keys, which NumPy cannot hold."""
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    arrays = eqx.filter(tree, eqx.is_array)
    return [(jax.tree_util.keystr(path).lstrip("."), x) for path, x in jax.tree_util.tree_leaves_with_path(arrays)]


def write_atomically(path: Path, parts: list[bytes]) -> None:
    """Write all of `parts` to `path`, or leave what was there.

    Raises:
        StoreError: the folder is read-only or missing, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        size = sum(len(part) for part in parts)
        raise StoreError(
            f"expected to write {size:,} bytes to {path}; the system answered: {error.strerror} "
            f"({_free(path)}). Free space, or choose a folder that can be written. Nothing already saved was lost."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _free(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(path.parent).free:,} bytes free"
    except OSError:
        return "the folder is not there"


def save(path: Path, tree: Any, header: dict[str, Any]) -> None:
    """Write the arrays of `tree` behind `header` (JSON-able)."""
    described, blobs = [], []
    for name, x in _leaves(tree):
        key = is_key(x)
        array = np.asarray(jax.random.key_data(x) if key else x)
        entry = {"path": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        described.append(entry | ({"key": str(jax.random.key_impl(x))} if key else {}))
        blobs.append(np.ascontiguousarray(array).tobytes())
    digest = hashlib.sha256()
    for blob in blobs:
        digest.update(blob)
    full = {
        "format": FORMAT,
        "versions": {"operant": operant.__version__, "jax": jax.__version__, "equinox": eqx.__version__},
        **header,
        "leaves": described,
        "sha256": digest.hexdigest(),
    }
    encoded = json.dumps(full).encode()
    write_atomically(path, [MAGIC, len(encoded).to_bytes(8, "little"), encoded, *blobs])


def read_header(path: Path) -> dict[str, Any]:
    """The header alone.

    Raises:
        RunError: missing, not a checkpoint, cut short, or of another format.
    """
    return _read_header(path)[0]


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    try:
        with open(path, "rb") as file:
            start = file.read(16)
            if start[:8] != MAGIC:
                raise RunError(
                    f"expected a checkpoint at {path}, which begins with {MAGIC!r}; got {start[:8]!r}. "
                    "Give the run's folder."
                )
            length = int.from_bytes(start[8:], "little")
            encoded = file.read(length)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"expected a checkpoint at {path}; there is no such file. Check the run's name: it is a folder."
        ) from None
    if len(encoded) < length:
        raise RunError(_cut(path, 16 + length, 16 + len(encoded)))
    try:
        header = json.loads(encoded)
    except ValueError as error:  # UnicodeDecodeError is one
        raise RunError(
            f"expected a checkpoint's header, JSON, in {path}; it is damaged ({error}). Copy it again, or start anew."
        ) from None
    if header["format"] != FORMAT:
        made = header.get("versions", {}).get("operant", "unknown")
        raise RunError(
            f"expected a checkpoint of format {FORMAT}; {path} has format {header['format']}, written by operant "
            f"{made}. Install that version to read it: this is operant {operant.__version__}."
        )
    return header, 16 + length


def _cut(path: Path, expected: int, got: int) -> str:
    return (
        f"expected {expected:,} bytes in {path}; it ends after {got:,}: it was cut short (a full disk, a copy broken "
        "off). Copy it again, or start the run anew."
    )


def load(path: Path, like: Any) -> Any:
    """The pytree `like` with its arrays replaced by those stored at `path`.

    Raises:
        RunError: see `read_header`; also a leaf that is missing, left over, or of another shape or dtype (it is named),
            or bytes that do not match their hash.
    """
    header, offset = _read_header(path)
    data = path.read_bytes()
    stored = {}
    for entry in header["leaves"]:
        size = int(np.dtype(entry["dtype"]).itemsize * np.prod(entry["shape"], dtype=np.int64))
        stored[entry["path"]] = (entry, offset)
        offset += size
    if len(data) < offset:
        raise RunError(_cut(path, offset, len(data)))
    start = offset - sum(
        int(np.dtype(e["dtype"]).itemsize * np.prod(e["shape"], dtype=np.int64)) for e in header["leaves"]
    )
    if hashlib.sha256(memoryview(data)[start:offset]).hexdigest() != header["sha256"]:
        raise RunError(
            f"expected the leaves of {path} to hash to {header['sha256'][:12]}…; they do not: the file was altered or "
            "damaged. Copy it again, or start the run anew."
        )
    wanted = _leaves(like)
    names = {name for name, _ in wanted}
    extra = [name for name in stored if name not in names]
    arrays = []
    for name, x in wanted:
        if name not in stored:
            left = f" (it has {extra[0]} instead)" if extra else ""
            raise RunError(
                f"expected leaf {name} in {path}; it is not there{left}. The checkpoint was made with another "
                "configuration: give the learner the fields it was trained with."
            )
        entry, at = stored[name]
        key = is_key(x)
        template = jax.random.key_data(x) if key else x
        want, got = np.dtype(template.dtype).name, entry["dtype"]
        if key:
            want, got = str(jax.random.key_impl(x)), entry.get("key")
        if tuple(entry["shape"]) != template.shape or got != want:
            raise RunError(
                f"expected leaf {name} to be {want} {template.shape}; {path} has {got} {tuple(entry['shape'])}. "
                "The checkpoint was made with another network or configuration: give the learner the fields it was "
                "trained with."
            )
        flat = np.frombuffer(data, entry["dtype"], int(np.prod(entry["shape"], dtype=np.int64)), at)
        array = flat.reshape(entry["shape"])
        if key:
            arrays.append(jax.random.wrap_key_data(jnp.asarray(array), dtype=x.dtype))
        else:
            arrays.append(jnp.asarray(array) if isinstance(x, jax.Array) else array.copy())
    if extra:
        raise RunError(
            f"expected {len(wanted)} leaves in {path}; it has {len(stored)}, among them {extra[0]}, which this "
            "configuration lacks. Give the learner the fields it was trained with."
        )
    dynamic, static = eqx.partition(like, eqx.is_array)
    return eqx.combine(jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(dynamic), arrays), static)
