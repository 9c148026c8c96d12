"""How many webhooks came, ever: counted when they are kept, since events themselves are deleted one day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import arrivals, events
from bridge.records.webhooks import UNKNOWN_ACTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.records import Received

__all__ = ["WebhookNumbers", "count_arrivals", "webhook_numbers"]


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
