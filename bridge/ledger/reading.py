"""What readers beside the writer ask of the ledger: states, lists, one record and its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select

from bridge.ledger.rows import ROW, Feed, among, row_of, unpack
from bridge.ledger.schema import claims, feeds, history, links, pauses, records, sweeps, waiting
from bridge.ledger.writes import TO_SEND
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Row, Select

__all__ = [
    "Found",
    "LastSweep",
    "Line",
    "Pause",
    "Wanted",
    "feeds_of",
    "find",
    "history_of",
    "last_sweeps",
    "listing",
    "pauses_of",
    "states",
    "total",
]


@dataclass(frozen=True, slots=True)
class Found:
    """One record as a person is shown it.

    Attributes:
        number: The ledger's number of it.
        feed: Whose it is.
        id: Salestrekker's id.
        state: Its state.
        reason: Why; empty where the state has none.
        marks: ``gone``, ``filtered``.
        origin: How the Trakor record came to be; empty while Trakor has not answered.
        trakor_id: Trakor's id; empty likewise.
        sku: A product's; empty otherwise.
        fields: Which fields differ from what was sent.
        since_at: Since when it is in this state.
        name: The name to be sent, only while the record waits; empty otherwise.
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


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a record's history."""

    at: int
    event: str
    detail: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are asked for; empty means any.

    Attributes:
        feeds: Numbers of feeds.
        states: States.
        reasons: Reasons.
        either: An id of Salestrekker or Trakor, or a SKU.
        key: Keyed hash of an exact name's key.
    """

    feeds: Collection[int] = ()
    states: Collection[str] = ()
    reasons: Collection[str] = ()
    either: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class LastSweep:
    """The newest sweep of a feed; ``ended_at`` is None while it goes on or where it was interrupted."""

    feed: int
    began_at: int
    ended_at: int | None
    complete: bool
    position: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Reading or sending of a connection that is stopped."""

    connection: str
    direction: str
    since_at: int
    reason: str
    next_try_at: int


def feeds_of(connection: Connection) -> list[Feed]:
    """Every feed that the ledger knows, in the order in which it came to know them."""
    found = connection.execute(select(feeds).order_by(feeds.c.number))
    return [Feed(row.number, row.connection, Stream(row.stream), row.space) for row in found]


def _matching(wanted: Wanted) -> list[Any]:
    where = []
    if wanted.feeds:
        where.append(among(records.c.feed, wanted.feeds))
    if wanted.states:
        where.append(records.c.state.in_(wanted.states))
    if wanted.reasons:
        where.append(records.c.reason.in_(wanted.reasons))
    if wanted.either:
        linked = select(links.c.record).where(
            or_(links.c.trakor_id == wanted.either, links.c.sku == wanted.either)
        )
        where.append(or_(records.c.source_id == wanted.either, records.c.number.in_(linked)))
    if wanted.key:
        claimed = select(claims.c.record).where(claims.c.key == wanted.key)
        where.append(or_(records.c.number.in_(claimed), records.c.key == wanted.key))
    return where


def total(connection: Connection, wanted: Wanted) -> int:
    """How many records match."""
    return int(connection.scalar(select(func.count()).select_from(records).where(*_matching(wanted))) or 0)


def listing(connection: Connection, wanted: Wanted, limit: int | None = None) -> Iterator[Found]:
    """The records that match, by feed and age, read as they are asked for.

    Args:
        connection: Inside any transaction.
        wanted: Which.
        limit: How many at most; None: all.
    """
    known = {feed.number: feed for feed in feeds_of(connection)}
    found = connection.execute(_shown(wanted).limit(limit)).yield_per(500)
    for row in found:
        yield _found(row, known[row.feed])


def _shown(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    latest = (
        select(links.c.trakor_id.concat("\n").concat(links.c.sku))
        .where(links.c.record == records.c.number)
        .order_by(links.c.at.desc())
        .limit(1)
        .scalar_subquery()
        .label("link")
    )
    kept = (waiting.c.record == records.c.number) & (waiting.c.slot == TO_SEND)
    return (
        select(*ROW, records.c.feed, records.c.since_at, waiting.c.body, latest)
        .join(waiting, kept, isouter=True)
        .where(*_matching(wanted))
        .order_by(records.c.feed, records.c.number)
    )


def _found(row: Row[*tuple[Any, ...]], feed: Feed) -> Found:
    known = row_of(row)
    trakor_id, _, sku = (row.link or "").partition("\n")
    marks = tuple(mark for mark, on in (("gone", row.gone), ("filtered", row.filtered)) if on)
    return Found(
        number=row.number,
        feed=feed,
        id=row.source_id,
        state=row.state,
        reason=row.reason or "",
        marks=marks,
        origin=row.origin or "",
        trakor_id=trakor_id,
        sku=sku,
        fields=known.differing if known.answered else (),
        since_at=row.since_at,
        name=unpack(row.body, feed.stream).send_as if row.body else "",
    )


def find(connection: Connection, wanted: Wanted) -> list[Found]:
    """The records that match, all at once: for one or a few."""
    return list(listing(connection, wanted))


def history_of(connection: Connection, number: int) -> list[Line]:
    """A record's history, oldest line first."""
    found = connection.execute(
        select(history.c.at, history.c.event, history.c.detail)
        .where(history.c.record == number)
        .order_by(history.c.number)
    )
    return [Line(row.at, row.event, row.detail) for row in found]


def states(connection: Connection) -> dict[int, dict[tuple[str, str, bool, bool], int]]:
    """How many records of each feed are in each state: (state, reason, gone, filtered) -> number."""
    kinds = (records.c.feed, records.c.state, records.c.reason, records.c.gone, records.c.filtered)
    counted: dict[int, dict[tuple[str, str, bool, bool], int]] = {}
    for row in connection.execute(select(*kinds, func.count().label("number")).group_by(*kinds)):
        kind = (row.state, row.reason or "", bool(row.gone), bool(row.filtered))
        counted.setdefault(row.feed, {})[kind] = row.number
    return counted


def last_sweeps(connection: Connection) -> dict[int, LastSweep]:
    """The newest sweep of each feed, by the feed's number."""
    newest = select(func.max(sweeps.c.number)).group_by(sweeps.c.feed)
    found = connection.execute(select(sweeps).where(sweeps.c.number.in_(newest)))
    return {
        row.feed: LastSweep(row.feed, row.began_at, row.ended_at, bool(row.complete), row.position)
        for row in found
    }


def pauses_of(connection: Connection) -> list[Pause]:
    """What is stopped now."""
    return [
        Pause(row.connection, row.direction, row.since_at, row.reason, row.next_try_at)
        for row in connection.execute(select(pauses))
    ]
