"""Times that only a running daemon knows, kept for those who look beside it (``status``, the page)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import moments

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Moment", "moments_of", "note"]


class Moment(StrEnum):
    """What the time is of; ``ALIVE`` is the daemon's own, and stands under no connection ("")."""

    TOKEN_EXPIRES = "token_expires"  # noqa: S105 - the name of a time
    TOKEN_FAILING_SINCE = "token_failing_since"  # noqa: S105 - likewise
    TOKEN_NEXT_TRY = "token_next_try"  # noqa: S105 - likewise
    ALIVE = "alive"


_NOTE = upsert(moments).on_conflict_do_update(
    index_elements=["connection", "name"], set_={"at": upsert(moments).excluded.at}
)
_FORGET = delete(moments).where(
    moments.c.connection == bindparam("of_connection"), moments.c.name == bindparam("of_name")
)


def note(connection: Connection, name: str, moment: Moment, at: int | None) -> None:
    """Note a time, in place of the one that was noted before.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name; empty for the daemon itself.
        moment: What it is the time of.
        at: Milliseconds since the epoch; None where there is none any more.
    """
    if at is None:
        connection.execute(_FORGET, {"of_connection": name, "of_name": str(moment)})
    else:
        connection.execute(_NOTE, {"connection": name, "name": str(moment), "at": at})


def moments_of(connection: Connection) -> dict[tuple[str, Moment], int]:
    """All that is noted, by the connection's name and what it is the time of."""
    found = connection.execute(select(moments).where(moments.c.name.in_([*Moment])))
    return {(row.connection, Moment(row.name)): row.at for row in found}
