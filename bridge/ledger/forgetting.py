"""Forgetting a record on request: all but a tombstone is erased.

The tombstone is the source id alone: without it the next sweep would bring the record back. Trakor's
API cannot delete, so its ids are given back for somebody to delete by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from bridge.errors import UserError
from bridge.ledger.schema import canaries, claims, events, feeds, history, links, records, waiting
from bridge.records import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Forgotten", "forget"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What has to be seen to by hand once a record is forgotten.

    Attributes:
        id: Salestrekker's id, kept as the tombstone.
        trakor_ids: Of the parties or products to delete in Trakor.
        maybe_in_trakor: A request for it was begun and never answered: look there for its name.
        merged: Salestrekker's ids of records that shared its party: they may be the same person's.
    """

    id: str
    trakor_ids: tuple[str, ...]
    maybe_in_trakor: bool
    merged: tuple[str, ...]


def forget(connection: Connection, number: int, *, now: int) -> Forgotten:
    """Erase all that the ledger knows of a record, but for the tombstone.

    Args:
        connection: Inside a writing transaction.
        number: The ledger's number of the record.
        now: The time to note.

    Raises:
        UserError: It is on its way to Trakor at this moment.
    """
    row = connection.execute(
        select(
            records.c.source_id,
            records.c.attempts,
            records.c.claimed_until,
            records.c.trakor_id,
            feeds.c.connection,
        )
        .join(feeds, feeds.c.number == records.c.feed)
        .where(records.c.number == number)
    ).one()
    if row.claimed_until > now:  # pending, or dropped while it was under way
        raise UserError(
            f"record {row.source_id} is being sent at this moment",
            advice="wait for the backfill to end, or stop it, then run this again",
        )
    trakor_ids = connection.scalars(
        select(links.c.trakor_id).where(links.c.record == number).order_by(links.c.at)
    ).all()
    merged = connection.scalars(
        select(records.c.source_id).where(records.c.merged_into == number, records.c.state == State.MERGED)
    ).all()
    _erase(connection, number)
    connection.execute(
        delete(events).where(events.c.connection == row.connection, events.c.source_id == row.source_id)
    )
    connection.execute(insert(history).values(record=number, at=now, event="forgotten", detail=""))
    unanswered = row.attempts > 0 and row.trakor_id is None
    return Forgotten(row.source_id, tuple(trakor_ids), unanswered, tuple(merged))


def _erase(connection: Connection, number: int) -> None:
    for table in (canaries, claims, links, waiting, history):
        connection.execute(delete(table).where(table.c.record == number))
    connection.execute(update(records).where(records.c.number == number).values(_NOTHING))


_NOTHING = {
    "state": str(State.DROPPED),
    "reason": None,
    "filtered": 0,
    "retry": 0,
    "forgotten": 1,
    "key": "",
    "sent_key": "",
    "sent": "",
    "seen": None,
    "same_as": "",
    "attempts": 0,
    "failures": 0,
    "next_try_at": 0,
    "claimed_until": 0,
    "trakor_id": None,
    "origin": None,
    "merged_into": None,
}
"""What is left of a forgotten record: that it was there, and is not to come back."""
