"""A feed moves into another space: the user gave its scope another name, or made two scopes one.

::

    names     free in the new space ──> claimed there
              another record's      ──> an answered one before one that waits, a tried one before one that
                                        was not, the older before the younger; who waits without: same-name
    ids       nobody's there ──> linked there · another record's ──> the younger link: same-party

What was answered stays taken in the old space as well. Of two answered records with one name and different
ids the older link has the name; the other keeps its link without a claim, and is told of by
``without_their_name``. Nothing that waits is ever sent without a claim.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, delete, exists, func, insert, literal, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import NOTED, TO_SEND, claims, contents, feeds, history, links, records, waiting
from bridge.records import Reason, State

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

__all__ = ["Nameless", "move", "without_their_name"]

_THEIRS, _OWNER = claims.alias("theirs"), records.alias("owner")
_ANSWERED_AS = (
    select(func.min(links.c.at))
    .where(links.c.record == bindparam("of_record"), links.c.space.in_(bindparam("spaces", expanding=True)))
    .scalar_subquery()
)


class Nameless(NamedTuple):
    """A record with a Trakor record whose name another record holds."""

    connection: str
    stream: str
    source_id: str


@dataclass(frozen=True, slots=True)
class _Way:
    """Which feed moves from where to where, and when."""

    feed: int
    old: int
    new: int
    now: int


def move(connection: Connection, feed: int, old: int, new: int) -> None:
    """Move what a feed's records have into another space.

    Args:
        connection: Inside a writing transaction.
        feed: Number of the feed.
        old: Number of the space that its names belonged to.
        new: Number of the one that they belong to from now on.
    """
    way = _Way(feed, old, new, time.time_ns() // 1_000_000)
    met = connection.execute(_met(way)).all()
    _claim_what_is_free(connection, way)
    for meeting in met:
        _settle_name(connection, way, meeting)
    connection.execute(delete(claims).where(*_own_claims(way), claims.c.answered == 0))
    for shared in connection.execute(_shared(way)).all():
        _settle_id(connection, way, shared)
    _link_what_is_free(connection, way)
    connection.execute(update(feeds).where(feeds.c.number == feed).values(space=new))


def without_their_name(connection: Connection, limit: int = 100) -> list[Nameless]:
    """Records that Trakor has, and whose name another record holds: their scopes became one."""
    held = exists().where(
        claims.c.space == feeds.c.space,
        claims.c.key == records.c.sent_key,
        claims.c.answered == 1,
        claims.c.record != records.c.number,
    )
    found = connection.execute(
        select(feeds.c.connection, feeds.c.stream, records.c.source_id)
        .join(feeds, feeds.c.number == records.c.feed)
        .where(records.c.state.in_((State.DELIVERED, State.DRIFTED)), held)
        .order_by(records.c.number)
        .limit(limit)
    )
    return [Nameless(*row) for row in found]


def _own_claims(way: _Way) -> tuple[Any, ...]:
    of_feed = select(records.c.number).where(records.c.feed == way.feed)
    return claims.c.space == way.old, claims.c.record.in_(of_feed)


def _met(way: _Way) -> Select[Any]:
    """Names that another record has in the new space."""
    return (
        select(claims, _THEIRS.c.record.label("their_record"), _THEIRS.c.answered.label("their_answered"))
        .add_columns(*(_THEIRS.c[name].label(f"their_{name}") for name in _COUNTED))
        .join(_THEIRS, (_THEIRS.c.key == claims.c.key) & (_THEIRS.c.space == way.new))
        .where(*_own_claims(way), _THEIRS.c.record != claims.c.record)
    )


_COUNTED = ("attempts", "tried", "unanswered_at", "not_before")


def _claim_what_is_free(connection: Connection, way: _Way) -> None:
    columns = [column.name for column in claims.c]
    wanted = select(*(literal(way.new) if name == "space" else claims.c[name] for name in columns))
    connection.execute(
        upsert(claims).from_select(columns, wanted.where(*_own_claims(way))).on_conflict_do_nothing()
    )


def _settle_name(connection: Connection, way: _Way, met: Row[*tuple[Any, ...]]) -> None:
    """One name, two records: who holds it from now on, and what becomes of the other."""
    mine = _goes_first(connection, way, met)
    winner, loser = (met.record, met.their_record) if mine else (met.their_record, met.record)
    _hand_on_request(connection, winner, loser, met.key)
    both_answered = bool(met.answered and met.their_answered)
    answered = max(met.answered, met.their_answered)
    connection.execute(
        update(claims)
        .where(claims.c.space == way.new, claims.c.key == met.key)
        .values(
            record=winner,
            answered=answered,
            # Whoever has the name has its attempts, too: a request of the other may be at work still.
            attempts=met.attempts + met.their_attempts,
            tried=(met.tried if mine else met.their_tried) or met.tried or met.their_tried,
            unanswered_at=max(met.unanswered_at, met.their_unanswered_at),
            not_before=max(met.not_before, met.their_not_before),
        )
    )
    if both_answered:
        _tell(
            connection, way, loser, "kept", "its scope became one with another: another record has its name"
        )
    else:
        _lose(connection, way, loser, met.key)


def _hand_on_request(connection: Connection, winner: int, loser: int, key: str) -> None:
    """A request that is under way for the name is the winner's: it is not sent again beside it."""
    under_way = select(records.c.claimed_until).where(records.c.number == loser, records.c.sent_key == key)
    until = connection.scalar(under_way) or 0
    connection.execute(
        update(records)
        .where(records.c.number == winner, records.c.sent_key == key, records.c.claimed_until < until)
        .values(claimed_until=until)
    )


