"""Between the tables' rows and the values of the product."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import Integer, Text, bindparam, case, exists, func, select, type_coerce
from sqlalchemy.dialects.sqlite import JSON

from bridge import naming
from bridge.errors import LedgerError
from bridge.ledger.moving import move
from bridge.ledger.schema import TO_SEND, claims, feeds, links, records, rules, spaces, waiting
from bridge.records import (
    Draft,
    LedgerRow,
    MergedBy,
    Origin,
    Party,
    Product,
    Reason,
    Rules,
    State,
    Stream,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from bridge.records import FieldHashes, Payload
    from bridge.sealing import Sealer

__all__ = [
    "KNOWN",
    "Feed",
    "Stored",
    "all_of",
    "among",
    "damaged",
    "feed_of",
    "is_damaged",
    "keeps_sent",
    "pack",
    "pack_identifiers",
    "payload_of",
    "row_of",
    "sealer_of",
    "texts_of",
    "unpack",
    "unpack_identifiers",
]


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

    def place(self, source_id: str) -> str:
        """Where sealed text of one of its records belongs: it can be opened nowhere else."""
        return f"{self.number}\0{self.stream}\0{source_id}"

    def place_of(self, row: LedgerRow) -> str:
        """The same of a record of any feed in the same space: those merged may be another connection's."""
        return f"{row.feed or self.number}\0{self.stream}\0{row.id}"


def sealer_of(connection: Connection) -> Sealer:
    """What seals and opens text in this ledger: whoever opened it put it there."""
    sealer: Sealer = connection.info["sealer"]
    return sealer


def keeps_sent(connection: Connection) -> bool:
    """Whether what was sent stays, sealed."""
    return bool(connection.info.get("keeps_sent"))


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


_STORED = (
    exists()
    .where(
        waiting.c.record == records.c.number,
        waiting.c.slot == TO_SEND,
        func.instr(waiting.c.meta, '"' + records.c.sent + '"') > 0,  # see ``pack``
    )
    .correlate(records)
)
KNOWN = (
    select(
        *(
            records.c[name]
            for name in (
                "number", "feed", "source_id", "state", "reason", "key", "sent_key", "sent", "seen",
                "identifiers", "read_at", "trakor_id", "origin", "merged_into", "merged_by", "gone",
                "filtered", "remapped", "dismissed", "given", "retry", "forgotten", "input", "sweep",
            )
        ),
        # Of a name that was answered for once, and came back: only what has no answer yet counts.
        case(
            (records.c.trakor_id.is_(None) & (claims.c.answered == 1) & (claims.c.unanswered_at == 0), 0),
            else_=func.coalesce(claims.c.attempts, 0),
        ).label("attempts"),
        func.coalesce(claims.c.tried, "").label("tried"),
        case((records.c.trakor_id.is_(None) & (claims.c.attempts > 0), _STORED), else_=0).label("stored"),
        func.coalesce(links.c.sent, "").label("content"),
        func.coalesce(rules.c.query, "").label("query"),
        func.coalesce(rules.c.map, "").label("map"),
        func.coalesce(rules.c.choices, "").label("choices"),
    )
    .select_from(
        records.join(feeds, feeds.c.number == records.c.feed)
        .outerjoin(
            claims,
            (claims.c.space == feeds.c.space)
            & (claims.c.key == records.c.sent_key)
            & (claims.c.record == records.c.number),
        )
        .outerjoin(
            links,
            (links.c.space == feeds.c.space)
            & (links.c.trakor_id == records.c.trakor_id)
            & (links.c.record == records.c.number),
        )
        .outerjoin(rules, rules.c.number == records.c.rules)
    )
)  # fmt: skip
"""What ``row_of`` reads: a record with its present claim, link and rules."""


def row_of(row: Row[*tuple[Any, ...]]) -> LedgerRow:
    """What a decision needs of a record; one that cannot be read is damaged (see ``damaged``)."""
    try:
        return _row(row)
    except (ValueError, LedgerError):
        return damaged(row)


def is_damaged(row: Row[*tuple[Any, ...]]) -> bool:
    """Whether a record cannot be read (see ``damaged``)."""
    try:
        _row(row)
    except (ValueError, LedgerError):
        return True
    return False


