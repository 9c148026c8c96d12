"""Connections and Trakor scopes that were renamed in the configuration, and what the ledger does about it.

A connection is its two organisations, not the name of its file. ``find_rename`` finds a configured
connection that the ledger does not know, if another one that it knows has left the configuration.
``rename_connection`` lets the old one's records continue under the new name, once an operator says so.

If a scope gets another name, or two scopes become one, a feed moves to another namespace::

    names     free in the new namespace ──> claimed there
              held by another record    ──> an answered one goes before a pending one, a tried one before an
                                            untried one, the older before the younger; a pending record that
                                            loses its name is held as same-name
    ids       not linked there ──> linked there · another record's ──> the younger link: same-party

A name that was answered stays taken in the old namespace as well. Of two answered records with one name and
different ids, the older link keeps the name. The other keeps its link without a claim, and
``find_without_name`` reports it. A pending record is never sent without a claim.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import bindparam, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.errors import UserError
from bridge.ledger.connection_organizations import TrakorIdentity, load_known
from bridge.ledger.schema import (
    NOTED,
    TO_SEND,
    claims,
    contents,
    deliveries,
    facts,
    feeds,
    history,
    links,
    metadata,
    namespaces,
    organizations,
    pauses,
    records,
    stored_texts,
    sweeps,
    tallies,
)
from bridge.records import Reason, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection, Row, Select

__all__ = [
    "MAIN",
    "ConnectionIdentity",
    "RecordWithoutName",
    "count_unconfigured_records",
    "find_known_connections",
    "find_rename",
    "find_unconfigured_feeds",
    "find_without_name",
    "move_feed",
    "note_configured",
    "refuse_if_renamed",
    "rename_connection",
]

_THEIRS, _OWNER = claims.alias("theirs"), records.alias("owner")
_ANSWERED_AS = (
    select(func.min(links.c.at))
    .where(links.c.record == bindparam("of_record"), links.c.space.in_(bindparam("spaces", expanding=True)))
    .scalar_subquery()
)


class RecordWithoutName(NamedTuple):
    """A record that Trakor has, whose name another record holds."""

    connection: str
    stream: str
    source_id: str


@dataclass(frozen=True, slots=True)
class _FeedMove:
    """Which feed moves from which namespace to which, and when."""

    feed: int
    old: int
    new: int
    now: int


def move_feed(connection: Connection, feed: int, old: int, new: int) -> None:
    """Move what a feed's records have to another namespace.

    Args:
        connection: Inside a writing transaction.
        feed: Number of the feed.
        old: Number of the namespace that its names belonged to.
        new: Number of the namespace that they belong to from now on.
    """
    way = _FeedMove(feed, old, new, time.time_ns() // 1_000_000)
    met = connection.execute(_met(way)).all()
    _claim_what_is_free(connection, way)
    for meeting in met:
        _resolve_name(connection, way, meeting)
    connection.execute(delete(claims).where(*_own_claims(way), claims.c.answered == 0))
    for shared in connection.execute(_shared(way)).all():
        _resolve_id(connection, way, shared)
    _link_what_is_free(connection, way)
    connection.execute(update(feeds).where(feeds.c.number == feed).values(space=new))


def find_without_name(connection: Connection, limit: int = 100) -> list[RecordWithoutName]:
    """Return records that Trakor has and whose name another record holds, since their scopes became one."""
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
    return [RecordWithoutName(*row) for row in found]


def _own_claims(way: _FeedMove) -> tuple[Any, ...]:
    of_feed = select(records.c.number).where(records.c.feed == way.feed)
    return claims.c.space == way.old, claims.c.record.in_(of_feed)


def _met(way: _FeedMove) -> Select[Any]:
    """Select the names that another record has in the new namespace."""
    return (
        select(claims, _THEIRS.c.record.label("their_record"), _THEIRS.c.answered.label("their_answered"))
        .add_columns(*(_THEIRS.c[name].label(f"their_{name}") for name in _COUNTED))
        .join(_THEIRS, (_THEIRS.c.key == claims.c.key) & (_THEIRS.c.space == way.new))
        .where(*_own_claims(way), _THEIRS.c.record != claims.c.record)
    )


_COUNTED = ("attempts", "tried", "unanswered_at", "not_before")


def _claim_what_is_free(connection: Connection, way: _FeedMove) -> None:
    columns = [column.name for column in claims.c]
    wanted = select(*(literal(way.new) if name == "space" else claims.c[name] for name in columns))
    connection.execute(
        upsert(claims).from_select(columns, wanted.where(*_own_claims(way))).on_conflict_do_nothing()
    )


def _resolve_name(connection: Connection, way: _FeedMove, met: Row[*tuple[Any, ...]]) -> None:
    """Decide which of two records holds a name from now on, and what happens to the other."""
    mine = _is_first(connection, way, met)
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
            # The name keeps all attempts: Trakor may still be working on the other record's request.
            attempts=met.attempts + met.their_attempts,
            tried=(met.tried if mine else met.their_tried) or met.tried or met.their_tried,
            unanswered_at=max(met.unanswered_at, met.their_unanswered_at),
            not_before=max(met.not_before, met.their_not_before),
        )
    )
    if both_answered:
        _add_history(
            connection, way, loser, "kept", "its scope became one with another: another record has its name"
        )
    else:
        _lose_name(connection, way, loser, met.key)


def _hand_on_request(connection: Connection, winner: int, loser: int, key: str) -> None:
    """Give a request that is under way for the name to the winner, so that it is not sent twice."""
    under_way = select(records.c.claimed_until).where(records.c.number == loser, records.c.sent_key == key)
    until = connection.scalar(under_way) or 0
    connection.execute(
        update(records)
        .where(records.c.number == winner, records.c.sent_key == key, records.c.claimed_until < until)
        .values(claimed_until=until)
    )


def _is_first(connection: Connection, way: _FeedMove, met: Row[*tuple[Any, ...]]) -> bool:
    """Return whether the moving record gets the name, not the one that is there."""
    if met.answered and met.their_answered:
        return _linked_at(connection, way, met.record) < _linked_at(connection, way, met.their_record)
    if met.answered or met.their_answered:
        return bool(met.answered)
    tried, theirs = bool(met.attempts), bool(met.their_attempts)
    return tried if tried != theirs else met.record < met.their_record


def _linked_at(connection: Connection, way: _FeedMove, record: int) -> tuple[int, int]:
    """Return when a record was linked first, and its number: the oldest record comes first."""
    at = connection.scalar(select(_ANSWERED_AS), {"of_record": record, "spaces": [way.old, way.new]})
    return (at or 0, record)


def _lose_name(connection: Connection, way: _FeedMove, record: int, key: str) -> None:
    """Take a name from a record without an answer. A pending record is held, and nothing of it is sent."""
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
    _add_history(
        connection, way, record, "held", "its scope became one with another, where its name is taken"
    )


def _take_newest_draft(connection: Connection, record: int) -> None:
    """Decide on the newest draft: the one that was seen while another one was to be sent."""
    of_record = stored_texts.c.record == record
    if connection.scalar(select(stored_texts.c.slot).where(of_record, stored_texts.c.slot == NOTED)) is None:
        return
    connection.execute(delete(stored_texts).where(of_record, stored_texts.c.slot == TO_SEND))
    connection.execute(
        update(stored_texts).where(of_record, stored_texts.c.slot == NOTED).values(slot=TO_SEND)
    )


def _own_links(way: _FeedMove) -> tuple[Any, ...]:
    of_feed = select(records.c.number).where(records.c.feed == way.feed)
    return links.c.space == way.old, links.c.record.in_(of_feed)


def _shared(way: _FeedMove) -> Select[Any]:
    """Select Trakor's ids that another record has in the new namespace."""
    theirs = links.alias("theirs")
    return (
        select(
            links.c.trakor_id, links.c.record, links.c.at,
            theirs.c.record.label("their_record"), theirs.c.at.label("their_at"),
        )
        .join(theirs, (theirs.c.trakor_id == links.c.trakor_id) & (theirs.c.space == way.new))
        .where(*_own_links(way), theirs.c.record != links.c.record)
    )  # fmt: skip


