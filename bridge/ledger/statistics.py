"""Counts for reports: records by state, deliveries by hour, webhooks by action, groups of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import events, webhook_counts
from bridge.records.webhooks import UNKNOWN_ACTION, ReceivedWebhook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row


from typing import TYPE_CHECKING

from bridge.ledger.feeds import Feed
from bridge.ledger.read_model import MARKS
from bridge.ledger.schema import (
    feeds,
    records,
    tallies,
)
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection, Row


from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.ledger.feeds import is_of_feed
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.schema import deliveries
from bridge.records import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection

    from bridge.ledger.feeds import Feed
    from bridge.records import Accepted

__all__ = [
    "HOUR",
    "HOURS_KEPT",
    "QUALIFIED",
    "SHARED",
    "RunGroup",
    "WebhookCounts",
    "count_delivered",
    "count_delivered_since",
    "count_merged_into_unsent",
    "count_states",
    "count_webhooks",
    "find_groups",
    "find_oldest_pending",
    "load_webhook_counts",
]

HOUR: Final = 3_600_000
"""Milliseconds of an hour. Hours are numbered since the epoch."""

HOURS_KEPT: Final = 24 * 400
"""How many hours are stored."""

_DELIVERED = upsert(deliveries)
_COUNT_DELIVERED = _DELIVERED.on_conflict_do_update(
    index_elements=["feed", "hour"],
    set_={
        "created": deliveries.c.created + _DELIVERED.excluded.created,
        "existing": deliveries.c.existing + _DELIVERED.excluded.existing,
    },
)
_DELETE_OLD_HOURS = delete(deliveries).where(
    deliveries.c.feed == bindparam("of_feed"), deliveries.c.hour < bindparam("oldest")
)


def count_delivered(connection: Connection, feed: Feed, answers: Sequence[Accepted], now: int) -> None:
    """Count Trakor's answers, in the transaction that settles them.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of the records.
        answers: Trakor's answers.
        now: The time.
    """
    if not answers:
        return
    created = sum(one.answer.created for one in answers)
    hour = now // HOUR
    added = {"feed": feed.number, "hour": hour, "created": created, "existing": len(answers) - created}
    connection.execute(_COUNT_DELIVERED, added)
    connection.execute(_DELETE_OLD_HOURS, {"of_feed": feed.number, "oldest": hour - HOURS_KEPT})


def count_delivered_since(connection: Connection, first: int) -> dict[str, dict[int, int]]:
    """Return how many records each connection delivered in each hour.

    Args:
        connection: Inside any transaction.
        first: The first hour.

    Returns:
        Numbers by hour, by the connection's name. An hour without a delivery is left out.
    """
    number = func.sum(deliveries.c.created + deliveries.c.existing).label("number")
    found = connection.execute(
        select(feeds.c.connection, deliveries.c.hour, number)
        .join(feeds, feeds.c.number == deliveries.c.feed)
        .where(deliveries.c.hour >= first)
        .group_by(feeds.c.connection, deliveries.c.hour)
    )
    delivered: dict[str, dict[int, int]] = {}
    for row in found:
        delivered.setdefault(row.connection, {})[row.hour] = row.number
    return delivered


SHARED: Final = "shared"
QUALIFIED: Final = "qualified"

_ASKED: Final = (Reason.SAME_NAME, Reason.SAME_PERSON)


def count_merged_into_unsent(connection: Connection) -> dict[int, int]:
    """Return how many merged records of each feed share a record that Trakor does not have."""
    other = records.alias()
    counted = select(records.c.feed, func.count().label("number")).join(
        other, other.c.number == records.c.merged_into
    )
    unsent = (
        records.c.merged_into.is_not(None),  # few records: there is an index on them
        records.c.state == State.MERGED,
        other.c.trakor_id.is_(None),
    )
    found = connection.execute(counted.where(*unsent).group_by(records.c.feed))
    return {row.feed: row.number for row in found}


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Some records of one stream that have something in common.

    Attributes:
        kind: ``shared`` (another record has the same name), ``qualified`` (sent with a qualifier), or a
            state, followed by a colon and its reason if it has one.
        number: How many records.
        names: How many names these records have; 0 if not counted.
        examples: The names of a few of them, if examples were requested.
    """

    kind: str
    number: int
    names: int = 0
    examples: tuple[str, ...] = ()


def find_groups(connection: Connection, feed: Feed, run: int, examples: int = 0) -> list[RunGroup]:
    """Group the records of a run. A record that has nothing in common with another is in no group.

    Args:
        connection: Inside any transaction.
        feed: The feed of the records.
        run: The run's number.
        examples: How many names to return for each group: only for an operator at a terminal.
    """
    here = (is_of_feed(feed), records.c.run == run)
    found = list(_counted(connection, here))
    if not examples:
        return found
    return [replace(group, examples=_names(connection, feed, run, group.kind, examples)) for group in found]


def _counted(connection: Connection, here: tuple[ColumnElement[bool], ...]) -> Iterator[RunGroup]:
    later = (*here, _without_its_name())
    number, names = connection.execute(
        select(func.count(), func.count(records.c.key.distinct())).where(*later)
    ).one()
    if number:
        yield RunGroup(SHARED, number + names, names)
    qualified = connection.scalar(select(func.count()).where(*here, _is_qualified())) or 0
    if qualified:
        yield RunGroup(QUALIFIED, int(qualified))
    listed = (State.MERGED, State.HELD, State.REJECTED)
    counted = connection.execute(
        select(records.c.state, records.c.reason, func.count().label("number"))
        .where(*here, records.c.state.in_(listed))
        .group_by(records.c.state, records.c.reason)
    ).all()
    for row in sorted(counted, key=lambda one: (listed.index(State(one.state)), one.reason or "")):
        yield RunGroup(f"{row.state}: {row.reason}" if row.reason else row.state, row.number)


