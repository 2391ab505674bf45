"""Whole episodes as a Minari dataset: written here, read by `minari.MinariDataset(folder / "data")`, and back.

    folder/data/metadata.json      spaces, counts, environment
    folder/data/main_data.hdf5     episode_0/ observations (T + 1, …), actions, rewards, terminations, truncations (T,);
                                   attributes id, seed, total_steps and whatever is known about it

Arrays keep their bits: images are not compressed (`jpeg_encoding` false, which Minari reads from 0.5.4 on), named
extras lie in `infos` after a row of zeros (Minari counts the reset), and the metadata hold the `EnvSpec` too. What
other tools wrote is read as Operant sees such an environment (`operant.envs.spaces`): floats as float32.

An episode is added by writing the file anew beside the old one, which it then replaces: a reader, or a process that is
killed, finds either all of it or nothing of it. That suits what people record by hand, thousands of steps and no more.

Source: Minari's data format, https://minari.farama.org/content/dataset_standards (read with Minari 0.5.4).

>>> import tempfile
>>> from operant.core import Box
>>> steps = {"obs": np.arange(3.0)[:, None], "action": np.array([0, 1, 1]), "reward": np.ones(3)}
>>> spec = EnvSpec(Box((1,)), Discrete(2), None)
>>> ends = np.array([False, False, True])
>>> data = Dataset.from_numpy(spec, **steps, terminated=ends, next_obs=steps["obs"] + 1, origin="by hand")
>>> folder = write(data, tempfile.mkdtemp() + "/walk")
>>> read(folder).source == data.source
True
"""

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

import operant
from operant import config
from operant.core import Composite, Discrete, EnvSpec, Space, Transition
from operant.data.dataset import Dataset, fits
from operant.errors import DataError, OperantError, SpecError, StoreError
from operant.io.checkpoint import write_atomically

DATA, METADATA = "main_data.hdf5", "metadata.json"
FLAGS = (("reward", "rewards"), ("terminated", "terminations"), ("truncated", "truncations"))


@dataclasses.dataclass(frozen=True)
class Episode:
    """T ≥ 1 steps of one episode, as NumPy arrays; observations are dicts of them where the space is composite."""

    obs: Any
    """(T + 1, …): the last is what the last action led to."""
    action: Any
    """(T, …)"""
    reward: Any
    terminated: Any
    truncated: Any
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """(T, …) each."""
    about: Mapping[str, int | float | str] = dataclasses.field(default_factory=dict)
    """What else is known: `seed`, who, when."""

    @property
    def length(self) -> int:
        return len(self.reward)


class Demonstrations:
    """The episodes in `folder`, made where there is none; each is durable once `add` returns.

    Safe to use from several threads, and from several processes.

    Args:
        id: Minari's name of the dataset, "namespace/name-v0".
        about: more entries of the metadata, such as Minari's `env_spec`, `author`, `description`.

    Raises:
        SpecError: the extra that writes HDF5 is missing.
        DataError: the folder holds episodes of other spaces, or something else.
        StoreError: it cannot be read or written.
    """

    def __init__(self, folder: str | Path, spec: EnvSpec, *, id: str, about: Mapping[str, Any] | None = None):
        self.folder, self.spec, self._id, self._about = Path(folder), spec, id, dict(about or {})
        _h5py()
        with _told(self.data):
            self.data.mkdir(parents=True, exist_ok=True)
        if (self.data / METADATA).is_file():
            _check_same(read_metadata(self.folder), spec, self.folder)
        self.episodes, self.steps = self._counts()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def add(self, episode: Episode) -> int:
        """Write an episode after those that are there; its number, once it is durable.

        Raises:
            DataError: no steps, or arrays that do not fit each other or the spec; nothing was written.
            StoreError: it could not be written; what was there before is untouched.
        """
        one = _checked(episode, self.spec)
        with _told(self.data), _alone(self.data / ".lock"):
            with _replaced(self.data / DATA) as file:
                number = file.attrs.get("total_episodes", 0)
                _put(file, int(number), one, self.spec)
                steps = int(file.attrs.get("total_steps", 0)) + one.length
                file.attrs.update({"total_episodes": int(number) + 1, "total_steps": steps})
            self.episodes, self.steps = int(number) + 1, steps
            self._describe()
        return self.episodes - 1

    def _counts(self) -> tuple[int, int]:
        """What the data file says; and the metadata again, should a process have been killed between the two."""
        if not (self.data / DATA).exists():
            return 0, 0
        with _told(self.data), _opened(self.data / DATA) as file:
            counts = int(file.attrs["total_episodes"]), int(file.attrs["total_steps"])
        metadata = self.data / METADATA
        if not metadata.exists() or json.loads(metadata.read_text()).get("total_episodes") != counts[0]:
            self.episodes, self.steps = counts
            self._describe()
        return counts

    def _describe(self) -> None:
        counts = {"episodes": self.episodes, "steps": self.steps}
        describe(self.data / METADATA, **counts, spaces=spaces_of(self.spec), id=self._id,
                 about={"operant": {"spec": _spec_plain(self.spec)}} | self._about)  # fmt: skip