def _resolve_id(connection: Connection, way: _FeedMove, shared: Row[*tuple[Any, ...]]) -> None:
    """One Trakor record, two source records: the older link stays, and an operator decides on the other."""
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
    _add_history(connection, way, other, "held", detail)


def _same_place(space: int, trakor_id: str) -> tuple[Any, ...]:
    return contents.c.space == space, contents.c.trakor_id == trakor_id


def _link_what_is_free(connection: Connection, way: _FeedMove) -> None:
    """Move links, and with each link what was sent."""
    there = links.alias("there")
    free = ~exists().where(there.c.space == way.new, there.c.trakor_id == links.c.trakor_id)
    going = select(links.c.trakor_id).where(*_own_links(way), free)
    connection.execute(
        update(contents)
        .where(contents.c.space == way.old, contents.c.trakor_id.in_(going))
        .values(space=way.new)
    )
    connection.execute(update(links).where(*_own_links(way), free).values(space=way.new))


def _add_history(connection: Connection, way: _FeedMove, record: int, event: str, detail: str) -> None:
    line = {"record": record, "at": way.now, "event": event, "detail": detail, "by": ""}
    connection.execute(insert(history), line)


MAIN: Final = "default"
"""The connection of the main file. It is never another file's."""

_CONFIGURED: Final = "configured connections"
_UNCONFIGURED = text(
    "SELECT feeds.number FROM facts CROSS JOIN feeds WHERE facts.name = :name AND json_valid(facts.value)"
    " AND feeds.connection NOT IN"
    " (SELECT value FROM json_each(iif(json_valid(facts.value), facts.value, '[]')))"
).bindparams(name=_CONFIGURED)


