"""The queue of received webhooks: stored, due after a debounce, finished or postponed, listed, deleted.

::

    store_webhooks ──> waiting ──find_due──> WebhookGroup, one for each record ──read by id──> finish
                        ^   ^                                                       │ error       │
                        │   └── at growing intervals, for a day <── postpone <──────┘             │
                        └─────────────────────────── replay <──── done <──────────────────────────┘

A webhook is a hint that a record may have changed, so all webhooks that wait for one record are read
together. A webhook that failed has a time of its own; a newer one of the same record does not wait for that
time, and takes the older ones along. A webhook that nobody can parse is stored as done, with a problem and
its body: only an operator can resolve it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import bindparam, case, delete, func, insert, literal_column, or_, select, update

from bridge.errors import LedgerError, UserError
from bridge.ledger.bulk_sql import execute_many, insert_each
from bridge.ledger.row_mapping import is_in, sealer_of
from bridge.ledger.schema import events
from bridge.ledger.statistics import count_webhooks
from bridge.ledger.token_and_alive_times import TimestampName, set_timestamp
from bridge.records import WebhookAction
from bridge.records.webhooks import UNREADABLE, ReceivedWebhook

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.records.webhooks import WebhookSubject

    Waiting: TypeAlias = Row[int, str, str, int, int, int]
    About: TypeAlias = tuple[WebhookSubject, str]

__all__ = [
    "UNREADABLE_LIFE",
    "DueWebhooks",
    "StoredWebhook",
    "WebhookGroup",
    "find_due_webhooks",
    "finish_webhooks",
    "list_webhooks",
    "postpone_webhooks",
    "probe_storage",
    "prune_webhooks",
    "replay_webhook",
    "store_webhooks",
]

AT_ONCE: Final = 500
"""Webhooks that one transaction finishes or deletes."""

LONGEST_ACTION: Final = 64
"""Characters that are stored of an unknown action."""

READABLE_FOR: Final = 24 * 60 * 60 * 1000
"""Milliseconds, from the first failed read, for which a webhook waits to be read after all."""

PLACE: Final = "events"
"""What sealed bodies are bound to: they can be opened nowhere else."""

UNREADABLE_LIFE: Final = 30 * 86_400_000
"""Milliseconds for which a webhook that could not be parsed is stored, with its body."""

GIVEN_UP: Final = "unreadable"
"""The outcome of a webhook whose record could not be read for all that time."""


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """One webhook as an operator sees it.

    Attributes:
        number: The ledger's number of it.
        connection: The connection's name.
        action: What it reports.
        source_id: Salestrekker's id of the record; empty if none could be read.
        received_at: When it arrived, or was last replayed.
        done_at: When it was processed; None while it waits.
        outcome: What came of it.
        problem: ``unknown-action``, ``unreadable``, or empty.
        body: The body, only if it could not be parsed.
        tries: How often its record could not be read.
        failing_since: When that happened first; 0 if never.
        next_try_at: When it is read again, if it waits for that; otherwise 0.
        waits_for: Why it could not be read last, without any text of a remote system.
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


# Statements are built once: to build one costs ten times as much as to run it for one row.

