"""How much was delivered in each hour: counted as it is settled, so that nobody has to count it later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import deliveries, feeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bridge.ledger.row_mapping import Feed
    from bridge.records import Answered

__all__ = ["HOUR", "HOURS_KEPT", "count_delivered", "delivered_since"]

HOUR: Final = 3_600_000
"""Milliseconds. Hours are numbered since the epoch."""

HOURS_KEPT: Final = 24 * 400
"""So many hours are remembered."""

_COUNTED = upsert(deliveries)
_COUNT = _COUNTED.on_conflict_do_update(
    index_elements=["feed", "hour"],
    set_={
        "created": deliveries.c.created + _COUNTED.excluded.created,
        "existing": deliveries.c.existing + _COUNTED.excluded.existing,
    },
)
_FORGET = delete(deliveries).where(
    deliveries.c.feed == bindparam("of_feed"), deliveries.c.hour < bindparam("oldest")
)


def count_delivered(connection: Connection, feed: Feed, answers: Sequence[Answered], now: int) -> None:
    """Count Trakor's answers, in the transaction that settles them.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records they are of.
        answers: What Trakor said.
        now: The time.
    """
    if not answers:
        return
    created = sum(one.answer.created for one in answers)
    hour = now // HOUR
    added = {"feed": feed.number, "hour": hour, "created": created, "existing": len(answers) - created}
    connection.execute(_COUNT, added)
    connection.execute(_FORGET, {"of_feed": feed.number, "oldest": hour - HOURS_KEPT})


def delivered_since(connection: Connection, first: int) -> dict[str, dict[int, int]]:
    """How many records each connection delivered in each hour.

    Args:
        connection: Inside any transaction.
        first: The hour to begin with.

    Returns:
        Numbers by hour, by the connection's name; an hour without a delivery is not there.
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
