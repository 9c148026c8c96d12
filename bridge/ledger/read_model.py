"""Lists of records for readers beside the writer: by state, by id or name, and those that need attention.

Held, rejected and drifted records have an index of their own, by feed, state, reason and number. Records
with the mark ``remapped`` or ``dismissed`` have another one. So ``find_page`` reads one short range for each
kind that is wanted and merges the ranges: each page costs the same, however many records there are.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Boolean, case, func, literal_column, or_, select, text, union

from bridge.ledger.feeds import UNKNOWN_FEED, Feed, to_feed
from bridge.ledger.row_mapping import KNOWN, is_in, to_ledger_row
from bridge.ledger.row_writes import TO_SEND
from bridge.ledger.schema import (
    claims,
    contents,
    feeds,
    history,
    links,
    namespaces,
    records,
    stored_texts,
)
from bridge.ledger.sealed_texts import FieldChange, find_changes, open_content, open_draft
from bridge.ledger.stored_pauses import Pause, list_pauses
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sqlalchemy import ColumnElement, CompoundSelect, Connection, Row, Select

    from bridge.ledger.sealed_texts import StoredDraft
    from bridge.records import LedgerRow

__all__ = [
    "MARKS",
    "AttentionKind",
    "FieldChange",
    "Pause",
    "Reader",
    "RecordListPage",
    "RecordQuery",
    "RecordSort",
    "RecordSummary",
    "count_records",
    "find_numbers",
    "find_page",
    "find_record_numbers",
    "find_records",
    "iterate_records",
    "last_rejections",
    "list_feeds",
    "list_pauses",
]

Reader: TypeAlias = "Connection"
"""A connection inside a transaction of any kind, for queries."""


@dataclass(frozen=True, slots=True)
class RecordSummary:
    """One record as an operator sees it in a list.

    Attributes:
        number: The ledger's number of it.
        feed: Its feed.
        id: Salestrekker's id.
        state: Its state.
        reason: The reason; empty if the state has none.
        marks: Those of ``MARKS`` that it has.
        origin: How the Trakor record came to be; empty while Trakor has not answered.
        trakor_id: Trakor's id; empty likewise.
        sku: A product's SKU; otherwise empty.
        fields: Which fields differ from what was sent.
        since_at: Since when it is in this state.
        name: The name to be sent, else the one that was sent; empty if it is not kept.
        trakor_name: Its name in Trakor; empty likewise, and if Trakor has none.
        retry: An operator asked for a new decision, which is made at the next read.
        forgotten: Only a tombstone is left of it.
        changes: Its differences from what Trakor has.
    """

    number: int
    feed: Feed
    id: str
    state: str
    reason: str
    marks: tuple[str, ...]
    origin: str
    trakor_id: str
    sku: str
    fields: tuple[str, ...]
    since_at: int
    name: str
    trakor_name: str = ""
    retry: bool = False
    forgotten: bool = False
    changes: tuple[FieldChange, ...] = ()


class RecordSort(StrEnum):
    """The orders of records that the database supports."""

    SINCE = "since"
    ID = "id"


MARKS: Final = ("gone", "filtered", "remapped", "dismissed")
"""The marks beside a state, named as the columns that hold them."""

CUT: Final = "…"
"""The end of a truncated id."""


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """The records to find. An empty attribute means any.

    Attributes:
        numbers: The ledger's numbers of them.
        feeds: Numbers of feeds.
        states: States.
        reasons: Reasons.
        marks: Marks, one of which the record has.
        fields: Fields, one of which differs.
        since: In its state since this time or later, milliseconds since the epoch; 0: any.
        either: An id of Salestrekker or Trakor, or a SKU. Salestrekker's may be truncated, and end in
            ``…``.
        key: Keyed hash of a name's key: of a name that was sent, is claimed, or waits.
    """

    numbers: Collection[int] = ()
    feeds: Collection[int] = ()
    states: Collection[str] = ()
    reasons: Collection[str] = ()
    marks: Collection[str] = ()
    fields: Collection[str] = ()
    since: int = 0
    either: str = ""
    key: str = ""


def list_feeds(connection: Connection) -> list[Feed]:
    """Return every feed that the ledger knows, in the order in which it was added."""
    found = connection.execute(select(feeds).order_by(feeds.c.number))
    return [to_feed(row) for row in found]


def _conditions(wanted: RecordQuery) -> list[Any]:
    where = []
    if wanted.numbers:
        where.append(is_in(records.c.number, wanted.numbers))
    if wanted.feeds:
        where.append(is_in(records.c.feed, wanted.feeds))
    if wanted.states:
        where.append(records.c.state.in_(wanted.states))
    if wanted.reasons:
        where.append(records.c.reason.in_(wanted.reasons))
    if wanted.marks:
        where += _with_a_mark(wanted.marks)
    if wanted.fields:
        where.append(records.c.seen.is_not(None))
    if wanted.since:
        where.append(records.c.since_at >= wanted.since)
    if wanted.either:
        where.append(records.c.number.in_(_with_id(wanted.either)))
    if wanted.key:
        where.append(records.c.number.in_(_with_name(wanted.key)))
    return where


def _with_a_mark(marks: Collection[str]) -> list[ColumnElement[bool]]:
    """Build the condition for one of these marks; the index ``records_marked`` serves two of them."""
    marked = or_(*(records.c[mark] == 1 for mark in marks))
    if not {"remapped", "dismissed"}.issuperset(marks):
        return [marked]
    return [marked, _IN_THE_INDEX, records.c.feed.in_(select(feeds.c.number))]


_IN_THE_INDEX: ColumnElement[bool] = literal_column(
    "(records.remapped = 1 OR records.dismissed = 1)", Boolean
)
"""Exactly the condition of the index: SQLite uses the index only with that."""


def _with_id(either: str) -> CompoundSelect[int]:
    """Select the numbers of the records with this id in either system, by the indexes."""
    in_feeds = records.c.feed.in_(select(feeds.c.number))
    in_spaces = links.c.space.in_(select(namespaces.c.number))
    with_sku = [stream for stream in Stream if stream.spec.has_sku]
    numbered = links.c.space.in_(select(namespaces.c.number).where(namespaces.c.stream.in_(with_sku)))
    return union(
        select(records.c.number).where(in_feeds, *_is_id(either)),
        select(links.c.record).where(in_spaces, links.c.trakor_id == either),
        select(links.c.record).where(numbered, links.c.sku == either, links.c.sku != ""),
    )


def _is_id(either: str) -> tuple[ColumnElement[bool], ...]:
    """Build the condition for Salestrekker's id; one that ends in ``…`` is truncated."""
    if not either.endswith(CUT) or either == CUT:
        return (records.c.source_id == either,)
    begins = either.removesuffix(CUT)
    return (records.c.source_id >= begins, records.c.source_id < f"{begins}\U0010ffff")


