"""Labels out to files and in again: the same to the bit, twice is once, and damage is noticed."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from operant.core import Transition
from operant.data.comparisons import Store
from operant.data.labels_file import export, import_
from operant.data.segments import Pairs, Segments
from operant.errors import DataError, SpecError, StoreError
from operant.teachers import Answer

parquet = pytest.importorskip("pyarrow.parquet")
L = 4


def pairs(n: int, seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    mask = np.ones((n, L), bool)
    mask[0, 2:] = False  # its episode ended early

    def side() -> Segments:
        obs = lambda: {
            "image": rng.integers(0, 256, (n, L, 4, 4, 3), np.uint8),
            "angle": rng.integers(0, 2**32, (n, L, 2), np.uint64).astype(np.uint32).view(np.float32),  # NaNs too
        }
        flag = np.zeros((n, L), bool)
        action = rng.integers(0, 3, (n, L), np.int32)
        return Segments(Transition(obs(), action, rng.normal(size=(n, L)), flag, flag, obs(), {}), mask)

    return Pairs(side(), side())


def reply(store: Store, who: str, answer: Answer) -> int:
    question = store.lease(who)
    store.answer(question.id, answer, labeller=who, lease=question.lease, key=question.lease, seconds=1.25)
    return question.id


@pytest.fixture
def filled(open_store):
    """Six pairs: left, tie, undone and answered again, skipped, unsure, none; and a duplicate."""
    store = open_store(duplicates=0.5)
    store._chance = type("Chance", (), {"random": lambda _: 0.999, "shuffle": lambda *_: None})()
    about = [{"left": {"seed": i, "clip": f"clips/{i}.mp4"}, "right": {"seed": -i}} for i in range(6)]
    store.ask(pairs(6, 0), member=1, env_steps=640, about=about)
    reply(store, "ann", Answer.left)
    reply(store, "ann", Answer.tie)
    reply(store, "ann", Answer.left)
    store.undo("ann")
    reply(store, "ann", Answer.right)
    question = store.lease("ann")
    store.skip(question.id, labeller="ann", lease=question.lease)
    reply(store, "ann", Answer.unsure)
    store._chance = type("Chance", (), {"random": lambda _: 0.1, "shuffle": lambda *_: None})()
    assert reply(store, "bob", Answer.right) == 7
    return store


def content(store: Store) -> list:
    """Everything of a store that does not depend on its numbering."""
    given = [dataclasses.astuple(g)[1:] for g in store.given()]
    bits = [[x.tobytes() for x in jax.tree.leaves(store.pair(i))] for i in range(1, 8)]
    stats = dataclasses.replace(store.stats(), labellers=())
    who = [(w.name, w.n, w.median_seconds) for w in store.stats().labellers]
    return [given, bits, [store.about(i) for i in range(1, 8)], repr(stats), who, store.waiting(1)]


def test_out_and_in_again_is_the_same_to_the_bit(filled, tmp_path):
    files = export(filled, tmp_path / "labels")
    assert all(file.exists() for file in files) and files[0].name == "format.json"
    with Store(tmp_path / "other.db") as other:
        assert import_(other, tmp_path / "labels") == (7, 6)
        assert content(other) == content(filled)
        assert len(other.given()) == 6, "five that stood or were undone, and the withdrawal"
        assert import_(other, tmp_path / "labels") == (0, 0), "twice is once"
        assert content(other) == content(filled)
        export(other, tmp_path / "again")
        again = parquet.read_table(tmp_path / "again" / "labels.parquet")
        assert again == parquet.read_table(tmp_path / "labels" / "labels.parquet")
        # Whom a pair was skipped by is known there too.
        other.duplicates = 0.0
        assert [other.lease("ann").id, other.lease("bob").id] == [6, 4]
    assert import_(filled, tmp_path / "labels") == (0, 0)


def test_a_row_an_answer(filled, tmp_path):
    export(filled, tmp_path / "labels")
    rows = parquet.read_table(tmp_path / "labels" / "labels.parquet").to_pylist()
    assert [(r["pair"], r["answer"], r["labeller"], r["undone"]) for r in rows] == [
        (1, "left", "ann", None), (2, "tie", "ann", None), (3, "left", "ann", 4), (3, "right", "ann", None),
        (4, None, None, None), (5, "unsure", "ann", None), (6, None, None, None), (7, "right", "bob", None),
    ]  # fmt: skip
    assert [r["skipped_by"] for r in rows if r["skipped_by"]] == [["ann"]]
    assert {(r["member"], r["env_steps"]) for r in rows} == {(1, 640)}
    assert rows[-1]["duplicate_of"] in (1, 2, 3, 5) and rows[-1]["swapped"]
    assert json.loads(rows[1]["about"])["left"] == {"seed": 1, "clip": "clips/1.mp4"} and rows[0]["seconds"] == 1.25
    header = json.loads((tmp_path / "labels" / "format.json").read_text())
    assert (header["format"], header["version"], header["pairs"], header["answers"]) == ("operant-labels", 1, 7, 6)


def test_later_answers_and_withdrawals_are_added(filled, tmp_path):
    with Store(tmp_path / "other.db") as other:
        export(filled, tmp_path / "labels")
        import_(other, tmp_path / "labels")
        read = other.given()[-1].id
        filled.duplicates = 0.0
        assert reply(filled, "bob", Answer.left) == 4
        assert filled.undo("ann") == 5
        export(filled, tmp_path / "labels")
        assert import_(other, tmp_path / "labels") == (0, 1)
        assert [(g.pair, g.answer) for g in other.given(read)] == [(4, Answer.left), (5, None)]


def test_where_both_answered_ours_stands_and_theirs_counts_for_agreement(filled, tmp_path):
    with Store(tmp_path / "other.db") as other:
        export(filled, tmp_path / "labels")
        import_(other, tmp_path / "labels")
        filled.duplicates = other.duplicates = 0.0
        before = other.stats().agreement.n
        assert reply(filled, "bob", Answer.left) == 4 == reply(other, "cy", Answer.left)
        export(filled, tmp_path / "labels")
        given = other.given()
        assert import_(other, tmp_path / "labels") == (0, 1) and import_(other, tmp_path / "labels") == (0, 0)
        assert other.given() == given and other.stats().agreement.n == before + 1


def test_segments_open_as_episodes(filled, tmp_path):
    h5py = pytest.importorskip("h5py")
    export(filled, tmp_path / "labels")
    data = tmp_path / "labels" / "segments" / "data"
    metadata = json.loads((data / "metadata.json").read_text())
    assert metadata["total_episodes"] == 12 and metadata["total_steps"] == 12 * L - 4
    left = filled.pair(1).left
    number = parquet.read_table(tmp_path / "labels" / "labels.parquet").column("left")[0].as_py()
    with h5py.File(data / "main_data.hdf5") as file:
        [first] = [episode for episode in file.values() if episode.attrs["segment"] == number]
        assert first.attrs["total_steps"] == 2, "its own steps alone"
        image = first["observations/image"][()]
        assert image.dtype == np.uint8 and len(image) == 3
        assert (image[:2] == left.steps.obs["image"][0, :2]).all()
        assert (image[2] == left.steps.next_obs["image"][0, 1]).all()
        assert first["rewards"][()].tolist() == left.steps.reward[0, :2].tolist()


def test_minari_reads_it(filled, tmp_path):
    minari = pytest.importorskip("minari")
    export(filled, tmp_path / "labels")
    dataset = minari.MinariDataset(tmp_path / "labels" / "segments" / "data")
    number = parquet.read_table(tmp_path / "labels" / "labels.parquet").column("left")[1].as_py()
    episode = dataset[number - 1]
    assert dataset.total_episodes == 12 and len(episode) == L
    assert (episode.observations["image"][:-1] == filled.pair(2).left.steps.obs["image"][0]).all()


def test_segments_of_two_shapes_make_no_minari_dataset(filled, tmp_path):
    export(filled, tmp_path / "labels")
    wider = jax.tree.map(lambda x: x if x.ndim == 2 else np.concatenate([x, x], -1), pairs(1, 9))
    filled.ask(wider, member=0, env_steps=0)
    files = export(filled, tmp_path / "labels")
    assert [file.name for file in files] == ["format.json", "labels.parquet", "segments.parquet"]
    assert not list((tmp_path / "labels" / "segments" / "data").iterdir())


def test_an_empty_store(tmp_path):
    with Store(tmp_path / "a.db") as a, Store(tmp_path / "b.db") as b:
        export(a, tmp_path / "labels")
        assert import_(b, tmp_path / "labels") == (0, 0)


# --- errors ---


@pytest.fixture
def other(tmp_path):
    with Store(tmp_path / "errors.db") as store:
        yield store
        assert store.waiting() == 0 and not store.given(), "nothing may have been imported"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    with Store(folder / "labels.db") as store:
        store.ask(pairs(2, 3), member=0, env_steps=0)
        reply(store, "ann", Answer.left)
        export(store, folder / "out")
    return folder / "out"


@pytest.fixture
def copy(exported, tmp_path):
    import shutil

    return shutil.copytree(exported, tmp_path / "copy")


def test_no_export(other, tmp_path):
    with pytest.raises(
        DataError, match=r"expected exported labels in .*without format\.json the export was not finished"
    ):
        import_(other, tmp_path)


def test_a_newer_format(other, copy):
    header = json.loads((copy / "format.json").read_text()) | {"version": 2, "operant": "9.9"}
    (copy / "format.json").write_text(json.dumps(header))
    with pytest.raises(DataError, match=r"operant-labels of version 1 .* of version 2, written by operant 9\.9"):
        import_(other, copy)


@pytest.mark.parametrize("name", ["labels.parquet", "segments/segments.parquet"])
def test_a_file_cut_short(other, copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-20])
    with pytest.raises(DataError, match="expected the Parquet files of exported labels"):
        import_(other, copy)


def test_an_altered_segment(other, copy):
    path = copy / "segments" / "segments.parquet"
    table = parquet.read_table(path)
    data = [b[:-1] + bytes([b[-1] ^ 1]) for b in table.column("data").to_pylist()]
    parquet.write_table(table.set_column(2, "data", [data]), path)
    with pytest.raises(DataError, match=r"expected segment 1 .* to hash to .*; it does not"):
        import_(other, copy)


def test_an_unknown_answer(other, copy):
    path = copy / "labels.parquet"
    rows = parquet.read_table(path)
    changed = [{**row, "answer": "perhaps"} for row in rows.to_pylist()]
    parquet.write_table(type(rows).from_pylist(changed, schema=rows.schema), path)
    with pytest.raises(DataError, match=r"to be of \['left', .*got 'perhaps' about pair 1"):
        import_(other, copy)


def test_a_key_that_names_another_answer_here(exported, tmp_path):
    row = parquet.read_table(exported / "labels.parquet").to_pylist()[0]
    with Store(tmp_path / "labels.db") as store:
        store.ask(pairs(1, 5), member=0, env_steps=0)
        question = store.lease("ann")
        store.answer(1, Answer.tie, labeller="ann", lease=question.lease, key=row["key"], seconds=1)
        with pytest.raises(
            DataError, match=r"of 'ann' to name one answer; .* left about pair 1, here tie about pair 1"
        ):
            import_(store, exported)
        assert len(store.given()) == 1 and store.waiting() == 0, "all or none"


def test_without_pyarrow(other, exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (export, import_):
        with pytest.raises(SpecError, match=r"pip install 'operant\[parquet\]'"):
            call(other, exported)


def test_a_folder_that_cannot_be_written(other, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError, match=r"expected to write the labels to .*file/x; the system answered: Not a directory"
    ):
        export(other, tmp_path / "file" / "x")
