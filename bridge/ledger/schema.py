"""The ledger's tables (SQLAlchemy Core), for SQLite now and PostgreSQL when one machine is not enough.

Times are whole milliseconds since the epoch (``…_at``); 0 means "at once" or "never". Hashes are keyed
texts (see ``bridge/names``). The text of records is in the tables ``waiting`` and ``contents`` only,
sealed. A row there is deleted, never emptied, because a column set to NULL leaves its bytes in the page.

Columns of type ``NUMBER``, ``TEXT`` and ``TIME`` are read as 0 or as unreadable if damage made them NULL:
these are what readers show or calculate with. Tables that are outer-joined, and columns whose minimum is
asked, have the plain types: there NULL means that there is no row.

Some tables keep older names than the variables, because a rename would need a migration of every ledger
(docs/adr/0009).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from bridge.ledger.damage_tolerant_columns import (
    NUMBER,
    TEXT,
    TIME,
    SafeBigInteger,
    SafeBinary,
    SafeChoice,
    SafeInteger,
    SafeText,
)
from bridge.records import Origin, State, Stream

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "HEAD",
    "NOTED",
    "TO_SEND",
    "TRAKOR_TEXT",
    "alerts_sent",
    "canaries",
    "claims",
    "contents",
    "create_tables",
    "deliveries",
    "events",
    "facts",
    "feeds",
    "history",
    "links",
    "metadata",
    "namespaces",
    "organizations",
    "pauses",
    "records",
    "rules",
    "runs",
    "scheduled_jobs",
    "stored_texts",
    "sweeps",
    "tallies",
    "timestamps",
    "webhook_counts",
]

HEAD = "0005"
"""The schema's revision that this code is written for (the newest file in migrations/versions)."""

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
    comment="About the ledger itself, e.g. what its key hashes a constant to.",
)


def _one_of(column: str, words: type[State | Origin | Stream]) -> CheckConstraint:
    allowed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


namespaces = Table(
    "spaces",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("scope", TEXT, nullable=False),
    Column("stream", TEXT, _one_of("stream", Stream), nullable=False),
    UniqueConstraint("scope", "stream"),
    comment="Where names are unique: the parties, or the products, of one Trakor organisation.",
)

feeds = Table(
    "feeds",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("connection", TEXT, nullable=False),
    Column("stream", TEXT, _one_of("stream", Stream), nullable=False),
    Column("space", ForeignKey("spaces.number"), nullable=False),
    UniqueConstraint("connection", "stream"),
    comment="One stream of one connection, and the space that its names belong to.",
)

records = Table(
    "records",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("feed", ForeignKey("feeds.number"), nullable=False),
    Column("source_id", TEXT, nullable=False),
    Column("state", SafeChoice(State, State.REJECTED), _one_of("state", State), nullable=False),
    Column("reason", SafeText),
    Column("gone", SafeInteger, nullable=False, server_default="0"),
    Column("filtered", SafeInteger, nullable=False, server_default="0"),
    Column("remapped", SafeInteger, nullable=False, server_default="0"),
    Column("dismissed", SafeInteger, nullable=False, server_default="0"),
    Column("retry", SafeInteger, nullable=False, server_default="0"),
    Column("forgotten", SafeInteger, nullable=False, server_default="0"),
    Column("given", SafeInteger, nullable=False, server_default="0"),
    Column("key", TEXT, nullable=False, server_default=""),
    Column("sent_key", TEXT, nullable=False, server_default=""),
    Column("sent", TEXT, nullable=False, server_default=""),
    Column("seen", SafeText),
    Column("identifiers", TEXT, nullable=False, server_default=""),
    Column("rules", NUMBER, nullable=False, server_default="0"),
    Column("input", TEXT, nullable=False, server_default=""),
    Column("read_at", TIME, nullable=False),
    Column("since_at", TIME, nullable=False),
    Column("sweep", NUMBER, nullable=False, server_default="0"),
    Column("missed", SafeInteger, nullable=False, server_default="0"),
    Column("run", SafeInteger, nullable=False, server_default="0"),
    Column("answered_run", SafeInteger, nullable=False, server_default="0"),
    Column("turn", NUMBER, nullable=False, server_default="0"),
    Column("failures", NUMBER, nullable=False, server_default="0"),
    Column("next_try_at", SafeBigInteger, nullable=False, server_default="0"),
    Column("claimed_until", SafeBigInteger, nullable=False, server_default="0"),
    Column("trakor_id", SafeText),
    Column("origin", SafeText, _one_of("origin", Origin)),
    Column("merged_into", ForeignKey("records.number")),
    Column("merged_by", SafeText),
    UniqueConstraint("feed", "source_id"),
    comment="One row for each source record: its one state, and hashes of what was sent and seen.",
)