def _with_name(key: str) -> CompoundSelect[int]:
    """Select the numbers of the records that claim this name, share another's under it, or wait for it.

    A forgotten record that holds its name is left out: nobody is to find it by that name.

    Waiting texts are searched as text: to parse each as JSON would take three times as long.
    """
    in_spaces = claims.c.space.in_(select(namespaces.c.number))
    return union(
        select(claims.c.record)
        .join(records, records.c.number == claims.c.record)
        .where(in_spaces, claims.c.key == key, records.c.forgotten == 0),
        select(records.c.number).where(records.c.key == key),
        select(stored_texts.c.record).where(func.instr(stored_texts.c.meta, f'["{key}",') > 0),
    )


def count_records(connection: Connection, wanted: RecordQuery) -> int:
    """Count the matching records."""
    if wanted.fields:
        return sum(1 for _ in iterate_records(connection, wanted))
    return int(connection.scalar(select(func.count()).select_from(records).where(*_conditions(wanted))) or 0)


def iterate_records(
    connection: Connection, wanted: RecordQuery, limit: int | None = None, *, sort: RecordSort | None = None
) -> Iterator[RecordSummary]:
    """Yield the matching records, read on demand.

    Args:
        connection: Inside any transaction.
        wanted: Which records.
        limit: Maximum number of records; None: all.
        sort: By the time of their state, the newest first, or by Salestrekker's id; None: in the order in
            which the ledger came to know them.
    """
    known = {feed.number: feed for feed in list_feeds(connection)}
    given = 0
    for row in connection.execute(_select(wanted, sort)).yield_per(500):
        if given == limit:
            return
        found = _to_summary(connection, row, known.get(row.feed, UNKNOWN_FEED))
        if not wanted.fields or not {*wanted.fields}.isdisjoint(found.fields):
            given += 1
            yield found