# --- whole datasets -------------------------------------------------------------------------------------------------


def write(dataset: Dataset, folder: str | Path, *, id: str = "operant/dataset-v0") -> Path:
    """Write a dataset's episodes to a new folder, which `read` gives back equal to the bit; the folder.

    Raises:
        SpecError: the extra that writes HDF5 is missing.
        DataError: the folder holds a dataset, or `next_obs` is not the next row's `obs` within an episode: Minari
            keeps the observations of an episode as one array.
        StoreError: it cannot be written.
    """
    data = Path(folder) / "data"
    if (data / DATA).exists():
        raise DataError(f"expected no dataset in {folder}; there is one. Give another folder, or delete it.")
    _h5py()
    d, episode = jax.tree.map(np.asarray, dataset.data), np.asarray(dataset.episode)
    starts = np.flatnonzero(np.r_[True, episode[1:] != episode[:-1]])
    within = np.flatnonzero(episode[1:] == episode[:-1])
    for now, after in zip(jax.tree.leaves(d.next_obs), jax.tree.leaves(d.obs), strict=True):
        wrong = [i for i in within if now[i].tobytes() != after[i + 1].tobytes()]
        if wrong:
            raise DataError(
                f"expected next_obs of row {wrong[0]} to be obs of row {wrong[0] + 1}, as they are of one episode; "
                f"they differ ({len(wrong)} such rows), and Minari keeps one array of both. Number episodes anew "
                "where rows do not follow each other."
            )
    with _told(data):
        data.mkdir(parents=True, exist_ok=True)
        with _replaced(data / DATA) as file:
            for k, (start, end) in enumerate(zip(starts, [*starts[1:], len(episode)], strict=True)):
                cut = lambda tree, a=start, b=end: jax.tree.map(lambda x: x[a:b], tree)
                last = jax.tree.map(lambda x, b=end: x[b - 1 : b], d.next_obs)
                obs = jax.tree.map(lambda a, b: np.concatenate([a, b]), cut(d.obs), last)
                action, reward, terminated, truncated = map(cut, (d.action, d.reward, d.terminated, d.truncated))
                one = Episode(obs, action, reward, terminated, truncated, cut(d.extras))
                _put(file, k, one, dataset.spec)
            file.attrs.update({"total_episodes": len(starts), "total_steps": len(episode)})
        source = {"origin": dataset.source.origin, "licence": dataset.source.licence}
        about = {"operant": {"spec": _spec_plain(dataset.spec), **source}}
        counts = {"episodes": len(starts), "steps": len(episode)}
        describe(data / METADATA, **counts, spaces=spaces_of(dataset.spec), id=id, about=about)
    return Path(folder)


