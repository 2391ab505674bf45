"""Labels as a folder of plain files, to keep, publish or carry to another store. Needs `operant[parquet]`.

    format.json                  {"format": "operant-labels", "version": 1, "operant": …, "pairs": …, "answers": …}
    labels.parquet               one row an answer, and one for each pair without any
    segments/segments.parquet    id, sha256, data: each segment's exact bytes (`operant.data._segment_bytes`)
    segments/data/               the same segments as a Minari dataset; where h5py is installed and all are alike

Columns of labels.parquet. Of the pair: `pair`, `uid` (the same in every store), `left` and `right` (ids in
segments.parquet), `member`, `env_steps`, `asked` (Unix seconds), `about` (JSON; seeds and clips), `duplicate_of` (the
pair it repeats), `swapped` (its sides, against that pair), `skipped_by` (labellers). Of the answer, null where there
is none: `id` (rises with time), `answer` ("left", "right", "tie", "unsure"), `labeller`, `at` (Unix seconds), `seconds`
taken, `key`, `undone` (number of its withdrawal, null: it stands), `undone_at`.

Import knows a pair by its `uid` and an answer by labeller and key, so the same folder again changes nothing. Where
both stores answered a pair, ours stands, and the imported answer becomes one about a duplicate, which counts for
agreement.
"""

import contextlib
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

import operant
from operant.data import _segments_minari, _store_rows
from operant.data._store_schema import answers, pairs, segments, skips
from operant.data.comparisons import Store
from operant.errors import DataError, SpecError, StoreError
from operant.io.checkpoint import write_atomically
from operant.teachers import Answer

FORMAT, VERSION = "operant-labels", 1
ROW_GROUP = 16_000_000
"""Bytes of segments held at once."""
PAIR = ("left_id", "right_id", "member", "env_steps", "asked", "about", "swapped")


class Imported(NamedTuple):
    """What was new."""

    pairs: int
    answers: int


def export(store: Store, folder: str | Path) -> list[Path]:
    """Write everything in the store to `folder`; returns the files. format.json comes last: with it, it is whole.

    Raises:
        SpecError: pyarrow is not installed.
        StoreError: the folder cannot be written, or a segment is damaged.
    """
    folder = Path(folder)
    pyarrow, parquet = _pyarrow()

    def work(connection: sa.Connection) -> list[Path]:
        rows = _labels(connection)
        (folder / "segments").mkdir(parents=True, exist_ok=True)
        files = [folder / "labels.parquet", folder / "segments" / "segments.parquet"]
        with _fresh(files[0]) as path:
            parquet.write_table(pyarrow.Table.from_pylist(rows, schema=_schema(pyarrow)), path)
        schema = pyarrow.schema([("id", "int64"), ("sha256", "string"), ("data", "large_binary")])
        with _fresh(files[1]) as path, parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(connection, store.name):
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
        if _segments_minari.available():
            files += _minari(connection, store.name, folder / "segments" / "data")
        counts = {"pairs": len({row["pair"] for row in rows}), "answers": sum(row["id"] is not None for row in rows)}
        header = {"format": FORMAT, "version": VERSION, "operant": operant.__version__, **counts}
        write_atomically(folder / "format.json", [json.dumps(header, indent=1).encode()])
        return [folder / "format.json", *files]

    try:
        (folder / "format.json").unlink(missing_ok=True)
        return store.database.run(work, "snapshot")
    except OSError as error:
        raise StoreError(
            f"expected to write the labels to {folder}; the system answered: {error.strerror or error}. Free space, or "
            "choose a folder that can be written."
        ) from error


def import_(store: Store, folder: str | Path) -> Imported:
    """Add what is in `folder` and not yet in the store; labels all or none. The same folder again changes nothing.

    Raises:
        SpecError: pyarrow is not installed.
        DataError: no export, of a newer version, damaged, or keys that name other answers here.
        StoreError: it cannot be written.
    """
    folder = Path(folder)
    parquet = _pyarrow()[1]
    _header(folder)
    with _readable(folder):
        rows = parquet.read_table(folder / "labels.parquet").to_pylist()
    words = {None, *(answer.name for answer in Answer)}
    if strange := [row for row in rows if row["answer"] not in words]:
        raise DataError(
            f"expected answers in {folder} to be of {[a.name for a in Answer]}; got {strange[0]['answer']!r} about "
            f"pair {strange[0]['pair']}. Correct labels.parquet. No label was imported."
        )
    numbers = {}
    with _readable(folder), parquet.ParquetFile(folder / "segments" / "segments.parquet") as file:
        for batch in file.iter_batches(batch_size=64):
            part = batch.to_pylist()
            for row in part:
                if hashlib.sha256(row["data"]).hexdigest() != row["sha256"]:
                    raise DataError(
                        f"expected segment {row['id']} in {folder} to hash to {row['sha256'][:12]}…; it does not: the "
                        "file was altered or damaged. Copy it again. No label was imported."
                    )
            blobs = [row["data"] for row in part]
            new = store.database.run(lambda c, blobs=blobs: _store_rows.segments(c, blobs), "write")
            numbers |= dict(zip((row["id"] for row in part), new, strict=True))
    return store.database.run(lambda c: _merge(c, rows, numbers, folder), "write", alone=True)


