"""The comparison store, on SQLite and on PostgreSQL: leases, answers that stand once, undo, duplicates, bits."""

import dataclasses
import math
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
import sqlalchemy as sa

from operant.core import Transition
from operant.data import _store_engine, _store_schema
from operant.data.comparisons import SPACING, Given, Refused, Store
from operant.data.segments import Pairs, Segments
from operant.errors import DataError, SpecError, StoreError
from operant.teachers import Answer

L = 3


def segments(n: int, first: int = 0) -> Segments:
    """n segments unlike any with another `first`."""
    value = np.arange(first, first + n, dtype=np.float32)[:, None] + np.zeros((n, L), np.float32)
    flag = np.zeros((n, L), bool)
    steps = Transition(value[..., None], flag.astype(np.int32), value, flag, flag, value[..., None] + 1, {})
    return Segments(steps, ~flag)


def pairs(n: int, first: int = 0) -> Pairs:
    return Pairs(segments(n, first), segments(n, first + 1000))


def ask(store: Store, n: int, first: int = 0, member: int = 0) -> list[int]:
    return store.ask(pairs(n, first), member=member, env_steps=10 * first)


def reply(store: Store, who: str, answer: Answer = Answer.left, seconds: float = 1.0) -> Given:
    """Lease and answer, under a new key."""
    question = store.lease(who)
    key = f"{who}-{question.lease}"
    number = store.answer(question.id, answer, labeller=who, lease=question.lease, key=key, seconds=seconds)
    return Given(number, question.id, 0, answer, who, 0.0, seconds)


class Chance:
    """In place of chance: the numbers given, then none below 1."""

    def __init__(self, *numbers: float):
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0) if self.numbers else 0.999

    def shuffle(self, x: list) -> None:
        pass


# --- bits ---


def test_segments_come_back_to_the_bit(open_store):
    rng = np.random.default_rng(0)
    bits = lambda *shape: rng.integers(0, 2**32, shape, np.uint64).astype(np.uint32).view(np.float32)  # NaNs too

    def side() -> Segments:
        obs = lambda: {
            "image": rng.integers(0, 256, (4, L, 8, 8, 3), np.uint8),
            "body": {"angle": bits(4, L, 2), "contact": rng.random((4, L, 1)) < 0.5},
        }
        flag = lambda: rng.random((4, L)) < 0.5
        return Segments(Transition(obs(), bits(4, L, 2), bits(4, L), flag(), flag(), obs(), {}), flag())

    asked = Pairs(side(), side())
    store = open_store()
    ids = store.ask(asked, member=3, env_steps=12)
    assert ids == sorted(set(ids)) and len(ids) == 4
    leaves = jax.tree.leaves_with_path(asked)
    for i, number in enumerate(ids):
        back = store.pair(number)
        assert jax.tree.structure(back) == jax.tree.structure(asked)
        for (path, want), got in zip(leaves, jax.tree.leaves(back), strict=True):
            assert got.dtype == want.dtype and got.shape == (1, *want.shape[1:]), path
            assert got.tobytes() == want[i].tobytes(), path
    together = store.pairs(ids[::-1])
    for (path, want), got in zip(leaves, jax.tree.leaves(together), strict=True):
        assert got.tobytes() == np.ascontiguousarray(want[::-1]).tobytes(), path


def test_arrays_of_jax_and_of_the_other_byte_order(open_store):
    store = open_store()
    asked = jax.tree.map(jax.numpy.asarray, pairs(1))
    swapped = dataclasses.replace
    [first] = store.ask(asked, member=0, env_steps=0)
    left = pairs(1).left
    big = Segments(swapped(left.steps, reward=left.steps.reward.astype(">f4")), left.mask)
    [second] = store.ask(Pairs(big, pairs(1).right), member=0, env_steps=0)
    assert store.pair(first).left.steps.reward.tolist() == store.pair(second).left.steps.reward.tolist()


def test_equal_segments_are_stored_once(open_store):
    store = open_store()
    [a, b] = store.ask(Pairs(segments(2), segments(2)), member=0, env_steps=0)
    [c] = store.ask(Pairs(segments(1, 1), segments(1)), member=1, env_steps=5)
    questions = [store.lease(who) for who in ("ann", "bob", "cy")]
    assert [q.id for q in questions] == [a, b, c]
    assert [(q.left, q.right) for q in questions] == [
        (questions[0].left,) * 2, (questions[1].left,) * 2, (questions[1].left, questions[0].left)
    ]  # fmt: skip


