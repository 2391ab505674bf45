"""The comparison store's tables, and how a store of an earlier version is brought to this one.

    label_segments ─< label_pairs ─< label_answers        label_skips: who never sees a pair again
                                                          label_counter: the last answer's number, one row

`label_version` holds the version; the steps between versions lie in `migrations/versions` and are Alembic's. Nothing is
ever deleted: an answer that was undone stays, beside the row that withdrew it.
"""

import threading
from pathlib import Path

import sqlalchemy as sa

from operant.errors import StoreError

metadata = sa.MetaData()
OPEN = sa.text("answer_id IS NULL AND duplicate_of IS NULL")

segments = sa.Table(
    "label_segments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("data", sa.LargeBinary, nullable=False),  # see _segment_bytes
    sqlite_autoincrement=True,
)
pairs = sa.Table(
    "label_pairs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),  # the same pair in another store
    sa.Column("left_id", sa.Integer, sa.ForeignKey("label_segments.id"), nullable=False),
    sa.Column("right_id", sa.Integer, sa.ForeignKey("label_segments.id"), nullable=False),
    sa.Column("member", sa.Integer, nullable=False),
    sa.Column("env_steps", sa.BigInteger, nullable=False),
    sa.Column("asked", sa.Double, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("duplicate_of", sa.Integer, sa.ForeignKey("label_pairs.id")),
    sa.Column("swapped", sa.Boolean, nullable=False),  # against the pair it repeats
    sa.Column("answer_id", sa.Integer),  # the answer that stands
    sa.Column("lease", sa.String(64)),
    sa.Column("leased_to", sa.String(200)),
    sa.Column("expires", sa.Double),
    sa.Column("session", sa.String(64), nullable=False, server_default=""),  # whose of that name
    sa.Index("label_pairs_open", "id", sqlite_where=OPEN, postgresql_where=OPEN),
    sa.Index("label_pairs_leased", "leased_to"),
    sa.Index("label_pairs_duplicates", "duplicate_of"),
    sqlite_autoincrement=True,
)
answers = sa.Table(
    "label_answers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # from label_counter
    sa.Column("pair_id", sa.Integer, sa.ForeignKey("label_pairs.id"), nullable=False, index=True),
    sa.Column("answer", sa.Integer),  # NULL: withdraws an earlier one
    sa.Column("labeller", sa.String(200), nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("key", sa.String(200)),
    sa.Column("undone", sa.Integer),  # the row that withdrew this one
    sa.Column("session", sa.String(64), nullable=False, server_default=""),
    sa.UniqueConstraint("labeller", "key", name="label_answers_once"),
    sa.Index("label_answers_by", "labeller", "id"),
)
skips = sa.Table(
    "label_skips",
    metadata,
    sa.Column("pair_id", sa.Integer, sa.ForeignKey("label_pairs.id"), primary_key=True),
    sa.Column("labeller", sa.String(200), primary_key=True),
)
counter = sa.Table("label_counter", metadata, sa.Column("last", sa.Integer, nullable=False))

VERSION_TABLE = "label_version"
MIGRATIONS = Path(__file__).parent / "migrations"
# Alembic's `op` is one object for the whole process, so two threads must not migrate at once.
_ALEMBIC = threading.Lock()


def migrate(connection: sa.Connection, name: str) -> None:
    """Bring the store behind `connection` to this version, within the transaction that is open.

    Raises:
        StoreError: `name` is a store of a newer version, or a SQLite file that is something else.
    """
    # Imported here: only what opens a store waits for them.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7263549)"))  # one process at a time
    script = ScriptDirectory(str(MIGRATIONS))
    options = {
        "script": script,
        "version_table": VERSION_TABLE,
        "fn": lambda revision, _: script._upgrade_revs("head", revision),
    }
    context = MigrationContext.configure(connection, opts=options)
    now, newest = context.get_current_revision(), script.get_current_head()
    if now == newest:
        return
    known = {revision.revision for revision in script.walk_revisions()}
    if now is not None and now not in known:
        raise StoreError(
            f"expected a label store of version {newest} or older in {name}; it has version {now}: a newer operant "
            "wrote it. Install that operant, or give another store. Nothing was changed."
        )
    tables = set(sa.inspect(connection).get_table_names())
    if now is None and connection.dialect.name == "sqlite" and tables:
        raise StoreError(
            f"expected a label store, or no file yet, in {name}; it is a database of something else, with the table "
            f"{sorted(tables)[0]!r}. Give another path. Nothing was changed."
        )
    with _ALEMBIC, Operations.context(context):
        context.run_migrations()
