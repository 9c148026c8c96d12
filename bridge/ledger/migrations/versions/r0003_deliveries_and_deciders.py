"""What the status page needs: how much was delivered in each hour, and who decided on a record from where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is new; what was delivered before is not known by the hour."""
    op.create_table(
        "deliveries",
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("existing", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "hour"),
        comment="How many answers Trakor gave in each hour since the epoch, by whether it made the record.",
        sqlite_with_rowid=False,
    )
    op.add_column("history", sa.Column("by", sa.Text(), server_default="", nullable=False))
