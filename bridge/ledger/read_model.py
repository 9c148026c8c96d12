"""What readers beside the writer ask of the ledger: states, lists, one record and its history."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import Boolean, case, func, literal_column, or_, select, union

from bridge.decision.same_person import equal_and_different
from bridge.errors import LedgerError
from bridge.ledger.pauses import Pause, pauses_of
from bridge.ledger.row_mapping import KNOWN, NOWHERE, Feed, among, feed_from, row_of, unpack_identifiers
from bridge.ledger.row_writes import NOTED, SAID, TO_SEND
from bridge.ledger.schema import (
    claims,
    contents,
    feeds,
    history,
    links,
    records,
    spaces,
    tallies,
    waiting,
)
from bridge.ledger.sealed_texts import Change, changes_of, content_of, said_of, says, stored_of
from bridge.records import State, Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sqlalchemy import ColumnElement, CompoundSelect, Connection, Row, Select

    from bridge.ledger.stored_drafts import Stored
    from bridge.records import Draft, LedgerRow


__all__ = [
    "MARKS",
    "Change",
    "Found",
    "Line",
    "Pause",
    "Reader",
    "Sort",
    "Standing",
    "Wanted",
    "feeds_of",
    "find",
    "history_of",
    "listing",
    "numbers",
    "oldest_pending",
    "pauses_of",
    "standing_of",
    "states",
    "total",
]


Reader: TypeAlias = "Connection"
"""A connection inside a transaction, of any kind: what can be asked."""


@dataclass(frozen=True, slots=True)
class Found:
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
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a record's history; ``by`` says from where a person decided, if one did."""

    at: int
    event: str
    detail: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a record stands to others, and to being sent.

    Attributes:
        attempts: How often a request for its present name was begun.
        next_try_at: A pending one is not sent before this time; 0: at once.
        claimant: The record whose party or product it shares, or would.
        merged_here: Salestrekker's ids of records that share this one's; of many, the first.
        name_holder: Salestrekker's id of the other record that has the name that this one waits with.
        holder_renamed: That one has another name in Salestrekker now; Trakor has it under the one it had.
        equal: The names of the identifiers that it has in common with that one.
        different: The names of the identifiers in which the two differ.
        qualified_name: The name that tells it from that one; empty where it has none or nothing waits.
        qualified_holder: Salestrekker's id of the other record that has the qualified one.
        trakor_ids: All records that it has in Trakor, that of now last: two after an accepted rename.
        draft: What it says, while it waits; None otherwise.
        sent: What Trakor has of it, field -> text; empty where it is not known or not kept.
        said: What Trakor said of it when it did not take it; empty otherwise.
        now: What it said when it was last read, field -> text, as far as that is stored.
        other: The record that has the name that it waits with, or whose party or product it shares.
        other_says: What that one says, as far as that is stored, else what Trakor has of it, field -> text.
    """

    attempts: int
    next_try_at: int
    claimant: Found | None
    merged_here: tuple[str, ...]
    name_holder: str
    qualified_name: str
    qualified_holder: str
    trakor_ids: tuple[str, ...]
    draft: Draft | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    now: Mapping[str, str] = field(default_factory=dict)
    other: Found | None = None
    other_says: Mapping[str, str] = field(default_factory=dict)
    holder_renamed: bool = False
    equal: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


class Sort(StrEnum):
    """An order of records that the database gives."""

    SINCE = "since"
    ID = "id"


MARKS: Final = ("gone", "filtered", "remapped", "dismissed")
"""The marks beside a state, by the columns that hold them."""

CUT: Final = "…"
"""The end of an id that is cut."""

MOST_MERGED: Final = 20
"""So many of the records merged into one are named."""


@dataclass(frozen=True, slots=True)
class Wanted:
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


def feeds_of(connection: Connection) -> list[Feed]:
    """Every feed that the ledger knows, in the order in which it came to know them."""
    found = connection.execute(select(feeds).order_by(feeds.c.number))
    return [feed_from(row) for row in found]


def _matching(wanted: Wanted) -> list[Any]:
    where = []
    if wanted.numbers:
        where.append(among(records.c.number, wanted.numbers))
    if wanted.feeds:
        where.append(among(records.c.feed, wanted.feeds))
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
    in_spaces = links.c.space.in_(select(spaces.c.number))
    products = links.c.space.in_(select(spaces.c.number).where(spaces.c.stream == Stream.PRODUCTS))
    return union(
        select(records.c.number).where(in_feeds, *_is_id(either)),
        select(links.c.record).where(in_spaces, links.c.trakor_id == either),
        select(links.c.record).where(products, links.c.sku == either, links.c.sku != ""),
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
    in_spaces = claims.c.space.in_(select(spaces.c.number))
    return union(
        select(claims.c.record)
        .join(records, records.c.number == claims.c.record)
        .where(in_spaces, claims.c.key == key, records.c.forgotten == 0),
        select(records.c.number).where(records.c.key == key),
        select(waiting.c.record).where(func.instr(waiting.c.meta, f'["{key}",') > 0),
    )


def total(connection: Connection, wanted: Wanted) -> int:
    """How many records match."""
    if wanted.fields:
        return sum(1 for _ in listing(connection, wanted))
    return int(connection.scalar(select(func.count()).select_from(records).where(*_matching(wanted))) or 0)


def listing(
    connection: Connection, wanted: Wanted, limit: int | None = None, *, sort: Sort | None = None
) -> Iterator[Found]:
    """The records that match, read as they are asked for.

    Args:
        connection: Inside any transaction.
        wanted: Which.
        limit: How many at most; None: all.
        sort: By since when they are in their state, the newest first, or by Salestrekker's id; None: those
            known longest first.
    """
    known = {feed.number: feed for feed in feeds_of(connection)}
    given = 0
    for row in connection.execute(_shown(wanted, sort)).yield_per(500):
        if given == limit:
            return
        found = _found(connection, row, known.get(row.feed, NOWHERE))
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
_NEWEST_LINK = (
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
_NEWEST_CONTENT = (
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
    Sort.SINCE: (records.c.since_at.desc(), records.c.number),
    Sort.ID: (records.c.source_id, records.c.number),
}


def _shown(wanted: Wanted, sort: Sort | None) -> Select[*tuple[Any, ...]]:
    kept = (waiting.c.record == records.c.number) & (waiting.c.slot == TO_SEND)
    return (
        KNOWN.add_columns(records.c.since_at, waiting.c.meta, waiting.c.body, _NEWEST_LINK, _NEWEST_CONTENT)
        .outerjoin(waiting, kept)
        .where(*_matching(wanted))
        .order_by(*_ORDERS[sort])
    )


def _found(connection: Connection, row: Row[*tuple[Any, ...]], feed: Feed) -> Found:
    known = row_of(row)
    trakor_id, sku = ((row.link or "") + "\n\n").split("\n")[:2]
    stored = stored_of(connection, feed, row.source_id, row.meta, row.body)
    content = _content(connection, feed, row)
    fields, changes = changes_of(known, stored, content)
    trakor_name = content.get("name", "")
    return Found(
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


def _name_of(known: LedgerRow, stored: Stored | None, trakor_name: str) -> str:
    """The name of a record; that which a person gave is only known of Trakor once that has it."""
    if known.given and known.answered:
        return trakor_name
    return (stored.send_as if stored is not None else "") or trakor_name


def _content(connection: Connection, feed: Feed, row: Row[*tuple[Any, ...]]) -> Mapping[str, str]:
    """What Trakor has of a record, field -> text, as far as that is kept."""
    known = (row.link or "").endswith("\nknown")
    return content_of(connection, feed, row.source_id, row.content_body, known=known)


def find(connection: Connection, wanted: Wanted, limit: int | None = None) -> list[Found]:
    """The records that match, all at once: for one or a few."""
    return list(listing(connection, wanted, limit))


def numbers(connection: Connection, wanted: Wanted) -> array[int]:
    """The ledger's numbers of the records that match, in little room: for decisions on many."""
    if wanted.fields:
        return array("q", (found.number for found in listing(connection, wanted)))
    return array(
        "q", connection.scalars(select(records.c.number).where(*_matching(wanted)).order_by(records.c.number))
    )


