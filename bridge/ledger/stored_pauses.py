"""Pauses of reading or sending: by a refusal, an outage, or an operator, whose pause takes precedence.

After a restart the daemon knows from here not to begin at full speed, and every process sees what another
one paused or resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import pauses

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = ["EARLIER", "Direction", "Pause", "clear_pause", "list_pauses", "load_pause", "set_pause"]


EARLIER: Final = "; before that it had stopped by itself: "
"""In the reason of an operator's pause: separates it from the reason of the automatic pause before it."""


class Direction(StrEnum):
    """What can be paused as a whole. The pause of one stream's sending is named ``sending contacts``."""

    READING = "reading"
    SENDING = "sending"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of reading or sending of a connection.

    Attributes:
        connection: The connection's name.
        direction: ``reading``, ``sending``, or ``sending contacts`` and the like for one stream alone.
        since_at: Since when.
        reason: Why.
        next_try_at: When a probe checks whether the cause is over; 0: no probe.
        tries: How many probes have failed.
        by_person: An operator asked for it, and only an operator ends it.
    """

    connection: str
    direction: str
    since_at: int
    reason: str
    next_try_at: int
    tries: int = 0
    by_person: bool = False


_THIS = (pauses.c.connection == bindparam("of_connection"), pauses.c.direction == bindparam("of_direction"))
_PAUSE = upsert(pauses)
_SET = _PAUSE.on_conflict_do_update(
    index_elements=["connection", "direction"],
    set_={name: _PAUSE.excluded[name] for name in ("reason", "by_person", "next_try_at", "tries")},
    where=pauses.c.by_person <= _PAUSE.excluded.by_person,
)
_CLEAR = delete(pauses).where(*_THIS, pauses.c.by_person <= bindparam("at_most"))
_FIND = select(pauses).where(*_THIS)


def set_pause(
    connection: Connection,
    name: str,
    direction: str,
    *,
    reason: str,
    now: int,
    next_try_at: int = 0,
    tries: int = 0,
    by_person: bool = False,
) -> None:
    """Pause, or update an existing pause. Its start time is kept.

    An operator's pause is not changed by later refusals.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        direction: A ``Direction``, or one stream of it.
        reason: Why, for the operator: no secret, no personal data.
        now: The time to note.
        next_try_at: When a probe checks whether the cause is over; 0: no probe.
        tries: How many probes have failed.
        by_person: An operator asked for it: only an operator ends it.
    """
    values = {"reason": reason, "since_at": now, "next_try_at": next_try_at, "tries": tries}
    connection.execute(
        _SET, {"connection": name, "direction": str(direction), "by_person": int(by_person), **values}
    )


def clear_pause(connection: Connection, name: str, direction: str, *, by_person: bool = False) -> bool:
    """End a pause.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        direction: A ``Direction``, or one stream of it.
        by_person: An operator ends it. Otherwise an operator's pause stays.

    Returns:
        Whether a pause ended.
    """
    values = {"of_connection": name, "of_direction": str(direction), "at_most": int(by_person)}
    return connection.execute(_CLEAR, values).rowcount > 0


def load_pause(connection: Connection, name: str, direction: str) -> Pause | None:
    """Return the current pause, if there is one."""
    found = connection.execute(_FIND, {"of_connection": name, "of_direction": str(direction)}).one_or_none()
    return None if found is None else _pause(found)


def list_pauses(connection: Connection) -> list[Pause]:
    """Return all current pauses."""
    return [_pause(row) for row in connection.execute(select(pauses))]


def _pause(row: Row[*tuple[Any, ...]]) -> Pause:
    """Convert a row to a pause."""
    values = {column.name: getattr(row, column.name) for column in pauses.c}
    return Pause(**{**values, "by_person": bool(row.by_person)})