def test_what_is_said_about_a_pair_comes_back(open_store):
    store = open_store()
    about = [{"left": {"clip": "clips/1.mp4", "seed": 3}, "right": {"clip": "ü\0", "seed": 2**60}}, {}]
    ids = store.ask(pairs(2), member=0, env_steps=0, about=about)
    assert [store.about(i) for i in ids] == about


# --- leases ---


def test_a_pair_is_one_labellers_and_a_labeller_keeps_theirs(open_store):
    store = open_store()
    ids = ask(store, 2)
    ann, bob = store.lease("ann"), store.lease("bob")
    assert (ann.id, bob.id) == tuple(ids) and ann.lease != bob.lease
    again = store.lease("ann")
    assert (again.id, again.lease) == (ann.id, ann.lease) and again.expires > ann.expires
    assert store.lease("cy") is None and store.waiting() == 2


def test_many_at_once_never_get_the_same_pair(open_store):
    stores = [open_store() for _ in range(8)]  # as many processes would
    ask(stores[0], 40)
    lease = lambda i: stores[i % 8].lease(f"labeller {i}")
    with ThreadPoolExecutor(8) as pool:
        assert len({q.id for q in pool.map(lease, range(32))}) == 32
        # One labeller in eight tabs holds one pair.
        assert len({q.id for q in pool.map(lambda store: store.lease("one"), stores)}) == 1


def test_an_expired_lease_goes_to_the_next(open_store):
    store = open_store(lease_seconds=0.15)
    [pair] = ask(store, 1)
    old = store.lease("ann")
    kept = store.renew(old)
    assert kept.expires > old.expires and kept.lease == old.lease
    time.sleep(0.2)
    with pytest.raises(Refused, match=r"still runs; it ended 0\.\d s ago") as caught:
        store.answer(pair, Answer.left, labeller="ann", lease=old.lease, key="a", seconds=1)
    assert caught.value.reason == "lease"
    with pytest.raises(Refused, match="still runs"):
        store.renew(kept)
    new = store.lease("bob")
    assert new.id == pair and new.lease != old.lease
    with pytest.raises(Refused, match="one that has ended or never was") as caught:
        store.answer(pair, Answer.left, labeller="ann", lease=old.lease, key="a", seconds=1)
    assert caught.value.reason == "lease"
    assert store.given() == []


def test_a_lease_belongs_to_who_took_it(open_store):
    store = open_store()
    [pair] = ask(store, 1)
    question = store.lease("ann")
    with pytest.raises(Refused, match="leased to 'bob'; somebody else holds it") as caught:
        store.answer(pair, Answer.left, labeller="bob", lease=question.lease, key="b", seconds=1)
    assert caught.value.reason == "lease"
    with pytest.raises(Refused, match=r"it has no pair 99") as caught:
        store.answer(99, Answer.left, labeller="bob", lease=question.lease, key="b", seconds=1)
    assert caught.value.reason == "lease"
    store.release(pair, "another")
    assert store.lease("bob") is None
    store.release(pair, question.lease)
    store.release(pair, question.lease)  # a page that closes may say so twice
    assert store.lease("bob").id == pair


def test_a_skipped_pair_is_for_others(open_store):
    store = open_store()
    first, second = ask(store, 2)
    question = store.lease("ann")
    store.skip(first, labeller="ann", lease=question.lease)
    store.skip(first, labeller="ann", lease=question.lease)  # sent twice
    assert store.lease("ann").id == second
    assert store.lease("bob").id == first
    assert store.stats().skipped == 1
    with pytest.raises(Refused, match="one that has ended or never was"):
        store.skip(second, labeller="bob", lease="guess")


# --- answers ---


def test_the_same_key_again_changes_nothing(open_store):
    store = open_store()
    first, second = ask(store, 2)
    question = store.lease("ann")
    send = lambda pair, answer: store.answer(
        pair, answer, labeller="ann", lease=question.lease, key="k", seconds=1.5
    )  # fmt: skip
    number = send(first, Answer.tie)
    assert send(first, Answer.tie) == number
    for pair, answer in ((first, Answer.left), (second, Answer.tie)):
        with pytest.raises(Refused, match=f"it named tie about pair {first}, and came again with") as caught:
            send(pair, answer)
        assert caught.value.reason == "conflict"
    with pytest.raises(Refused, match=f"pair {first} to have no answer; it has one already") as caught:
        store.answer(first, Answer.left, labeller="ann", lease=question.lease, key="other", seconds=1)
    assert caught.value.reason == "answered"
    [given] = store.given()
    assert dataclasses.replace(given, at=0.0) == Given(number, first, 0, Answer.tie, "ann", 0.0, 1.5)
    assert abs(given.at - time.time()) < 60