def standing_of(connection: Connection, record: Found) -> Standing:
    """How one record stands to others, and to being sent."""
    row = connection.execute(
        KNOWN.add_columns(records.c.next_try_at, _NEWEST_LINK, _NEWEST_CONTENT).where(
            records.c.number == record.number
        )
    ).one()
    kept = _kept(connection, record)
    draft = kept[TO_SEND].draft if TO_SEND in kept else None
    claimant = _one(connection, row.merged_into)
    holder = _other_holder(connection, record, draft.key) if draft else None
    other = holder or claimant
    equal, different = _likeness(connection, record, draft, holder) if draft and holder else ((), ())
    return Standing(
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        claimant=claimant,
        merged_here=_merged_into(connection, record.number),
        name_holder=holder.id if holder else "",
        qualified_name=draft.qualified_name if draft else "",
        qualified_holder=_id_of(_other_holder(connection, record, draft.qualified_key)) if draft else "",
        trakor_ids=_links_of(connection, record),
        draft=draft,
        sent=_content(connection, record.feed, row),
        said=_said(connection, record),
        now=says(kept.get(NOTED, kept.get(TO_SEND)), row_of(row)),
        other=other,
        other_says=_says_or_has(connection, other) if other else {},
        holder_renamed=draft is not None and holder is not None and _is_renamed(connection, draft, holder),
        equal=equal,
        different=different,
    )