def _is_qualified() -> ColumnElement[bool]:
    """Return the condition: sent, or to be sent, under a qualified name."""
    sent = records.c.state.in_((State.PENDING, State.DELIVERED, State.DRIFTED))
    return sent & (records.c.sent_key != records.c.key) & (records.c.given == 0)


def _without_its_name() -> ColumnElement[bool]:
    """Return the condition: another record has the name that this one has in the source."""
    asked = (records.c.state == State.HELD) & records.c.reason.in_(_ASKED)
    return (records.c.state == State.MERGED) | asked | _is_qualified()


def _names(connection: Connection, feed: Feed, run: int, kind: str, number: int) -> tuple[str, ...]:
    """Return the names of the first few records of a group."""
    here = (is_of_feed(feed), records.c.run == run)
    state, _, reason = kind.partition(": ")
    match kind:
        case _ if kind == SHARED:
            which = _without_its_name()
        case _ if kind == QUALIFIED:
            which = _is_qualified()
        case _:
            which = (records.c.state == state) & (func.coalesce(records.c.reason, "") == reason)
    numbers = connection.scalars(select(records.c.number).where(*here, which).limit(number)).all()
    found = find_records(connection, RecordQuery(numbers=numbers)) if numbers else []
    return tuple(dict.fromkeys(one.name for one in found if one.name))


def count_states(connection: Connection) -> dict[int, dict[tuple[str, str, frozenset[str]], int]]:
    """Count the records of each feed by (state, reason, marks)."""
    counted: dict[int, dict[tuple[str, str, frozenset[str]], int]] = {}
    for row in connection.execute(select(tallies).where(tallies.c.number > 0)):
        marks = frozenset(mark for mark in MARKS if getattr(row, mark))
        counted.setdefault(row.feed, {})[(row.state, row.reason, marks)] = row.number
    return counted


def find_oldest_pending(connection: Connection) -> dict[int, int]:
    """Return since when the oldest pending record of each feed is pending, by the feed's number."""
    due = (records.c.state == State.PENDING, records.c.gone == 0)
    oldest = select(records.c.feed, func.min(records.c.since_at).label("since")).where(*due)
    return {row.feed: row.since for row in connection.execute(oldest.group_by(records.c.feed))}


@dataclass(frozen=True, slots=True)
class WebhookCounts:
    """How many webhooks one connection has ever received, including deleted ones.

    Attributes:
        received: All of them.
        waiting: Those that are not processed yet.
        last_at: When the last one arrived; None if none ever did.
        unreadable: Those that could not be parsed: no id, or an unknown action.
        unreadable_at: When the last of these arrived; None if none ever did.
        by_action: For each known action: how many, and when the last one arrived.
    """

    received: int = 0
    waiting: int = 0
    last_at: int | None = None
    unreadable: int = 0
    unreadable_at: int | None = None
    by_action: dict[str, tuple[int, int]] = field(default_factory=dict)


_WEBHOOK_COUNT = upsert(webhook_counts)


_COUNT = _WEBHOOK_COUNT.on_conflict_do_update(
    index_elements=["connection", "action", "problem"],
    set_={
        "number": webhook_counts.c.number + _WEBHOOK_COUNT.excluded.number,
        "last_at": func.max(webhook_counts.c.last_at, _WEBHOOK_COUNT.excluded.last_at),
    },
)


_HOW_MANY_WAIT = (
    select(events.c.connection, func.count().label("number"))
    .where(events.c.done_at.is_(None))
    .group_by(events.c.connection)
)


def count_webhooks(connection: Connection, received: Iterable[ReceivedWebhook]) -> None:
    """Count webhooks, in the transaction that stores them.

    Args:
        connection: Inside a writing transaction.
        received: The stored webhooks.
    """
    connection.execute(_COUNT, _count_by_kind(received))


def _count_by_kind(received: Iterable[ReceivedWebhook]) -> list[dict[str, object]]:
    """Count by connection, action and problem. All unknown actions count as one: anybody can invent some."""
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


def load_webhook_counts(connection: Connection) -> dict[str, WebhookCounts]:
    """Return the webhook counts by the connection's name, without connections that never received one."""
    waiting = {row.connection: row.number for row in connection.execute(_HOW_MANY_WAIT)}
    counted: dict[str, list[Row[*tuple[Any, ...]]]] = {}
    for row in connection.execute(select(webhook_counts).order_by(webhook_counts.c.action)):
        counted.setdefault(row.connection, []).append(row)
    return {name: _numbers(rows, waiting.get(name, 0)) for name, rows in counted.items()}


def _numbers(rows: Sequence[Row[*tuple[Any, ...]]], waiting: int) -> WebhookCounts:
    return WebhookCounts(
        received=sum(row.number for row in rows),
        waiting=waiting,
        last_at=max(row.last_at for row in rows),
        unreadable=sum(row.number for row in rows if row.problem),
        unreadable_at=max((row.last_at for row in rows if row.problem), default=None),
        by_action=_by_action(rows),
    )


def _by_action(rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[str, tuple[int, int]]:
    """Return for each known action how many arrived, readable or not, and when the last one did."""
    known: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.action:
            number, last_at = known.get(row.action, (0, 0))
            known[row.action] = (number + row.number, max(last_at, row.last_at))
    return known