class ConnectionIdentity(NamedTuple):
    """What identifies a configured connection.

    Attributes:
        scope: Name of its Trakor organisation.
        trakor: Its Trakor, hashed.
    """

    scope: str
    trakor: TrakorIdentity


def note_configured(connection: Connection, names: Iterable[str]) -> None:
    """Store which connections are configured: no record is merged into one of another connection.

    Args:
        connection: Inside a writing transaction.
        names: All connections of the configuration, whether they are active or not.
    """
    value = orjson.dumps(sorted(names)).decode()
    written = upsert(facts).values(name=_CONFIGURED, value=value)
    connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def find_unconfigured_feeds(connection: Connection) -> frozenset[int]:
    """Return the feeds whose connection is no longer configured; none before that was stored."""
    return frozenset(connection.scalars(_UNCONFIGURED))


def find_known_connections(connection: Connection) -> frozenset[str]:
    """Return the names of the connections that the ledger has records of."""
    has_any = exists().where(records.c.feed == feeds.c.number)
    return frozenset(connection.scalars(select(feeds.c.connection).where(has_any).distinct()))


def count_unconfigured_records(connection: Connection, configured: Collection[str]) -> dict[str, int]:
    """Count the ledger's records of each connection that is no longer configured, by name."""
    counted = select(feeds.c.connection, func.sum(tallies.c.number)).join(
        tallies, tallies.c.feed == feeds.c.number
    )
    left = counted.where(feeds.c.connection.not_in(list(configured))).group_by(feeds.c.connection)
    found = connection.execute(left.order_by(feeds.c.connection)).all()
    return {name: number for name, number in found if number}


def refuse_if_renamed(connection: Connection, configured: Mapping[str, ConnectionIdentity]) -> None:
    """Refuse to begin while a connection seems to be another one under a new name.

    Raises:
        UserError: It explains what to do. Nothing was done.
    """
    found = find_rename(connection, configured)
    if found is not None:
        new, old = found
        raise UserError(
            f"the connection {new} is new here, and the ledger has records of {old}, which is no longer "
            f"configured: was {old} renamed?",
            advice=f"`trakor-bridge connections rename {old} {new}`; if {new} joins other organisations: "
            f"`trakor-bridge connections confirm {new}`",
        )


def find_rename(
    connection: Connection, configured: Mapping[str, ConnectionIdentity]
) -> tuple[str, str] | None:
    """Return the new and the old name of a connection that may have been renamed; otherwise None.

    Args:
        connection: Inside any transaction.
        configured: All connections of the configuration, by name.
    """
    noted = set(connection.scalars(select(organizations.c.connection)))
    noted |= set(connection.scalars(select(feeds.c.connection)))
    left = sorted(find_known_connections(connection) - set(configured))
    for new in sorted(set(configured) - noted):
        for old in left:
            if _may_be_one(connection, old, new, configured[new]):
                return new, old
    return None


def _may_be_one(connection: Connection, old: str, new: str, identity: ConnectionIdentity) -> bool:
    """Return whether both send to one Trakor, or may do so if nothing is recorded of the old one."""
    scopes = _scopes_of(connection, old)
    if identity.scope in scopes:
        return True
    trakor = load_known(connection, old).trakor
    if trakor.address:
        return trakor.address == identity.trakor.address or trakor.key == identity.trakor.key
    return scopes == {old} and identity.scope == new


def _scopes_of(connection: Connection, name: str) -> set[str]:
    used = select(namespaces.c.scope).join(feeds, feeds.c.space == namespaces.c.number)
    return set(connection.scalars(used.where(feeds.c.connection == name)))


