"""Transactions on the comparison store's database: SQLite or PostgreSQL, durable, retried, with errors in words.

SQLite: write-ahead log, synchronous=FULL (a commit is on the disk before it returns), one writer at a time; the file
must lie on a local disk. PostgreSQL: synchronous_commit=on. Waiting for the disk is what costs, 4 ms on a common one:
so what threads want written meanwhile is committed together, and leases do not wait for it.
"""

import contextlib
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from operant.data._store_schema import migrate
from operant.errors import SpecError, StoreError

T = TypeVar("T")
Mode = Literal["read", "snapshot", "write"]
BUSY_SECONDS = 30
"""How long a transaction waits for SQLite's other writers before it is tried again."""
TRIES = 6
TRANSIENT = {"40001", "40P01", "55P03", "SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED"}
"""Serialisation failure, deadlock, lock not available: rolled back for certain, so any work may be done again."""
ADVICE = {
    "SQLITE_FULL": "the disk is full: free space",
    "SQLITE_READONLY": "it is read-only: choose a folder that can be written",
    "SQLITE_CANTOPEN": "it cannot be opened: choose a folder that exists and can be written",
    "SQLITE_IOERR": "the disk refused: free space, and see the system's log",
    "SQLITE_NOTADB": "it is not a label store: give another path",
    "SQLITE_CORRUPT": "it is damaged: take a copy, or export what can be read",
    "SQLITE_BUSY": "another process keeps it locked: end that process",
    "53100": "the server's disk is full: free space there",
    "25006": "the server takes no writes: give the address of the primary server",
    "42501": "this user may not: grant it CREATE and USAGE on the schema",
    "28P01": "the password is wrong: give the right one in the URL or in ~/.pgpass",
    "28000": "the server does not let this user in: see its pg_hba.conf",
    "3D000": "there is no such database: create it with createdb",
    "53300": "the server has too many clients: raise its max_connections",
}


class Refused(StoreError):
    """An answer or a lease that does not hold any more; `reason` says why. Raised before anything was written."""

    def __init__(self, reason: Literal["conflict", "answered", "lease"], message: str):
        super().__init__(message)
        self.reason = reason


class _Job:
    """Something to be written, and what came of it."""

    def __init__(self, work: Callable[[sa.Connection], Any], durable: bool):
        self.work, self.durable = work, durable
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.told = threading.Event()
        """Set when it is finished, or when its thread is to lead."""

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result

    def do(self, connection: sa.Connection) -> None:
        self.result = self.error = None
        try:
            self.result = self.work(connection)
        except Refused as error:  # it wrote nothing, so the others may go on
            self.error = error