def test_one_answer_sent_by_eight_threads_stands_once(open_store):
    store = open_store()
    [pair] = ask(store, 1)
    lease = store.lease("ann").lease
    send = lambda _: store.answer(pair, Answer.left, labeller="ann", lease=lease, key="k", seconds=1)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(16)))) == 1
    assert len(store.given()) == 1


def test_a_reader_that_goes_on_from_the_last_number_misses_nothing(open_store):
    store, seen, done = open_store(), [], threading.Event()
    ask(store, 120)

    def read() -> None:
        while True:
            last = done.is_set()
            seen.extend(store.given(seen[-1].id if seen else 0))
            if last:
                return

    with ThreadPoolExecutor(9) as pool:
        reader = pool.submit(read)
        stores = [open_store() for _ in range(8)]  # as many processes would
        answer = lambda i: [reply(stores[i], f"labeller {i}").id for _ in range(15)]
        work = [pool.submit(answer, i) for i in range(8)]
        numbers = [number for future in work for number in future.result()]
        done.set()
        reader.result()
    assert [g.id for g in seen] == sorted(numbers) and len({g.pair for g in seen}) == 120
    assert store.waiting() == 0


def test_members_read_their_own(open_store):
    store = open_store()
    ask(store, 2, member=0)
    ask(store, 1, first=50, member=1)
    for _ in range(3):
        reply(store, "ann")
    assert [g.member for g in store.given()] == [0, 0, 1]
    assert [g.pair for g in store.given(member=1)] == [3] and store.given(store.given()[0].id, member=0)[0].pair == 2
    ask(store, 4, first=70, member=1)
    assert (store.waiting(), store.waiting(0), store.waiting(1)) == (4, 0, 4)


def test_undo(open_store):
    store = open_store()
    first, second, third = ask(store, 3)
    assert store.undo("ann") is None
    reply(store, "ann", Answer.left)
    read = store.given()[-1].id  # training has read this one
    reply(store, "ann", Answer.right)
    held = store.lease("ann")
    assert held.id == third
    assert store.undo("ann") == second  # before it was read
    assert store.lease("ann").id == second and store.lease("bob").id == third
    assert store.undo("ann") == first  # after
    assert store.undo("ann") is None and store.waiting() == 3
    log = [(g.pair, g.answer) for g in store.given()]
    assert log == [(first, Answer.left), (second, Answer.right), (second, None), (first, None)]
    assert [(g.pair, g.answer) for g in store.given(read)] == log[1:]
    now = reply(store, "ann", Answer.tie)
    assert (
        now.pair == first
        and store.given()[-1].answer is Answer.tie
        and now.id > max(g.id for g in store.given(read)[:-1])
    )


def test_an_undone_answer_sent_again_does_not_come_back(open_store):
    store = open_store()
    [pair] = ask(store, 1)
    lease = store.lease("ann").lease
    send = lambda: store.answer(pair, Answer.left, labeller="ann", lease=lease, key="k", seconds=1)
    number = send()
    store.undo("ann")
    assert send() == number
    assert [g.answer for g in store.given()] == [Answer.left, None] and store.waiting() == 1


def test_an_undo_sent_again_withdraws_nothing_more(open_store):
    store = open_store()
    first, second = ask(store, 2)
    reply(store, "ann")
    reply(store, "ann")
    assert [store.undo("ann", key="u1") for _ in range(3)] == [second] * 3
    assert store.undo("ann", key="u2") == first and store.undo("ann", key="u1") == second
    assert [g.answer for g in store.given()].count(None) == 2 and store.waiting() == 2
    with pytest.raises(Refused, match=r"the key 'u1' to name one answer; it named a withdrawal about pair 2, and came"):
        store.answer(first, Answer.left, labeller="ann", lease=store.lease("ann").lease, key="u1", seconds=1)
    store.answer(first, Answer.left, labeller="ann", lease=store.lease("ann").lease, key="k", seconds=1)
    with pytest.raises(Refused, match=r"it named left about pair 1, and came again with a withdrawal\. Make a new key"):
        store.undo("ann", key="k")


