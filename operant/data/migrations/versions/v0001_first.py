"""The first version: segments, pairs, answers, skips."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "label_segments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "label_pairs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        sa.Column("left_id", sa.Integer, sa.ForeignKey("label_segments.id"), nullable=False),
        sa.Column("right_id", sa.Integer, sa.ForeignKey("label_segments.id"), nullable=False),
        sa.Column("member", sa.Integer, nullable=False),
        sa.Column("env_steps", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.Double, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("duplicate_of", sa.Integer, sa.ForeignKey("label_pairs.id")),
        sa.Column("swapped", sa.Boolean, nullable=False),
        sa.Column("answer_id", sa.Integer),
        sa.Column("lease", sa.String(64)),
        sa.Column("leased_to", sa.String(200)),
        sa.Column("expires", sa.Double),
        sqlite_autoincrement=True,
    )
    still_open = sa.text("answer_id IS NULL AND duplicate_of IS NULL")
    op.create_index("label_pairs_open", "label_pairs", ["id"], sqlite_where=still_open, postgresql_where=still_open)
    op.create_index("label_pairs_leased", "label_pairs", ["leased_to"])
    op.create_index("label_pairs_duplicates", "label_pairs", ["duplicate_of"])
    op.create_table(
        "label_answers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("pair_id", sa.Integer, sa.ForeignKey("label_pairs.id"), nullable=False, index=True),
        sa.Column("answer", sa.Integer),
        sa.Column("labeller", sa.String(200), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("key", sa.String(200)),
        sa.Column("undone", sa.Integer),
        sa.UniqueConstraint("labeller", "key", name="label_answers_once"),
    )
    op.create_index("label_answers_by", "label_answers", ["labeller", "id"])
    op.create_table(
        "label_skips",
        sa.Column("pair_id", sa.Integer, sa.ForeignKey("label_pairs.id"), primary_key=True),
        sa.Column("labeller", sa.String(200), primary_key=True),
    )
    counter = op.create_table("label_counter", sa.Column("last", sa.Integer, nullable=False))
    op.bulk_insert(counter, [{"last": 0}])
