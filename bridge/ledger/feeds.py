"""Feeds: one stream of one connection, with the namespace of its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    select,
)

from bridge.errors import LedgerError
from bridge.ledger.connection_and_scope_renames import move_feed
from bridge.ledger.damage_conditions import is_unsound
from bridge.ledger.damage_tolerant_columns import (
    UNREADABLE,
)
from bridge.ledger.schema import feeds, namespaces, records
from bridge.records import (
    LedgerRow,
    Stream,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table


__all__ = ["UNKNOWN_FEED", "Feed", "is_of_feed", "load_or_add_feed", "to_feed"]


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream of one connection.

    Attributes:
        number: The ledger's number of it.
        connection: The connection's name.
        stream: The stream.
        namespace: Number of the namespace in which its names are unique.
    """

    number: int
    connection: str
    stream: Stream
    namespace: int

    def seal_context(self, source_id: str) -> str:
        """Return what the sealed text of one of its records is bound to: it can be opened nowhere else."""
        return f"{self.number}\0{self.stream}\0{source_id}"

    def seal_context_of(self, row: LedgerRow) -> str:
        """Return the same for a record of any feed in the namespace, perhaps of another connection."""
        return f"{row.feed or self.number}\0{self.stream}\0{row.id}"


UNKNOWN_FEED: Final = Feed(0, UNREADABLE, next(iter(Stream)), 0)
"""The feed of a record whose row names no existing feed."""


def to_feed(row: Row[*tuple[Any, ...]]) -> Feed:
    """Convert a row of ``feeds``.

    Raises:
        LedgerError: It cannot be read, so nobody knows whose records and names those are.
    """
    if (
        UNREADABLE in row.connection
        or row.stream not in {*map(str, Stream)}
        or not row.number
        or not row.space
    ):
        raise damaged_feeds_error()
    return Feed(row.number, row.connection, Stream(row.stream), row.space)


def damaged_feeds_error() -> LedgerError:
    """Return the error for a ledger that no longer shows which records belong to which connection."""
    return LedgerError(
        "the ledger no longer shows which records belong to which connection: its file is damaged",
        advice="restore the last backup; `trakor-bridge ledger check` examines the file",
    )


def load_or_add_feed(connection: Connection, name: str, scope: str, stream: Stream) -> Feed:
    """Return the feed of a stream of a connection, and add it if the ledger does not know it.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        scope: The Trakor organisation's name, within which names are unique.
        stream: The stream.

    Raises:
        LedgerError: A feed or namespace cannot be read. As a new one it would send everything again.
    """
    for table in (namespaces, feeds):
        if connection.scalar(select(table.c.number).where(is_unsound(table)).limit(1)) is not None:
            raise damaged_feeds_error()
    space = _number(connection, namespaces, {"scope": scope, "stream": str(stream)})
    found = select(feeds.c.number, feeds.c.space).where(feeds.c.connection == name, feeds.c.stream == stream)
    known = connection.execute(found).one_or_none()
    if known is None:
        number = _number(connection, feeds, {"connection": name, "stream": str(stream), "space": space})
        return Feed(number, name, stream, space)
    if known.space != space:
        move_feed(connection, known.number, known.space, space)
    return Feed(known.number, name, stream, space)


def _number(connection: Connection, table: Table, values: dict[str, object]) -> int:
    """Return the number of the row with these values, and add the row if there is none."""
    found = connection.scalar(
        select(table.c.number).where(*(table.c[column] == value for column, value in values.items()))
    )
    if found is None:
        found = connection.scalar(table.insert().values(values).returning(table.c.number))
    return int(found)


def is_of_feed(feed: Feed) -> ColumnElement[bool]:
    """Build the condition that a record is of a feed, for statements that read all of its records.

    The sum keeps SQLite from using its index on feed and id, which jumps through the table, or sorts all
    records before an order or a limit.
    """
    return records.c.feed + 0 == feed.number
