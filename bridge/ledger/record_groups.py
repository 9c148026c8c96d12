"""How the records of one run stand to each other, in groups: who shares a name, who was merged, who waits.

Asked at the end of a dry run and of a first backfill, for whoever has to believe the numbers. A name that
several have is known by those that did not get it: only these are looked at closer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from bridge.ledger.read_model import Wanted, find
from bridge.ledger.row_mapping import all_of
from bridge.ledger.schema import records
from bridge.records import Reason, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection

    from bridge.ledger.row_mapping import Feed

__all__ = ["QUALIFIED", "SHARED", "Group", "groups_of", "merged_into_unsent"]

SHARED: Final = "shared"
QUALIFIED: Final = "qualified"

_ASKED: Final = (Reason.SAME_NAME, Reason.SAME_PERSON)


def merged_into_unsent(connection: Connection) -> dict[int, int]:
    """How many merged records of each feed share a record that Trakor does not have, by the feed's number."""
    other = records.alias()
    counted = select(records.c.feed, func.count().label("number")).join(
        other, other.c.number == records.c.merged_into
    )
    unsent = (
        records.c.merged_into.is_not(None),  # few are: an index has just these
        records.c.state == State.MERGED,
        other.c.trakor_id.is_(None),
    )
    found = connection.execute(counted.where(*unsent).group_by(records.c.feed))
    return {row.feed: row.number for row in found}


@dataclass(frozen=True, slots=True)
class Group:
    """Some records of one stream that have something in common.

    Attributes:
        kind: What: ``shared`` (their name is another one's, too), ``qualified`` (sent with what tells them
            apart), or a state, with its reason after a colon where it has one.
        number: How many.
        names: How many names these have among them; 0 where that is not asked.
        examples: The names of a few of them, where these were asked for.
    """

    kind: str
    number: int
    names: int = 0
    examples: tuple[str, ...] = ()


def groups_of(connection: Connection, feed: Feed, run: int, examples: int = 0) -> list[Group]:
    """Put the records that a run is accountable for into groups; those that are alone are in none.

    Args:
        connection: Inside any transaction.
        feed: Whose records.
        run: The run's number.
        examples: Name so many of each group: only for a person at a terminal.
    """
    here = (all_of(feed), records.c.run == run)
    found = list(_counted(connection, here))
    if not examples:
        return found
    return [replace(group, examples=_names(connection, feed, run, group.kind, examples)) for group in found]


def _counted(connection: Connection, here: tuple[ColumnElement[bool], ...]) -> Iterator[Group]:
    later = (*here, _without_its_name())
    number, names = connection.execute(
        select(func.count(), func.count(records.c.key.distinct())).where(*later)
    ).one()
    if number:
        yield Group(SHARED, number + names, names)
    qualified = connection.scalar(select(func.count()).where(*here, _is_qualified())) or 0
    if qualified:
        yield Group(QUALIFIED, int(qualified))
    listed = (State.MERGED, State.HELD, State.REJECTED)
    counted = connection.execute(
        select(records.c.state, records.c.reason, func.count().label("number"))
        .where(*here, records.c.state.in_(listed))
        .group_by(records.c.state, records.c.reason)
    ).all()
    for row in sorted(counted, key=lambda one: (listed.index(State(one.state)), one.reason or "")):
        yield Group(f"{row.state}: {row.reason}" if row.reason else row.state, row.number)


def _is_qualified() -> ColumnElement[bool]:
    """Sent, or to be sent, under another name than the mapped one."""
    sent = records.c.state.in_((State.PENDING, State.DELIVERED, State.DRIFTED))
    return sent & (records.c.sent_key != records.c.key) & (records.c.given == 0)


def _without_its_name() -> ColumnElement[bool]:
    """Another one has the name that it has in the source."""
    asked = (records.c.state == State.HELD) & records.c.reason.in_(_ASKED)
    return (records.c.state == State.MERGED) | asked | _is_qualified()


def _names(connection: Connection, feed: Feed, run: int, kind: str, number: int) -> tuple[str, ...]:
    """The names of the first few of a group."""
    here = (all_of(feed), records.c.run == run)
    state, _, reason = kind.partition(": ")
    match kind:
        case _ if kind == SHARED:
            which = _without_its_name()
        case _ if kind == QUALIFIED:
            which = _is_qualified()
        case _:
            which = (records.c.state == state) & (func.coalesce(records.c.reason, "") == reason)
    numbers = connection.scalars(select(records.c.number).where(*here, which).limit(number)).all()
    found = find(connection, Wanted(numbers=numbers)) if numbers else []
    return tuple(dict.fromkeys(one.name for one in found if one.name))