def read(folder: str | Path, spec: EnvSpec | None = None) -> Dataset:
    """All episodes of a Minari dataset.

    Args:
        folder: what holds `data/`, or that folder itself.
        spec: of the environment, where the metadata do not hold ours; by default made of Minari's spaces.

    Raises:
        SpecError: the extra that reads HDF5 is missing.
        DataError: there is none, it cannot be read, or its spaces are none that Operant knows.
    """
    _h5py()
    metadata = read_metadata(folder)
    ours = metadata.get("operant", {})
    convert: Callable[[str, Any], Any] = lambda name, raw: raw
    own = "spec" in ours
    if own:
        spec = spec or _spec(ours["spec"])
    else:
        try:
            found, convert = _foreign(metadata)
        except DataError:
            if spec is None:
                raise
            found = spec  # spaces that only who asks can name
        spec = spec or found
    episodes: list[Transition] = []
    encoded = metadata.get("jpeg_encoding", True)  # bytes may begin as a JPEG does and be none
    with _opened(_data(folder) / DATA) as file:
        for k in range(int(metadata["total_episodes"])):
            group = file[f"episode_{k}"]
            length = len(group["rewards"])
            seen, infos = group["observations"], group.get("infos", {})
            obs = _by_space(seen, spec.obs) if own else convert("observation_space", _get(seen, encoded))
            action = convert("action_space", _get(group["actions"], encoded))
            reward, terminated, truncated = (group[name][()] for _, name in FLAGS)
            told = _leaves(infos) if own else infos.items()
            extras = {n: x[()][1:] for n, x in told if _is_extra(x, length + 1)}
            first, second = (jax.tree.map(lambda x, s=s: x[s], obs) for s in (slice(0, -1), slice(1, None)))
            episodes.append(Transition(first, action, reward, terminated, truncated, second, extras))
    if not episodes:
        raise DataError(f"expected at least one episode in {folder}; there is none. Record one first.")
    known = set.intersection(*(set(e.extras) for e in episodes))
    if not own:  # other tools keep there what is no number a step, too: it is left out
        known = {n for n in known if len({e.extras[n].shape[1:] for e in episodes}) == 1}
        known = {n for n in known if all(fits(e.extras[n]) for e in episodes)}
    episodes = [dataclasses.replace(e, extras={n: e.extras[n] for n in sorted(known)}) for e in episodes]
    numbers = np.repeat(np.arange(len(episodes), dtype=np.int32), [len(e.reward) for e in episodes])
    joined = jax.tree.map(lambda *x: np.concatenate(x), *episodes)
    origin = ours.get("origin", metadata.get("dataset_id", ""))
    return Dataset(joined, numbers, spec, origin=origin, licence=ours.get("licence", ""))


def _by_space(node: Any, space: Space) -> Any:
    """What `_put` wrote: a name may hold a slash, which HDF5 takes for a group."""
    if isinstance(space, Composite):
        return {name: _by_space(node[name], s) for name, s in space.spaces}
    return node[()]


def _leaves(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, x in group.items():
        if hasattr(x, "keys"):
            yield from _leaves(x, f"{before}{name}/")
        else:
            yield before + name, x


def _is_extra(x: Any, rows: int) -> bool:
    """Whether an entry of `infos` is numbers, one row a step: other tools keep words and groups there, too."""
    return bool(getattr(x, "shape", ())) and len(x) == rows and x.dtype.kind in "biuf"


def about(folder: str | Path) -> list[dict[str, Any]]:
    """What is known about each episode, in order: `id`, `total_steps`, and what `Episode.about` held."""
    _h5py()
    plain = lambda x: x.item() if isinstance(x, np.generic) else x
    with _opened(_data(folder) / DATA) as file:
        count = range(int(file.attrs.get("total_episodes", len(file))))
        return [{name: plain(x) for name, x in file[f"episode_{k}"].attrs.items()} for k in count]


# --- metadata -------------------------------------------------------------------------------------------------------


def describe(
    path: Path, *, episodes: int, steps: int, spaces: Mapping[str, Any], id: str, about: Mapping[str, Any]
) -> None:
    """Write the metadata; `spaces`: Minari's, "obs" and "action"."""
    metadata = {
        "total_episodes": episodes,
        "total_steps": steps,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": json.dumps(spaces["obs"]),
        "action_space": json.dumps(spaces["action"]),
        "dataset_id": id,
        "minari_version": "0.5.4",
        "description": f"Written by operant {operant.__version__}.",
    }
    write_atomically(path, [json.dumps({**metadata, **about}, indent=1).encode()])


def read_metadata(folder: str | Path) -> dict[str, Any]:
    """Raises DataError: there are none that can be read."""
    path = _data(folder) / METADATA
    try:
        metadata = json.loads(path.read_text())
        if not (isinstance(metadata, dict) and isinstance(metadata["total_episodes"], int)):
            raise KeyError("total_episodes")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"expected a Minari dataset in {folder}, with {path.name}; it cannot be read ({error}). Give the folder "
            "that was recorded to, or the one that holds `data`."
        ) from error
    if metadata.get("data_format", "hdf5") != "hdf5":
        raise DataError(
            f"expected a Minari dataset in HDF5; {folder} is in {metadata['data_format']}. Write it anew with Minari."
        )
    return metadata


