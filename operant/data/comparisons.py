"""The comparison store: pairs of segments to be judged, and what people answered about them.

An answer is acknowledged only after it is durable, and stands once however often it is sent. A pair is leased to one
labeller at a time and comes back when the lease ends. Nothing is deleted: an answer that is undone is withdrawn by a
later row, so that whoever reads `given` from the beginning learns the same history. Segments lie in the store itself,
each once, so that rewards can be fitted and clips shown again from it alone.

A file on a local disk serves one machine; PostgreSQL serves many. Times are the clock of the machine that calls:
machines that share a store must agree within a fraction of `lease_seconds`.

>>> import tempfile
>>> import numpy as np
>>> from operant.core import Transition
>>> from operant.data.segments import Segments
>>> x, no = np.zeros((1, 4), np.float32), np.zeros((1, 4), bool)
>>> side = lambda number: Segments(Transition(x + number, x, x, no, no, x, {}), ~no)
>>> with Store(tempfile.mkdtemp() + "/labels.db") as store:
...     [pair] = store.ask(Pairs(side(1), side(2)), member=0, env_steps=0)
...     question = store.lease("ann")
...     number = store.answer(pair, Answer.right, labeller="ann", lease=question.lease, key="ann-1", seconds=2.5)
...     [(given.pair, given.answer.name) for given in store.given()], store.waiting()
([(1, 'right')], 0)
"""

import dataclasses
import json
import math
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from operant.data import _segment_bytes, _store_rows
from operant.data._store_engine import Database, Refused
from operant.data._store_rows import AT_ONCE
from operant.data._store_schema import answers, pairs, skips
from operant.data._store_stats import Stats, stats
from operant.data.segments import Pairs
from operant.errors import DataError, SpecError, StoreError
from operant.teachers import Answer

SPACING = 5
"""A labeller's own answer is asked again only after this many others, so that they do not answer from memory."""
FREE = {"lease": None, "leased_to": None, "expires": None, "session": ""}


@dataclasses.dataclass(frozen=True)
class Question:
    """A pair that is leased to a labeller."""

    id: int
    left: int
    """Segment."""
    right: int
    lease: str
    """Unguessable; proves who holds the pair."""
    expires: float
    """Unix seconds."""


@dataclasses.dataclass(frozen=True)
class Given:
    """One answer, as training reads it."""

    id: int
    """Increases with the time of commit; never used again."""
    pair: int
    member: int
    """Of the seeds that are trained side by side."""
    answer: Answer | None
    """None: the earlier answer about this pair was undone."""
    labeller: str
    at: float
    """Unix seconds."""
    seconds: float
    """Taken to answer."""