class Database:
    """Where the store lies, and transactions on it."""

    def __init__(self, url: str | Path):
        self._url = _url(url)
        self.dialect = self._url.get_backend_name()
        self.name = self._url.database if self.dialect == "sqlite" else self._url.render_as_string(hide_password=True)
        self._engine = self._sqlite() if self.dialect == "sqlite" else self._postgresql()
        self._queue: list[_Job] = []
        self._queueing, self._led = threading.Lock(), False
        try:
            if self.dialect == "sqlite":
                self.run(_write_ahead, "read", plain=True)
            self.run(lambda c: migrate(c, str(self.name)), "write", alone=True)
        except BaseException:
            self.close()
            raise

    def _sqlite(self) -> sa.Engine:
        path = Path(str(self._url.database))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"expected to make the folder {path.parent} for the labels; the system answered: {error.strerror}. "
                "Choose a folder that can be written."
            ) from error
        engine = sa.create_engine(
            self._url, connect_args={"timeout": BUSY_SECONDS}, pool_size=8, max_overflow=24, hide_parameters=True
        )

        @event.listens_for(engine, "connect")
        def _(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # Python's sqlite3 begins transactions too late; we say when
            connection.execute("PRAGMA foreign_keys=ON").close()

        @event.listens_for(engine, "begin")
        def _(connection: sa.Connection) -> None:
            options = connection.get_execution_options()
            if options.get("mode") == "write":
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options['durable'] else 'NORMAL'}")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif not options.get("plain"):
                connection.exec_driver_sql("BEGIN")

        return engine

    def _postgresql(self) -> sa.Engine:
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise SpecError(
                f"expected the package psycopg to reach {self.name}; it is not installed. Install it with: "
                "pip install 'operant[postgresql]', or keep the labels in a file."
            ) from error
        return sa.create_engine(
            self._url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": 10, "options": "-c synchronous_commit=on -c lock_timeout=20s"},
            pool_size=8,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    def run(
        self,
        work: Callable[[sa.Connection], T],
        mode: Mode,
        *,
        durable: bool = True,
        repeatable: bool = True,
        alone: bool = False,
        plain: bool = False,
    ) -> T:
        """`work` in one transaction; when this returns, what it wrote is durable.

        Args:
            mode: "snapshot" reads one state of the database throughout.
            durable: False where a machine that loses its power may forget it.
            repeatable: whether doing it twice equals doing it once, so that it may be tried again where the
                connection broke and nobody can say whether it was committed.
            alone: not together with what other threads write.
            plain: without a transaction of our own.

        Raises:
            StoreError: it was not done; what was acknowledged before is untouched.
        """
        options: dict[str, Any] = {"mode": mode, "durable": durable, "plain": plain}
        if mode == "snapshot" and self.dialect == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        for attempt in range(TRIES):
            try:
                if mode == "write":
                    return self._write(_Job(work, durable), alone)
                with self._transaction(options) as connection:
                    return work(connection)
            except (exc.SQLAlchemyError, sqlite3.Error) as error:
                code, lost = _code(error), _lost(error)
                again = code in TRANSIENT or isinstance(error, exc.IntegrityError) or (lost and repeatable)
                if not again or attempt == TRIES - 1:
                    raise self._in_words(error, code, lost) from error
            time.sleep(min(0.5, 0.01 * 2**attempt) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _transaction(self, options: dict[str, Any]) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection, connection.execution_options(**options).begin():
            if options["mode"] == "write" and not options["durable"] and self.dialect == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield connection

    def _write(self, job: "_Job", alone: bool) -> Any:
        """Whoever finds nobody leading commits for all who queue, then hands the lead to the first who came since."""
        if alone:
            self._commit([job])
            return job.outcome()
        with self._queueing:
            self._queue.append(job)
            leads, self._led = not self._led, True
        try:
            if not leads:
                job.told.wait()
        except BaseException:  # Ctrl-C: do not wait to be led, nor keep the lead
            with self._queueing:
                waits = job in self._queue
                if waits:
                    self._queue.remove(job)
            if waits and job.told.is_set():
                self._hand_over([])
            raise
        if not job.finished:
            with self._queueing:
                jobs, self._queue = self._queue, []
            try:
                self._commit(jobs)
            finally:
                self._hand_over(jobs)
        return job.outcome()

    def _hand_over(self, jobs: "list[_Job]") -> None:
        """Wake those that are finished, and whoever is to lead next."""
        with self._queueing:
            woken = jobs + self._queue[:1]
            self._led = bool(self._queue)
            for job in woken:
                job.told.set()

    def _commit(self, jobs: "list[_Job]") -> None:
        """All jobs in one transaction. One that refuses takes nothing with it; where one fails, each is done alone."""
        jobs = sorted(jobs, key=lambda job: job.durable)  # answers last: they lock the row that numbers them
        options = {"mode": "write", "durable": any(job.durable for job in jobs)}
        try:
            with self._transaction(options) as connection:
                for job in jobs:
                    job.do(connection)
        except BaseException as error:
            # Nothing of this transaction may be acknowledged: it was rolled back as a whole.
            if isinstance(error, Exception) and not _lost(error) and len(jobs) > 1:
                for job in jobs:
                    self._commit([job])
                return
            for job in jobs:
                job.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            for job in jobs:
                job.finished = True

    def _in_words(self, error: Exception, code: str, lost: bool) -> StoreError:
        said = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        family = "_".join(code.split("_")[:2]) if code.startswith("SQLITE") else code
        advice = ADVICE.get(family, "see that it is there and can be written")
        if lost:
            advice = "the connection broke: see that the server runs, then try again"
        free = ""
        if self.dialect == "sqlite":
            with contextlib.suppress(OSError):
                free = f" ({shutil.disk_usage(Path(str(self.name)).parent).free:,} bytes free)"
        return StoreError(
            f"expected to read or write the labels in {self.name}; the database answered: {said[0]}{free}. "
            f"What to do: {advice}. Nothing already acknowledged was lost."
        )

    def close(self) -> None:
        self._engine.dispose()


def _url(url: str | Path) -> sa.URL:
    if isinstance(url, Path) or "://" not in url:
        return sa.URL.create("sqlite", database=str(Path(url).expanduser()))
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError):  # a port that is no number, for one
        raise SpecError(
            "expected a label store as a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE; got an address that "
            "cannot be read. Write one of these."
        ) from None  # what caused it repeats the password
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise SpecError(
            f"expected a label store as a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE; got {backend}://…. "
            "Write one of these."
        )
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SpecError("expected sqlite:///PATH; got no path: labels in memory would be lost. Give a file.")
    return parsed.set(drivername=backend)


def _write_ahead(connection: sa.Connection) -> None:
    connection.exec_driver_sql("PRAGMA journal_mode=WAL").close()


def _lost(error: BaseException) -> bool:
    """Whether the connection broke."""
    return bool(getattr(error, "connection_invalidated", False))


def _code(error: Exception) -> str:
    """PostgreSQL's SQLSTATE, or SQLite's name of the error."""
    origin = getattr(error, "orig", None) or error
    return str(getattr(origin, "sqlstate", None) or getattr(origin, "sqlite_errorname", None) or "")
