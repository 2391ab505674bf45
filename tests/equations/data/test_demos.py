"""Demonstrations come back from every place as they went, and what is wrong with them is said."""

import dataclasses

import jax
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec
from operant.data import demos
from operant.data.dataset import Dataset
from operant.errors import DataError, StoreError

SPEC = EnvSpec(Box((2,), -3.0, 3.0), Box((1,), -1.0, 1.0), 4, name="walk")


def walk(spec: EnvSpec = SPEC, episodes: int = 3, length: int = 4) -> Dataset:
    rng, rows = np.random.default_rng(0), episodes * length
    path = np.cumsum(rng.uniform(-0.3, 0.3, (episodes, length + 1, 2)), axis=1).astype(np.float32)
    last = np.tile(np.arange(length) == length - 1, episodes)
    if isinstance(spec.action, Discrete):
        action = rng.integers(spec.action.n, size=rows)
    else:
        action = rng.uniform(-1.0, 1.0, (rows, 1)).astype(np.float32)
    return Dataset.from_numpy(
        spec, obs=path[:, :-1].reshape(rows, 2), action=action, reward=np.ones(rows, np.float32),
        terminated=np.zeros(rows, bool), truncated=last, next_obs=path[:, 1:].reshape(rows, 2), origin="by hand",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["a.operant", "a.npz", "folder"])
def test_what_is_written_is_read_to_the_bit(tmp_path, name):
    data = walk()
    path = demos.write(data, tmp_path / "new" / name)
    back = demos.read(path, SPEC)
    same = jax.tree.map(lambda a, b: np.array_equal(np.asarray(a), np.asarray(b)), data.data, back.data)
    assert all(jax.tree.leaves(same)) and np.array_equal(data.episode, back.episode)
    assert back.source.sha256 == data.source.sha256 and back.spec == SPEC
    with pytest.raises(DataError, match=r"expected nothing at .*; there is something. Give another name"):
        demos.write(data, path)


def test_minari_names_are_looked_up_in_minaris_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    demos.write(walk(), tmp_path / "walks" / "mine-v0")
    assert demos.read("minari:walks/mine-v0").episodes == 3
    with pytest.raises(DataError, match=r"expected Minari's dataset 'other-v0' .* Download it first"):
        demos.read("minari:other-v0")


def test_an_npz_shows_its_spaces(tmp_path):
    data = walk(EnvSpec(SPEC.obs, Discrete(3), 4))
    found = demos.read(demos.write(data, tmp_path / "a.npz"))
    assert found.spec.obs == Box((2,)) and isinstance(found.spec.action, Discrete)


def test_what_cannot_be_read_is_said(tmp_path):
    np.savez(tmp_path / "less.npz", obs=np.zeros((3, 2)), action=np.zeros(3, int))
    with pytest.raises(DataError, match=r"expected the arrays .* reward, terminated, next_obs are not there"):
        demos.read(tmp_path / "less.npz")
    np.savez(tmp_path / "objects.npz", obs=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"expected NumPy arrays"):
        demos.read(tmp_path / "objects.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"expected NumPy arrays in .*cut.npz; it cannot be read"):
        demos.read(tmp_path / "cut.npz")


def test_the_first_episodes_and_no_more_than_there_are():
    assert demos.first(walk(), 2).size == 8
    with pytest.raises(DataError, match=r"expected 1 ≤ episodes ≤ 3.*got 4"):
        demos.first(walk(), 4)


def test_statistics_by_hand():
    found = demos.stats(walk())
    assert (found["episodes"], found["steps"], found["truncated"], found["unfinished"]) == (3, 12, 3, 0)
    assert found["return"] == {"mean": 4.0, "least": 4.0, "most": 4.0}


def test_kept_once_under_its_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(demos.platformdirs, "user_cache_dir", lambda *_: str(tmp_path))
    path = demos.keep(walk())
    written = path.stat().st_mtime_ns
    assert demos.keep(walk()) == path and path.stat().st_mtime_ns == written
    assert demos.read(path).source.sha256 == walk().source.sha256


def test_an_npz_where_episodes_end_in_states_nobody_left(tmp_path):
    ends = np.array([0, 0, 1], bool)
    here = {"obs": np.arange(3), "action": np.ones(3, int), "reward": np.zeros(3), "terminated": ends}
    np.savez(tmp_path / "line.npz", **here, next_obs=np.arange(1, 4))
    found = demos.read(tmp_path / "line.npz")
    assert found.spec.obs == Discrete(4) and found.data.next_obs.tolist() == [1, 2, 3]


def test_the_same_arrays_of_another_spec_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(demos.platformdirs, "user_cache_dir", lambda *_: str(tmp_path))
    one = walk()
    other = Dataset(one.data, one.episode, dataclasses.replace(one.spec, name="another"))
    assert demos.read(demos.keep(one)).spec == one.spec and demos.read(demos.keep(other)).spec == other.spec


def test_files_that_are_no_demonstrations(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    np.save(tmp_path / "y.npy", np.zeros(3))
    (tmp_path / "y.npy").rename(tmp_path / "y.npz")
    for name in ("x.csv", "y.npz"):
        with pytest.raises(DataError, match=r"none of the files read here|cannot be read"):
            demos.read(tmp_path / name)
    with pytest.raises(StoreError):
        demos.write(walk(), "/proc/nope/x.npz")
    clash = Dataset(dataclasses.replace(walk().data, extras={"reward": np.zeros(walk().size)}), walk().episode, SPEC)
    with pytest.raises(DataError, match="expected extras of other names than the columns of"):
        demos.write(clash, tmp_path / "z.npz")
