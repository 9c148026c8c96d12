"""What the daemon needs: tallies, due jobs, timestamps, and more about sweeps and events."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BEFORE: Final = "it ended early, or some of it could not be read"
"""The problem of an older sweep that ended and is not complete: it was not noted which."""

_COUNT: Final = (
    "INSERT INTO tallies (feed, state, reason, gone, filtered, number)"
    " VALUES (NEW.feed, NEW.state, coalesce(NEW.reason, ''), NEW.gone, NEW.filtered, 1)"
    " ON CONFLICT DO UPDATE SET number = number + 1;"
)
_UNCOUNT: Final = (
    "UPDATE tallies SET number = number - 1 WHERE feed = OLD.feed AND state = OLD.state"
    " AND reason = coalesce(OLD.reason, '') AND gone = OLD.gone AND filtered = OLD.filtered;"
)
_TRIGGERS: Final = (
    f"CREATE TRIGGER records_counted AFTER INSERT ON records BEGIN {_COUNT} END",
    f"CREATE TRIGGER records_uncounted AFTER DELETE ON records BEGIN {_UNCOUNT} END",
    (
        "CREATE TRIGGER records_recounted AFTER UPDATE OF feed, state, reason, gone, filtered ON records"
        " WHEN OLD.state <> NEW.state OR OLD.reason IS NOT NEW.reason OR OLD.gone <> NEW.gone"
        " OR OLD.filtered <> NEW.filtered OR OLD.feed <> NEW.feed"
        f" BEGIN {_UNCOUNT} {_COUNT} END"
    ),
)


def upgrade() -> None:
    """Add what is new, and count what is there."""
    _tallies()
    _arrivals()
    _due_jobs()
    _timestamps()
    _sweeps()
    _events()


def _tallies() -> None:
    op.create_table(
        "tallies",
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("gone", sa.Integer(), nullable=False),
        sa.Column("filtered", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "state", "reason", "gone", "filtered"),
        comment="How many records are in each state. Triggers on records keep it: see migration 0002.",
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO tallies (feed, state, reason, gone, filtered, number)"
        " SELECT feed, state, coalesce(reason, ''), gone, filtered, count(*) FROM records"
        " GROUP BY 1, 2, 3, 4, 5"
    )
    for trigger in _TRIGGERS:
        op.execute(trigger)


def _arrivals() -> None:
    op.create_table(
        "arrivals",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "action", "problem"),
        comment="How many webhooks came, of each action: events are deleted one day, these numbers stay.",
        sqlite_with_rowid=False,
    )


def _due_jobs() -> None:
    op.create_table(
        "wishes",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("wanted_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("connection", "job"),
        comment="What the schedule wants done, since when, and when it is due next.",
        sqlite_with_rowid=False,
    )


def _timestamps() -> None:
    op.create_table(
        "moments",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "name"),
        comment="Times that only a running daemon knows, for those who look beside it.",
        sqlite_with_rowid=False,
    )


def _sweeps() -> None:
    for name in ("read", "gone", "missing"):
        op.add_column("sweeps", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("sweeps", sa.Column("problem", sa.Text(), server_default="", nullable=False))
    # What a sweep has read is only known of those that are the last to have seen a record: the newest.
    op.execute(
        "UPDATE sweeps SET read = seen.number FROM"
        " (SELECT sweep, count(*) AS number FROM records WHERE sweep > 0 GROUP BY sweep) AS seen"
        " WHERE seen.sweep = sweeps.number"
    )
    early = sa.text("UPDATE sweeps SET problem = :why WHERE ended_at IS NOT NULL AND complete = 0")
    op.execute(early.bindparams(why=_BEFORE))


def _events() -> None:
    op.add_column("events", sa.Column("problem", sa.Text(), server_default="", nullable=False))
    for name, columns, where in (
        ("events_waiting_of", ["connection", "source_id"], "done_at IS NULL"),
        ("events_done", ["done_at"], "done_at IS NOT NULL"),
        ("events_problems", ["number"], "problem <> ''"),
    ):
        op.create_index(name, "events", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
