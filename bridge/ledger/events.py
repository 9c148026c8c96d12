"""Webhooks that were kept: counted, worked off a record at a time, listed, and one day deleted.

::

    keep_events ──> waiting ──due_events──> EventGroup, one for each record ──read by id──> finish_events
                       ^                                                                        │
                       └────────────────────────── replay_event <──────────────── done <────────┘

An event is a hint that something may have changed, so all that wait for one record are one. What cannot be
understood is kept as done, flagged, with what was sent: nobody can work it off but a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import bindparam, delete, insert, select, update

from bridge.errors import UserError
from bridge.ledger.arrivals import WebhookNumbers, count_arrivals, webhook_numbers
from bridge.ledger.bulk import run_for_all
from bridge.ledger.rows import among
from bridge.ledger.schema import events
from bridge.records import Action
from bridge.records.webhooks import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.records import Received
    from bridge.records.webhooks import Subject

    Waiting: TypeAlias = Row[int, str, str, int]
    About: TypeAlias = tuple[Subject, str]

__all__ = [
    "DueEvents",
    "Event",
    "EventGroup",
    "WebhookNumbers",
    "due_events",
    "finish_events",
    "keep_events",
    "listing_of_events",
    "prune_events",
    "replay_event",
    "webhook_numbers",
]

LOOKED_AT: Final = 500
"""Waiting events that one look goes through at most, the oldest: however many wait, a look is short. The
next webhook waits for it to end."""

AT_ONCE: Final = 500
"""Events that one transaction finishes or deletes."""

LONGEST_ACTION: Final = 64
"""Characters that are kept of an action that is none of ours."""

SUBJECT_OF: Final = {str(action): action.subject for action in Action}
DELETING: Final = frozenset(str(action) for action in Action if action.deletes)


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook as a person is shown it.

    Attributes:
        number: The ledger's number of it.
        connection: Whose it is.
        action: What it says has happened.
        source_id: Salestrekker's id of what it is about; empty where none could be read.
        received_at: When it came, or was last asked for again.
        done_at: When it was worked off; None while it waits.
        outcome: What came of it.
        problem: ``unknown-action``, ``unreadable``, or empty.
        body: What was sent, only where it could not be understood.
    """

    number: int
    connection: str
    action: str
    source_id: str
    received_at: int
    done_at: int | None
    outcome: str
    problem: str
    body: str | None


@dataclass(frozen=True, slots=True)
class EventGroup:
    """All events that wait for one record.

    Attributes:
        subject: ``contact``, ``deal`` or ``product``.
        id: Salestrekker's id of it.
        numbers: The ledger's numbers of the events, in the order in which they came.
        deleted: One of them says that it is not there any more.
        first_at: When the first of them came.
    """

    subject: Subject
    id: str
    numbers: tuple[int, ...]
    deleted: bool
    first_at: int


@dataclass(frozen=True, slots=True)
class DueEvents:
    """What a look for events to work off came to.

    Attributes:
        groups: Those that are due, the oldest first.
        next_at: When the first event of the oldest group not among them came; None where none is left.
    """

    groups: list[EventGroup]
    next_at: int | None


# Statements are made once: to build one costs ten times as much as to run it for one row.

_KEEP = insert(events)
_WAITING = (events.c.connection == bindparam("of_connection"), events.c.done_at.is_(None))
_COLUMNS = (events.c.number, events.c.action, events.c.source_id, events.c.received_at)
_OLDEST = (
    select(*_COLUMNS)
    .where(*_WAITING, ~among(events.c.action, "but"))
    .order_by(events.c.number)
    .limit(bindparam("most"))
)
_OF_THESE = (
    select(*_COLUMNS)
    .where(*_WAITING, among(events.c.source_id, "ids"), events.c.number > bindparam("after"))
    .order_by(events.c.number)
    .limit(bindparam("most"))
)
_FINISH = (
    update(events)
    .where(among(events.c.number, "numbers"), events.c.done_at.is_(None))
    .values(done_at=bindparam("at"), outcome=bindparam("came_to"))
)
_FIND = select(events).where(events.c.number == bindparam("of_number"))
_REPLAY = (
    update(events)
    .where(events.c.number == bindparam("of_number"))
    .values(done_at=None, outcome="", received_at=bindparam("at"))
)
_OLD = (
    select(events.c.number)
    .where(events.c.done_at < bindparam("before"))
    .order_by(events.c.done_at)
    .limit(bindparam("most"))
)
_OLD_PROBLEMS = (
    select(events.c.number)
    .where(events.c.problem != "", events.c.done_at < bindparam("before"))
    .order_by(events.c.number)
    .limit(bindparam("most"))
)
_DELETE = delete(events).where(among(events.c.number, "numbers"))


def keep_events(connection: Connection, received: Sequence[Received]) -> None:
    """Keep webhooks, so that they can be answered: those of one group commit.

    Args:
        connection: Inside a writing transaction.
        received: In the order in which they came.
    """
    run_for_all(
        connection,
        _KEEP,
        [
            {
                "connection": one.connection,
                "action": one.action[:LONGEST_ACTION],
                "source_id": one.source_id,
                "received_at": one.received_at,
                "done_at": one.received_at if one.problem else None,
                "body": one.body,
                "problem": one.problem,
            }
            for one in received
        ],
    )
    count_arrivals(connection, received)