# --- writing ---


def _schema(pyarrow: Any) -> Any:
    kinds = {
        "id": "int64", "pair": "int64", "uid": "string", "left": "int64", "right": "int64", "answer": "string",
        "labeller": "string", "at": "double", "seconds": "double", "key": "string", "member": "int64",
        "env_steps": "int64", "asked": "double", "about": "string", "duplicate_of": "int64", "swapped": "bool",
        "undone": "int64", "undone_at": "double",
    }  # fmt: skip
    fields = [pyarrow.field(name, getattr(pyarrow, kind.replace("double", "float64").replace("bool", "bool_"))())
              for name, kind in kinds.items()]  # fmt: skip
    return pyarrow.schema([*fields, pyarrow.field("skipped_by", pyarrow.list_(pyarrow.string()))])


def _labels(connection: sa.Connection) -> list[dict[str, Any]]:
    """Rows of labels.parquet, by pair and answer."""
    later = answers.alias()
    query = (
        sa.select(pairs, answers, later.c.at.label("undone_at"))
        .outerjoin(answers, sa.and_(answers.c.pair_id == pairs.c.id, answers.c.answer.is_not(None)))
        .outerjoin(later, later.c.id == answers.c.undone)
        .order_by(pairs.c.id, answers.c.id)
    )
    skipped: dict[int, list[str]] = {}
    for row in connection.execute(sa.select(skips).order_by(skips.c.pair_id, skips.c.labeller)):
        skipped.setdefault(row.pair_id, []).append(row.labeller)
    rows = []
    for row in connection.execute(query).mappings():
        answer = row[answers.c.answer]
        entry = {name: row[answers.c[name]] for name in ("id", "labeller", "at", "seconds", "key", "undone")}
        entry |= {name: row[pairs.c[name]] for name in ("uid", *PAIR[2:], "duplicate_of")}
        entry |= {"pair": row[pairs.c.id], "left": row[pairs.c.left_id], "right": row[pairs.c.right_id]}
        entry |= {"answer": None if answer is None else Answer(answer).name, "undone_at": row["undone_at"]}
        rows.append(entry | {"skipped_by": skipped.get(row[pairs.c.id], [])})
    return rows


def _batches(connection: sa.Connection, name: str) -> Iterator[list[dict[str, Any]]]:
    """All segments in order, a few million bytes at a time."""
    sizes = connection.execute(sa.select(segments.c.id, sa.func.length(segments.c.data)).order_by(segments.c.id)).all()
    hashes = {row.id: row.sha256 for row in connection.execute(sa.select(segments.c.id, segments.c.sha256))}
    start = 0
    while start < len(sizes):
        end, size = start, 0
        while end < len(sizes) and (end == start or size + sizes[end][1] <= ROW_GROUP):
            size, end = size + sizes[end][1], end + 1
        ids = [row[0] for row in sizes[start:end]]
        found = _store_rows.contents(connection, ids, name)
        yield [{"id": i, "sha256": hashes[i], "data": found[i]} for i in ids]
        start = end


