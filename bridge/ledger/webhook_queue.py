"""Webhooks in the ledger: taken in, counted, worked off a record at a time, listed, and one day deleted.

On their way to disk all that arrive while one commit is under way share the next::

    Inbox.keep ──┐
    Inbox.keep ──┤ waiting ──at most 256──> call_first(keep_events) ──commit──> each keep returns
    Inbox.keep ──┘    ^                                                └──> on_kept
                      └── more than 10,000: Transient, the sender tries again

One commit costs the same for one event and for 256; so it is the number that arrive at once which decides
how many share one, and nobody waits for company. Then::

    keep_events ──> waiting ──due_events──> EventGroup, one for each record ──read by id──> finish_events
                     ^   ^                                                     │ error          │
                     │   └── at growing intervals, for a day <── postpone_events                │
                     └──────────────────────────── replay_event <──────────────── done <────────┘

An event is a hint that something may have changed, so all that wait for one record are one; which are due,
``due_webhooks.py`` tells. What cannot be understood is kept as done, flagged, with what was sent: nobody can
work it off but a person. How many came, ever, is counted when they are kept: events are deleted one day.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.errors import LedgerError, Transient, UserError
from bridge.ledger.bulk_sql import inserted, run_for_all
from bridge.ledger.daemon_state import Moment, note
from bridge.ledger.row_mapping import among, sealer_of
from bridge.ledger.schema import arrivals, events
from bridge.records.webhooks import UNKNOWN_ACTION, UNREADABLE, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.ledger.database import Ledger

__all__ = [
    "UNREADABLE_LIFE",
    "Event",
    "Inbox",
    "WebhookNumbers",
    "count_arrivals",
    "finish_events",
    "keep_events",
    "listing_of_events",
    "postpone_events",
    "prove_events",
    "prune_events",
    "replay_event",
    "webhook_numbers",
]


@dataclass(frozen=True, slots=True)
class WebhookNumbers:
    """How many webhooks came for one connection, ever, deleted events included.

    Attributes:
        received: All of them.
        waiting: Those that are not worked off yet.
        last_at: When the last one came; None where none ever did.
        unreadable: Those that could not be understood: no id, or an unknown action.
        unreadable_at: When the last one of these came; None where none ever did.
        by_action: Of each known action, how many and when the last one came.
    """

    received: int = 0
    waiting: int = 0
    last_at: int | None = None
    unreadable: int = 0
    unreadable_at: int | None = None
    by_action: dict[str, tuple[int, int]] = field(default_factory=dict)


_ARRIVED = upsert(arrivals)
_COUNT = _ARRIVED.on_conflict_do_update(
    index_elements=["connection", "action", "problem"],
    set_={
        "number": arrivals.c.number + _ARRIVED.excluded.number,
        "last_at": func.max(arrivals.c.last_at, _ARRIVED.excluded.last_at),
    },
)
_HOW_MANY_WAIT = (
    select(events.c.connection, func.count().label("number"))
    .where(events.c.done_at.is_(None))
    .group_by(events.c.connection)
)


def count_arrivals(connection: Connection, received: Iterable[Received]) -> None:
    """Count webhooks, in the transaction that keeps them.

    Args:
        connection: Inside a writing transaction.
        received: Those that are kept.
    """
    connection.execute(_COUNT, _counted(received))


def _counted(received: Iterable[Received]) -> list[dict[str, object]]:
    """How many of each kind, and when the last one came; unknown actions are one kind, since anybody's."""
    number: Counter[tuple[str, str, str]] = Counter()
    last_at: dict[tuple[str, str, str], int] = {}
    for one in received:
        kind = (one.connection, "" if one.problem == UNKNOWN_ACTION else one.action, one.problem)
        number[kind] += 1
        last_at[kind] = max(one.received_at, last_at.get(kind, 0))
    return [
        {"connection": kind[0], "action": kind[1], "problem": kind[2], "number": n, "last_at": last_at[kind]}
        for kind, n in number.items()
    ]