def _goes_first(connection: Connection, way: _Way, met: Row[*tuple[Any, ...]]) -> bool:
    """Whether the moving record has the name rather than the one that is there."""
    if met.answered and met.their_answered:
        return _linked_at(connection, way, met.record) < _linked_at(connection, way, met.their_record)
    if met.answered or met.their_answered:
        return bool(met.answered)
    tried, theirs = bool(met.attempts), bool(met.their_attempts)
    return tried if tried != theirs else met.record < met.their_record


def _linked_at(connection: Connection, way: _Way, record: int) -> tuple[int, int]:
    """When a record was linked first, then its number: the ledger's oldest come first."""
    at = connection.scalar(select(_ANSWERED_AS), {"of_record": record, "spaces": [way.old, way.new]})
    return (at or 0, record)


def _lose(connection: Connection, way: _Way, record: int, key: str) -> None:
    """A record without an answer gives a name up: one that waits is held, and nothing is sent of it."""
    of_name = (records.c.number == record, records.c.sent_key == key, records.c.trakor_id.is_(None))
    waits = connection.scalar(select(records.c.number).where(*of_name, records.c.state == State.PENDING))
    nothing: dict[str, Any] = {"key": "", "sent_key": "", "sent": "", "claimed_until": 0}
    connection.execute(update(records).where(*of_name).values(nothing))
    if waits is None:
        return
    connection.execute(
        update(records)
        .where(records.c.number == record)
        .values(state=State.HELD, reason=Reason.SAME_NAME, seen=None, since_at=way.now)
    )
    _take_newest_draft(connection, record)
    _tell(connection, way, record, "held", "its scope became one with another, where its name is taken")


def _take_newest_draft(connection: Connection, record: int) -> None:
    """What was seen while another one was to be sent is what is decided on."""
    of_record = waiting.c.record == record
    if connection.scalar(select(waiting.c.slot).where(of_record, waiting.c.slot == NOTED)) is None:
        return
    connection.execute(delete(waiting).where(of_record, waiting.c.slot == TO_SEND))
    connection.execute(update(waiting).where(of_record, waiting.c.slot == NOTED).values(slot=TO_SEND))


def _own_links(way: _Way) -> tuple[Any, ...]:
    of_feed = select(records.c.number).where(records.c.feed == way.feed)
    return links.c.space == way.old, links.c.record.in_(of_feed)


def _shared(way: _Way) -> Select[Any]:
    """Trakor's ids that another record has in the new space."""
    theirs = links.alias("theirs")
    return (
        select(
            links.c.trakor_id, links.c.record, links.c.at,
            theirs.c.record.label("their_record"), theirs.c.at.label("their_at"),
        )
        .join(theirs, (theirs.c.trakor_id == links.c.trakor_id) & (theirs.c.space == way.new))
        .where(*_own_links(way), theirs.c.record != links.c.record)
    )  # fmt: skip


def _settle_id(connection: Connection, way: _Way, shared: Row[*tuple[Any, ...]]) -> None:
    """One Trakor record, two source records: the older link stands, a person decides on the other."""
    mine = (shared.at, shared.record) < (shared.their_at, shared.their_record)
    keeper, other = (shared.record, shared.their_record) if mine else (shared.their_record, shared.record)
    if mine:
        of_id = (links.c.space == way.new, links.c.trakor_id == shared.trakor_id)
        connection.execute(delete(links).where(*of_id))
        connection.execute(delete(contents).where(*_same_place(way.new, shared.trakor_id)))
    connection.execute(
        update(records)
        .where(records.c.number == other, records.c.trakor_id == shared.trakor_id)
        .values(
            state=State.HELD,
            reason=Reason.SAME_PARTY,
            merged_into=keeper,
            trakor_id=None,
            since_at=way.now,
        )
    )
    detail = f"its scope became one with another, where another record has {shared.trakor_id}"
    _tell(connection, way, other, "held", detail)


def _same_place(space: int, trakor_id: str) -> tuple[Any, ...]:
    return contents.c.space == space, contents.c.trakor_id == trakor_id


def _link_what_is_free(connection: Connection, way: _Way) -> None:
    """Links go over, and with each what was sent of it."""
    there = links.alias("there")
    free = ~exists().where(there.c.space == way.new, there.c.trakor_id == links.c.trakor_id)
    going = select(links.c.trakor_id).where(*_own_links(way), free)
    connection.execute(
        update(contents)
        .where(contents.c.space == way.old, contents.c.trakor_id.in_(going))
        .values(space=way.new)
    )
    connection.execute(update(links).where(*_own_links(way), free).values(space=way.new))


def _tell(connection: Connection, way: _Way, record: int, event: str, detail: str) -> None:
    line = {"record": record, "at": way.now, "event": event, "detail": detail, "by": ""}
    connection.execute(insert(history), line)