class Store:
    """The store at `url`: a path, `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE`. Made where there is none.

    Safe to use from many threads, and from many processes at once.

    Args:
        lease_seconds: how long a pair is held for a labeller who says nothing.
        duplicates: share of questions, in [0, 1), that repeat an answered pair, sides swapped at random: a labeller's
            own, which measures consistency, or another's, which measures agreement. Training never sees them.

    Raises:
        SpecError: a URL, number or extra that cannot be used.
        StoreError: it cannot be opened, is something else, or is of a newer version.
    """

    def __init__(self, url: str | Path, *, lease_seconds: float = 90.0, duplicates: float = 0.0):
        if not (math.isfinite(lease_seconds) and lease_seconds > 0.0):
            raise SpecError(f"expected lease_seconds > 0; got {lease_seconds:g}. A minute or two suits people.")
        if not 0.0 <= duplicates < 1.0:
            raise SpecError(f"expected duplicates in [0, 1); got {duplicates:g}. 0.1 repeats one question in ten.")
        self.lease_seconds, self.duplicates = lease_seconds, duplicates
        self._chance = secrets.SystemRandom()
        self.database = Database(url)

    @property
    def name(self) -> str:
        """The file, or the address without its password."""
        return str(self.database.name)

    # --- asking ---

    def ask(self, pairs: Pairs, *, member: int, env_steps: int, about: Sequence[dict] | None = None) -> list[int]:
        """Store n pairs to be judged, all or none.

        Args:
            pairs: (n, L); the observation may be a dict.
            member: which of the seeds trained side by side asks.
            env_steps: environment steps that seed had done.
            about: one JSON-able dict a pair; entries "left" and "right" belong to the sides.

        Returns: the pairs' numbers, in order.

        Raises:
            DataError: leaves that are not (n, L, …) numbers, or `about` that does not fit.
            StoreError: nothing was stored.
        """
        left, right = _segment_bytes.pack(pairs.left, "left"), _segment_bytes.pack(pairs.right, "right")
        if len(left) != len(right):
            raise DataError(f"expected as many left as right segments; got {len(left)} and {len(right)}.")
        for what, number in (("member", member), ("env_steps", env_steps)):
            if number < 0:
                raise DataError(f"expected {what} ≥ 0; got {number}.")
        said = _about(about, len(left))
        now = time.time()

        def work(connection: sa.Connection) -> list[int]:
            ids = _store_rows.segments(connection, [*left, *right])
            asked = [{"left_id": ids[i], "right_id": ids[len(left) + i], "about": said[i]} for i in range(len(left))]
            shared = {"member": int(member), "env_steps": int(env_steps), "asked": now, "swapped": False}
            return _store_rows.new_pairs(connection, [row | shared for row in asked])

        return self.database.run(work, "write", repeatable=False)

    # --- leases ---

    def lease(self, labeller: str, *, session: str = "", besides: Collection[int] = ()) -> Question | None:
        """The pair this labeller holds, or the oldest without answer and lease that they did not skip; None: none.

        Args:
            session: tells apart who answers under one name at once: a browser, say; each holds pairs of its own.
            besides: pairs that they hold and keep, while another is made ready.

        Raises:
            DataError: a name that is empty, longer than 200, or not printable; a session longer than 64.
        """
        _word("labeller", labeller)
        _session(session)

        def work(connection: sa.Connection) -> Question | None:
            self._alone(connection, labeller)
            now = time.time()
            theirs = *_theirs(labeller, session), pairs.c.expires > now
            other = pairs.c.id.not_in(besides)
            held = connection.execute(sa.select(pairs).where(*theirs, other).order_by(pairs.c.id).limit(1)).first()
            if held is not None and (question := self._give(connection, held, labeller, session, held.lease)):
                return question
            original = pairs.c.answer_id.is_(None), pairs.c.duplicate_of.is_(None)
            free = sa.or_(pairs.c.expires.is_(None), pairs.c.expires <= now)
            oldest = (
                sa.select(pairs)
                .where(*original, free, other, ~_skipped(labeller))
                .order_by(pairs.c.id)
                .limit(1)
                .with_for_update(skip_locked=True, key_share=True)
            )
            fresh = connection.execute(oldest).first()
            if fresh is None:
                return None
            if self._chance.random() < self.duplicates and (again := self._again(connection, labeller, session, now)):
                return again
            return self._give(connection, fresh, labeller, session, None)

        return self.database.run(work, "write", durable=False)

    def _give(
        self, connection: sa.Connection, row: Any, labeller: str, session: str, held: str | None
    ) -> Question | None:
        """The pair in `row` leased to them, or None where its lease is not `held` any more."""
        token, expires = held or secrets.token_urlsafe(18), time.time() + self.lease_seconds
        change = sa.update(pairs).where(pairs.c.id == row.id, pairs.c.answer_id.is_(None))
        if held is not None:
            change = change.where(pairs.c.lease == held)
        lease = {"lease": token, "leased_to": labeller, "session": session, "expires": expires}
        done = connection.execute(change.values(lease)).rowcount
        return Question(row.id, row.left_id, row.right_id, token, expires) if done else None

    def _again(self, connection: sa.Connection, labeller: str, session: str, now: float) -> Question | None:
        """An answered pair as a new one, sides swapped or not; None: there is none they were not asked again."""
        repeat, later = pairs.alias(), answers.alias()
        before = sa.select(repeat.c.id).join(later, later.c.pair_id == repeat.c.id)
        before = before.where(repeat.c.duplicate_of == pairs.c.id, later.c.labeller == labeller)
        recent = (
            sa.select(later.c.id)
            .where(later.c.labeller == labeller, later.c.answer.is_not(None))
            .order_by(later.c.id.desc())
            .offset(SPACING - 1)
            .limit(1)
        )
        own = sa.and_(answers.c.labeller == labeller, answers.c.id < recent.scalar_subquery())
        whose = [own, answers.c.labeller != labeller]
        self._chance.shuffle(whose)
        for condition in whose:
            row = connection.execute(
                sa.select(pairs)
                .join(answers, answers.c.id == pairs.c.answer_id)
                .where(pairs.c.duplicate_of.is_(None), condition, ~before.exists(), ~_skipped(labeller))
                .order_by(sa.func.random())
                .limit(1)
            ).first()
            if row is None:
                continue
            about, sides = json.loads(row.about), (row.left_id, row.right_id)
            swapped = self._chance.random() < 0.5
            if swapped:
                other = {"left": "right", "right": "left"}
                about, sides = {other.get(k, k): v for k, v in about.items()}, sides[::-1]
            lease = self._lease(labeller, session, now)
            copied = {"member": row.member, "env_steps": row.env_steps, "about": json.dumps(about), "asked": now}
            new = {"left_id": sides[0], "right_id": sides[1], "duplicate_of": row.id, "swapped": swapped}
            [number] = _store_rows.new_pairs(connection, [new | copied | lease])
            return Question(number, sides[0], sides[1], lease["lease"], lease["expires"])
        return None

    def _lease(self, labeller: str, session: str, now: float) -> dict[str, Any]:
        """What a new lease writes into a pair's row."""
        until = now + self.lease_seconds
        return {"lease": secrets.token_urlsafe(18), "leased_to": labeller, "session": session, "expires": until}

    def renew(self, question: Question) -> Question:
        """The same question, held for `lease_seconds` from now.

        Raises:
            Refused: reason "lease" or "answered": it is not theirs any more.
        """
        expires = time.time() + self.lease_seconds

        def work(connection: sa.Connection) -> Question:
            self._held(self._lock(connection, question.id), question.id, question.lease)
            connection.execute(sa.update(pairs).where(pairs.c.id == question.id).values(expires=expires))
            return dataclasses.replace(question, expires=expires)

        return self.database.run(work, "write", durable=False)

    def release(self, pair: int, lease: str) -> None:
        """Give a pair back unanswered; does nothing where the lease has ended."""
        mine = pairs.c.id == pair, pairs.c.lease == lease
        self.database.run(
            lambda c: c.execute(sa.update(pairs).where(*mine).values(FREE)).close(), "write", durable=False
        )

    def skip(self, pair: int, *, labeller: str, lease: str) -> None:
        """Give a pair back, never to be shown to this labeller again.

        Raises:
            Refused: reason "lease" or "answered".
        """
        _word("labeller", labeller)

        def work(connection: sa.Connection) -> None:
            self._alone(connection, labeller)
            number = sa.select(sa.func.coalesce(pairs.c.duplicate_of, pairs.c.id)).where(pairs.c.id == pair)
            original = connection.execute(number).scalar()
            row = {"pair_id": original, "labeller": labeller}
            if connection.execute(sa.select(skips).filter_by(**row)).first():
                return  # sent twice
            self._held(self._lock(connection, pair), pair, lease, labeller)
            connection.execute(sa.insert(skips).values(row))
            connection.execute(sa.update(pairs).where(pairs.c.id == pair).values(FREE))

        self.database.run(work, "write")

    # --- answering ---

    def answer(self, pair: int, answer: Answer, *, labeller: str, lease: str, key: str, seconds: float) -> int:
        """Store an answer; when this returns, it is durable.

        Args:
            key: the client's own name for this answer, new for each: the same again gives the same number and changes
                nothing, so that a client that heard nothing may send it again.
            seconds: taken to answer.

        Returns: the answer's number.

        Raises:
            Refused: reason "conflict" (this key named another answer), "answered" (the pair has one), "lease" (expired,
                or another's).
            DataError: no `Answer`, seconds not in [0, ∞), or a name or key that is empty, longer than 200, or not
                printable.
        """
        _word("labeller", labeller)
        _word("key", key)
        if answer not in list(Answer):
            raise DataError(f"expected an answer, one of {[f'{a.name} ({a.value})' for a in Answer]}; got {answer!r}.")
        if not (math.isfinite(seconds) and seconds >= 0.0):
            raise DataError(f"expected seconds ≥ 0 and finite; got {seconds}. Give the time taken to answer.")

        def work(connection: sa.Connection) -> int:
            self._alone(connection, labeller)
            row = self._lock(connection, pair)
            sent = sa.select(answers).where(answers.c.labeller == labeller, answers.c.key == key)
            if (before := connection.execute(sent).first()) is not None:
                if (before.pair_id, before.answer) == (pair, int(answer)):
                    return before.id
                raise _conflict(key, before, f"{Answer(answer).name} about pair {pair}")
            self._held(row, pair, lease, labeller)
            number = _store_rows.number(connection)
            new = {"id": number, "pair_id": pair, "answer": int(answer), "labeller": labeller, "key": key}
            new |= {"at": time.time(), "seconds": float(seconds), "session": row.session}
            connection.execute(sa.insert(answers).values(new))
            connection.execute(sa.update(pairs).where(pairs.c.id == pair).values(answer_id=number, **FREE))
            return number

        return self.database.run(work, "write")

    def undo(self, labeller: str, *, session: str = "", key: str | None = None) -> int | None:
        """Withdraw this labeller's latest answer that stands and lease its pair to them, in place of what they hold.

        Args:
            session: as in `lease`: what others of this name answered is theirs.
            key: the client's own name for this withdrawal, as `answer` has it: the same again gives the same pair and
                withdraws nothing more.

        Returns: the pair, or None where they have no answer.

        Raises:
            Refused: reason "conflict": this key named an answer.
        """
        _word("labeller", labeller)
        _session(session)
        if key is not None:
            _word("key", key)

        def work(connection: sa.Connection) -> int | None:
            self._alone(connection, labeller)
            sent = sa.select(answers).where(answers.c.labeller == labeller, answers.c.key == key)
            if key is not None and (before := connection.execute(sent).first()) is not None:
                if before.answer is None:
                    return before.pair_id
                raise _conflict(key, before, "a withdrawal")
            mine = answers.c.labeller == labeller, answers.c.session == session
            standing = *mine, answers.c.answer.is_not(None), answers.c.undone.is_(None)
            latest = connection.execute(
                sa.select(answers).where(*standing).order_by(answers.c.id.desc()).limit(1)
            ).first()
            if latest is None:
                return None
            connection.execute(sa.update(pairs).where(*_theirs(labeller, session)).values(FREE))
            now = time.time()
            _store_rows.withdraw(connection, latest, now, key)
            lease = self._lease(labeller, session, now)
            connection.execute(sa.update(pairs).where(pairs.c.id == latest.pair_id).values(lease))
            return latest.pair_id

        return self.database.run(work, "write", repeatable=key is not None)

    def _alone(self, connection: sa.Connection, labeller: str) -> None:
        """One thing at a time for one labeller, until the transaction ends. SQLite has one writer anyhow."""
        if self.database.dialect == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(labeller, 0))))

    @staticmethod
    def _lock(connection: sa.Connection, pair: int) -> Any:
        return connection.execute(sa.select(pairs).where(pairs.c.id == pair).with_for_update(key_share=True)).first()

    def _held(self, row: Any, pair: int, lease: str, labeller: str | None = None) -> None:
        """Refuse unless the pair in `row` is leased under this token, to this labeller."""
        if row is None:
            raise Refused(
                "lease", f"expected a pair of {self.name}; it has no pair {pair}. Lease one, and answer that."
            )
        if row.answer_id is not None:
            raise Refused(
                "answered", f"expected pair {pair} to have no answer; it has one already. Lease the next pair."
            )
        if row.lease is None or not secrets.compare_digest(row.lease.encode(), lease.encode()):
            raise Refused(
                "lease", f"expected the lease of pair {pair}; got one that has ended or never was. Lease a pair again."
            )
        if labeller is not None and row.leased_to != labeller:
            raise Refused("lease", f"expected pair {pair} to be leased to {labeller!r}; somebody else holds it.")
        if row.expires <= time.time():
            raise Refused(
                "lease",
                f"expected a lease of pair {pair} that still runs; it ended {time.time() - row.expires:.1f} s ago. "
                "Lease a pair again; renew it while it is on screen.",
            )

    # --- reading ---

    def given(self, after: int = 0, member: int | None = None) -> list[Given]:
        """Answers and withdrawals with numbers above `after`, in order; of one member, or of all. No duplicates."""
        columns = [answers.c.id, answers.c.pair_id, pairs.c.member, answers.c.answer]
        query = sa.select(*columns, answers.c.labeller, answers.c.at, answers.c.seconds).join(
            pairs, pairs.c.id == answers.c.pair_id
        )
        query = query.where(answers.c.id > after, pairs.c.duplicate_of.is_(None)).order_by(answers.c.id)
        if member is not None:
            query = query.where(pairs.c.member == member)
        rows = self.database.run(lambda c: c.execute(query).all(), "read")
        answer = lambda row: None if row.answer is None else Answer(row.answer)
        return [Given(r.id, r.pair_id, r.member, answer(r), r.labeller, r.at, r.seconds) for r in rows]

    def pair(self, id: int) -> Pairs:
        """One pair, (1, L) NumPy leaves, equal to the bit to what was asked.

        Raises:
            StoreError: there is no such pair, or its bytes do not match their hash.
        """
        return self.pairs([id])

    def pairs(self, ids: Sequence[int]) -> Pairs:
        """Several pairs, (n, L), in this order.

        Raises:
            DataError: none, or their segments are not of one shape.
            StoreError: see `pair`.
        """
        if not len(ids):
            raise DataError("expected at least one pair; got none.")

        def work(connection: sa.Connection) -> tuple[list[Any], dict[int, bytes]]:
            rows = {}
            for start in range(0, len(ids), AT_ONCE):
                part = pairs.c.id.in_([int(i) for i in ids[start : start + AT_ONCE]])
                query = sa.select(pairs.c.id, pairs.c.left_id, pairs.c.right_id).where(part)
                rows |= {row.id: row for row in connection.execute(query)}
            if missing := [i for i in ids if i not in rows]:
                raise StoreError(
                    f"expected pairs of {self.name}; it has no pair {missing[0]}. Give numbers `ask` gave."
                )
            wanted = sorted({s for row in rows.values() for s in (row.left_id, row.right_id)})
            return [rows[i] for i in ids], _store_rows.contents(connection, wanted, self.name)

        rows, blobs = self.database.run(work, "read")
        side = lambda name: _segment_bytes.unpack([blobs[getattr(row, name)] for row in rows])
        return Pairs(side("left_id"), side("right_id"))

    def about(self, id: int) -> dict:
        """What `ask` was told about the pair; sides swapped where a duplicate swaps them.

        Raises:
            StoreError: there is no such pair.
        """
        text = self.database.run(lambda c: c.execute(sa.select(pairs.c.about).where(pairs.c.id == id)).scalar(), "read")
        if text is None:
            raise StoreError(f"expected a pair of {self.name}; it has no pair {id}. Give a number that `ask` gave.")
        return json.loads(text)

    def waiting(self, member: int | None = None, *, skipped: bool = True) -> int:
        """Pairs without an answer, leased or not; of one member, or of all. Repeated pairs do not count.

        skipped: count those, too, that somebody has skipped.
        """
        there = pairs.c.answer_id.is_(None)
        if not skipped:
            there = sa.and_(there, ~sa.exists().where(skips.c.pair_id == pairs.c.id))
        return self._count(there, member)

    def answered(self, member: int | None = None) -> int:
        """Pairs with an answer that stands, as `stats` counts them; of one member, or of all."""
        return self._count(pairs.c.answer_id.is_not(None), member)

    def _count(self, condition: sa.ColumnElement[bool], member: int | None) -> int:
        query = sa.select(sa.func.count()).where(condition, pairs.c.duplicate_of.is_(None))
        if member is not None:
            query = query.where(pairs.c.member == member)
        return self.database.run(lambda c: c.execute(query).scalar_one(), "read")

    def stats(self) -> Stats:
        """How much was answered, by whom, and how well labellers agree with themselves and each other."""
        return self.database.run(stats, "snapshot")

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _skipped(labeller: str) -> sa.Exists:
    return sa.exists().where(skips.c.pair_id == pairs.c.id, skips.c.labeller == labeller)