def webhook_numbers(connection: Connection) -> dict[str, WebhookNumbers]:
    """How many webhooks came, by the connection's name; there is no entry where none ever did."""
    waiting = {row.connection: row.number for row in connection.execute(_HOW_MANY_WAIT)}
    counted: dict[str, list[Row[*tuple[Any, ...]]]] = {}
    for row in connection.execute(select(arrivals).order_by(arrivals.c.action)):
        counted.setdefault(row.connection, []).append(row)
    return {name: _numbers(rows, waiting.get(name, 0)) for name, rows in counted.items()}


def _numbers(rows: Sequence[Row[*tuple[Any, ...]]], waiting: int) -> WebhookNumbers:
    return WebhookNumbers(
        received=sum(row.number for row in rows),
        waiting=waiting,
        last_at=max(row.last_at for row in rows),
        unreadable=sum(row.number for row in rows if row.problem),
        unreadable_at=max((row.last_at for row in rows if row.problem), default=None),
        by_action=_by_action(rows),
    )


def _by_action(rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[str, tuple[int, int]]:
    """Of each known action how many came, readable or not, and when the last one did."""
    known: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.action:
            number, last_at = known.get(row.action, (0, 0))
            known[row.action] = (number + row.number, max(last_at, row.last_at))
    return known


AT_ONCE: Final = 500
"""Events that one transaction finishes or deletes."""

LONGEST_ACTION: Final = 64
"""Characters that are kept of an action that is none of ours."""

READABLE_FOR: Final = 24 * 60 * 60 * 1000
"""Milliseconds from the first read that failed, for which an event waits to be read after all."""

PLACE: Final = "events"
"""Where sealed bodies belong: they can be opened nowhere else."""

UNREADABLE_LIFE: Final = 30 * 86_400_000
"""Milliseconds for which a webhook that could not be understood is kept, with what it said."""

GIVEN_UP: Final = "unreadable"
"""The outcome of an event whose record could not be read for all that time."""


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
        tries: How often its record could not be read.
        failing_since: When that happened first; 0 where it never did.
        next_try_at: When it is read again, if it waits for that; else 0.
        waits_for: Why it could not be read, last of all; no word of a remote system's.
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
    tries: int = 0
    failing_since: int = 0
    next_try_at: int = 0
    waits_for: str = ""


# Statements are made once: to build one costs ten times as much as to run it for one row.

_KEEP = inserted(
    insert(events),
    "connection",
    "action",
    "source_id",
    "received_at",
    "done_at",
    "problem",
    "body",
    binary="body",
)
_FINISH = (
    update(events)
    .where(among(events.c.number, "numbers"), events.c.done_at.is_(None))
    .values(done_at=bindparam("at"), outcome=bindparam("came_to"))
)
_GIVE_UP = (
    update(events)
    .where(
        among(events.c.number, "numbers"),
        events.c.done_at.is_(None),
        events.c.failing_since.between(1, bindparam("before")),
    )
    .values(done_at=bindparam("at"), outcome=GIVEN_UP, tries=events.c.tries + 1)
)
_POSTPONE = (
    update(events)
    .where(among(events.c.number, "numbers"), events.c.done_at.is_(None))
    .values(
        tries=events.c.tries + 1,
        # Nothing failed first at a time to come: the clock was set back since.
        failing_since=case(
            (events.c.failing_since.between(1, bindparam("at")), events.c.failing_since),
            else_=bindparam("at"),
        ),
        next_try_at=bindparam("next_at"),
        waits_for=bindparam("why"),
    )
)
_FIND = select(events).where(events.c.number == bindparam("of_number"))
_REPLAY = (
    update(events)
    .where(events.c.number == bindparam("of_number"))
    .values(
        done_at=None,
        outcome="",
        received_at=bindparam("at"),
        tries=0,
        failing_since=0,
        next_try_at=0,
        waits_for="",
    )
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
                "body": _sealed(connection, one),
                "problem": one.problem,
            }
            for one in received
        ],
    )
    count_arrivals(connection, received)


def prove_events(connection: Connection, now: int) -> None:
    """Find out whether a webhook could be kept: by keeping one, taking it back, and leaving a sign of life.

    Args:
        connection: Inside a writing transaction.
        now: The time to note.
    """
    with connection.begin_nested() as trial:
        keep_events(connection, [Received("", "", "", now, None, "")])
        trial.rollback()
    note(connection, "", Moment.ALIVE, now)


