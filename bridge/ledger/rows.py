"""Between the tables' rows and the values of the product."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import Integer, Text, bindparam, func, select, type_coerce
from sqlalchemy.dialects.sqlite import JSON

from bridge import naming
from bridge.ledger.moving import move
from bridge.ledger.schema import feeds, records, spaces
from bridge.records import Draft, LedgerRow, Origin, Party, Product, Reason, State, Stream

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from bridge.records import Payload

__all__ = ["Feed", "Stored", "all_of", "among", "feed_of", "pack", "payload_of", "row_of", "unpack"]


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream of one connection.

    Attributes:
        number: The ledger's number of it.
        connection: The connection's name.
        stream: Which stream.
        space: Number of the space in which its names are unique.
    """

    number: int
    connection: str
    stream: Stream
    space: int


class Stored(NamedTuple):
    """A draft as it waits, with the name that it is (to be) sent under."""

    draft: Draft
    send_as: str


def feed_of(connection: Connection, name: str, scope: str, stream: Stream) -> Feed:
    """The feed of a stream of a connection, made known to the ledger where it is not yet.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        scope: The Trakor organisation's name; its names are unique in it.
        stream: Which stream.
    """
    space = _number(connection, spaces, {"scope": scope, "stream": str(stream)})
    found = select(feeds.c.number, feeds.c.space).where(feeds.c.connection == name, feeds.c.stream == stream)
    known = connection.execute(found).one_or_none()
    if known is None:
        number = _number(connection, feeds, {"connection": name, "stream": str(stream), "space": space})
        return Feed(number, name, stream, space)
    if known.space != space:
        move(connection, known.number, known.space, space)
    return Feed(known.number, name, stream, space)


def _number(connection: Connection, table: Table, values: dict[str, object]) -> int:
    """The number of the row with these values, added where there is none."""
    found = connection.scalar(
        select(table.c.number).where(*(table.c[column] == value for column, value in values.items()))
    )
    if found is None:
        found = connection.scalar(table.insert().values(values).returning(table.c.number))
    return int(found)


def among(column: ColumnElement[Any], values: Collection[object] | str) -> ColumnElement[bool]:
    """``column IN values``, as one parameter: three times as fast as a list of them, and compiled once.

    Args:
        column: Of numbers or texts.
        values: The values; or the name of the parameter that they are given with as a list, for a
            statement that is made once and run many times.
    """
    given = bindparam(values, type_=JSON) if isinstance(values, str) else type_coerce(list(values), JSON)
    kind = Integer if isinstance(column.type, Integer) else Text
    listed = func.json_each(given).table_valued("value")
    return column.in_(select(type_coerce(listed.c.value, kind)))


def all_of(feed: Feed) -> ColumnElement[bool]:
    """That a record is of a feed: for what looks at each of them, in the order in which they lie.

    The sum keeps SQLite from its index on feed and id, which leads from place to place, and for an
    order or a limit from putting them all in order first.
    """
    return records.c.feed + 0 == feed.number


def row_of(row: Row[*tuple[Any, ...]]) -> LedgerRow:
    """What a decision needs of a row of ``records``."""
    return LedgerRow(
        number=row.number,
        id=row.source_id,
        state=State(row.state),
        reason=Reason(row.reason) if row.reason else None,
        key=row.key,
        sent_key=row.sent_key,
        sent=naming.decode(row.sent),
        same_as=row.same_as,
        fingerprint=row.fingerprint,
        read_at=row.read_at,
        attempts=row.attempts,
        trakor_id=row.trakor_id,
        origin=Origin(row.origin) if row.origin else None,
        merged_into=row.merged_into,
        seen=None if row.seen is None else naming.decode(row.seen),
        gone=bool(row.gone),
        filtered=bool(row.filtered),
        retry=bool(row.retry),
        forgotten=bool(row.forgotten),
    )


ROW = tuple(
    records.c[name]
    for name in (
        "number", "source_id", "state", "reason", "key", "sent_key", "sent", "same_as", "fingerprint",
        "read_at", "attempts", "trakor_id", "origin", "merged_into", "seen", "gone", "filtered", "retry",
        "forgotten",
    )
)  # fmt: skip
"""The columns that ``row_of`` reads."""


def pack(draft: Draft, send_as: str) -> str:
    """A draft as text for ``waiting``, with the name that it is to be sent under."""
    return orjson.dumps(
        {
            "id": draft.id,
            "fields": draft.payload.fields(),
            "send_as": send_as,
            "key": draft.key,
            "qualified_name": draft.qualified_name,
            "qualified_key": draft.qualified_key,
            "same_as": draft.same_as,
            "hashes": dict(draft.hashes),
            "fingerprint": draft.fingerprint,
            "read_at": draft.read_at,
        }
    ).decode()


def unpack(body: str, stream: Stream) -> Stored:
    """The draft that ``pack`` made the text of."""
    said = orjson.loads(body)
    fields = said.pop("fields")
    send_as = said.pop("send_as")
    return Stored(Draft(payload=_payload(fields, stream), **said), send_as)


def payload_of(stored: Stored) -> Payload:
    """What Trakor is to be sent: the draft's payload under the claimed name."""
    return stored.draft.named(stored.send_as)


def _payload(fields: dict[str, str], stream: Stream) -> Payload:
    if stream is Stream.CONTACTS:
        return Party(fields["name"], fields["contact_info"])
    price = Decimal(fields["price"]) if fields["price"] else None
    return Product(fields["name"], fields["description"], price)