def _is_renamed(connection: Connection, draft: Draft, holder: Found) -> bool:
    """Whether a name's holder is in Trakor under it, and has another one in Salestrekker now."""
    key = connection.scalar(select(records.c.key).where(records.c.number == holder.number))
    return bool(holder.trakor_id and key) and key != draft.key


def _likeness(
    connection: Connection, record: Found, draft: Draft, holder: Found
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which identifiers a record has in common with a name's holder and its merged ones, and which differ.

    One that was merged before, and is held now, is none of them.
    """
    merged = (records.c.merged_into == holder.number) & (records.c.state == State.MERGED)
    of_group = or_(records.c.number == holder.number, merged) & (records.c.number != record.number)
    group = []
    for text in connection.scalars(select(records.c.identifiers).where(of_group)):
        with suppress(LedgerError, ValueError):  # of a damaged row nothing is known
            group.append(unpack_identifiers(text))
    return equal_and_different(draft.identifiers, group)


def _kept(connection: Connection, record: Found) -> dict[int, Stored]:
    """The drafts that wait with a record, by slot, as far as they can be opened here."""
    kept = select(waiting.c.slot, waiting.c.meta, waiting.c.body).where(
        waiting.c.record == record.number, waiting.c.slot != SAID
    )
    opened = {
        row.slot: stored_of(connection, record.feed, record.id, row.meta, row.body)
        for row in connection.execute(kept)
    }
    return {slot: stored for slot, stored in opened.items() if stored is not None}


def _said(connection: Connection, record: Found) -> str:
    """What Trakor said when it did not take a record."""
    words = select(waiting.c.body).where(waiting.c.record == record.number, waiting.c.slot == SAID)
    body = connection.scalar(words)
    return "" if body is None else said_of(connection, record.feed, record.id, body)


def _says_or_has(connection: Connection, record: Found) -> Mapping[str, str]:
    """What a record says, as far as that is stored; else what Trakor has of it."""
    row = connection.execute(
        KNOWN.add_columns(_NEWEST_LINK, _NEWEST_CONTENT).where(records.c.number == record.number)
    ).one()
    content = _content(connection, record.feed, row)
    return {**content, **says(_kept(connection, record).get(TO_SEND), row_of(row))}


def _one(connection: Connection, number: int | None) -> Found | None:
    """The record of a number; None where there is none."""
    found = [] if number is None else find(connection, Wanted(numbers=[number]))
    return found[0] if found else None


def _id_of(record: Found | None) -> str:
    return record.id if record else ""


def _merged_into(connection: Connection, number: int) -> tuple[str, ...]:
    merged = select(records.c.source_id).where(
        records.c.merged_into == number, records.c.state == State.MERGED
    )
    return tuple(connection.scalars(merged.order_by(records.c.number).limit(MOST_MERGED)))


def _other_holder(connection: Connection, record: Found, key: str) -> Found | None:
    """The other record that holds a name; None where the name is free or its own."""
    held = (claims.c.space == record.feed.space, claims.c.key == key, claims.c.record != record.number)
    return _one(connection, connection.scalar(select(claims.c.record).where(*held)))


def _links_of(connection: Connection, record: Found) -> tuple[str, ...]:
    """Its ids in Trakor, the oldest first, and that of now last."""
    of_record = select(links.c.trakor_id).where(links.c.record == record.number)
    is_present = links.c.trakor_id == record.trakor_id
    return tuple(connection.scalars(of_record.order_by(is_present, links.c.at, links.c.trakor_id)))


def history_of(connection: Connection, number: int) -> list[Line]:
    """A record's history, oldest line first."""
    found = connection.execute(
        select(history.c.at, history.c.event, history.c.detail, history.c.by)
        .where(history.c.record == number)
        .order_by(history.c.number)
    )
    return [Line(row.at, row.event, row.detail, row.by) for row in found]


def states(connection: Connection) -> dict[int, dict[tuple[str, str, frozenset[str]], int]]:
    """How many records of each feed are in each state: (state, reason, marks) -> number."""
    counted: dict[int, dict[tuple[str, str, frozenset[str]], int]] = {}
    for row in connection.execute(select(tallies).where(tallies.c.number > 0)):
        marks = frozenset(mark for mark in MARKS if getattr(row, mark))
        counted.setdefault(row.feed, {})[(row.state, row.reason, marks)] = row.number
    return counted


def oldest_pending(connection: Connection) -> dict[int, int]:
    """Since when the longest waiting record of each feed is pending, by the feed's number."""
    due = (records.c.state == State.PENDING, records.c.gone == 0)
    oldest = select(records.c.feed, func.min(records.c.since_at).label("since")).where(*due)
    return {row.feed: row.since for row in connection.execute(oldest.group_by(records.c.feed))}
