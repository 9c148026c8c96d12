"""Claims know their attempts, links what was sent, records their input, rules and marks; text is sealed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from alembic import op

from bridge.errors import LedgerError

if TYPE_CHECKING:
    from bridge.encryption import Sealer

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UNANSWERED_WAIT: Final = 150_000
"""Milliseconds: the default of [trakor] unanswered_wait when this was written."""

_KIND: Final = ("feed", "state", "reason", "gone", "filtered", "remapped", "dismissed")
_NEW: Final = ", ".join("coalesce(NEW.reason, '')" if name == "reason" else f"NEW.{name}" for name in _KIND)
_OLD: Final = " AND ".join(
    f"{name} = " + ("coalesce(OLD.reason, '')" if name == "reason" else f"OLD.{name}") for name in _KIND
)
_COUNT: Final = (
    f"INSERT INTO tallies ({', '.join(_KIND)}, number) VALUES ({_NEW}, 1)"  # noqa: S608 - constants
    " ON CONFLICT DO UPDATE SET number = number + 1;"
)
_UNCOUNT: Final = f"UPDATE tallies SET number = number - 1 WHERE {_OLD};"  # noqa: S608 - constants
_CHANGED: Final = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _KIND)
_TRIGGERS: Final = (
    f"CREATE TRIGGER records_counted AFTER INSERT ON records BEGIN {_COUNT} END",
    f"CREATE TRIGGER records_uncounted AFTER DELETE ON records BEGIN {_UNCOUNT} END",
    (
        f"CREATE TRIGGER records_recounted AFTER UPDATE OF {', '.join(_KIND)} ON records"
        f" WHEN {_CHANGED} BEGIN {_UNCOUNT} {_COUNT} END"
    ),
)


def upgrade() -> None:
    """Add what is new, and move what is known already to its new place."""
    _records()
    _tallies()
    _claims()
    _links()
    _new_tables()
    _sweeps()
    _events()
    _waiting()
    _drop_old()


def _number(name: str, kind: type[sa.Integer] = sa.Integer) -> sa.Column[int]:
    return sa.Column(name, kind(), server_default="0", nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _records() -> None:
    for name in ("remapped", "dismissed", "given", "rules", "turn"):
        op.add_column("records", _number(name))
    for name in ("identifiers", "input"):
        op.add_column("records", _text(name))
    op.add_column("records", sa.Column("merged_by", sa.Text()))
    op.execute("UPDATE records SET identifiers = json_object('', same_as) WHERE same_as <> ''")
    op.execute(
        "UPDATE records SET merged_by = CASE"
        " WHEN same_as <> '' AND same_as = (SELECT same_as FROM records AS into_ WHERE"
        " into_.number = records.merged_into) THEN 'rule' ELSE 'policy' END WHERE merged_into IS NOT NULL"
    )
    wanting = sa.text("sent_key <> key")
    op.create_index(
        "records_wanting", "records", ["feed", "key"], sqlite_where=wanting, postgresql_where=wanting
    )
    marked, places = sa.text("remapped = 1 OR dismissed = 1"), ["feed", "state", "reason"]
    op.create_index("records_marked", "records", places, sqlite_where=marked, postgresql_where=marked)
    op.drop_index("records_due", "records")
    pending, under_way = sa.text("state = 'pending'"), sa.text("claimed_until > 0")
    queue = ["feed", "turn", "next_try_at", "number"]
    op.create_index("records_due", "records", queue, sqlite_where=pending, postgresql_where=pending)
    op.create_index(
        "records_under_way", "records", ["feed"], sqlite_where=under_way, postgresql_where=under_way
    )


def _tallies() -> None:
    for trigger in ("records_counted", "records_uncounted", "records_recounted"):
        op.execute(f"DROP TRIGGER {trigger}")
    op.drop_table("tallies")
    op.create_table(
        "tallies",
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _text("reason"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in (*_KIND[3:], "number")),
        sa.PrimaryKeyConstraint(*_KIND),
        comment="How many records are in each state. Triggers on records keep it: see migration 0005.",
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO tallies (feed, state, reason, gone, filtered, remapped, dismissed, number)"
        " SELECT feed, state, coalesce(reason, ''), gone, filtered, remapped, dismissed, count(*)"
        " FROM records GROUP BY 1, 2, 3, 4, 5, 6, 7"
    )
    for trigger in _TRIGGERS:
        op.execute(trigger)


def _claims() -> None:
    op.add_column("claims", _number("attempts"))
    op.add_column("claims", _text("tried"))
    for name in ("unanswered_at", "not_before"):
        op.add_column("claims", _number(name, sa.BigInteger))
    awaited = sa.text("not_before > 0")
    op.create_index(
        "claims_awaited", "claims", ["space", "not_before"], sqlite_where=awaited, postgresql_where=awaited
    )
    _move_attempts()


def _move_attempts() -> None:
    """Attempts belong to the claim. What may have no answer may be at work still: it is not sent at once.

    The older version did not note how an attempt ended, so that any may have had none. A name that was
    answered for once may have come back.
    """
    held = "claims.record = records.number AND claims.key = records.sent_key AND records.attempts > 0"
    op.execute(
        f"UPDATE claims SET attempts = records.attempts FROM records WHERE {held}"  # noqa: S608 - constants
    )
    now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000"
    to_be_sent = "records.trakor_id IS NULL AND records.state IN ('pending', 'rejected')"
    op.execute(
        f"UPDATE claims SET unanswered_at = {now}, not_before = {now} + {UNANSWERED_WAIT},"  # noqa: S608 - constants
        f" tried = records.sent FROM records WHERE {held} AND (answered = 0 OR ({to_be_sent}))"
    )


def _links() -> None:
    op.add_column("links", _text("key"))
    op.add_column("links", _text("sent"))
    op.add_column("links", sa.Column("origin", sa.Text()))
    # What was there before has a content that nobody knows. Of earlier names of a record nothing was noted.
    op.execute(
        "UPDATE links SET key = records.sent_key, origin = records.origin,"
        " sent = CASE WHEN records.origin = 'existing' THEN '' ELSE records.sent END"
        " FROM records WHERE records.number = links.record AND records.trakor_id = links.trakor_id"
    )


def _new_tables() -> None:
    op.create_table(
        "contents",
        sa.Column("space", sa.Integer(), nullable=False),
        sa.Column("trakor_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("space", "trakor_id"),
        comment="The name and fields that were sent for a link, sealed; not with [ledger] keep = hashes.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "canaries",
        sa.Column("record", sa.Integer(), sa.ForeignKey("records.number"), primary_key=True),
        sa.Column("feed", sa.Integer(), sa.ForeignKey("feeds.number"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        comment="A few payloads that Trakor took lately, sealed: sent again to find out whether it works.",
    )
    op.create_index("canaries_feed", "canaries", ["feed", "at"])
    op.create_table(
        "rules",
        sa.Column("number", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("query", "map", "choices", "text")),
        sa.UniqueConstraint("query", "map", "choices"),
        comment="What drafts were made and decided by: fingerprints, and the text of the map.",
    )
    op.create_table(
        "organizations",
        sa.Column("connection", sa.Text(), primary_key=True),
        *(_text(name) for name in ("source", "address", "key", "scope", "refused")),
        comment="Which two organisations a connection joins, as keyed hashes: they must not be mixed up.",
    )


def _sweeps() -> None:
    op.add_column("records", _number("missed"))
    op.add_column("sweeps", _number("narrowed"))
    op.add_column("sweeps", _text("list_query"))
    open_ = sa.text("ended_at IS NULL")
    op.create_index("sweeps_open", "sweeps", ["feed", "began_at"], sqlite_where=open_, postgresql_where=open_)


def _events() -> None:
    """What could not be read waits for its own time, and keeps nobody's place."""
    op.add_column("events", _number("tries"))
    for name in ("failing_since", "next_try_at"):
        op.add_column("events", _number(name, sa.BigInteger))
    op.add_column("events", _text("waits_for"))
    op.drop_index("events_waiting", "events")
    # Of all, not only of those that wait: a record that is forgotten takes its own along.
    op.create_index("events_of", "events", ["source_id", "connection"])
    for name, column, tried in (
        ("events_waiting", "number", "next_try_at = 0"),
        ("events_retried", "next_try_at", "next_try_at > 0"),
    ):
        waits = sa.text(f"done_at IS NULL AND {tried}")
        op.create_index(name, "events", ["connection", column], sqlite_where=waits, postgresql_where=waits)
    _bodies()


