"""Segments as a Minari dataset, one episode each, for other tools to read (`minari.MinariDataset(folder / "data")`).

An episode holds a segment's own steps, so it has one observation more than steps. Its attribute `segment` is the
segment's number. Spaces are boxes without bounds: the store knows shapes, not limits. Images are not compressed
(`jpeg_encoding` false), which Minari reads from 0.5.4 on.

Source: Minari's data format, https://minari.farama.org/content/dataset_standards (read with Minari 0.5.4).
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

import operant
from operant.data._segment_bytes import read
from operant.io.checkpoint import write_atomically

Leaves = dict[tuple[str, ...], np.ndarray]


def available() -> bool:
    """Whether HDF5 can be written here."""
    return importlib.util.find_spec("h5py") is not None


class Writer:
    """Writes `folder/main_data.hdf5`, given segments one by one, and `folder/metadata.json` at the end."""

    def __init__(self, file: Path):
        import h5py

        self._file = h5py.File(file, "w")
        self.episodes = self._steps = 0
        self._spaces: dict[str, Any] | None = None
        self.uniform = True
        """Whether all segments so far share shapes: a Minari dataset has one space."""

    def add(self, number: int, blob: bytes) -> None:
        leaves = read(blob)
        spaces = {name: json.dumps(_space(leaves, (name,))) for name in ("obs", "action")}
        self._spaces = self._spaces or spaces
        self.uniform = self.uniform and spaces == self._spaces
        own = leaves[("mask",)]
        steps = int(own.sum())
        if not (self.uniform and steps):
            return
        group = self._file.create_group(f"episode_{self.episodes}")
        group.attrs.update({"id": self.episodes, "total_steps": steps, "segment": number})
        for path, array in leaves.items():
            if path[0] == "obs":
                last = leaves[("next_obs", *path[1:])][own][-1:]
                group["/".join(("observations", *path[1:]))] = np.concatenate([array[own], last])
            elif path[0] == "action":
                group["/".join(("actions", *path[1:]))] = array[own]
        for field, name in (("reward", "rewards"), ("terminated", "terminations"), ("truncated", "truncations")):
            group[name] = leaves[(field,)][own]
        self.episodes, self._steps = self.episodes + 1, self._steps + steps

    def close(self) -> None:
        self._file.attrs.update({"total_episodes": self.episodes, "total_steps": self._steps})
        self._file.close()

    def describe(self, path: Path) -> None:
        """Write the metadata."""
        spaces = self._spaces or {}
        metadata = {
            "total_episodes": self.episodes,
            "total_steps": self._steps,
            "data_format": "hdf5",
            "jpeg_encoding": False,
            "observation_space": spaces.get("obs"),
            "action_space": spaces.get("action"),
            "dataset_id": "operant/labels-v0",
            "minari_version": "0.5.4",
            "description": f"Segments that were compared, by operant {operant.__version__}.",
        }
        write_atomically(path, [json.dumps(metadata, indent=1).encode()])


def _space(leaves: Leaves, path: tuple[str, ...]) -> dict[str, Any]:
    if path in leaves:
        array = leaves[path][0]
        if array.dtype.kind == "f":
            low, high = -np.inf, np.inf
        elif array.dtype.kind == "b":
            low, high = 0, 1
        else:
            low, high = np.iinfo(array.dtype).min, np.iinfo(array.dtype).max
        full = lambda value: np.full(array.shape, value).tolist()
        kind = {"type": "Box", "dtype": str(array.dtype), "shape": list(array.shape)}
        return kind | {"low": full(low), "high": full(high)}
    names = sorted({p[len(path)] for p in leaves if p[: len(path)] == path})
    return {"type": "Dict", "subspaces": {name: _space(leaves, (*path, name)) for name in names}}