def test_sessions_of_one_name_are_apart(open_store):
    store = open_store()
    ask(store, 3)
    home, work = store.lease("ann", session="home"), store.lease("ann", session="work")
    assert (home.id, work.id, store.lease("ann").id) == (1, 2, 3)
    assert store.lease("ann", session="home").id == 1 and store.lease("ann", session="work").lease == work.lease
    for question, key in ((home, "h"), (work, "w")):
        store.answer(question.id, Answer.left, labeller="ann", lease=question.lease, key=key, seconds=1)
    assert store.undo("ann", session="home") == 1 and store.undo("ann", session="home") is None
    assert [(g.pair, g.answer) for g in store.given()] == [(1, Answer.left), (2, Answer.left), (1, None)]
    assert store.lease("ann", session="work") is None, "what the other holds is not theirs"
    with pytest.raises(DataError, match=r"expected session to be at most 64 printable characters; got 'x"):
        store.lease("ann", session="x" * 65)


def test_a_store_of_the_first_version_is_brought_to_this_one(url):
    """What 0001 made, filled by hand: nothing is lost, and answers go on."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    address = _store_engine._url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address)
    with engine.connect() as connection:
        script = ScriptDirectory(str(_store_schema.MIGRATIONS))
        options = {"script": script, "version_table": _store_schema.VERSION_TABLE}
        context = MigrationContext.configure(
            connection, opts=options | {"fn": lambda revision, _: script._upgrade_revs("0001", revision)}
        )
        with Operations.context(context):
            context.run_migrations()
        for text in (
            "INSERT INTO label_segments (sha256, data) VALUES ('a', '')",
            "INSERT INTO label_pairs (uid, left_id, right_id, member, env_steps, asked, about, swapped, answer_id) "
            "VALUES ('u', 1, 1, 0, 0, 0, '{}', false, 1)",
            "INSERT INTO label_answers (id, pair_id, answer, labeller, at, seconds, key) "
            "VALUES (1, 1, 2, 'ann', 5, 1, 'k')",
            "UPDATE label_counter SET last = 1",
        ):
            connection.execute(sa.text(text))
        connection.commit()
    engine.dispose()
    with Store(url) as store:
        assert [(g.pair, int(g.answer), g.labeller) for g in store.given()] == [(1, 2, "ann")]
        assert store.undo("ann", key="u") == 1 and store.waiting() == 1


# --- duplicates and statistics ---


def test_counts(open_store):
    store = open_store()
    ask(store, 5)
    for answer, seconds in ((Answer.tie, 1.0), (Answer.unsure, 5.0), (Answer.left, 3.0)):
        reply(store, "ann", answer, seconds)
    reply(store, "bob", Answer.tie, 7.0)
    stats = store.stats()
    assert (stats.answered, stats.waiting, stats.ties, stats.unsure, stats.skipped) == (4, 1, 2, 1, 0)
    assert [(who.name, who.n, who.median_seconds) for who in stats.labellers] == [("ann", 3, 3.0), ("bob", 1, 7.0)]
    assert (
        stats.agreement.n == 0 and math.isnan(stats.agreement.value) and math.isnan(stats.labellers[0].consistency.low)
    )


def test_answered_counts_as_the_statistics_do(open_store):
    """Through answers, an undo, a skip, a pair that is repeated, and two members."""
    store = open_store(duplicates=0.5)
    ask(store, SPACING + 2)
    ask(store, 2, first=50, member=1)

    def counted() -> int:
        assert store.answered() == store.stats().answered
        return store.answered()

    store._chance = Chance()
    for k in range(SPACING + 1):
        assert counted() == k
        reply(store, "ann")
    store.undo("ann")
    assert counted() == SPACING
    question = store.lease("ann")
    store.skip(question.id, labeller="ann", lease=question.lease)
    assert counted() == SPACING
    reply(store, "bob")
    store._chance = Chance(0.4, 0.4)
    assert reply(store, "bob").pair not in range(1, SPACING + 5), "a pair that is repeated"
    assert counted() == SPACING + 1, "which does not count"
    for _ in range(3):
        reply(store, "bob")
    assert counted() == store.answered(0) + store.answered(1) and store.answered(1) == 2


def test_a_duplicate_repeats_an_answered_pair_with_sides_swapped(open_store):
    store = open_store(duplicates=0.5)
    about = [{"left": {"seed": i}, "right": {"seed": -i}, "note": i} for i in range(SPACING + 3)]
    ids = store.ask(pairs(SPACING + 3), member=2, env_steps=7, about=about)
    for _ in range(SPACING + 1):
        reply(store, "ann")
    store._chance = Chance(0.4, 0.4)  # a duplicate; swapped
    question = store.lease("ann")
    assert question.id not in ids
    asked, again = store.pair(ids[0]), store.pair(question.id)
    assert again.left.steps.obs.tobytes() == asked.right.steps.obs.tobytes()
    assert again.right.steps.obs.tobytes() == asked.left.steps.obs.tobytes()
    assert store.about(question.id) == {"left": {"seed": 0}, "right": {"seed": 0}, "note": 0}
    assert store.lease("ann").id == question.id and store.lease("bob").id == ids[SPACING + 1]
    before = store.given(), store.waiting()
    reply(store, "ann", Answer.right)
    assert (store.given(), store.waiting()) == before, "training sees no duplicates"
    store._chance = Chance(0.4)  # the first was asked again already; by now the second is old enough
    assert store.about(store.lease("ann").id)["note"] == 1


def test_no_duplicate_where_nothing_waits(open_store):
    store = open_store(duplicates=0.9)
    store._chance = Chance(*[1.0] * 7, *[0.0] * 20)
    ask(store, SPACING + 2)
    for _ in range(SPACING + 2):
        reply(store, "ann")
    assert store.lease("ann") is None


def test_consistency_and_agreement_by_hand(open_store):
    """Ann says left of 1 … 9 and right of 10; of 1 … 4 again, swapped back: left, left, right, tie. That is 2 of 4.

    Bob says of Ann's 1, 2, 3 and 10: left, right, cannot tell, right. They agree on 1 and 10: 2 of 3.
    """
    store = open_store(duplicates=0.5)
    ids = ask(store, 12)
    store._chance = Chance()
    for i in range(10):
        reply(store, "ann", Answer.right if i == 9 else Answer.left)

    def again(who: str, original: int, swapped: bool, answer: Answer) -> None:
        """Have them asked `original` again: chance decides which, so ask until it is that."""
        while True:
            store._chance = Chance(0.0, 0.0 if swapped else 1.0)
            question = store.lease(who)
            with store.database._engine.begin() as connection:
                table = _store_schema.pairs
                row = connection.execute(sa.select(table).where(table.c.id == question.id)).one()
                if row.duplicate_of == original:
                    break
                assert row.duplicate_of in ids
                connection.execute(sa.delete(table).where(table.c.id == question.id))
        assert row.swapped == swapped
        store.answer(question.id, answer, labeller=who, lease=question.lease, key=f"{who}{original}", seconds=2.0)

    again("ann", ids[0], True, Answer.right)
    again("ann", ids[1], False, Answer.left)
    again("ann", ids[2], False, Answer.right)
    again("ann", ids[3], True, Answer.tie)
    again("bob", ids[0], True, Answer.right)
    again("bob", ids[1], False, Answer.right)
    again("bob", ids[2], False, Answer.unsure)
    again("bob", ids[9], False, Answer.right)
    stats = store.stats()
    ann, bob = stats.labellers
    assert (ann.name, ann.n, ann.consistency.k, ann.consistency.n) == ("ann", 14, 2, 4)
    assert (bob.n, bob.consistency.n, stats.agreement.k, stats.agreement.n) == (4, 0, 2, 3)
    assert stats.answered == 10
    # Wilson, 2 of 4: centre ½, half-width z/(1 + z²/4) √(1/16 + z²/64).
    z2 = 1.959964**2
    half = math.sqrt(z2) / (1 + z2 / 4) * math.sqrt(1 / 16 + z2 / 64)
    assert ann.consistency.low == pytest.approx(0.5 - half, abs=1e-6)
    assert ann.consistency.high == pytest.approx(0.5 + half, abs=1e-6)
    assert (stats.agreement.low, stats.agreement.high) == pytest.approx((0.20766, 0.93851), abs=1e-5)


def test_an_undone_duplicate_is_asked_again(open_store):
    store = open_store(duplicates=0.5)
    ask(store, 3)
    store._chance = Chance()
    reply(store, "ann")
    store._chance = Chance(0.0, 0.0)
    again = reply(store, "bob")
    assert store.stats().agreement.n == 1
    assert store.undo("bob") == again.pair and store.lease("bob").id == again.pair
    assert store.stats().agreement.n == 0 and len(store.given()) == 1


# --- opening ---


def test_a_new_store_has_the_tables_this_version_expects(url, open_store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    store = open_store()
    with store.database._engine.connect() as connection:
        ours = lambda name, kind, _: kind != "table" or name != _store_schema.VERSION_TABLE
        context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
        assert compare_metadata(context, _store_schema.metadata) == []
    ask(store, 1)
    assert open_store().waiting() == 1, "opened again, nothing is lost"


def test_many_open_a_new_store_at_once(url):
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: Store(url), range(6)))
    ask(stores[0], 1)
    assert all(store.waiting() == 1 for store in stores)
    for store in stores:
        store.close()


def test_a_store_of_a_newer_version_is_refused(url, open_store):
    store = open_store()
    with store.database._engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {_store_schema.VERSION_TABLE} SET version_num = '0099'"))
    with pytest.raises(StoreError, match=r"version 0002 or older .* it has version 0099: a newer operant"):
        open_store()


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"file is not a database .*it is not a label store: give another path"):
        Store(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE customers (id)")
    other.close()
    with pytest.raises(StoreError, match="a database of something else, with the table 'customers'"):
        Store(tmp_path / "other")


def test_urls(tmp_path, monkeypatch):
    with Store(f"sqlite:///{tmp_path}/deep/er/labels.db") as store:
        assert store.name == f"{tmp_path}/deep/er/labels.db"
    for url, said in (
        ("mysql://root@localhost/labels", r"got mysql://…"),
        ("sqlite://", "labels in memory would be lost"),
        ("sqlite:///:memory:", "labels in memory would be lost"),
        ("postgresql://a:b:c@x:port/y", "an address that cannot be read"),
    ):
        with pytest.raises(SpecError, match=said):
            Store(url)
    with pytest.raises(SpecError, match="lease_seconds > 0; got 0"):
        Store(tmp_path / "x", lease_seconds=0)
    with pytest.raises(SpecError, match=r"duplicates in \[0, 1\); got 1"):
        Store(tmp_path / "x", duplicates=1.0)


def test_a_server_that_is_not_there_is_named_without_the_password():
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"postgresql://ann:\*\*\*@127\.0\.0\.1:9/labels") as caught:
        Store("postgresql://ann:secret@127.0.0.1:9/labels")
    assert "secret" not in str(caught.value)


def test_without_psycopg(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(SpecError, match=r"pip install 'operant\[postgresql\]'"):
        Store("postgresql://ann@127.0.0.1/labels")


# --- disks ---


@pytest.fixture
def as_nobody():
    """Root may write anywhere, so these tests are somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def bare(tmp_path_factory):
    """A folder that everybody may enter; pytest's own are closed to others."""
    import shutil
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def test_a_read_only_folder(bare, as_nobody):
    folder = bare / "labels"
    folder.mkdir()
    folder.chmod(0o555)
    with pytest.raises(
        StoreError, match=r"unable to open database file .*choose a folder that exists and can be written"
    ):
        Store(folder / "labels.db")
    with pytest.raises(StoreError, match=r"expected to make the folder .*Permission denied"):
        Store(folder / "deeper" / "labels.db")