def _row(row: Row[*tuple[Any, ...]]) -> LedgerRow:
    return LedgerRow(
        number=row.number,
        id=row.source_id,
        state=State(row.state),
        reason=Reason(row.reason) if row.reason else None,
        key=row.key,
        sent_key=row.sent_key,
        sent=naming.decode(row.sent),
        content=naming.decode(row.content),
        seen=None if row.seen is None else naming.decode(row.seen),
        identifiers=unpack_identifiers(row.identifiers),
        rules=Rules(row.query, row.map, row.choices),
        read_at=row.read_at,
        attempts=row.attempts,
        tried=naming.decode(row.tried),
        stored=bool(row.stored),
        trakor_id=row.trakor_id,
        origin=Origin(row.origin) if row.origin else None,
        merged_into=row.merged_into,
        merged_by=MergedBy(row.merged_by) if row.merged_by else None,
        gone=bool(row.gone),
        filtered=bool(row.filtered),
        remapped=bool(row.remapped),
        dismissed=bool(row.dismissed),
        given=bool(row.given),
        retry=bool(row.retry),
        forgotten=bool(row.forgotten),
        first=naming.revision_of(row.sent) == 1,
        feed=row.feed,
    )


def damaged(row: Row[*tuple[Any, ...]]) -> LedgerRow:
    """A record whose row cannot be read, with what is left of it: its name, its claim and its link."""
    return LedgerRow(
        number=row.number,
        id=str(row.source_id),
        state=State.REJECTED,
        reason=Reason.DAMAGED,
        key=str(row.key),
        sent_key=str(row.sent_key),
        attempts=row.attempts if isinstance(row.attempts, int) else 1,
        trakor_id=row.trakor_id,
        gone=bool(row.gone),
        forgotten=bool(row.forgotten),
        feed=row.feed,
    )


def pack_identifiers(identifiers: FieldHashes) -> str:
    """Identifiers as text; empty for none."""
    return orjson.dumps(dict(identifiers), option=orjson.OPT_SORT_KEYS).decode() if identifiers else ""


def unpack_identifiers(text: str) -> FieldHashes:
    """The identifiers of a stored text.

    Raises:
        LedgerError: The text is not one that ``pack_identifiers`` made.
    """
    if not text:
        return {}
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise LedgerError("the ledger holds identifiers that cannot be read")
    return found


def texts_of(draft: Draft, send_as: str) -> list[str]:
    """What a draft says, to be sealed: its fields, then its qualifier and names where they are not plain."""
    plain = f"{draft.payload.name} ({draft.qualifier})"
    if draft.qualified_name != plain:  # none, or cut
        plain = naming.qualify(draft.payload.name, draft.qualifier)
    texts = [
        *draft.payload.fields().values(),
        draft.qualifier,
        "" if send_as == draft.payload.name else send_as,
        "" if draft.qualified_name == plain else draft.qualified_name,
    ]
    while not texts[-1]:
        texts.pop()
    return texts


def pack(draft: Draft) -> str:
    """All of a draft that tells nothing of the record: hashes and times, as text for ``waiting``."""
    return orjson.dumps(
        [
            draft.key,
            draft.qualified_key,
            naming.encode(draft.hashes),
            pack_identifiers(draft.identifiers),
            draft.read_at,
        ]
    ).decode()


def unpack(sealer: Sealer, feed: Feed, source_id: str, meta: str, body: bytes, place: str = "") -> Stored:
    """The draft that ``pack`` and ``texts_of`` were made of.

    Args:
        sealer: Of the ledger.
        feed: Whose record it is, or any of the same stream where the place is given.
        source_id: Salestrekker's id of the record.
        meta: As ``pack`` made it.
        body: The sealed texts.
        place: Where they belong (``Feed.place_of``); empty: the record is of this very feed.

    Raises:
        LedgerError: It cannot be read.
    """
    texts = sealer.open(body, place or feed.place(source_id))
    try:
        key, qualified_key, hashes, identifiers, read_at = orjson.loads(meta)
    except ValueError as error:
        raise LedgerError("the ledger holds a draft that cannot be read") from error
    payload, rest = payload_of(texts, feed.stream)
    qualifier, send_as, qualified = (*rest, "", "", "")[:3]
    draft = Draft(
        id=source_id,
        payload=payload,
        key=key,
        qualifier=qualifier,
        qualified_name=qualified or naming.qualify(payload.name, qualifier),
        qualified_key=qualified_key,
        identifiers=unpack_identifiers(identifiers),
        hashes=naming.decode(hashes),
        read_at=read_at,
    )
    return Stored(draft, send_as or payload.name)


def payload_of(texts: Sequence[str], stream: Stream) -> tuple[Payload, Sequence[str]]:
    """The payload that sealed texts begin with, under its plain name, and what follows."""
    name, *rest = texts
    if stream is Stream.CONTACTS:
        (info, *others) = rest or [""]
        return Party(name, info), others
    description, price, *others = (*rest, "", "")
    return Product(name, description, Decimal(price) if price else None), others
