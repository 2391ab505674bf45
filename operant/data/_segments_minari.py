"""Segments as a Minari dataset, one episode each, for other tools to read (`minari.MinariDataset(folder / "data")`).

An episode holds a segment's own steps, so it has one observation more than steps. Its attribute `segment` is the
segment's number. Spaces are boxes without bounds: the store knows shapes, not limits. Images are not compressed
(`jpeg_encoding` false), which Minari reads from 0.5.4 on.

Source: Minari's data format, https://minari.farama.org/content/dataset_standards (read with Minari 0.5.4).
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

import operant
from operant.data._segment_bytes import read
from operant.data.minari import describe

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
        spaces = {name: _space(leaves, (name,)) for name in ("obs", "action")}
        self._spaces = self._spaces or spaces
        self.uniform = self.uniform and spaces == self._spaces
        own = leaves[("mask",)]
        steps = int(own.sum())
        if not (self.uniform and steps):
            return
        group = self._file.create_group(f"episode_{self.episodes}")
        group.attrs.update({"id": self.episodes, "total_steps": steps, "segment": number})
        group.create_group("infos")  # Minari prints no episode without
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
        counts = {"episodes": self.episodes, "steps": self._steps}
        told = {"description": f"Segments that were compared, by operant {operant.__version__}."}
        assert self._spaces is not None, "a dataset has episodes"
        describe(path, **counts, spaces=self._spaces, id="operant/labels-v0", about=told)


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