def test_a_store_that_became_read_only(bare, as_nobody):
    with Store(bare / "labels.db") as store:
        ask(store, 1)
        reply(store, "ann")
    for file in bare.iterdir():
        file.chmod(0o444)
    said = r"it is read-only: choose a folder .*Nothing already acknowledged was lost"
    with Store(bare / "labels.db") as store:
        assert len(store.given()) == 1, "it can be read and exported"
        with pytest.raises(StoreError, match=said):
            ask(store, 1, 5)


def test_a_full_disk_says_so_and_loses_nothing(tmp_path):
    with Store(tmp_path / "labels.db") as store:
        ids = ask(store, 3)
        reply(store, "ann")

        @sa.event.listens_for(store.database._engine, "begin")
        def full(connection):
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite takes the file's size where that is more

        many = jax.tree.map(lambda x: np.repeat(x, 400, 1), pairs(1))
        with pytest.raises(StoreError, match=r"full \([\d,]+ bytes free\).*the disk is full: free space.*was lost"):
            store.ask(many, member=0, env_steps=0)
        assert len(store.given()) == 1 and store.waiting() == 2
    with Store(tmp_path / "labels.db") as store:
        assert store.lease("bob").id == ids[1] and ask(store, 1, 7)


def test_a_busy_store_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("operant.data._store_engine.BUSY_SECONDS", 0.01)
    with Store(tmp_path / "labels.db") as store:
        other = sqlite3.connect(tmp_path / "labels.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.05, lambda: other.execute("ROLLBACK"))
        timer.start()
        assert ask(store, 1) == [1]
        timer.join()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"database is locked.*another process keeps it locked: end that process"):
            ask(store, 1)
        other.close()


