"""Whole episodes as Minari datasets: equal to the bit, durable one by one, read by Minari itself where it is here."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import jax
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.data import minari
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError, StoreError

h5py = pytest.importorskip("h5py")
SPEC = EnvSpec(Box((3,), -2.0, (1.0, 2.0, np.inf), names=("a", "b", "c")), Discrete(4), 7, name="Walk-v0")
SEEN = Composite((("seen", Box((2, 2, 3), 0, 255, "uint8")), ("bag", Discrete(5)), ("x", Box((1,)))))
MIXED = EnvSpec(SEEN, Box((2,), -1, 1), None)


def some(space, rng, n):
    """n elements of a space, within its bounds."""
    if isinstance(space, Composite):
        return {name: some(s, rng, n) for name, s in space.spaces}
    if isinstance(space, Discrete):
        return rng.integers(space.n, size=n).astype(np.int32)
    if space.dtype == "uint8":
        return rng.integers(256, size=(n, *space.shape)).astype(np.uint8)
    return rng.uniform(-1, 1, (n, *space.shape)).astype(np.float32)


def episode(spec=SPEC, length=5, seed=0, *, terminated=True, **about) -> minari.Episode:
    rng = np.random.default_rng(seed)
    last = np.arange(length) == length - 1
    reward = rng.normal(size=length).astype(np.float32)
    parts = some(spec.obs, rng, length + 1), some(spec.action, rng, length), reward
    return minari.Episode(*parts, last & terminated, last & (not terminated), about=about)


def dataset(spec=SPEC, lengths=(3, 1, 4)) -> Dataset:
    """Episodes that terminate, are truncated, or just stop; with extras."""
    parts = []
    for k, n in enumerate(lengths):
        one = episode(spec, n, k, terminated=k % 2 == 0)
        obs, after = (jax.tree.map(lambda x, s=s: x[s], one.obs) for s in (slice(0, -1), slice(1, None)))
        cut = one.terminated & (k < 2), one.truncated
        extras = {"log_prob": np.float32(one.reward) / 3, "kind": np.full((n, 2), k, np.int32)}
        parts.append(Transition(obs, one.action, one.reward, *cut, after, extras))
    numbers = np.repeat(np.arange(len(lengths)), lengths)
    return Dataset(jax.tree.map(lambda *x: np.concatenate(x), *parts), numbers, spec, origin="made", licence="CC0-1.0")


def same(a, b) -> bool:
    a, b = ([np.asarray(x) for x in jax.tree.leaves(t)] for t in (a, b))
    return [(x.dtype, x.shape, x.tobytes()) for x in a] == [(x.dtype, x.shape, x.tobytes()) for x in b]


@pytest.mark.parametrize("spec", [SPEC, MIXED], ids=["plain", "mixed"])
def test_a_dataset_comes_back_equal_to_the_bit(tmp_path, spec):
    data = dataset(spec)
    back = minari.read(minari.write(data, tmp_path / "set"))
    assert same((back.data, back.episode), (data.data, data.episode))
    assert (back.spec, back.source) == (data.spec, data.source)
    assert minari.read(tmp_path / "set" / "data").source == data.source


def test_the_layout_is_minaris(tmp_path):
    minari.write(dataset(), tmp_path / "set", id="operant/walk-v3")
    metadata = json.loads((tmp_path / "set" / "data" / "metadata.json").read_text())
    assert (metadata["dataset_id"], metadata["total_episodes"], metadata["total_steps"]) == ("operant/walk-v3", 3, 8)
    assert json.loads(metadata["action_space"]) == {"type": "Discrete", "dtype": "int64", "start": 0, "n": 4}
    space = json.loads(metadata["observation_space"])
    assert (space["dtype"], space["shape"], space["high"]) == ("float32", [3], [1.0, 2.0, np.inf])
    with h5py.File(tmp_path / "set" / "data" / "main_data.hdf5") as file:
        one = file["episode_0"]
        shapes = {name: one[name].shape for name in ("observations", "actions", "rewards", "terminations")}
        assert shapes == {"observations": (4, 3), "actions": (3,), "rewards": (3,), "terminations": (3,)}
        assert (one["actions"].dtype, one["rewards"].dtype, one["truncations"].dtype) == ("int64", "float32", "bool")
        assert one.attrs["total_steps"] == 3 and one["infos/log_prob"][0] == 0
        assert [file[f"episode_{k}"]["terminations"][-1] for k in range(3)] == [True, False, False]
        assert [file[f"episode_{k}"]["truncations"][-1] for k in range(3)] == [False, True, False]


@pytest.mark.parametrize("spec", [SPEC, MIXED], ids=["plain", "mixed"])
def test_minari_reads_it(tmp_path, spec):
    package = pytest.importorskip("minari", reason="Minari itself is not installed")
    data = dataset(spec)
    minari.write(data, tmp_path / "set")
    theirs = package.MinariDataset(tmp_path / "set" / "data")
    assert (theirs.total_episodes, theirs.total_steps) == (3, 8)
    for k, one in enumerate(theirs.iterate_episodes()):
        mine = np.asarray(data.episode) == k
        assert same(one.rewards, data.data.reward[mine]) and np.array_equal(one.actions, data.data.action[mine])
        seen = (lambda tree: tree["seen"]) if spec is MIXED else lambda tree: tree
        assert same(seen(one.observations)[:-1], seen(data.data.obs)[mine])
        assert theirs.observation_space.contains(
            jax.tree.map(lambda x: x[0] if x.ndim > 1 else int(x[0]), one.observations)
        )


def test_what_other_tools_wrote_is_read_as_gymnasiums_would_be(tmp_path):
    """As Minari lays out float64, a Discrete that starts at 1, a tuple, and JPEG: by hand, without Minari."""
    import io

    from PIL import Image

    data = tmp_path / "data"
    data.mkdir()
    box = {"type": "Box", "dtype": "float64", "shape": [2], "low": [-1.0, -1.0], "high": [1.0, 2.0]}
    image = {"type": "Box", "dtype": "uint8", "shape": [4, 4, 3], "low": np.zeros((4, 4, 3)).tolist(),
             "high": np.full((4, 4, 3), 255).tolist()}  # fmt: skip
    spaces = {
        "observation_space": json.dumps({"type": "Tuple", "subspaces": [box, image]}),
        "action_space": json.dumps({"type": "Discrete", "dtype": "int64", "start": 1, "n": 3}),
    }
    told = {"total_episodes": 1, "total_steps": 2, "dataset_id": "they/made-v1", "data_format": "hdf5"}
    told["env_spec"] = json.dumps({"id": "They-v1", "max_episode_steps": 9})
    (data / "metadata.json").write_text(json.dumps(told | spaces))
    jpeg = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 0, 0)).save(jpeg, "JPEG")
    coded = np.frombuffer(jpeg.getvalue(), np.uint8)
    with h5py.File(data / "main_data.hdf5", "w") as file:
        group = file.create_group("episode_0")
        group["observations/_index_0"] = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
        group["observations/_index_1"] = np.stack([coded] * 3)
        group["actions"] = np.array([1, 3])
        group["rewards"] = np.array([0.5, 1.5])
        group["terminations"], group["truncations"] = np.array([False, False]), np.array([False, True])
    back = minari.read(tmp_path)
    assert back.spec.obs == Composite((("0", Box((2,), -1.0, (1.0, 2.0))), ("1", Box((4, 4, 3), 0.0, 255.0, "uint8"))))
    assert (back.spec.action, back.spec.max_steps, back.spec.name) == (Discrete(3), 9, "They-v1")
    assert np.asarray(back.data.action).tolist() == [0, 2], "counted from 0 here"
    assert np.array_equal(back.data.obs["0"], np.float32([[0.1, 0.2], [0.3, 0.4]]))
    assert np.abs(np.asarray(back.data.next_obs["1"], int) - [200, 0, 0]).max() < 4
    assert np.asarray(back.data.truncated).tolist() == [False, True] and back.source.origin == "they/made-v1"


def test_episodes_are_added_and_read_back(tmp_path):
    kept = minari.Demonstrations(tmp_path / "demos", SPEC, id="operant/walk/ann-v0", about={"author": "Ann"})
    one, two = episode(length=5, seed=11, who="Ann"), episode(length=2, seed=3, terminated=False)
    assert (kept.episodes, kept.add(one), kept.add(two), kept.episodes, kept.steps) == (0, 0, 1, 2, 7)
    again = minari.Demonstrations(tmp_path / "demos", SPEC, id="operant/walk/ann-v0")
    assert (again.episodes, again.steps, again.add(one)) == (2, 7, 2)
    data = minari.read(tmp_path / "demos")
    assert (data.episodes, data.size, data.spec) == (3, 12, SPEC)
    assert same(data.data.obs[:5], one.obs[:-1]) and same(data.data.next_obs[4], one.obs[-1])
    assert same(data.data.reward[5:7], two.reward) and np.asarray(data.data.truncated)[5:7].tolist() == [False, True]
    assert minari.about(tmp_path / "demos")[0] == {"id": 0, "total_steps": 5, "who": "Ann"}


def test_threads_add_one_after_the_other(tmp_path):
    kept = minari.Demonstrations(tmp_path, SPEC, id="operant/walk-v0")
    threads = [threading.Thread(target=lambda: kept.add(episode())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert minari.read(tmp_path).episodes == kept.episodes == 6


def test_a_process_that_is_killed_leaves_whole_episodes(tmp_path):
    script = f"""
        import sys
        import numpy as np
        from operant.core import Box, Discrete, EnvSpec
        from operant.data import minari
        kept = minari.Demonstrations({str(tmp_path)!r}, EnvSpec(Box((300,)), Discrete(4), None), id="operant/walk-v0")
        ends = np.arange(200) == 199
        while True:
            x = np.full((201, 300), kept.episodes, np.float32)
            one = minari.Episode(x, np.zeros(200, int), np.zeros(200), ends, np.zeros(200, bool))
            print(kept.add(one), flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    acknowledged = [int(process.stdout.readline()) for _ in range(4)]
    os.kill(process.pid, signal.SIGKILL)
    rest = [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    last = (acknowledged + rest)[-1]
    spec = EnvSpec(Box((300,)), Discrete(4), None)
    kept = minari.Demonstrations(tmp_path, spec, id="operant/walk-v0")
    assert kept.episodes in (last + 1, last + 2)
    data = minari.read(tmp_path)
    assert np.array_equal(np.asarray(data.data.obs)[:, 0], np.repeat(np.arange(kept.episodes), 200))


def test_metadata_that_were_not_written_are_made_up_for(tmp_path):
    kept = minari.Demonstrations(tmp_path, SPEC, id="operant/walk-v0")
    kept.add(episode())
    before = (tmp_path / "data" / "metadata.json").read_text()
    kept.add(episode())
    (tmp_path / "data" / "metadata.json").write_text(before)
    assert minari.Demonstrations(tmp_path, SPEC, id="operant/walk-v0").episodes == 2
    assert minari.read_metadata(tmp_path)["total_episodes"] == 2 and minari.read(tmp_path).episodes == 2


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    kept = minari.Demonstrations(tmp_path, SPEC, id="operant/walk-v0")
    none = minari.Episode(np.zeros((1, 3)), np.zeros(0, int), np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))
    with pytest.raises(DataError, match=r"expected an episode of at least one step; got none\. Play before you"):
        kept.add(none)
    one = episode()
    short = minari.Episode(one.obs[:-1], one.action, one.reward, one.terminated, one.truncated)
    with pytest.raises(DataError, match=r"expected 6 observations of 5 steps, the last one too; got 5\."):
        kept.add(short)
    with pytest.raises(DataError, match="action"):
        kept.add(minari.Episode(one.obs, one.action + 9, one.reward, one.terminated, one.truncated))
    assert kept.episodes == 0 and not (tmp_path / "data" / "main_data.hdf5").exists()
    kept.add(one)
    with pytest.raises(DataError, match=r"expected episodes of Walk-v0 in .*; the obs space there is .*'shape': \[3\]"):
        minari.Demonstrations(tmp_path, EnvSpec(Box((2,)), Discrete(4), 7, name="Walk-v0"), id="x")
    with pytest.raises(DataError, match=r"expected no dataset in .*; there is one\. Give another folder"):
        minari.write(dataset(), tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(minari.shutil, "copyfile", full)
    with pytest.raises(StoreError, match=r"answered: No space left on device\. Free space, or .* already kept was"):
        kept.add(one)
    assert minari.read(tmp_path).episodes == 1 and [p.name for p in (tmp_path / "data").glob("*.part")] == []


def test_rows_that_do_not_follow_each_other_are_refused(tmp_path):
    data = dataset(lengths=(3,))
    broken = jax.tree.map(np.array, data.data)
    broken.next_obs[0] += 1
    with pytest.raises(DataError, match=r"next_obs of row 0 to be obs of row 1, .* they\s+differ \(1 such rows\)"):
        minari.write(Dataset(broken, np.zeros(3, int), SPEC), tmp_path / "set")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: (d / "metadata.json").unlink(), r"expected a Minari dataset in .*, with metadata\.json; it"),
        (lambda d: (d / "metadata.json").write_text("[]"), r"expected a Minari dataset in .* \('total_episodes'\)"),
        (lambda d: (d / "main_data.hdf5").write_bytes(b"x"), r"expected HDF5 in .*; it cannot be read"),
        (lambda d: (d / "main_data.hdf5").unlink(), r"expected HDF5 in .*; it cannot be read"),
        (lambda d: _edit(d, total_episodes=5), r"expected Minari's layout in "),
        (lambda d: _edit(d, data_format="arrow"), r"expected a Minari dataset in HDF5; .* is in arrow\."),
        (lambda d: _edit(d, operant={}, action_space='{"type": "Text"}'), r"expected spaces of Box, .*; got Text\."),
        (lambda d: _edit(d, operant={}, action_space="{"), r"expected the metadata to describe observation_space and"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(tmp_path, change, said):
    minari.write(dataset(), tmp_path)
    change(tmp_path / "data")
    with pytest.raises(DataError, match=said):
        minari.read(tmp_path)


def _edit(data, **changes):
    path = data / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_without_h5py_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SpecError, match=r"pip install 'operant\[minari\]'"):
        minari.Demonstrations(tmp_path, SPEC, id="operant/walk-v0")


def test_infos_that_are_no_numbers_are_left_out(tmp_path):
    minari.Demonstrations(tmp_path, SPEC, id="walk/x-v0").add(episode())
    with h5py.File(tmp_path / "data" / "main_data.hdf5", "a") as file:
        infos = file["episode_0/infos"]
        infos.create_group("tasks")["done"] = np.zeros(6)
        infos["words"], infos["speed"] = np.array([b"slow"] * 6), np.arange(6.0)
    extras = minari.read(tmp_path).data.extras
    assert "tasks" not in extras and "words" not in extras and extras["speed"].tolist() == [1, 2, 3, 4, 5]


def test_bytes_that_begin_as_a_jpeg_does_are_bytes(tmp_path):
    spec, x = EnvSpec(Box((4,), 0, 255, "uint8"), Discrete(4), None), np.full((3, 4), 7, np.uint8)
    x[0, :2] = 0xFF, 0xD8
    steps = {"action": np.zeros(2, int), "reward": np.zeros(2), "terminated": np.array([False, True])}
    data = Dataset.from_numpy(spec, obs=x[:-1], next_obs=x[1:], **steps)
    assert minari.read(minari.write(data, tmp_path / "ram")).source.sha256 == data.source.sha256


def test_names_with_slashes_come_back(tmp_path):
    spec = EnvSpec(Composite((("walker/x", Box((2,))), ("p", Composite((("a/b", Box((1,))),))))), Discrete(2), None)
    data = dataset(spec)
    extra = {"info/success": np.arange(data.size, dtype=np.float32)}
    told = Dataset(dataclasses.replace(data.data, extras=extra), data.episode, spec)
    back = minari.read(minari.write(told, tmp_path / "x"))
    assert back.source.sha256 == told.source.sha256 and list(back.data.extras) == ["info/success"]
