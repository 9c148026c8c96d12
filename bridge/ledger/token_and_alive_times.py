"""Timestamps that the daemon remembers across restarts."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import timestamps

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["TimestampName", "load_timestamps", "set_timestamp"]


class TimestampName(StrEnum):
    """What a stored time means. ``ALIVE`` is the daemon's own and belongs to no connection ("")."""

    TOKEN_EXPIRES = "token_expires"  # noqa: S105 - the name of a time
    TOKEN_FAILING_SINCE = "token_failing_since"  # noqa: S105 - likewise
    TOKEN_NEXT_TRY = "token_next_try"  # noqa: S105 - likewise
    ALIVE = "alive"


_SET_TIMESTAMP = upsert(timestamps).on_conflict_do_update(
    index_elements=["connection", "name"], set_={"at": upsert(timestamps).excluded.at}
)


_DELETE_TIMESTAMP = delete(timestamps).where(
    timestamps.c.connection == bindparam("of_connection"), timestamps.c.name == bindparam("of_name")
)


def set_timestamp(connection: Connection, name: str, timestamp: TimestampName, at: int | None) -> None:
    """Store a time, replacing the previous one.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name; empty for the daemon itself.
        timestamp: What the time means.
        at: Milliseconds since the epoch; None deletes it.
    """
    if at is None:
        connection.execute(_DELETE_TIMESTAMP, {"of_connection": name, "of_name": str(timestamp)})
    else:
        connection.execute(_SET_TIMESTAMP, {"connection": name, "name": str(timestamp), "at": at})


def load_timestamps(connection: Connection) -> dict[tuple[str, TimestampName], int]:
    """Load all stored times, by the connection's name and their meaning."""
    found = connection.execute(select(timestamps).where(timestamps.c.name.in_([*TimestampName])))
    return {(row.connection, TimestampName(row.name)): row.at for row in found}