def test_damaged_bytes_are_refused(open_store):
    store = open_store()
    [pair] = ask(store, 1)
    damage = sa.update(_store_schema.segments).values(data=b"no segment")
    store.database.run(lambda c: c.execute(damage).close(), "write")
    with pytest.raises(StoreError, match=r"expected segment \d of .* to hash to [0-9a-f]{12}…; it does not"):
        store.pair(pair)


# --- transactions ---


def test_answers_wait_for_the_disk_and_leases_do_not(open_store):
    store = open_store()
    ask(store, 1)
    sqlite = store.database.dialect == "sqlite"
    setting = sa.text("PRAGMA synchronous" if sqlite else "SHOW synchronous_commit")
    seen = lambda **kw: store.database.run(lambda c: c.execute(setting).scalar(), "write", **kw)
    for _ in range(2):
        assert seen() == (2 if sqlite else "on")
        assert seen(durable=False) == (1 if sqlite else "off")


def together(store, *works):
    """What comes of works that were queued while another one was being committed."""
    begun, go = threading.Event(), threading.Event()
    first = lambda _: (begun.set(), go.wait(10))
    with ThreadPoolExecutor(1 + len(works)) as pool:
        leading = pool.submit(store.database.run, first, "write")
        assert begun.wait(10)
        futures = [pool.submit(store.database.run, work, "write") for work in works]
        while len(store.database._queue) < len(works):
            time.sleep(0.001)
        go.set()
        leading.result()
        return [future.exception() or future.result() for future in futures]


