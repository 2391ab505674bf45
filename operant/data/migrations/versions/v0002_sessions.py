"""Leases and answers name the browser they belong to, so that two people of one name do not share them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("label_pairs", "label_answers"):
        op.add_column(table, sa.Column("session", sa.String(64), nullable=False, server_default=""))