def due_events(
    connection: Connection,
    name: str,
    *,
    before: int,
    now: int,
    limit: int,
    without: Collection[Subject] = (),
) -> DueEvents:
    """What is to be worked off: for each record all that wait for it, the longest waiting record first.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
        before: A record is due when its first event came then or earlier, or lies ahead of ``now``: the
            clock was set back.
        now: The time.
        limit: How many records at most.
        without: Subjects that are left out, as if nothing waited for them.
    """
    but = [str(action) for action in Action if action.subject in without]
    oldest = connection.execute(_OLDEST, {"of_connection": name, "most": LOOKED_AT, "but": but}).all()
    due: dict[About, list[Waiting]] = {}
    later = [oldest[-1].received_at] if len(oldest) == LOOKED_AT else []  # nobody knows what is behind it
    for about, found in _grouped(oldest).items():
        first_at = _first(found)
        if len(due) < limit and not before < first_at <= now:
            due[about] = found
        else:
            later.append(first_at)
    return DueEvents(_groups(connection, name, due, oldest), min(*later, now) if later else None)


def _first(found: Iterable[Waiting]) -> int:
    """When the first one came; one that is replayed came just now."""
    return int(min(one.received_at for one in found))


def _grouped(
    found: Sequence[Waiting],
) -> dict[About, list[Waiting]]:
    """Events by what they are about, in the order in which the first of each came."""
    groups: dict[About, list[Waiting]] = {}
    for one in found:
        groups.setdefault((SUBJECT_OF[one.action], one.source_id), []).append(one)
    return groups


def _groups(
    connection: Connection,
    name: str,
    due: dict[About, list[Waiting]],
    oldest: Sequence[Waiting],
) -> list[EventGroup]:
    """The groups, with what waits for their records beyond the oldest events that were looked at."""
    if due and len(oldest) == LOOKED_AT:
        asked = {"ids": [of for _, of in due], "after": oldest[-1].number}
        later = connection.execute(_OF_THESE, {"of_connection": name, "most": LOOKED_AT, **asked})
        for about, found in _grouped(later.all()).items():
            if about in due:
                due[about] += found
    return [
        EventGroup(
            subject,
            of,
            tuple(one.number for one in found),
            any(one.action in DELETING for one in found),
            _first(found),
        )
        for (subject, of), found in due.items()
    ]


def finish_events(connection: Connection, numbers: Sequence[int], outcome: str, now: int) -> None:
    """Events were worked off; one that is done already stays as it is.

    Args:
        connection: Inside a writing transaction.
        numbers: The ledger's numbers of them.
        outcome: What came of them, in a word: no personal data.
        now: The time to note.
    """
    connection.execute(_FINISH, {"numbers": list(numbers), "came_to": outcome, "at": now})


def listing_of_events(
    connection: Connection,
    names: Collection[str],
    limit: int,
    *,
    only_waiting: bool = False,
    only_problems: bool = False,
) -> list[Event]:
    """Events as a person is shown them, the newest first.

    Args:
        connection: Inside any transaction.
        names: Of connections; empty: of all.
        limit: How many at most.
        only_waiting: Only those that are not worked off yet.
        only_problems: Only those that could not be understood.
    """
    wanted = select(events).order_by(events.c.number.desc()).limit(limit)
    if names:
        wanted = wanted.where(events.c.connection.in_(sorted(names)))
    if only_waiting:
        wanted = wanted.where(events.c.done_at.is_(None))
    if only_problems:
        wanted = wanted.where(events.c.problem != "")
    return [_event(row) for row in connection.execute(wanted)]


def _event(row: Row[*tuple[Any, ...]]) -> Event:
    return Event(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def replay_event(connection: Connection, number: int, now: int) -> Event:
    """Let an event wait again, as if it had come now.

    Args:
        connection: Inside a writing transaction.
        number: The ledger's number of it.
        now: The time to note.

    Returns:
        The event as it waits.

    Raises:
        UserError: There is no such event, or it could not be understood.
    """
    found = connection.execute(_FIND, {"of_number": number}).one_or_none()
    if found is None:
        raise UserError(
            f"there is no event {number}", advice="`trakor-bridge webhooks list` has their numbers"
        )
    if found.problem:
        why = "no id could be read from it" if found.problem == UNREADABLE else "its action is none of ours"
        raise UserError(f"event {number} cannot be worked off: {why}", advice="see it with `webhooks list`")
    connection.execute(_REPLAY, {"of_number": number, "at": now})
    return _event(connection.execute(_FIND, {"of_number": number}).one())


def prune_events(connection: Connection, before: int, *, problems_before: int = 0) -> int:
    """Delete some events that were worked off long ago; to be called until it gives 0.

    Args:
        connection: Inside a writing transaction.
        before: Those done earlier than this, in milliseconds since the epoch.
        problems_before: Those that could not be understood go with this time already: what was sent is
            kept with them, and may be personal data.

    Returns:
        How many were deleted, 500 at most.
    """
    numbers = [*connection.scalars(_OLD, {"before": before, "most": AT_ONCE})]
    numbers += connection.scalars(_OLD_PROBLEMS, {"before": problems_before, "most": AT_ONCE - len(numbers)})
    if not numbers:
        return 0
    return connection.execute(_DELETE, {"numbers": numbers}).rowcount