def _minari(connection: sa.Connection, name: str, folder: Path) -> list[Path]:
    """The files of the Minari dataset; none where segments differ in shape, or there are none."""
    folder.mkdir(exist_ok=True)
    data, metadata = folder / "main_data.hdf5", folder / "metadata.json"
    with _fresh(data) as path, contextlib.closing(_segments_minari.Writer(path)) as writer:
        for batch in _batches(connection, name):
            for row in batch:
                writer.add(row["id"], row["data"])
    if writer.uniform and writer.episodes:
        writer.describe(metadata)
        return [data, metadata]
    data.unlink()
    metadata.unlink(missing_ok=True)
    return []


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path`, durably, if all goes well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# --- reading ---


def _header(folder: Path) -> None:
    try:
        header = json.loads((folder / "format.json").read_text())
        form, version = header["format"], header["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"expected exported labels in {folder}, with a format.json; there is none that can be read. Give the "
            "folder that `operant labels export` wrote; without format.json the export was not finished."
        ) from error
    if form != FORMAT or version != VERSION:
        raise DataError(
            f"expected {FORMAT} of version {VERSION} in {folder}; got {form} of version {version}, written by operant "
            f"{header.get('operant', 'unknown')}. Install that version to read it: this is operant "
            f"{operant.__version__}."
        )


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise DataError(
            f"expected the Parquet files of exported labels in {folder}; got {type(error).__name__}: {error}. Copy the "
            "folder again. No label was imported."
        ) from error


def _merge(connection: sa.Connection, rows: list[dict[str, Any]], numbers: dict[int, int], folder: Path) -> Imported:
    known = {row.uid: row.id for row in connection.execute(sa.select(pairs.c.uid, pairs.c.id))}
    ours, new_pairs = {}, 0  # the file's pair -> this store's
    for row in sorted(rows, key=lambda row: row["pair"]):  # a duplicate comes after what it repeats
        if row["pair"] not in ours and row["uid"] in known:
            ours[row["pair"]] = known[row["uid"]]
        elif row["pair"] not in ours:
            values = {name: row[name] for name in ("uid", *PAIR[2:])}
            values |= {"left_id": numbers[row["left"]], "right_id": numbers[row["right"]]}
            values["duplicate_of"] = None if row["duplicate_of"] is None else ours[row["duplicate_of"]]
            [ours[row["pair"]]] = _store_rows.new_pairs(connection, [values])
            new_pairs += 1
        for labeller in row["skipped_by"] or ():
            skip = {"pair_id": ours[row["pair"]], "labeller": labeller}
            if not connection.execute(sa.select(skips).filter_by(**skip)).first():
                connection.execute(sa.insert(skips).values(skip))

    events = [(row["id"], row, False) for row in rows if row["id"] is not None]
    events += [(row["undone"], row, True) for row in rows if row["undone"] is not None]
    new_answers = 0
    for _, row, withdrawn in sorted(events, key=lambda event: event[0]):
        mine = sa.select(answers).where(answers.c.labeller == row["labeller"], answers.c.key == row["key"])
        answer = connection.execute(mine).first()
        if withdrawn:
            assert answer is not None  # its event came before
            if answer.undone is None:
                _store_rows.withdraw(connection, answer, row["undone_at"])
        elif answer is None:
            _insert(connection, row, ours[row["pair"]])
            new_answers += 1
        else:
            _same(connection, row, ours[row["pair"]], answer, folder)
    return Imported(new_pairs, new_answers)


def _insert(connection: sa.Connection, row: dict[str, Any], pair: int) -> None:
    there = connection.execute(sa.select(pairs).where(pairs.c.id == pair).with_for_update(key_share=True)).one()
    if there.answer_id is not None:
        copied = {name: getattr(there, name) for name in PAIR}
        repeat = copied | {"duplicate_of": there.duplicate_of or there.id}
        [pair] = _store_rows.new_pairs(connection, [repeat])
    number = _store_rows.number(connection)
    values = {name: row[name] for name in ("labeller", "at", "seconds", "key")}
    values |= {"id": number, "pair_id": pair, "answer": int(Answer[row["answer"]])}
    connection.execute(sa.insert(answers).values(values))
    free = {"lease": None, "leased_to": None, "expires": None}
    connection.execute(sa.update(pairs).where(pairs.c.id == pair).values(answer_id=number, **free))


def _same(connection: sa.Connection, row: dict[str, Any], pair: int, answer: Any, folder: Path) -> None:
    """Refuse an answer whose key names another one here."""
    root = sa.select(sa.func.coalesce(pairs.c.duplicate_of, pairs.c.id))
    roots = [connection.execute(root.where(pairs.c.id == i)).scalar() for i in (pair, answer.pair_id)]
    if roots[0] != roots[1] or Answer(answer.answer).name != row["answer"]:
        raise DataError(
            f"expected the key {row['key']!r} of {row['labeller']!r} to name one answer; in {folder} it is "
            f"{row['answer']} about pair {row['pair']}, here {Answer(answer.answer).name} about pair {answer.pair_id}. "
            "Rename the labeller in one of them. No label was imported."
        )


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SpecError(
            f"expected the package pyarrow; it is not installed in {sys.prefix}. "
            "Install it with: pip install 'operant[parquet]'"
        ) from error
