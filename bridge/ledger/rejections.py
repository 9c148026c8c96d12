"""Records that Trakor turned down and that wait on: what is known of them outlives the process.

Only numbers are kept, one fact for each feed. A record that is turned down again after another one of its
stream was taken is at fault itself, whenever that was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from bridge.ledger.row_mapping import Feed

__all__ = ["TurnedDown", "keep_turned_down", "turned_down_of"]


@dataclass(frozen=True, slots=True)
class TurnedDown:
    """Which records of a stream were turned down, counted in those that were taken.

    Attributes:
        taken: How many were taken, as far as they were counted.
        records: Number of a record -> how many had been taken when it was turned down last.
    """

    taken: int = 0
    records: Mapping[int, int] = field(default_factory=dict)


def keep_turned_down(connection: Connection, feed: Feed, known: TurnedDown) -> None:
    """Keep what is known, in place of what was kept before; nothing where no record is in doubt.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        known: What is known by now.
    """
    if not known.records:
        connection.execute(delete(facts).where(facts.c.name == _name(feed)))
        return
    text = orjson.dumps([known.taken, [*known.records.items()]]).decode()
    written = upsert(facts).values(name=_name(feed), value=text)
    connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": text}))


def turned_down_of(connection: Connection, feed: Feed) -> TurnedDown:
    """What is kept of a feed; nothing where it cannot be read: then each is tried once more."""
    text = connection.scalar(select(facts.c.value).where(facts.c.name == _name(feed)))
    if text is None:
        return TurnedDown()
    try:
        taken, pairs = orjson.loads(text)
        return TurnedDown(int(taken), {int(number): int(before) for number, before in pairs})
    except (ValueError, TypeError):
        return TurnedDown()


def _name(feed: Feed) -> str:
    return f"turned_down:{feed.number}"
