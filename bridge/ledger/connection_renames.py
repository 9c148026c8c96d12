"""A connection is its two organisations, not its file's name: renamed only by a person's word.

``renamed_from`` finds a configured connection that the ledger does not know while it knows one that is not
configured any more and may be the same. ``rename`` lets the ledger's records go on under another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.errors import UserError
from bridge.ledger.organizations import Place, noted_of
from bridge.ledger.schema import (
    claims,
    deliveries,
    facts,
    feeds,
    links,
    metadata,
    organizations,
    pauses,
    records,
    spaces,
    sweeps,
    tallies,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection

__all__ = [
    "MAIN",
    "Identity",
    "known_connections",
    "note_configured",
    "records_of",
    "refuse_renamed",
    "rename",
    "renamed_from",
    "unconfigured_feeds",
]

MAIN: Final = "default"
"""The connection that is the main file's own pair, and never another file's."""

_CONFIGURED: Final = "configured connections"
_UNCONFIGURED = text(
    "SELECT feeds.number FROM facts CROSS JOIN feeds WHERE facts.name = :name AND json_valid(facts.value)"
    " AND feeds.connection NOT IN"
    " (SELECT value FROM json_each(iif(json_valid(facts.value), facts.value, '[]')))"
).bindparams(name=_CONFIGURED)


class Identity(NamedTuple):
    """What a configured connection is known by.

    Attributes:
        scope: Name of its Trakor organisation.
        place: Its Trakor, hashed.
    """

    scope: str
    place: Place


def note_configured(connection: Connection, names: Iterable[str]) -> None:
    """Note which connections are configured: nothing is merged into a record of any other.

    Args:
        connection: Inside a writing transaction.
        names: All that the configuration has, whichever are worked on.
    """
    value = orjson.dumps(sorted(names)).decode()
    written = upsert(facts).values(name=_CONFIGURED, value=value)
    connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def unconfigured_feeds(connection: Connection) -> frozenset[int]:
    """Numbers of the feeds whose connection is not configured any more; none before that was noted."""
    return frozenset(connection.scalars(_UNCONFIGURED))


def known_connections(connection: Connection) -> frozenset[str]:
    """Names of the connections that the ledger has records of."""
    has_any = exists().where(records.c.feed == feeds.c.number)
    return frozenset(connection.scalars(select(feeds.c.connection).where(has_any).distinct()))


def records_of(connection: Connection, configured: Collection[str]) -> dict[str, int]:
    """How many records the ledger has of each connection that is not configured any more, by name."""
    counted = select(feeds.c.connection, func.sum(tallies.c.number)).join(
        tallies, tallies.c.feed == feeds.c.number
    )
    left = counted.where(feeds.c.connection.not_in(list(configured))).group_by(feeds.c.connection)
    found = connection.execute(left.order_by(feeds.c.connection)).all()
    return {name: number for name, number in found if number}


def refuse_renamed(connection: Connection, configured: Mapping[str, Identity]) -> None:
    """Refuse to begin while a connection seems to be another one under a new name.

    Raises:
        UserError: It says what to do; nothing was done.
    """
    found = renamed_from(connection, configured)
    if found is not None:
        new, old = found
        raise UserError(
            f"the connection {new} is new here, and the ledger has records of {old}, which is not configured "
            f"any more: was {old} renamed?",
            advice=f"`trakor-bridge connections rename {old} {new}`; where {new} joins other organisations: "
            f"`trakor-bridge connections confirm {new}`",
        )


def renamed_from(connection: Connection, configured: Mapping[str, Identity]) -> tuple[str, str] | None:
    """The new name and the old one of a connection that may have been renamed; None where none was.

    Args:
        connection: Inside any transaction.
        configured: All connections of the configuration, by name.
    """
    noted = set(connection.scalars(select(organizations.c.connection)))
    noted |= set(connection.scalars(select(feeds.c.connection)))
    left = sorted(known_connections(connection) - set(configured))
    for new in sorted(set(configured) - noted):
        for old in left:
            if _may_be_one(connection, old, new, configured[new]):
                return new, old
    return None


def _may_be_one(connection: Connection, old: str, new: str, identity: Identity) -> bool:
    """Whether both send to one Trakor; where nothing was noted of the old one, whether that can be."""
    scopes = _scopes_of(connection, old)
    if identity.scope in scopes:
        return True
    place = noted_of(connection, old).place
    if place.address:
        return place.address == identity.place.address or place.key == identity.place.key
    return scopes == {old} and identity.scope == new


def _scopes_of(connection: Connection, name: str) -> set[str]:
    used = select(spaces.c.scope).join(feeds, feeds.c.space == spaces.c.number)
    return set(connection.scalars(used.where(feeds.c.connection == name)))


def rename(connection: Connection, old: str, new: str, scope: str, configured: Collection[str]) -> int:
    """Let the records of a connection go on under another name.

    Not while the old name is configured: that connection would begin with an empty past, and send all that
    it reads once more.

    Args:
        connection: Inside a writing transaction of the ledger's one owner.
        old: The name that the ledger knows.
        new: The name from now on.
        scope: The scope that it has from now on, as configured. The old one is renamed to it where it was
            the default one and no other connection uses it; else the next start moves what is to be moved.
        configured: Names of all connections of the configuration.

    Returns:
        How many records go on.

    Raises:
        UserError: The old name is unknown or still configured, or the new one has records already; nothing
            was done.
    """
    known = known_connections(connection)
    if old not in known:
        names = ", ".join(sorted(known)) or "none"
        raise UserError(f"the ledger has no records of a connection {old}", advice=f"it knows: {names}")
    if new == old or new in known:
        raise UserError(
            f"the ledger has records of {new} already: two connections cannot become one",
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
    """What to do first, where the old name is configured: alone, or beside the new one."""
    if is_there:
        return UserError(
            f"{old} and {new} are both configured: {old} would read and send everything once more",
            advice=f"{_taken_out(old)}, and say this again; where {old} is to join other organisations from "
            "now on, put it back after that",
        )
    return UserError(
        f"{old} is still configured, and {new} is not: nothing was renamed",
        advice=f"name the file first: {_moved(old, new)}. Then say this again",
    )


def _taken_out(name: str) -> str:
    if name == MAIN:
        return f"take the sections of {MAIN} out of the main file"
    return f"move connections.d/{name}.toml away"


def _moved(old: str, new: str) -> str:
    """How a connection gets another name in the configuration."""
    if MAIN in {old, new}:
        whose = f"connections.d/{new}.toml" if old == MAIN else "the main file"
        return f"{MAIN} is the main file's own pair: move the sections into {whose}"
    return f"mv connections.d/{old}.toml connections.d/{new}.toml"


def _make_room(connection: Connection, old: str, new: str) -> None:
    """Drop what stands in the way of the new name; a person's pause of it goes before any of the old one."""
    stands = select(pauses.c.direction).where(pauses.c.connection == new, pauses.c.by_person == 1)
    connection.execute(delete(pauses).where(pauses.c.connection == old, pauses.c.direction.in_(stands)))
    empty = list(connection.scalars(select(feeds.c.number).where(feeds.c.connection == new)))
    for table in (sweeps, deliveries, tallies):
        connection.execute(delete(table).where(table.c.feed.in_(empty)))
    connection.execute(delete(feeds).where(feeds.c.number.in_(empty)))


def _rename_scope(connection: Connection, old: str, new: str, scope: str) -> None:
    """Rename the default scope with its connection, where it is nobody else's."""
    used = select(spaces.c.number, spaces.c.stream).join(feeds, feeds.c.space == spaces.c.number)
    for space in connection.execute(used.where(feeds.c.connection == new, spaces.c.scope == old)).all():
        others = select(feeds.c.number).where(feeds.c.space == space.number, feeds.c.connection != new)
        if scope == old or connection.scalar(others) is not None:
            continue
        taken = select(spaces.c.number).where(spaces.c.scope == scope, spaces.c.stream == space.stream)
        there = connection.scalar(taken)
        if there is None or _drop_if_empty(connection, there):
            connection.execute(update(spaces).where(spaces.c.number == space.number).values(scope=scope))


def _drop_if_empty(connection: Connection, space: int) -> bool:
    """Drop a space that nothing is in; says whether it is gone."""
    for table in (feeds, claims, links):
        if connection.scalar(select(table.c.space).where(table.c.space == space).limit(1)) is not None:
            return False
    connection.execute(delete(spaces).where(spaces.c.number == space))
    return True
