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

from bridge.ledger.pauses import Pause, list_pauses
from bridge.ledger.row_mapping import KNOWN, UNKNOWN_FEED, Feed, is_in, to_feed, to_ledger_row
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
"""A connection inside a transaction, of any kind: what can be asked."""


@dataclass(frozen=True, slots=True)
class RecordSummary:
    """One record as a person is shown it.

    Attributes:
        number: The ledger's number of it.
        feed: Whose it is.
        id: Salestrekker's id.
        state: Its state.
        reason: Why; empty where the state has none.
        marks: Those of ``MARKS`` that it has.
        origin: How the Trakor record came to be; empty while Trakor has not answered.
        trakor_id: Trakor's id; empty likewise.
        sku: A product's; empty otherwise.
        fields: Which fields differ from what was sent.
        since_at: Since when it is in this state.
        name: The name to be sent, else the one that was sent; empty where it is not kept.
        trakor_name: The name that Trakor has of it; empty likewise, and where Trakor has none.
        retry: A person asked for a new decision, which is made when it is next read.
        forgotten: A tombstone is all that is left of it.
        changes: What Trakor has beside what it says now, where that differs.
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
    """An order of records that the database gives."""

    SINCE = "since"
    ID = "id"


MARKS: Final = ("gone", "filtered", "remapped", "dismissed")
"""The marks beside a state, by the columns that hold them."""

CUT: Final = "…"
"""The end of an id that is cut."""


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records are asked for; empty means any.

    Attributes:
        numbers: The ledger's numbers of them.
        feeds: Numbers of feeds.
        states: States.
        reasons: Reasons.
        marks: Marks, one of which it has.
        fields: Fields, one of which differs.
        since: In its state since this time or later, milliseconds since the epoch; 0: any.
        either: An id of Salestrekker or Trakor, or a SKU; Salestrekker's may be cut, and end in ``…``.
        key: Keyed hash of a name's key: of a name sent, claimed, or waiting to be.
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
    """Every feed that the ledger knows, in the order in which it came to know them."""
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
    """That a record has one of these marks; those of ``records_marked`` are looked up in that index."""
    marked = or_(*(records.c[mark] == 1 for mark in marks))
    if not {"remapped", "dismissed"}.issuperset(marks):
        return [marked]
    return [marked, _IN_THE_INDEX, records.c.feed.in_(select(feeds.c.number))]


_IN_THE_INDEX: ColumnElement[bool] = literal_column(
    "(records.remapped = 1 OR records.dismissed = 1)", Boolean
)
"""To the letter what the index is made for: only then SQLite knows that it may be used."""


def _with_id(either: str) -> CompoundSelect[int]:
    """Numbers of the records that have this id here or there; the feeds and spaces lead to the indexes."""
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
    """That it is Salestrekker's id; one that ends in ``…`` is a cut one, as a narrow table shows it."""
    if not either.endswith(CUT) or either == CUT:
        return (records.c.source_id == either,)
    begins = either.removesuffix(CUT)
    return (records.c.source_id >= begins, records.c.source_id < f"{begins}\U0010ffff")


def _with_name(key: str) -> CompoundSelect[int]:
    """Numbers of the records that claim this name, share another's under it, or wait for it.

    A forgotten record that holds its name is none of them: nobody is to find it by that.

    Those that wait are looked through: as text, since to take each apart as JSON would take three times as
    long.
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
    """How many records match."""
    if wanted.fields:
        return sum(1 for _ in iterate_records(connection, wanted))
    return int(connection.scalar(select(func.count()).select_from(records).where(*_conditions(wanted))) or 0)


def iterate_records(
    connection: Connection, wanted: RecordQuery, limit: int | None = None, *, sort: RecordSort | None = None
) -> Iterator[RecordSummary]:
    """The records that match, read as they are asked for.

    Args:
        connection: Inside any transaction.
        wanted: Which.
        limit: How many at most; None: all.
        sort: By since when they are in their state, the newest first, or by Salestrekker's id; None: those
            known longest first.
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
# That of now, which may be an earlier one: renamed, accepted, and renamed back. Of one that has no answer to
# its present name, the newest.
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


# The order of the table, where no other is asked for: nothing is sorted, so nothing is gathered.
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
    """The name of a record; that which a person gave is only known of Trakor once that has it."""
    if known.given and known.answered:
        return trakor_name
    return (stored.send_as if stored is not None else "") or trakor_name


def trakor_content(connection: Connection, feed: Feed, row: Row[*tuple[Any, ...]]) -> Mapping[str, str]:
    """What Trakor has of a record, field -> text, as far as that is kept."""
    known = (row.link or "").endswith("\nknown")
    return open_content(connection, feed, row.source_id, row.content_body, known=known)


def find_records(
    connection: Connection, wanted: RecordQuery, limit: int | None = None
) -> list[RecordSummary]:
    """The records that match, all at once: for one or a few."""
    return list(iterate_records(connection, wanted, limit))


def find_record_numbers(connection: Connection, wanted: RecordQuery) -> array[int]:
    """The ledger's numbers of the records that match, in little room: for decisions on many."""
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
"""By mark, to the letter what the index is made for: only then SQLite knows that it may be used."""


class AttentionKind(NamedTuple):
    """Records of one feed that wait for one reason, or have a mark: ``remapped`` or ``dismissed``."""

    feed: int
    state: str
    reason: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class RecordListPage:
    """Some of the records that wait, those known longest first.

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
    """The records of some kinds that follow one, or go before it.

    Args:
        connection: Inside any transaction.
        kinds: Which.
        after: The ledger's number of the last record of the page before; 0: from the beginning.
        before: Instead, the number of the first record of the page after; 0: none.
        most: How many at most.
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
    """The numbers of one kind's records."""
    reason = records.c.reason == kind.reason if kind.reason else records.c.reason.is_(None)
    return select(records.c.number).where(
        _INDEXED[kind.mark], records.c.feed == kind.feed, records.c.state == kind.state, reason
    )


def last_rejections(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    """Why each of these records was rejected last, in words without personal data.

    Args:
        connection: Inside any transaction.
        numbers: Of a page's records: each costs a look at its own history.
    """
    rejected = (is_in(history.c.record, numbers), history.c.event == "rejected")
    newest = select(func.max(history.c.number)).where(*rejected).group_by(history.c.record)
    found = select(history.c.record, history.c.detail).where(history.c.number.in_(newest))
    return {row.record: row.detail for row in connection.execute(found)}


def find_numbers(connection: Connection, kind: AttentionKind) -> array[int]:
    """The ledger's numbers of all records of a kind, in little room: for decisions on many."""
    return array("q", connection.scalars(_numbers_query(kind).order_by(records.c.number)))
