"""Which records webhooks wait for: all events of one record are one group, read together.

::

    kept, not read yet ──debounce──────────┐
                                           ├──> EventGroup: all that wait for one record
    could not be read ──its time has come──┘

An event that could not be read keeps nobody's place: it is looked for by its own time. A new event of the
same record does not wait for that time, and takes the older ones along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from sqlalchemy import bindparam, func, literal_column, or_, select

from bridge.ledger.row_mapping import among
from bridge.ledger.schema import events
from bridge.records import Action

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.records.webhooks import Subject

    Waiting: TypeAlias = Row[int, str, str, int, int, int]
    About: TypeAlias = tuple[Subject, str]

__all__ = ["DueEvents", "EventGroup", "due_events"]

LOOKED_AT: Final = 500
"""Waiting events of each kind that one look goes through at most, the oldest: however many wait, a look is
short. The next webhook waits for it to end."""

LONGEST_WAIT: Final = 24 * 60 * 60 * 1000
"""Milliseconds for which an event that could not be read waits at most before it is tried again."""

SUBJECT_OF: Final = {str(action): action.subject for action in Action}
DELETING: Final = frozenset(str(action) for action in Action if action.deletes)


@dataclass(frozen=True, slots=True)
class EventGroup:
    """All events that wait for one record.

    Attributes:
        subject: ``contact``, ``deal`` or ``product``.
        id: Salestrekker's id of it.
        numbers: The ledger's numbers of the events, in the order in which they came.
        deleted: One of them says that it is not there any more.
        first_at: When the first of them came.
        tries: How often it could not be read since the newest of them came.
    """

    subject: Subject
    id: str
    numbers: tuple[int, ...]
    deleted: bool
    first_at: int
    tries: int = 0


@dataclass(frozen=True, slots=True)
class DueEvents:
    """What a look for events to work off came to.

    Attributes:
        groups: Those that are due, the longest waiting first.
        next_at: When the first event that was never read for and is not among them came; None for none.
        again_at: When the next one that could not be read is due; None where none waits for that.
    """

    groups: list[EventGroup]
    next_at: int | None
    again_at: int | None = None


# Statements are made once. The index on either kind is used only where the statement says which it wants.

_OF_CONNECTION = (events.c.connection == bindparam("of_connection"), events.c.done_at.is_(None))
_WANTED = (*_OF_CONNECTION, ~among(events.c.action, "but"))
_FRESH = events.c.next_try_at == literal_column("0")
_FAILED = events.c.next_try_at > literal_column("0")
_COLUMNS = (
    events.c.number,
    events.c.action,
    events.c.source_id,
    events.c.received_at,
    events.c.tries,
    events.c.next_try_at,
)
_OLDEST = select(*_COLUMNS).where(*_WANTED, _FRESH).order_by(events.c.number).limit(bindparam("most"))
_IN_TIME = events.c.next_try_at.between(bindparam("now") + 1, bindparam("latest"))
_AGAIN = (
    select(*_COLUMNS)
    .where(
        *_WANTED,
        _FAILED,
        or_(events.c.next_try_at <= bindparam("now"), events.c.next_try_at > bindparam("latest")),
    )
    .order_by(events.c.next_try_at, events.c.number)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(events.c.next_try_at)).where(*_WANTED, _FAILED, _IN_TIME)
_OF_THESE = (
    select(*_COLUMNS)
    .where(
        *_OF_CONNECTION,
        among(events.c.source_id, "ids"),
        or_(events.c.number > bindparam("after"), _FAILED),
    )
    .order_by(events.c.number)
    .limit(bindparam("most"))
)


def due_events(
    connection: Connection,
    name: str,
    *,
    before: int,
    now: int,
    limit: int,
    longest: int = LONGEST_WAIT,
    without: Collection[Subject] = (),
) -> DueEvents:
    """What is to be worked off: for each record all that wait for it, the longest waiting record first.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
        before: A record is due when its first event came then or earlier, or lies ahead of ``now``: the
            clock was set back. One that could not be read is due when its own time has come.
        now: The time.
        limit: How many records at most.
        longest: Milliseconds for which one that could not be read waits at most: one that is to be tried
            later than that is due, since the clock was set back.
        without: Subjects that are left out, as if nothing waited for them.
    """
    but = [str(action) for action in Action if action.subject in without]
    asked = {"of_connection": name, "but": but, "now": now, "latest": now + longest, "most": LOOKED_AT}
    fresh = connection.execute(_OLDEST, asked).all()
    again = connection.execute(_AGAIN, asked).all()
    again_at = now if len(again) == LOOKED_AT else connection.scalar(_NEXT, asked)
    later = [fresh[-1].received_at] if len(fresh) == LOOKED_AT else []  # nobody knows what is behind it
    due: dict[About, list[Waiting]] = {}
    for about, found in _longest_waiting(_grouped([*fresh, *again])):
        first_at = _first(found)
        if len(due) < limit and (first_at is None or not before < first_at <= now or _is_again(found)):
            due[about] = found
        elif first_at is None:
            again_at = now
        else:
            later.append(first_at)
    if due and (again or again_at is not None or len(fresh) == LOOKED_AT):
        _take_along(connection, name, due, fresh)
    groups = [_group(about, found) for about, found in due.items()]
    return DueEvents(groups, min(*later, now) if later else None, again_at)


def _first(found: Iterable[Waiting]) -> int | None:
    """When the first one came that was not read for yet; one that is replayed came just now."""
    return min((int(one.received_at) for one in found if not one.next_try_at), default=None)


def _is_again(found: Iterable[Waiting]) -> bool:
    return any(one.next_try_at for one in found)


def _grouped(found: Iterable[Waiting]) -> dict[About, list[Waiting]]:
    """Events by what they are about."""
    groups: dict[About, list[Waiting]] = {}
    for one in found:
        groups.setdefault((SUBJECT_OF[one.action], one.source_id), []).append(one)
    return groups


def _longest_waiting(groups: dict[About, list[Waiting]]) -> list[tuple[About, list[Waiting]]]:
    """The groups by the time from which on they wait to be read."""
    return sorted(
        groups.items(), key=lambda group: min(one.next_try_at or one.received_at for one in group[1])
    )


def _take_along(
    connection: Connection, name: str, due: dict[About, list[Waiting]], fresh: Sequence[Waiting]
) -> None:
    """Add what else waits for these records: behind those looked at, or for a time of its own."""
    after = fresh[-1].number if len(fresh) == LOOKED_AT else 2**62
    asked = {"of_connection": name, "ids": [of for _, of in due], "after": after, "most": LOOKED_AT}
    for about, found in _grouped(connection.execute(_OF_THESE, asked).all()).items():
        if about in due:
            known = {one.number for one in due[about]}
            due[about] += [one for one in found if one.number not in known]


def _group(about: About, found: Sequence[Waiting]) -> EventGroup:
    return EventGroup(
        *about,
        tuple(sorted(one.number for one in found)),
        any(one.action in DELETING for one in found),
        min(int(one.received_at) for one in found),
        min(int(one.tries) for one in found),
    )