def spaces_of(spec: EnvSpec) -> dict[str, Any]:
    """Minari's description of a spec's spaces."""
    return {"obs": _plain(spec.obs), "action": _plain(spec.action)}


def _plain(space: Space) -> dict[str, Any]:
    if isinstance(space, Composite):
        return {"type": "Dict", "subspaces": {name: _plain(s) for name, s in space.spaces}}
    if isinstance(space, Discrete):
        return {"type": "Discrete", "dtype": "int64", "start": 0, "n": space.n}
    low, high = (bound.tolist() for bound in space.bounds())
    return {"type": "Box", "dtype": space.dtype, "shape": list(space.shape), "low": low, "high": high}


def _spec_plain(spec: EnvSpec) -> dict[str, Any]:
    """What Minari's spaces do not say: names, one bound for all elements, limits."""
    return config.to_plain(dataclasses.replace(spec, num_envs=1))


def _spec(plain: Any) -> EnvSpec:
    """Raises DataError: what `_spec_plain` wrote was changed."""
    try:
        return config.from_plain(plain, EnvSpec)
    except SpecError as error:
        raise DataError(
            f"expected the metadata to hold a spec under operant; it cannot be read ({error}). Pass spec=…."
        ) from error


def _foreign(metadata: dict[str, Any]) -> tuple[EnvSpec, Callable[[str, Any], Any]]:
    """The spec of a dataset that other tools wrote, and what makes its arrays ours."""
    from operant.envs import spaces  # Gymnasium takes a while to import

    try:
        theirs = {name: _gymnasium(json.loads(metadata[name])) for name in ("observation_space", "action_space")}
        env = json.loads(metadata.get("env_spec") or "{}")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"expected the metadata to describe observation_space and action_space; {error!r}. Pass spec=…, or write "
            "the dataset anew with Minari 0.5 or later."
        ) from error
    obs, action = (
        spaces.from_gymnasium(theirs["observation_space"]),
        spaces.action_from_gymnasium(theirs["action_space"]),
    )
    spec = EnvSpec(obs, action, env.get("max_episode_steps"), name=env.get("id") or "")
    return spec, lambda name, raw: spaces.convert(theirs[name], raw)


def _gymnasium(plain: dict[str, Any]) -> Any:
    from gymnasium import spaces as gs

    match plain["type"]:
        case "Box":
            low, high = (np.array(plain[name], plain["dtype"]) for name in ("low", "high"))
            return gs.Box(low, high, tuple(plain["shape"]), np.dtype(plain["dtype"]).type)
        case "Discrete":
            return gs.Discrete(plain["n"], start=plain.get("start", 0))
        case "MultiDiscrete":
            return gs.MultiDiscrete(plain["nvec"], start=plain.get("start"))
        case "MultiBinary":
            return gs.MultiBinary(plain["n"])
        case "Dict":
            return gs.Dict({name: _gymnasium(s) for name, s in plain["subspaces"].items()})
        case "Tuple":
            return gs.Tuple([_gymnasium(s) for s in plain["subspaces"]])
    raise DataError(
        f"expected spaces of Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple; got {plain['type']}. Its size "
        "is not fixed: write the dataset anew with a Box in its place."
    )


# --- arrays ---------------------------------------------------------------------------------------------------------


def _checked(episode: Episode, spec: EnvSpec) -> Episode:
    """In the spec's dtypes. Raises DataError."""
    steps = episode.length if np.ndim(episode.reward) else 0
    if steps == 0:
        raise DataError("expected an episode of at least one step; got none. Play before you keep it.")
    leaves = [len(x) for x in jax.tree.leaves(episode.obs)]
    if set(leaves) != {steps + 1}:
        raise DataError(
            f"expected {steps + 1} observations of {steps} steps, the last one too; got {leaves[0] if leaves else 0}."
        )
    first, second = (jax.tree.map(lambda x, s=s: np.asarray(x)[s], episode.obs) for s in (slice(-1), slice(1, None)))
    flags = (episode.reward, episode.terminated, episode.truncated)
    whole = Dataset(Transition(first, episode.action, *flags, second, dict(episode.extras)), np.zeros(steps, int), spec)
    d = jax.tree.map(np.asarray, whole.data)
    obs = jax.tree.map(lambda a, b: np.concatenate([a, b[-1:]]), d.obs, d.next_obs)
    return Episode(obs, d.action, d.reward, d.terminated, d.truncated, d.extras, dict(episode.about))


