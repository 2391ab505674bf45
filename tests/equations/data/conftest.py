"""Where the comparison store's tests keep it: a SQLite file, and a database in a PostgreSQL cluster of their own."""

import contextlib
import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from operant.data.comparisons import Store


def _binaries() -> Path | None:
    """PostgreSQL's programs; Debian keeps them off the path."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    return folders[-1] if folders else None


def _user() -> str:
    """Somebody other than root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextlib.contextmanager
def cluster(*settings: str) -> Iterator[str]:
    """A private cluster on a Unix socket in a temporary folder; yields the URL of its first database."""
    bin, user = _binaries(), _user()
    if bin is None:
        pytest.skip("PostgreSQL's initdb is not here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, user)

        def call(*command: str) -> None:
            kwargs = {"user": user} if os.geteuid() == 0 else {}
            done = subprocess.run(command, cwd=folder, text=True, capture_output=True, **kwargs)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

        data = str(folder / "data")
        call(str(bin / "initdb"), "-D", data, "-U", "operant", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = " ".join(["-k", str(folder), "-c listen_addresses=''", *(f"-c {setting}" for setting in settings)])
        call(str(bin / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://operant@/postgres?host={folder}"
        finally:
            call(str(bin / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with cluster("fsync=off") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty place for a store."""
    if request.param == "sqlite":
        return str(tmp_path / "labels.db")
    return database(request.getfixturevalue("postgresql"))


def database(url: str) -> str:
    """A new database in the cluster at `url`."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(url, autocommit=True) as connection:
        (number,) = connection.execute("SELECT count(*) FROM pg_database").fetchone()
        connection.execute(f"CREATE DATABASE labels_{number}")
    return url.replace("/postgres?", f"/labels_{number}?")


@pytest.fixture
def open_store(url):
    """Opens stores at `url` and closes them at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Store(url, **options))