def test_one_refusal_takes_nothing_with_it(open_store):
    store, tried = open_store(), []
    add = lambda c: tried.append(1) or c.execute(sa.insert(_store_schema.counter).values(last=7)).close()

    def refused(connection):
        raise Refused("lease", "no")

    results = together(store, add, refused, add)
    assert results[0] is results[2] is None and isinstance(results[1], Refused) and len(tried) == 2
    count = sa.select(sa.func.count()).select_from(_store_schema.counter)
    assert store.database.run(lambda c: c.execute(count).scalar(), "read") == 3


def test_what_fails_half_way_leaves_nothing(open_store):
    store, tried = open_store(), []
    add = lambda c: tried.append(1) or c.execute(sa.insert(_store_schema.counter).values(last=7)).close()

    def half(connection):
        add(connection)
        raise ZeroDivisionError

    results = together(store, add, half, add)
    assert results[0] is results[2] is None and isinstance(results[1], ZeroDivisionError)
    count = sa.select(sa.func.count()).select_from(_store_schema.counter)
    assert store.database.run(lambda c: c.execute(count).scalar(), "read") == 3


def test_a_failing_database_fails_only_who_caused_it(open_store):
    store, tried = open_store(), []
    add = lambda c: tried.append(1) or c.execute(sa.insert(_store_schema.counter).values(last=7)).close()
    wrong = lambda c: c.execute(sa.text("SELECT nonsense FROM nowhere"))
    results = together(store, add, wrong, add)
    assert results[0] is results[2] is None and len(tried) >= 3, "done once more, alone"
    assert isinstance(results[1], StoreError) and "nowhere" in str(results[1])
    count = sa.select(sa.func.count()).select_from(_store_schema.counter)
    assert store.database.run(lambda c: c.execute(count).scalar(), "read") == 3


def test_a_thread_that_is_interrupted_while_it_waits_leaves_the_others_going(open_store):
    store = open_store()
    begun, go = threading.Event(), threading.Event()
    leader = threading.Thread(
        target=store.database.run, args=(lambda _: (begun.set(), go.wait(10)), "write")
    )  # fmt: skip
    leader.start()
    assert begun.wait(10)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            ask(store, 1)
    finally:
        signal.signal(signal.SIGALRM, before)
        go.set()
    leader.join()
    assert len(ask(store, 2)) == 2 and store.waiting() == 2