_LATEST = links.alias("latest")
# The present link, which may be an earlier one: renamed, accepted, and renamed back. For a record without an
# answer to its present name, the newest link.
_PRESENT = (
    _LATEST.c.record == records.c.number,
    or_(records.c.trakor_id.is_(None), _LATEST.c.trakor_id == records.c.trakor_id),
)
NEWEST_LINK = (
    select(
        _LATEST.c.trakor_id.concat("\n")
        .concat(_LATEST.c.sku)
        .concat(case((_LATEST.c.sent == "", "\n"), else_="\nknown"))
    )
    .where(*_PRESENT)
    .order_by(_LATEST.c.at.desc())
    .limit(1)
    .scalar_subquery()
    .label("link")
)
NEWEST_CONTENT = (
    select(contents.c.body)
    .join(_LATEST, (_LATEST.c.space == contents.c.space) & (_LATEST.c.trakor_id == contents.c.trakor_id))
    .where(*_PRESENT)
    .order_by(_LATEST.c.at.desc())
    .limit(1)
    .scalar_subquery()
    .label("content_body")
)


# By default the order of the table, so that SQLite sorts nothing in memory.
_ORDERS: Final = {
    None: (records.c.number,),
    RecordSort.SINCE: (records.c.since_at.desc(), records.c.number),
    RecordSort.ID: (records.c.source_id, records.c.number),
}


def _select(wanted: RecordQuery, sort: RecordSort | None) -> Select[*tuple[Any, ...]]:
    kept = (stored_texts.c.record == records.c.number) & (stored_texts.c.slot == TO_SEND)
    return (
        KNOWN.add_columns(
            records.c.since_at, stored_texts.c.meta, stored_texts.c.body, NEWEST_LINK, NEWEST_CONTENT
        )
        .outerjoin(stored_texts, kept)
        .where(*_conditions(wanted))
        .order_by(*_ORDERS[sort])
    )


def _to_summary(connection: Connection, row: Row[*tuple[Any, ...]], feed: Feed) -> RecordSummary:
    known = to_ledger_row(row)
    trakor_id, sku = ((row.link or "") + "\n\n").split("\n")[:2]
    stored = open_draft(connection, feed, row.source_id, row.meta, row.body)
    content = trakor_content(connection, feed, row)
    fields, changes = find_changes(known, stored, content)
    trakor_name = content.get("name", "")
    return RecordSummary(
        number=row.number,
        feed=feed,
        id=row.source_id,
        state=str(known.state),
        reason=str(known.reason or ""),
        marks=tuple(mark for mark in MARKS if getattr(known, mark)),
        origin=str(known.origin or ""),
        trakor_id=trakor_id,
        sku=sku,
        fields=fields,
        since_at=row.since_at,
        name=_name_of(known, stored, trakor_name),
        trakor_name=trakor_name,
        retry=known.retry,
        forgotten=known.forgotten,
        changes=changes,
    )


def _name_of(known: LedgerRow, stored: StoredDraft | None, trakor_name: str) -> str:
    """Return the name of a record; an operator-given name is known only once Trakor has it."""
    if known.given and known.answered:
        return trakor_name
    return (stored.send_as if stored is not None else "") or trakor_name