def rename_connection(
    connection: Connection, old: str, new: str, scope: str, configured: Collection[str]
) -> int:
    """Let the records of a connection continue under another name.

    Not while the old name is configured: that connection would start without history, and send everything
    that it reads once more.

    Args:
        connection: Inside a writing transaction of the ledger's owner.
        old: The name that the ledger knows.
        new: The name from now on.
        scope: The configured scope from now on. The old scope is renamed to it if it was the default and no
            other connection uses it; otherwise the next start moves what has to move.
        configured: Names of all connections of the configuration.

    Returns:
        How many records continue.

    Raises:
        UserError: The old name is unknown or still configured, or the new one has records already. Nothing
            was done.
    """
    known = find_known_connections(connection)
    if old not in known:
        names = ", ".join(sorted(known)) or "none"
        raise UserError(f"the ledger has no records of a connection {old}", advice=f"it knows: {names}")
    if new == old or new in known:
        raise UserError(
            f"the ledger has records of {new} already, and two connections cannot become one",
            advice="choose a name that the ledger does not know",
        )
    if old in configured:
        raise _still_configured(old, new, is_there=new in configured)
    _make_room(connection, old, new)
    for table in metadata.sorted_tables:
        if "connection" in table.c:
            renaming = update(table).where(table.c.connection == old).values(connection=new)
            connection.execute(renaming.prefix_with("OR REPLACE"))
    _rename_scope(connection, old, new, scope)
    counted = select(func.count()).select_from(records).join(feeds, feeds.c.number == records.c.feed)
    return connection.scalar(counted.where(feeds.c.connection == new)) or 0


def _still_configured(old: str, new: str, *, is_there: bool) -> UserError:
    """Explain what to do first if the old name is configured, alone or beside the new one."""
    if is_there:
        return UserError(
            f"{old} and {new} are both configured: {old} would read and send everything once more",
            advice=f"{_taken_out(old)}, and run this again. If {old} is to join other organisations from "
            "now on, put it back after that",
        )
    return UserError(
        f"{old} is still configured, and {new} is not: nothing was renamed",
        advice=f"name the file first: {_moved(old, new)}. Then run this again",
    )


def _taken_out(name: str) -> str:
    if name == MAIN:
        return f"take the sections of {MAIN} out of the main file"
    return f"move connections.d/{name}.toml away"


def _moved(old: str, new: str) -> str:
    """Return how a connection gets another name in the configuration."""
    if MAIN in {old, new}:
        whose = f"connections.d/{new}.toml" if old == MAIN else "the main file"
        return f"{MAIN} is the main file's own pair: move the sections into {whose}"
    return f"mv connections.d/{old}.toml connections.d/{new}.toml"


def _make_room(connection: Connection, old: str, new: str) -> None:
    """Delete what blocks the new name. An operator's pause of it replaces any pause of the old one."""
    stands = select(pauses.c.direction).where(pauses.c.connection == new, pauses.c.by_person == 1)
    connection.execute(delete(pauses).where(pauses.c.connection == old, pauses.c.direction.in_(stands)))
    empty = list(connection.scalars(select(feeds.c.number).where(feeds.c.connection == new)))
    for table in (sweeps, deliveries, tallies):
        connection.execute(delete(table).where(table.c.feed.in_(empty)))
    connection.execute(delete(feeds).where(feeds.c.number.in_(empty)))


def _rename_scope(connection: Connection, old: str, new: str, scope: str) -> None:
    """Rename the default scope with its connection, if no other connection uses it."""
    used = select(namespaces.c.number, namespaces.c.stream).join(feeds, feeds.c.space == namespaces.c.number)
    for space in connection.execute(used.where(feeds.c.connection == new, namespaces.c.scope == old)).all():
        others = select(feeds.c.number).where(feeds.c.space == space.number, feeds.c.connection != new)
        if scope == old or connection.scalar(others) is not None:
            continue
        taken = select(namespaces.c.number).where(
            namespaces.c.scope == scope, namespaces.c.stream == space.stream
        )
        there = connection.scalar(taken)
        if there is None or _drop_if_empty(connection, there):
            connection.execute(
                update(namespaces).where(namespaces.c.number == space.number).values(scope=scope)
            )


def _drop_if_empty(connection: Connection, space: int) -> bool:
    """Delete a namespace that contains nothing; return whether it was deleted."""
    for table in (feeds, claims, links):
        if connection.scalar(select(table.c.space).where(table.c.space == space).limit(1)) is not None:
            return False
    connection.execute(delete(namespaces).where(namespaces.c.number == space))
    return True