def _bodies() -> None:
    """What nobody understood of a webhook may tell of a client: it is sealed, row by row."""
    op.alter_column("events", "body", new_column_name="in_clear")
    op.add_column("events", sa.Column("body", sa.LargeBinary()))
    connection = op.get_bind()
    some = sa.text(
        "SELECT number, in_clear FROM events WHERE number > :after AND in_clear IS NOT NULL"
        " ORDER BY number LIMIT 500"
    )
    sealed = sa.text("UPDATE events SET body = :body WHERE number = :number")
    sealer, after = connection.info.get("sealer"), -1
    while found := connection.execute(some, {"after": after}).all():
        if sealer is None:
            raise LedgerError("the ledger's key is needed to bring a ledger with webhooks up to date")
        bodies = [{"number": row.number, "body": sealer.seal([row.in_clear], "events")} for row in found]
        connection.execute(sealed, bodies)
        after = found[-1].number
    op.drop_column("events", "in_clear")


def _waiting() -> None:
    """What a record says while it waits stood there in clear: it is sealed, row by row."""
    op.rename_table("waiting", "waiting_in_clear")
    op.create_table(
        "waiting",
        sa.Column("record", sa.Integer(), sa.ForeignKey("records.number"), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("meta", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("record", "slot"),
        comment="What a record says, sealed. Slot 0: to send or decide; 1: seen since; 2: Trakor's words.",
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    found = connection.execute(
        sa.text(
            "SELECT w.record, w.slot, w.body, r.source_id, f.number AS feed, f.stream"
            " FROM waiting_in_clear AS w JOIN records AS r ON r.number = w.record"
            " JOIN feeds AS f ON f.number = r.feed ORDER BY w.record, w.slot"
        )
    )
    sealed = sa.text("INSERT INTO waiting (record, slot, body, meta) VALUES (:record, :slot, :body, :meta)")
    sealer = connection.info.get("sealer")
    for rows in found.partitions(500):
        connection.execute(sealed, [_sealed(sealer, row) for row in rows])
    op.drop_table("waiting_in_clear")


def _sealed(sealer: Sealer | None, row: sa.Row[Any]) -> dict[str, Any]:
    """A draft that waits, as revision 0005 keeps it."""
    if sealer is None:
        raise LedgerError("the ledger's key is needed to bring a ledger with waiting records up to date")
    body = json.loads(row.body)
    fields = body["fields"]
    send_as = "" if body["send_as"] == fields["name"] else body["send_as"]
    texts = [*fields.values(), "", send_as, body["qualified_name"]]
    while not texts[-1]:
        texts.pop()
    hashes = ";".join(["1", *sorted(f"{name}={found}" for name, found in body["hashes"].items() if found)])
    identifiers = json.dumps({"": body["same_as"]}) if body["same_as"] else ""
    meta = [body["key"], body["qualified_key"], hashes, identifiers, body["read_at"]]
    place = f"{row.feed}\0{row.stream}\0{row.source_id}"
    return {
        "record": row.record,
        "slot": row.slot,
        "body": sealer.seal(texts, place),
        "meta": json.dumps(meta, separators=(",", ":")),
    }


def _drop_old() -> None:
    """What has a better place now."""
    for name in ("attempts", "same_as", "fingerprint"):
        op.drop_column("records", name)