_KEEP = insert_each(
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
    .where(is_in(events.c.number, "numbers"), events.c.done_at.is_(None))
    .values(done_at=bindparam("at"), outcome=bindparam("came_to"))
)
_GIVE_UP = (
    update(events)
    .where(
        is_in(events.c.number, "numbers"),
        events.c.done_at.is_(None),
        events.c.failing_since.between(1, bindparam("before")),
    )
    .values(done_at=bindparam("at"), outcome=GIVEN_UP, tries=events.c.tries + 1)
)
_POSTPONE = (
    update(events)
    .where(is_in(events.c.number, "numbers"), events.c.done_at.is_(None))
    .values(
        tries=events.c.tries + 1,
        # A first failure in the future: the clock was set back since.
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
_DELETE = delete(events).where(is_in(events.c.number, "numbers"))


def store_webhooks(connection: Connection, received: Sequence[ReceivedWebhook]) -> None:
    """Store webhooks, so that they can be answered: those of one group commit.

    Args:
        connection: Inside a writing transaction.
        received: The webhooks, in the order in which they arrived.
    """
    execute_many(
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
    count_webhooks(connection, received)


def probe_storage(connection: Connection, now: int) -> None:
    """Check whether a webhook could be stored: store one, roll it back, and update the daemon's sign of life.

    Args:
        connection: Inside a writing transaction.
        now: The time to note.
    """
    with connection.begin_nested() as trial:
        store_webhooks(connection, [ReceivedWebhook("", "", "", now, None, "")])
        trial.rollback()
    set_timestamp(connection, "", TimestampName.ALIVE, now)


def _sealed(connection: Connection, one: ReceivedWebhook) -> bytes | None:
    """Seal the body of a webhook: it may contain a client's data, and is never on disk in clear."""
    return None if one.body is None else sealer_of(connection).seal([one.body], PLACE)


def finish_webhooks(connection: Connection, numbers: Sequence[int], outcome: str, now: int) -> None:
    """Mark webhooks as processed; one that is done already stays as it is.

    Args:
        connection: Inside a writing transaction.
        numbers: The ledger's numbers of them.
        outcome: What came of them, in one word: no personal data.
        now: The time to note.
    """
    connection.execute(_FINISH, {"numbers": list(numbers), "came_to": outcome, "at": now})


def postpone_webhooks(
    connection: Connection, numbers: Sequence[int], *, why: str, next_at: int, now: int
) -> int:
    """Postpone webhooks whose record could not be read, or give them up after a day of failures.

    Args:
        connection: Inside a writing transaction.
        numbers: The ledger's numbers of them.
        why: The bridge's own words: no personal data, no text of a remote system.
        next_at: When the record is read again, milliseconds since the epoch.
        now: The time.

    Returns:
        How many were given up.
    """
    these = {"numbers": list(numbers), "at": now}
    given_up = connection.execute(_GIVE_UP, {**these, "before": now - READABLE_FOR}).rowcount
    connection.execute(_POSTPONE, {**these, "next_at": next_at, "why": why})
    return given_up


def list_webhooks(
    connection: Connection,
    names: Collection[str],
    limit: int,
    *,
    only_waiting: bool = False,
    only_problems: bool = False,
) -> list[StoredWebhook]:
    """Return webhooks as an operator sees them, the newest first.

    Args:
        connection: Inside any transaction.
        names: Names of connections; empty: all.
        limit: Maximum number of webhooks.
        only_waiting: Only those that are not processed yet.
        only_problems: Only those that could not be parsed.
    """
    wanted = select(events).order_by(events.c.number.desc()).limit(limit)
    if names:
        wanted = wanted.where(events.c.connection.in_(sorted(names)))
    if only_waiting:
        wanted = wanted.where(events.c.done_at.is_(None))
    if only_problems:
        wanted = wanted.where(events.c.problem != "")
    return [_to_webhook(connection, row) for row in connection.execute(wanted)]


def _to_webhook(connection: Connection, row: Row[*tuple[Any, ...]]) -> StoredWebhook:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    return StoredWebhook(**values | {"body": _opened(connection, row.body)})


def _opened(connection: Connection, body: bytes | None) -> str | None:
    """Return the body; None if none is stored, or it cannot be opened here."""
    sealer = connection.info.get("sealer")
    if sealer is None or body is None:
        return None
    with suppress(LedgerError):
        (text,) = sealer.open(body, PLACE)
        return str(text)
    return None


HOW_TO_SEE: Final = "`trakor-bridge webhooks list --problems --json` shows its content, as `body`"


def replay_webhook(connection: Connection, number: int, now: int) -> StoredWebhook:
    """Let a webhook wait again, as if it had arrived now.

    Args:
        connection: Inside a writing transaction.
        number: The ledger's number of it.
        now: The time to note.

    Returns:
        The webhook as it waits.

    Raises:
        UserError: There is no such webhook, or it could not be parsed.
    """
    found = connection.execute(_FIND, {"of_number": number}).one_or_none()
    if found is None:
        raise UserError(
            f"there is no event {number}", advice="`trakor-bridge webhooks list` shows their numbers"
        )
    if found.problem:
        why = "no id could be read from it" if found.problem == UNREADABLE else "its action is unknown"
        raise UserError(f"event {number} cannot be processed: {why}", advice=HOW_TO_SEE)
    connection.execute(_REPLAY, {"of_number": number, "at": now})
    return _to_webhook(connection, connection.execute(_FIND, {"of_number": number}).one())


def prune_webhooks(connection: Connection, before: int, *, problems_before: int = 0) -> int:
    """Delete some webhooks that were processed long ago. Call it until it returns 0.

    Args:
        connection: Inside a writing transaction.
        before: Delete those that were done earlier than this, in milliseconds since the epoch.
        problems_before: Delete those that could not be parsed before this time already: their bodies are
            stored, and may be personal data.

    Returns:
        How many were deleted, 500 at most.
    """
    numbers = [*connection.scalars(_OLD, {"before": before, "most": AT_ONCE})]
    numbers += connection.scalars(_OLD_PROBLEMS, {"before": problems_before, "most": AT_ONCE - len(numbers)})
    if not numbers:
        return 0
    return connection.execute(_DELETE, {"numbers": numbers}).rowcount


MAX_LOOKED_AT: Final = 500
"""Maximum number of waiting webhooks of each kind that one query reads, the oldest first. However many wait,
the query is short, because the next webhook waits for it to end.
"""

LONGEST_WAIT: Final = 24 * 60 * 60 * 1000
"""Milliseconds that a webhook waits at most after a failed read before it is tried again."""

SUBJECT_OF: Final = {str(action): action.subject for action in WebhookAction}
DELETING: Final = frozenset(str(action) for action in WebhookAction if action.deletes)


@dataclass(frozen=True, slots=True)
class WebhookGroup:
    """All webhooks that wait for one record.

    Attributes:
        subject: ``contact``, ``deal`` or ``product``.
        id: Salestrekker's id of the record.
        numbers: The ledger's numbers of the webhooks, in the order in which they arrived.
        deleted: One of them reports that the record was deleted.
        first_at: When the first of them arrived.
        tries: How often the record could not be read since the newest of them arrived.
    """

    subject: WebhookSubject
    id: str
    numbers: tuple[int, ...]
    deleted: bool
    first_at: int
    tries: int = 0


@dataclass(frozen=True, slots=True)
class DueWebhooks:
    """The result of a search for due webhooks.

    Attributes:
        groups: Those that are due, the longest waiting first.
        next_at: When the first webhook arrived that was never tried and is not among them; None: none.
        again_at: When the next one that could not be read is due; None if none waits for that.
    """

    groups: list[WebhookGroup]
    next_at: int | None
    again_at: int | None = None


# Statements are built once. SQLite uses a partial index only if the statement repeats its condition.

_OF_CONNECTION = (events.c.connection == bindparam("of_connection"), events.c.done_at.is_(None))
_WANTED = (*_OF_CONNECTION, ~is_in(events.c.action, "but"))
_NOT_TRIED = events.c.next_try_at == literal_column("0")
_FAILED = events.c.next_try_at > literal_column("0")
_COLUMNS = (
    events.c.number,
    events.c.action,
    events.c.source_id,
    events.c.received_at,
    events.c.tries,
    events.c.next_try_at,
)
_OLDEST = select(*_COLUMNS).where(*_WANTED, _NOT_TRIED).order_by(events.c.number).limit(bindparam("most"))
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
_NEXT_TRY = select(func.min(events.c.next_try_at)).where(*_WANTED, _FAILED, _IN_TIME)
_OF_THESE = (
    select(*_COLUMNS)
    .where(
        *_OF_CONNECTION,
        is_in(events.c.source_id, "ids"),
        or_(events.c.number > bindparam("after"), _FAILED),
    )
    .order_by(events.c.number)
    .limit(bindparam("most"))
)


def find_due_webhooks(
    connection: Connection,
    name: str,
    *,
    before: int,
    now: int,
    limit: int,
    longest: int = LONGEST_WAIT,
    without: Collection[WebhookSubject] = (),
) -> DueWebhooks:
    """Find what is to be processed: for each record all webhooks that wait, the longest waiting record first.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
        before: A record is due if its first webhook arrived at this time or earlier, or after ``now``, when
            the clock was set back. A record that could not be read is due at its own time.
        now: The time.
        limit: Maximum number of records.
        longest: Milliseconds for which a failed read waits at most: one with a later time is due, because
            the clock was set back.
        without: Subjects that are left out, as if nothing waited for them.
    """
    but = [str(action) for action in WebhookAction if action.subject in without]
    asked = {"of_connection": name, "but": but, "now": now, "latest": now + longest, "most": MAX_LOOKED_AT}
    fresh = connection.execute(_OLDEST, asked).all()
    again = connection.execute(_AGAIN, asked).all()
    again_at = now if len(again) == MAX_LOOKED_AT else connection.scalar(_NEXT_TRY, asked)
    later = [fresh[-1].received_at] if len(fresh) == MAX_LOOKED_AT else []  # more may follow
    due: dict[About, list[Waiting]] = {}
    for about, found in _longest_waiting(_grouped([*fresh, *again])):
        first_at = _first(found)
        if len(due) < limit and (first_at is None or not before < first_at <= now or _is_again(found)):
            due[about] = found
        elif first_at is None:
            again_at = now
        else:
            later.append(first_at)
    if due and (again or again_at is not None or len(fresh) == MAX_LOOKED_AT):
        _take_along(connection, name, due, fresh)
    groups = [_group(about, found) for about, found in due.items()]
    return DueWebhooks(groups, min(*later, now) if later else None, again_at)


def _first(found: Iterable[Waiting]) -> int | None:
    """Return when the first untried webhook arrived; a replayed one has arrived just now."""
    return min((int(one.received_at) for one in found if not one.next_try_at), default=None)


def _is_again(found: Iterable[Waiting]) -> bool:
    return any(one.next_try_at for one in found)


def _grouped(found: Iterable[Waiting]) -> dict[About, list[Waiting]]:
    """Group webhooks by their record."""
    groups: dict[About, list[Waiting]] = {}
    for one in found:
        groups.setdefault((SUBJECT_OF[one.action], one.source_id), []).append(one)
    return groups


def _longest_waiting(groups: dict[About, list[Waiting]]) -> list[tuple[About, list[Waiting]]]:
    """Sort the groups by the time since which they wait to be read."""
    return sorted(
        groups.items(), key=lambda group: min(one.next_try_at or one.received_at for one in group[1])
    )


def _take_along(
    connection: Connection, name: str, due: dict[About, list[Waiting]], fresh: Sequence[Waiting]
) -> None:
    """Add other webhooks of these records: beyond the query's limit, or postponed ones."""
    after = fresh[-1].number if len(fresh) == MAX_LOOKED_AT else 2**62
    asked = {"of_connection": name, "ids": [of for _, of in due], "after": after, "most": MAX_LOOKED_AT}
    for about, found in _grouped(connection.execute(_OF_THESE, asked).all()).items():
        if about in due:
            known = {one.number for one in due[about]}
            due[about] += [one for one in found if one.number not in known]


def _group(about: About, found: Sequence[Waiting]) -> WebhookGroup:
    return WebhookGroup(
        *about,
        tuple(sorted(one.number for one in found)),
        any(one.action in DELETING for one in found),
        min(int(one.received_at) for one in found),
        min(int(one.tries) for one in found),
    )