def trakor_content(connection: Connection, feed: Feed, row: Row[*tuple[Any, ...]]) -> Mapping[str, str]:
    """Return what Trakor has of a record, field -> text, as far as that is kept."""
    known = (row.link or "").endswith("\nknown")
    return open_content(connection, feed, row.source_id, row.content_body, known=known)


def find_records(
    connection: Connection, wanted: RecordQuery, limit: int | None = None
) -> list[RecordSummary]:
    """Return the matching records as a list: for one or a few."""
    return list(iterate_records(connection, wanted, limit))


def find_record_numbers(connection: Connection, wanted: RecordQuery) -> array[int]:
    """Return the ledger's numbers of the matching records in a compact array: for decisions on many."""
    if wanted.fields:
        return array("q", (found.number for found in iterate_records(connection, wanted)))
    return array(
        "q",
        connection.scalars(select(records.c.number).where(*_conditions(wanted)).order_by(records.c.number)),
    )


_INDEXED: Final = {
    "": text("records.state IN ('held', 'rejected', 'drifted')"),
    "remapped": text("records.remapped = 1"),
    "dismissed": text("records.dismissed = 1"),
}
"""By mark, exactly the condition of the index: SQLite uses the index only with that."""


class AttentionKind(NamedTuple):
    """Records of one feed with one reason, or with a mark: ``remapped`` or ``dismissed``."""

    feed: int
    state: str
    reason: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class RecordListPage:
    """One page of the records that need attention, in the order in which the ledger came to know them.

    Attributes:
        records: The records.
        earlier: There are more before them.
        later: There are more after them.
    """

    records: list[RecordSummary]
    earlier: bool
    later: bool


def find_page(
    connection: Connection,
    kinds: Collection[AttentionKind],
    *,
    after: int = 0,
    before: int = 0,
    most: int = 50,
) -> RecordListPage:
    """Return the records of some kinds after one record, or before it.

    Args:
        connection: Inside any transaction.
        kinds: The kinds.
        after: The ledger's number of the last record of the previous page; 0: from the beginning.
        before: Instead, the number of the first record of the following page; 0: none.
        most: Maximum number of records.
    """
    walks = [_numbers_beyond(connection, kind, after, before, most + 1) for kind in kinds]
    found = list(merge(*walks, reverse=bool(before)))
    more, shown = len(found) > most, sorted(found[:most])
    listed = find_records(connection, RecordQuery(numbers=shown)) if shown else []
    return RecordListPage(listed, earlier=more if before else after > 0, later=True if before else more)


def _numbers_beyond(
    connection: Connection, kind: AttentionKind, after: int, before: int, most: int
) -> list[int]:
    beyond = records.c.number < before if before else records.c.number > after
    order = records.c.number.desc() if before else records.c.number
    return list(connection.scalars(_numbers_query(kind).where(beyond).order_by(order).limit(most)))


def _numbers_query(kind: AttentionKind) -> Select[*tuple[Any, ...]]:
    """Select the numbers of one kind's records."""
    reason = records.c.reason == kind.reason if kind.reason else records.c.reason.is_(None)
    return select(records.c.number).where(
        _INDEXED[kind.mark], records.c.feed == kind.feed, records.c.state == kind.state, reason
    )


def last_rejections(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    """Return why each of these records was last rejected, without personal data.

    Args:
        connection: Inside any transaction.
        numbers: The records of one page: each costs a search of its own history.
    """
    rejected = (is_in(history.c.record, numbers), history.c.event == "rejected")
    newest = select(func.max(history.c.number)).where(*rejected).group_by(history.c.record)
    found = select(history.c.record, history.c.detail).where(history.c.number.in_(newest))
    return {row.record: row.detail for row in connection.execute(found)}


def find_numbers(connection: Connection, kind: AttentionKind) -> array[int]:
    """Return the ledger's numbers of all records of a kind in a compact array: for decisions on many."""
    return array("q", connection.scalars(_numbers_query(kind).order_by(records.c.number)))