def test_a_thread_that_is_interrupted_as_it_is_to_lead_passes_the_lead_on(open_store, monkeypatch):
    store = open_store()

    class Interrupted(threading.Event):
        def wait(self, timeout=None):
            super().wait(timeout)
            raise KeyboardInterrupt

    unlucky = lambda _: None
    before = _store_engine._Job.__init__

    def init(job, work, durable):
        before(job, work, durable)
        job.told = Interrupted() if work is unlucky else job.told

    monkeypatch.setattr(_store_engine._Job, "__init__", init)
    begun, go = threading.Event(), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(store.database.run, lambda _: (begun.set(), go.wait(10)), "write")]
        assert begun.wait(10)
        for i, work in enumerate((unlucky, lambda _: "done")):
            futures.append(pool.submit(store.database.run, work, "write"))
            while len(store.database._queue) <= i:
                time.sleep(0.001)
        go.set()
        assert isinstance(futures[1].exception(10), KeyboardInterrupt)
        assert futures[2].result(10) == "done"


# --- what cannot be stored ---


def test_pairs_that_cannot_be_stored(open_store):
    store = open_store()
    good = pairs(2)
    with_steps = lambda **change: Pairs(
        Segments(dataclasses.replace(good.left.steps, **change), good.left.mask), good.right
    )
    for wrong, said in (
        (
            with_steps(reward=np.zeros((2, 9), np.float32)),
            r"left\.reward to be \(2, 3, …\) as the mask is; got \(2, 9\)",
        ),
        (
            with_steps(obs={"a": np.array([[None] * L] * 2)}),
            r"left\.obs\.a to hold numbers or booleans; got dtype object",
        ),
        (with_steps(obs=(np.zeros((2, L)),)), r"expected obs to be an array or a dict of arrays; got a tuple of 1"),
        (with_steps(obs={1: np.zeros((2, L))}), r"expected names in obs to be strings; got 1"),
        (
            Pairs(Segments(good.left.steps, np.ones(2, bool)), good.right),
            r"left\.mask to be bool \(n, L\); got bool \(2,\)",
        ),
        (Pairs(good.left, segments(1)), "as many left as right segments; got 2 and 1"),
    ):
        with pytest.raises(DataError, match=said):
            store.ask(wrong, member=0, env_steps=0)
    for about, said in (
        ([{}], "one `about` for each of the 2 pairs; got 1"),
        ([{}, {"x": float("nan")}], r"about\[1\] to be a dict that JSON can hold"),
        ([{}, 3], r"about\[1\] .* it is a int"),
    ):
        with pytest.raises(DataError, match=said):
            store.ask(good, member=0, env_steps=0, about=about)
    with pytest.raises(DataError, match="member ≥ 0; got -1"):
        store.ask(good, member=-1, env_steps=0)
    assert store.waiting() == 0, "all or none"


def test_answers_that_cannot_be_stored(open_store):
    store = open_store()
    [pair] = ask(store, 1)
    lease = store.lease("ann").lease
    good = {"labeller": "ann", "lease": lease, "key": "k", "seconds": 1.0}
    for change, said in (
        ({"labeller": ""}, "labeller to be 1 to 200 printable characters; got ''"),
        ({"labeller": "a\0b"}, "labeller to be 1 to 200 printable"),
        ({"key": "k" * 201}, "key to be 1 to 200 printable characters; got 201 characters"),
        ({"seconds": float("nan")}, "seconds ≥ 0 and finite; got nan"),
        ({"seconds": -1.0}, "seconds ≥ 0 and finite; got -1.0"),
    ):
        with pytest.raises(DataError, match=said):
            store.answer(pair, Answer.left, **(good | change))
    with pytest.raises(DataError, match=r"one of \['left \(0\)', .*got 7"):
        store.answer(pair, 7, **good)
    with pytest.raises(StoreError, match="it has no pair 5"):
        store.pair(5)
    with pytest.raises(StoreError, match="it has no pair 5"):
        store.about(5)
    with pytest.raises(DataError, match="at least one pair; got none"):
        store.pairs([])
    with pytest.raises(DataError, match="expected segments of one shape; got obs float32"):
        longer = jax.tree.map(lambda x: np.repeat(x, 2, 1), pairs(1))
        store.pairs([pair, *store.ask(longer, member=0, env_steps=0)])