def _put(file: Any, number: int, episode: Episode, spec: EnvSpec) -> None:
    group = file.create_group(f"episode_{number}")
    group.attrs.update({**episode.about, "id": number, "total_steps": episode.length})
    _put_tree(group, "observations", _counted(spec.obs, episode.obs))
    _put_tree(group, "actions", _counted(spec.action, episode.action))
    for field, name in FLAGS:
        group[name] = getattr(episode, field)
    group.create_group("infos")  # Minari prints no episode without
    for name, x in episode.extras.items():
        _put_tree(group, f"infos/{name}", np.concatenate([np.zeros_like(x[:1]), x]))


def _put_tree(group: Any, name: str, tree: Any) -> None:
    if isinstance(tree, Mapping):
        for part, x in tree.items():
            _put_tree(group, f"{name}/{part}", x)
    else:
        group[name] = tree


def _counted(space: Space, tree: Any) -> Any:
    """Minari counts with int64."""
    if isinstance(space, Composite):
        return {name: _counted(s, tree[name]) for name, s in space.spaces}
    return tree.astype(np.int64) if isinstance(space, Discrete) else tree


def _get(node: Any, encoded: bool) -> Any:
    """Arrays of a group: dicts, and tuples where Minari numbered the parts."""
    if hasattr(node, "keys"):
        names = list(node.keys())
        if names and all(name.startswith("_index_") for name in names):
            return tuple(_get(node[f"_index_{k}"], encoded) for k in range(len(names)))
        return {name: _get(node[name], encoded) for name in names}
    array = node[()]
    first = array[:1].tobytes()[:2] if encoded and array.dtype == np.uint8 and array.ndim == 2 else b""
    if array.dtype == object or first == b"\xff\xd8":  # JPEG, as Minari keeps images unless told otherwise
        return np.stack([np.asarray(Image.open(io.BytesIO(bytes(one)))) for one in array])
    return array


# --- files ----------------------------------------------------------------------------------------------------------


def _data(folder: str | Path) -> Path:
    folder = Path(folder)
    return folder if (folder / METADATA).is_file() else folder / "data"


def _check_same(metadata: dict[str, Any], spec: EnvSpec, folder: Path) -> None:
    ours = spaces_of(spec)
    for name, key in (("obs", "observation_space"), ("action", "action_space")):
        try:
            there = json.loads(metadata[key])
        except (KeyError, TypeError, ValueError):
            there = None
        if json.dumps(there) != json.dumps(ours[name]):
            raise DataError(
                f"expected episodes of {spec.name or 'this environment'} in {folder}; the {name} space there is "
                f"{str(there)[:80]}, and here {str(ours[name])[:80]}. Give another folder: a dataset has one space."
            )


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise SpecError(
            "expected the package h5py for Minari datasets; it is not installed. Install it with: "
            "pip install 'operant[minari]'"
        ) from error
    return h5py


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """For reading. Raises DataError."""
    try:
        file = _h5py().File(path, "r")
    except OSError as error:
        raise DataError(f"expected HDF5 in {path}; it cannot be read ({error}). Copy it again.") from error
    with file:
        try:
            yield file
        except (KeyError, ValueError) as error:
            raise DataError(f"expected Minari's layout in {path}; got {error!r}. Copy it again.") from error


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[Any]:
    """A copy of an HDF5 file (or a new one) to write in, which takes the file's place, durably, if all goes well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists():
            shutil.copyfile(path, part)
        with _h5py().File(part, "a") as file:
            yield file
        with open(part, "rb+") as raw:
            os.fsync(raw.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time, among threads and processes."""
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """The system's errors in words."""
    try:
        yield
    except OperantError:
        raise
    except OSError as error:
        raise StoreError(
            f"expected to write episodes to {path}; the system answered: {error.strerror or error}. Free space, or "
            "choose a folder that can be written. Nothing already kept was lost."
        ) from error