def _sealed(connection: Connection, one: Received) -> bytes | None:
    """What nobody understood of a webhook may tell of a client: it is never on disk in clear."""
    return None if one.body is None else sealer_of(connection).seal([one.body], PLACE)


def finish_events(connection: Connection, numbers: Sequence[int], outcome: str, now: int) -> None:
    """Events were worked off; one that is done already stays as it is.

    Args:
        connection: Inside a writing transaction.
        numbers: The ledger's numbers of them.
        outcome: What came of them, in a word: no personal data.
        now: The time to note.
    """
    connection.execute(_FINISH, {"numbers": list(numbers), "came_to": outcome, "at": now})


def postpone_events(
    connection: Connection, numbers: Sequence[int], *, why: str, next_at: int, now: int
) -> int:
    """The record of these could not be read: they wait until then, or are given up after a day of that.

    Args:
        connection: Inside a writing transaction.
        numbers: The ledger's numbers of them.
        why: In words of ours: no personal data, nothing that a remote system said.
        next_at: When it is read again, milliseconds since the epoch.
        now: The time.

    Returns:
        How many were given up.
    """
    these = {"numbers": list(numbers), "at": now}
    given_up = connection.execute(_GIVE_UP, {**these, "before": now - READABLE_FOR}).rowcount
    connection.execute(_POSTPONE, {**these, "next_at": next_at, "why": why})
    return given_up


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
    return [_event(connection, row) for row in connection.execute(wanted)]


def _event(connection: Connection, row: Row[*tuple[Any, ...]]) -> Event:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    return Event(**values | {"body": _opened(connection, row.body)})


def _opened(connection: Connection, body: bytes | None) -> str | None:
    """What was sent; None where nothing is kept, or it cannot be opened here."""
    sealer = connection.info.get("sealer")
    if sealer is None or body is None:
        return None
    with suppress(LedgerError):
        (text,) = sealer.open(body, PLACE)
        return str(text)
    return None


HOW_TO_SEE: Final = "`trakor-bridge webhooks list --problems --json` has what it said, as `body`"


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
        raise UserError(f"event {number} cannot be worked off: {why}", advice=HOW_TO_SEE)
    connection.execute(_REPLAY, {"of_number": number, "at": now})
    return _event(connection, connection.execute(_FIND, {"of_number": number}).one())


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


COME_BACK_AFTER: Final = 5.0
"""Seconds that a sender is asked to wait when too many wait already."""


class Inbox:
    """Keeps webhooks, so that they can be answered.

    Args:
        ledger: The open ledger.
        most: So many may wait to be kept.
        at_once: So many share a commit at most.
        on_kept: Told the names of the connections that have new events, after each commit.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        most: int = 10_000,
        at_once: int = 256,
        on_kept: Callable[[Collection[str]], None],
    ) -> None:
        self._ledger = ledger
        self._most = most
        self._at_once = at_once
        self._on_kept = on_kept
        self._waiting: deque[tuple[Received, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, received: Received) -> None:
        """Keep one webhook; it is on disk when this returns.

        Args:
            received: The webhook. A caller that is cancelled only stops waiting.

        Raises:
            LedgerError: The ledger cannot be written.
            Transient: Too many wait already.
        """
        if len(self._waiting) >= self._most:
            raise Transient(f"{self._most} webhooks wait to be kept already", retry_after=COME_BACK_AFTER)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, kept))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="inbox")
        await kept

    async def close(self) -> None:
        """Wait until all that was handed in is kept, or could not be; before the ledger is closed."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        """Write until nothing waits. It cannot end otherwise: what goes wrong is told to who waits."""
        while self._waiting:
            batch = list(islice(self._waiting, self._at_once))
            try:
                await self._ledger.call_first(keep_events, [received for received, _ in batch])
                self._on_kept({received.connection for received, _ in batch})
            except Exception as error:  # noqa: BLE001 - handed to the callers, whatever it is
                self._settle(len(batch), error)
            else:
                self._settle(len(batch), None)

    def _settle(self, number: int, error: Exception | None) -> None:
        """Answer those at the head of the queue; one that waits no longer was cancelled."""
        for _ in range(number):
            _, kept = self._waiting.popleft()
            if kept.done():
                continue
            if error is None:
                kept.set_result(None)
            else:
                kept.set_exception(error)