def _theirs(labeller: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Pairs that they hold; a lease may have ended."""
    return pairs.c.leased_to == labeller, pairs.c.session == session, pairs.c.answer_id.is_(None)


def _conflict(key: str, before: Any, now: str) -> Refused:
    """A key that comes again and names something else."""
    named = "a withdrawal" if before.answer is None else Answer(before.answer).name
    return Refused(
        "conflict",
        f"expected the key {key!r} to name one answer; it named {named} about pair {before.pair_id}, and came again "
        f"with {now}. Make a new key for a new answer. The first one stands.",
    )


def _session(text: str) -> None:
    if not (isinstance(text, str) and len(text) <= 64 and (text == "" or text.isprintable())):
        raise DataError(f"expected session to be at most 64 printable characters; got {text!r:.80}.")


def _word(what: str, text: str) -> None:
    if not (isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable()):
        got = f"{len(text)} characters" if isinstance(text, str) and len(text) > 200 else repr(text)
        raise DataError(f"expected {what} to be 1 to 200 printable characters; got {got}.")


def _about(about: Sequence[Mapping] | None, n: int) -> list[str]:
    about = [{}] * n if about is None else about
    if len(about) != n:
        raise DataError(f"expected one `about` for each of the {n} pairs; got {len(about)}.")
    texts = []
    for i, entry in enumerate(about):
        try:
            if not isinstance(entry, Mapping):
                raise TypeError(f"it is a {type(entry).__name__}")
            texts.append(json.dumps(dict(entry), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"expected about[{i}] to be a dict that JSON can hold; {error}. Use plain values."
            ) from None
    return texts
