"""Demonstrations by where they are: read any of them as a `Dataset`, keep one, say what is in it.

| `source` | what it is |
|---|---|
| a folder with `data/metadata.json` | a Minari dataset, from the record page, from Minari or from `write` |
| `minari:NAME` | the dataset of that name in Minari's own folder on this machine |
| `NAME.npz` | NumPy arrays `obs, action, reward, terminated, next_obs`; perhaps `truncated, episode`, and extras |
| any other file | what `Dataset.save` wrote |

Nothing is fetched from a network, and no file runs code (no pickle: an npz with objects is refused).

>>> read("nowhere")
Traceback (most recent call last):
operant.errors.DataError: expected demonstrations at nowhere; there is nothing. Give a Minari folder, minari:NAME, a \
.npz file, or a file Dataset.save wrote.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import platformdirs

from operant import config
from operant.core import Box, Discrete, EnvSpec, Space
from operant.data import minari
from operant.data.dataset import Dataset
from operant.errors import DataError, RunError, SpecError
from operant.io import checkpoint
from operant.io.recorders import storing

ARRAYS = ("obs", "action", "reward", "terminated", "next_obs")


def read(source: str | Path, spec: EnvSpec | None = None) -> Dataset:
    """The demonstrations at `source` (see the module's docstring).

    Args:
        spec: of the environment, where the file does not say; an npz needs none where its arrays show it.

    Raises:
        DataError: nothing is there, it is cut short, or its arrays do not fit each other or the spec.
        SpecError: the extra that reads HDF5 is missing.
    """
    text, path = str(source), Path(source)
    if text.startswith("minari:"):
        path = _minari_root() / text.removeprefix("minari:")
        if not (path / "data" / minari.METADATA).exists():
            raise DataError(
                f"expected Minari's dataset {text.removeprefix('minari:')!r} in {_minari_root()}; it is not there. "
                f"Download it first: minari download {text.removeprefix('minari:')}."
            )
        return minari.read(path, None)
    if path.is_dir():
        return minari.read(path, None)
    if not path.is_file():
        raise DataError(
            f"expected demonstrations at {text}; there is nothing. Give a Minari folder, minari:NAME, a .npz file, or "
            "a file Dataset.save wrote."
        )
    if path.suffix == ".npz":
        return _npz(path, spec)
    with path.open("rb") as file:
        ours = file.read(len(checkpoint.MAGIC)) == checkpoint.MAGIC
    if not ours:
        raise DataError(
            f"expected demonstrations at {text}; it is none of the files read here. Give a Minari folder (the one that "
            "holds data/), a .npz file, or a file Dataset.save wrote."
        )
    try:
        return Dataset.load(path)
    except RunError as error:
        raise DataError(f"expected demonstrations at {text}: {error}") from error


def write(dataset: Dataset, path: str | Path) -> Path:
    """Keep a dataset: as NumPy arrays where `path` ends in .npz, as one file of ours where in .operant, else Minari's.

    Raises:
        DataError: there is something already, or Minari's format cannot hold it.
        StoreError: it cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise DataError(f"expected nothing at {path}; there is something. Give another name, or delete it.")
    if path.suffix == ".operant":
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return dataset.save(path)
    if path.suffix != ".npz":
        return minari.write(dataset, path, id=f"operant/{path.name}-v0")
    d = dataset.data
    if isinstance(d.obs, dict):
        raise DataError(
            f"expected observations of one array for {path}; they are dicts of {sorted(d.obs)}. Write a Minari folder "
            "or a .operant file."
        )
    if taken := sorted({*ARRAYS, "truncated", "episode"} & set(d.extras)):
        raise DataError(
            f"expected extras of other names than the columns of {path}; got {', '.join(taken)}. Rename them, or "
            "write a Minari folder or a .operant file."
        )
    arrays: Any = {name: np.asarray(getattr(d, name)) for name in (*ARRAYS, "truncated")}
    arrays |= {"episode": np.asarray(dataset.episode)} | jax.tree.map(np.asarray, d.extras)
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            np.savez_compressed(Path(folder) / path.name, **arrays)
            os.replace(Path(folder) / path.name, path)
    return path


def keep(dataset: Dataset) -> Path:
    """Write a dataset to the user's cache folder under the hash of its arrays, spec and origin, once; the file."""
    folder = Path(platformdirs.user_cache_dir("operant", "operant")) / "demonstrations"
    about = [config.to_plain(dataset.spec), dataset.source.origin, dataset.source.licence]
    whole = hashlib.sha256((dataset.source.sha256 + json.dumps(about, sort_keys=True)).encode()).hexdigest()
    path = folder / f"{whole[:32]}.operant"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save(path)
    return path


def stats(dataset: Dataset) -> dict[str, Any]:
    """What a person asks first: episodes, steps, returns, how episodes end, spaces, origin, hash."""
    episode, reward = np.asarray(dataset.episode), np.asarray(dataset.data.reward, np.float64)
    lengths = np.bincount(episode)
    returns = np.bincount(episode, reward)
    last = np.r_[np.flatnonzero(np.diff(episode)), len(episode) - 1]
    terminated, truncated = (np.asarray(x)[last] for x in (dataset.data.terminated, dataset.data.truncated))
    action = np.asarray(dataset.data.action)
    spread = lambda x: {"mean": float(x.mean()), "least": float(x.min()), "most": float(x.max())}
    return {
        "environment": dataset.spec.name,
        "episodes": len(lengths),
        "steps": len(episode),
        "length": spread(lengths),
        "return": spread(returns),
        "terminated": int(terminated.sum()),
        "truncated": int((truncated & ~terminated).sum()),
        "unfinished": int((~terminated & ~truncated).sum()),
        "observations": str(dataset.spec.obs),
        "actions": str(dataset.spec.action),
        "different actions": len(np.unique(action.reshape(len(action), -1), axis=0)),
        "extras": sorted(dataset.data.extras),
        "origin": dataset.source.origin,
        "licence": dataset.source.licence,
        "sha256": dataset.source.sha256,
    }


def first(dataset: Dataset, episodes: int) -> Dataset:
    """The first so many episodes. Raises DataError where there are fewer."""
    if not 1 <= episodes <= dataset.episodes:
        raise DataError(
            f"expected 1 ≤ episodes ≤ {dataset.episodes}, what there is of {dataset.source.origin or 'the dataset'}; "
            f"got {episodes}. Ask for fewer, or record more."
        )
    rows = np.asarray(dataset.episode) < episodes
    data, numbers = jax.tree.map(lambda x: np.asarray(x)[rows], (dataset.data, dataset.episode))
    return Dataset(data, numbers, dataset.spec, origin=dataset.source.origin, licence=dataset.source.licence)


def _minari_root() -> Path:
    return Path(os.environ.get("MINARI_DATASETS_PATH", Path.home() / ".minari" / "datasets"))


def _npz(path: Path, spec: EnvSpec | None) -> Dataset:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"expected NumPy arrays in {path}; it cannot be read ({error}). Write it with np.savez.") from (
            error
        )
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise DataError(
            f"expected the arrays {', '.join(ARRAYS)} in {path}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not there (it has {', '.join(arrays) or 'none'}). Add them; "
            "next_obs holds the true successors, also where an episode ends."
        )
    if spec is None:
        spec = EnvSpec(
            _obs_space(arrays["obs"], arrays["next_obs"]), _action_space(arrays["action"]), None, name=path.stem
        )
    known = {*ARRAYS, "truncated", "episode"}
    extras = {name: x for name, x in arrays.items() if name not in known}
    given = {name: arrays[name] for name in (*ARRAYS, "truncated", "episode") if name in arrays}
    try:
        return Dataset.from_numpy(spec, **given, extras=extras, origin=str(path))
    except DataError as error:
        raise DataError(f"expected demonstrations of {spec.name} in {path}: {error}") from error


def _space(x: np.ndarray, name: str) -> Space:
    if x.ndim < 1 or x.dtype.kind not in "fui":
        raise DataError(f"expected {name} to be numbers (M, …); got {x.dtype} {x.shape}. Cast it.")
    if x.dtype.kind == "f":
        return Box(x.shape[1:])
    if x.dtype == np.uint8 and x.ndim == 4:
        return Box(x.shape[1:], 0, 255, "uint8")
    if x.ndim == 1:
        return Discrete(int(x.max()) + 1)
    return Box(x.shape[1:], int(x.min()), int(x.max()), x.dtype.name)


def _obs_space(obs: np.ndarray, next_obs: np.ndarray) -> Space:
    """Of both: where an episode ended nobody may ever have set out from."""
    same = obs.shape[1:] == next_obs.shape[1:] and obs.dtype == next_obs.dtype
    return _space(np.concatenate([obs, next_obs]) if same and obs.ndim else obs, "obs")


def _action_space(x: np.ndarray) -> Box | Discrete:
    space = _space(x, "action")
    if not isinstance(space, Box | Discrete):
        raise SpecError(f"expected actions of one array; got {space}. Give one array.")
    return space
