"""Rows of the comparison store, written and read within the transaction that is open."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from operant.data import _store_schema as tables
from operant.errors import StoreError

AT_ONCE = 500
"""Most values in one IN (…)."""


def segments(connection: sa.Connection, blobs: Sequence[bytes]) -> list[int]:
    """The segments' numbers, after those that are new were inserted."""
    hashes = [hashlib.sha256(blob).hexdigest() for blob in blobs]
    content = dict(zip(hashes, blobs, strict=True))
    known = _numbers(connection, list(content))
    new = [{"sha256": h, "data": content[h]} for h in sorted(content) if h not in known]
    if new:
        # Another process may insert the same one meanwhile; in one order, so that two cannot wait for each other.
        insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(tables.segments)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["sha256"]), new)
        known |= _numbers(connection, [row["sha256"] for row in new])
    return [known[h] for h in hashes]


def _numbers(connection: sa.Connection, hashes: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    columns = tables.segments.c
    for start in range(0, len(hashes), AT_ONCE):
        wanted = columns.sha256.in_(hashes[start : start + AT_ONCE])
        found |= {row.sha256: row.id for row in connection.execute(sa.select(columns.sha256, columns.id).where(wanted))}
    return found


def contents(connection: sa.Connection, ids: Sequence[int], store: str) -> dict[int, bytes]:
    """The segments' bytes by number.

    Raises:
        StoreError: they do not match their hash; `store` is named.
    """
    table, found = tables.segments, {}
    for start in range(0, len(ids), AT_ONCE):
        for row in connection.execute(sa.select(table).where(table.c.id.in_(ids[start : start + AT_ONCE]))):
            if hashlib.sha256(row.data).hexdigest() != row.sha256:
                raise StoreError(
                    f"expected segment {row.id} of {store} to hash to {row.sha256[:12]}…; it does not: it was altered "
                    "or damaged. Take the store from a copy."
                )
            found[row.id] = bytes(row.data)
    return found


def new_pairs(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[int]:
    """The numbers of new pairs, in order."""
    table, found = tables.pairs, {}
    rows = [{"uid": secrets.token_hex(16)} | row for row in rows]
    if rows:
        connection.execute(sa.insert(table), rows)
    for start in range(0, len(rows), AT_ONCE):
        wanted = table.c.uid.in_([row["uid"] for row in rows[start : start + AT_ONCE]])
        found |= {row.uid: row.id for row in connection.execute(sa.select(table.c.uid, table.c.id).where(wanted))}
    return [found[row["uid"]] for row in rows]


def number(connection: sa.Connection) -> int:
    """The next answer's number. Its row stays locked until the commit, so numbers rise in the order of commits.

    A sequence would not do: a reader that has seen number 6 would never look again for 5, committed later.
    """
    last = tables.counter.c.last
    return connection.execute(sa.update(tables.counter).values(last=last + 1).returning(last)).scalar_one()


def withdraw(connection: sa.Connection, answer: Any, at: float, key: str | None = None) -> None:
    """A row that says that the answer in row `answer` stands no more; `key` names this row, as an answer's does."""
    new, answers, pairs = number(connection), tables.answers, tables.pairs
    row = {"id": new, "pair_id": answer.pair_id, "labeller": answer.labeller, "at": at, "seconds": 0.0}
    connection.execute(sa.insert(answers).values(row | {"key": key, "session": answer.session}))
    connection.execute(sa.update(answers).where(answers.c.id == answer.id).values(undone=new))
    connection.execute(sa.update(pairs).where(pairs.c.id == answer.pair_id).values(answer_id=None))