Index(
    "records_due",
    records.c.feed,
    records.c.turn,
    records.c.next_try_at,
    records.c.number,
    sqlite_where=text("state = 'pending'"),
)
Index(
    "records_under_way",
    records.c.feed,
    sqlite_where=text("claimed_until > 0"),
)
Index(
    "records_waiting",
    records.c.feed,
    records.c.state,
    records.c.reason,
    sqlite_where=text("state IN ('held', 'rejected', 'drifted')"),
)
Index(
    "records_marked",
    records.c.feed,
    records.c.state,
    records.c.reason,
    sqlite_where=text("remapped = 1 OR dismissed = 1"),
)
Index(
    "records_merged",
    records.c.merged_into,
    sqlite_where=text("merged_into IS NOT NULL"),
)

Index(
    "records_wanting",
    records.c.feed,
    records.c.key,
    sqlite_where=text("sent_key <> key"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("feed", SafeInteger, nullable=False),
    Column("state", SafeChoice(State, State.REJECTED), nullable=False),
    Column("reason", TEXT, nullable=False, server_default=""),
    Column("gone", SafeInteger, nullable=False),
    Column("filtered", SafeInteger, nullable=False),
    Column("remapped", SafeInteger, nullable=False),
    Column("dismissed", SafeInteger, nullable=False),
    Column("number", NUMBER, nullable=False),
    PrimaryKeyConstraint("feed", "state", "reason", "gone", "filtered", "remapped", "dismissed"),
    sqlite_with_rowid=False,
    comment="How many records are in each state. Triggers on records keep it: see migration 0005.",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("feed", SafeInteger, nullable=False),
    Column("hour", SafeInteger, nullable=False),
    Column("created", SafeInteger, nullable=False),
    Column("existing", SafeInteger, nullable=False),
    PrimaryKeyConstraint("feed", "hour"),
    sqlite_with_rowid=False,
    comment="How many answers Trakor gave in each hour since the epoch, by whether it made the record.",
)

claims = Table(
    "claims",
    metadata,
    Column("space", ForeignKey("spaces.number"), nullable=False),
    Column("key", SafeText, nullable=False),
    Column("record", ForeignKey("records.number"), nullable=False),
    Column("answered", SafeInteger, nullable=False, server_default="0"),
    Column("attempts", SafeInteger, nullable=False, server_default="0"),
    Column("tried", SafeText, nullable=False, server_default=""),
    Column("unanswered_at", SafeBigInteger, nullable=False, server_default="0"),
    Column("not_before", SafeBigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("space", "key"),
    sqlite_with_rowid=False,
    comment="Who holds a name, and how often it was tried. Two records can never hold one: the primary key.",
)
Index("claims_record", claims.c.record)
Index(
    "claims_awaited",
    claims.c.space,
    claims.c.not_before,
    sqlite_where=text("not_before > 0"),
)

links = Table(
    "links",
    metadata,
    Column("space", ForeignKey("spaces.number"), nullable=False),
    Column("trakor_id", SafeText, nullable=False),
    Column("record", ForeignKey("records.number"), nullable=False),
    Column("sku", SafeText, nullable=False, server_default=""),
    Column("at", SafeBigInteger, nullable=False),
    Column("key", SafeText, nullable=False, server_default=""),
    Column("sent", SafeText, nullable=False, server_default=""),
    Column("origin", SafeText),
    PrimaryKeyConstraint("space", "trakor_id"),
    sqlite_with_rowid=False,
    comment="Which Trakor record is whose, and hashes of what was really sent of it; empty: not known.",
)
Index("links_record", links.c.record)

contents = Table(
    "contents",
    metadata,
    Column("space", SafeInteger, nullable=False),
    Column("trakor_id", SafeText, nullable=False),
    Column("body", SafeBinary, nullable=False),
    PrimaryKeyConstraint("space", "trakor_id"),
    sqlite_with_rowid=False,
    comment="The name and fields that were sent for a link, sealed; not with [ledger] keep = hashes.",
)

canaries = Table(
    "canaries",
    metadata,
    Column("record", ForeignKey("records.number"), primary_key=True),
    Column("feed", ForeignKey("feeds.number"), nullable=False),
    Column("at", SafeBigInteger, nullable=False),
    Column("body", SafeBinary, nullable=False),
    comment="A few payloads that Trakor took lately, sealed: sent again to find out whether it works.",
)
Index("canaries_feed", canaries.c.feed, canaries.c.at)

rules = Table(
    "rules",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("query", SafeText, nullable=False),
    Column("map", SafeText, nullable=False),
    Column("choices", SafeText, nullable=False),
    Column("text", SafeText, nullable=False),
    UniqueConstraint("query", "map", "choices"),
    comment="What drafts were made and decided by: fingerprints, and the text of the map.",
)

organizations = Table(
    "organizations",
    metadata,
    Column("connection", TEXT, primary_key=True),
    Column("source", TEXT, nullable=False, server_default=""),
    Column("address", TEXT, nullable=False, server_default=""),
    Column("key", TEXT, nullable=False, server_default=""),
    Column("scope", TEXT, nullable=False, server_default=""),
    Column("refused", TEXT, nullable=False, server_default=""),
    comment="Which two organisations a connection joins, as keyed hashes: they must not be mixed up.",
)

TO_SEND = 0
"""The slot for the draft that is to be sent, or that an operator decides on."""

NOTED = 1
"""The slot for the draft that was seen while another one was in flight."""

TRAKOR_TEXT = 2
"""The slot for the text with which Trakor rejected a record."""

stored_texts = Table(
    "waiting",
    metadata,
    Column("record", ForeignKey("records.number"), nullable=False),
    Column("slot", SafeInteger, nullable=False),
    Column("body", SafeBinary, nullable=False),
    Column("meta", SafeText, nullable=False, server_default=""),
    PrimaryKeyConstraint("record", "slot"),
    sqlite_with_rowid=False,
    comment="What a record says, sealed. Slot 0: to send or decide; 1: seen since; 2: Trakor's words.",
)

history = Table(
    "history",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("record", ForeignKey("records.number"), nullable=False),
    Column("at", TIME, nullable=False),
    Column("event", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False, server_default=""),
    Column("by", TEXT, nullable=False, server_default=""),
    comment="What became of each record, in short rows without personal data.",
)
Index("history_record", history.c.record)

runs = Table(
    "runs",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("connection", TEXT, nullable=False),
    Column("command", TEXT, nullable=False),
    Column("streams", TEXT, nullable=False),
    Column("began_at", TIME, nullable=False),
    Column("ended_at", SafeBigInteger),
    Column("complete", SafeInteger, nullable=False, server_default="0"),
    Column("counts", TEXT, nullable=False, server_default=""),
    comment="Each backfill (and each life of the daemon), with its numbers as JSON.",
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("feed", ForeignKey("feeds.number"), nullable=False),
    Column("query", TEXT, nullable=False),
    Column("began_at", SafeBigInteger, nullable=False),
    Column("position", TEXT, nullable=False, server_default=""),
    Column("moved_at", TIME, nullable=False),
    Column("ended_at", SafeBigInteger),
    Column("complete", SafeInteger, nullable=False, server_default="0"),
    Column("read", SafeInteger, nullable=False, server_default="0"),
    Column("gone", SafeInteger, nullable=False, server_default="0"),
    Column("missing", SafeInteger, nullable=False, server_default="0"),
    Column("narrowed", SafeInteger, nullable=False, server_default="0"),
    Column("list_query", TEXT, nullable=False, server_default=""),
    Column("problem", TEXT, nullable=False, server_default=""),
    comment="Each reading of a whole list, and how far it is. A checkpoint belongs to one query text.",
)
Index("sweeps_feed", sweeps.c.feed, sweeps.c.number)
Index(
    "sweeps_open",
    sweeps.c.feed,
    sweeps.c.began_at,
    sqlite_where=text("ended_at IS NULL"),
)

events = Table(
    "events",
    metadata,
    Column("number", SafeInteger, primary_key=True),
    Column("connection", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("source_id", TEXT, nullable=False, server_default=""),
    Column("received_at", TIME, nullable=False),
    Column("done_at", SafeBigInteger),
    Column("outcome", TEXT, nullable=False, server_default=""),
    Column("problem", TEXT, nullable=False, server_default=""),
    Column("tries", SafeInteger, nullable=False, server_default="0"),
    Column("failing_since", SafeBigInteger, nullable=False, server_default="0"),
    Column("next_try_at", SafeBigInteger, nullable=False, server_default="0"),
    Column("waits_for", TEXT, nullable=False, server_default=""),
    Column("body", SafeBinary),
    comment="Webhooks received. A body is kept only where no id could be read from it, and sealed.",
)
Index(
    "events_waiting",
    events.c.connection,
    events.c.number,
    sqlite_where=text("done_at IS NULL AND next_try_at = 0"),
)
Index(
    "events_retried",
    events.c.connection,
    events.c.next_try_at,
    sqlite_where=text("done_at IS NULL AND next_try_at > 0"),
)
Index(
    "events_waiting_of",
    events.c.connection,
    events.c.source_id,
    sqlite_where=text("done_at IS NULL"),
)
Index("events_of", events.c.source_id, events.c.connection)
Index(
    "events_done",
    events.c.done_at,
    sqlite_where=text("done_at IS NOT NULL"),
)
Index(
    "events_problems",
    events.c.number,
    sqlite_where=text("problem <> ''"),
)

webhook_counts = Table(
    "arrivals",
    metadata,
    Column("connection", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("problem", TEXT, nullable=False),
    Column("number", NUMBER, nullable=False),
    Column("last_at", TIME, nullable=False),
    PrimaryKeyConstraint("connection", "action", "problem"),
    sqlite_with_rowid=False,
    comment="How many webhooks came, of each action: events are deleted one day, these numbers stay.",
)

pauses = Table(
    "pauses",
    metadata,
    Column("connection", TEXT, nullable=False),
    Column("direction", TEXT, nullable=False),
    Column("since_at", TIME, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("by_person", SafeInteger, nullable=False, server_default="0"),
    Column("next_try_at", TIME, nullable=False, server_default="0"),
    Column("tries", NUMBER, nullable=False, server_default="0"),
    PrimaryKeyConstraint("connection", "direction"),
    comment="Reading or sending that is stopped, since when and why, so that a restart knows it.",
)

scheduled_jobs = Table(
    "wishes",
    metadata,
    Column("connection", TEXT, nullable=False),
    Column("job", TEXT, nullable=False),
    Column("wanted_at", TIME, nullable=False, server_default="0"),
    Column("next_at", TIME, nullable=False, server_default="0"),
    PrimaryKeyConstraint("connection", "job"),
    sqlite_with_rowid=False,
    comment="What the schedule wants done, since when, and when it is due next.",
)

timestamps = Table(
    "moments",
    metadata,
    Column("connection", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("at", TIME, nullable=False),
    PrimaryKeyConstraint("connection", "name"),
    sqlite_with_rowid=False,
    comment="Times that only a running daemon knows, for those who look beside it.",
)

alerts_sent = Table(
    "said",
    metadata,
    Column("address", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("connection", TEXT, nullable=False),
    Column("stream", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("at", TIME, nullable=False),
    Column("number", NUMBER, nullable=False),
    PrimaryKeyConstraint("address", "kind", "connection", "stream", "detail"),
    sqlite_with_rowid=False,
    comment="Which alerts each address was sent, so that a restart neither repeats nor forgets them.",
)

_COUNTED: Final = ("feed", "state", "reason", "gone", "filtered", "remapped", "dismissed")
"""The columns of a record that ``tallies`` counts by."""

_ALEMBIC_VERSION: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def create_tables(connection: Connection) -> None:
    """Make an empty ledger of revision ``HEAD``.

    An older ledger is brought there by the migrations. A test holds both ways to the same result.

    Args:
        connection: To an empty database, within a transaction.
    """
    for statement in _creation_statements():
        connection.exec_driver_sql(statement)


@cache
def _creation_statements() -> tuple[str, ...]:
    dialect = sqlite.dialect()
    tables = metadata.sorted_tables
    indexes = [index for table in tables for index in sorted(table.indexes, key=lambda one: str(one.name))]
    return (
        *(str(CreateTable(table).compile(dialect=dialect)) for table in tables),
        *(str(CreateIndex(index).compile(dialect=dialect)) for index in indexes),
        *_tally_triggers(),
        _ALEMBIC_VERSION,
        f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')",  # noqa: S608 - a constant
    )


def _tally_triggers() -> tuple[str, ...]:
    """Triggers that keep ``tallies`` equal to the number of records of each kind."""
    columns = ", ".join(_COUNTED)
    new = ", ".join("coalesce(NEW.reason, '')" if name == "reason" else f"NEW.{name}" for name in _COUNTED)
    old = " AND ".join(
        f"{name} = " + ("coalesce(OLD.reason, '')" if name == "reason" else f"OLD.{name}")
        for name in _COUNTED
    )
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _COUNTED)
    add = (
        f"INSERT INTO tallies ({columns}, number) VALUES ({new}, 1)"  # noqa: S608 - constants
        " ON CONFLICT DO UPDATE SET number = number + 1;"
    )
    subtract = f"UPDATE tallies SET number = number - 1 WHERE {old};"  # noqa: S608 - constants
    return (
        f"CREATE TRIGGER records_counted AFTER INSERT ON records BEGIN {add} END",
        f"CREATE TRIGGER records_uncounted AFTER DELETE ON records BEGIN {subtract} END",
        (
            f"CREATE TRIGGER records_recounted AFTER UPDATE OF {columns} ON records"
            f" WHEN {changed} BEGIN {subtract} {add} END"
        ),
    )
