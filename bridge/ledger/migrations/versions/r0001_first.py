"""The first schema: feeds, records, claims, links, waiting drafts, history, runs, sweeps, events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of the first version, each after those that it points to."""
    _events()
    _facts()
    _pauses()
    _runs()
    _spaces()
    _feeds()
    _records()
    _records_indexes()
    _sweeps()
    _claims()
    _history()
    _links()
    _waiting()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        comment="Webhooks received. A body is kept only where no id could be read from it.",
    )
    op.create_index(
        "events_waiting",
        "events",
        ["connection", "number"],
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="About the ledger itself, e.g. what its key hashes a constant to.",
    )


def _pauses() -> None:
    op.create_table(
        "pauses",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by_person", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("connection", "direction"),
        comment="Reading or sending that is stopped, since when and why, so that a restart knows it.",
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("streams", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("complete", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counts", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("number"),
        comment="Each backfill (and each life of the daemon), with its numbers as JSON.",
    )


def _spaces() -> None:
    op.create_table(
        "spaces",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.CheckConstraint("stream IN ('contacts', 'products')", name="stream_known"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("scope", "stream"),
        comment="Where names are unique: the parties, or the products, of one Trakor organisation.",
    )


def _feeds() -> None:
    op.create_table(
        "feeds",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("space", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["space"], ["spaces.number"]),
        sa.CheckConstraint("stream IN ('contacts', 'products')", name="stream_known"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("connection", "stream"),
        comment="One stream of one connection, and the space that its names belong to.",
    )


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("gone", sa.Integer(), server_default="0", nullable=False),
        sa.Column("filtered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry", sa.Integer(), server_default="0", nullable=False),
        sa.Column("forgotten", sa.Integer(), server_default="0", nullable=False),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("sent_key", sa.Text(), server_default="", nullable=False),
        sa.Column("sent", sa.Text(), server_default="", nullable=False),
        sa.Column("seen", sa.Text(), nullable=True),
        sa.Column("same_as", sa.Text(), server_default="", nullable=False),
        sa.Column("fingerprint", sa.Text(), server_default="", nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("sweep", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answered_run", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("trakor_id", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("merged_into", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["feed"], ["feeds.number"]),
        sa.ForeignKeyConstraint(["merged_into"], ["records.number"]),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'merged', 'skipped', "
            "'held', 'rejected', 'drifted', 'dropped')",
            name="state_known",
        ),
        sa.CheckConstraint("origin IN ('created', 'existing', 'unclear')", name="origin_known"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("feed", "source_id"),
        comment="One row for each source record: its one state, and hashes of what was sent and seen.",
    )


def _records_indexes() -> None:
    op.create_index(
        "records_due",
        "records",
        ["feed", "next_try_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "records_merged",
        "records",
        ["merged_into"],
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index(
        "records_waiting",
        "records",
        ["feed", "state", "reason"],
        sqlite_where=sa.text("state IN ('held', 'rejected', 'drifted')"),
        postgresql_where=sa.text("state IN ('held', 'rejected', 'drifted')"),
    )


def _sweeps() -> None:
    op.create_table(
        "sweeps",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Text(), server_default="", nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("complete", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["feed"], ["feeds.number"]),
        sa.PrimaryKeyConstraint("number"),
        comment="Each reading of a whole list, and how far it is. A checkpoint belongs to one query text.",
    )
    op.create_index("sweeps_feed", "sweeps", ["feed", "number"])


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("space", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("record", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["record"], ["records.number"]),
        sa.ForeignKeyConstraint(["space"], ["spaces.number"]),
        sa.PrimaryKeyConstraint("space", "key"),
        comment="Who holds a name. Two records can never hold one: that is the primary key.",
        sqlite_with_rowid=False,
    )
    op.create_index("claims_record", "claims", ["record"])


def _history() -> None:
    op.create_table(
        "history",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("record", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["record"], ["records.number"]),
        sa.PrimaryKeyConstraint("number"),
        comment="What became of each record, in short rows without personal data.",
    )
    op.create_index("history_record", "history", ["record"])


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("space", sa.Integer(), nullable=False),
        sa.Column("trakor_id", sa.Text(), nullable=False),
        sa.Column("record", sa.Integer(), nullable=False),
        sa.Column("sku", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["record"], ["records.number"]),
        sa.ForeignKeyConstraint(["space"], ["spaces.number"]),
        sa.PrimaryKeyConstraint("space", "trakor_id"),
        comment="Which Trakor record is whose. Two source records can never be linked to one.",
        sqlite_with_rowid=False,
    )
    op.create_index("links_record", "links", ["record"])


def _waiting() -> None:
    op.create_table(
        "waiting",
        sa.Column("record", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["record"], ["records.number"]),
        sa.PrimaryKeyConstraint("record", "slot"),
        comment="What a record says, only while it waits. Slot 0: to be sent or decided; 1: seen since.",
        sqlite_with_rowid=False,
    )
