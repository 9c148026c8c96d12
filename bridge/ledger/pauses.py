"""Reading or sending that is stopped: by a refusal, by an outage, or by a person, who goes before both.

A restart knows from here that it must not begin with a stampede, and every process sees what any other
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
"""Stands in the reason of a person's pause before why it had stopped already: that is not forgotten."""


class Direction(StrEnum):
    """What can be paused as a whole. The pause of one stream's sending is named ``sending contacts``."""

    READING = "reading"
    SENDING = "sending"


@dataclass(frozen=True, slots=True)
class Pause:
    """Reading or sending of a connection that is stopped.

    Attributes:
        connection: Its name.
        direction: ``reading``, ``sending``, or ``sending contacts`` and the like for one stream alone.
        since_at: Since when.
        reason: Why.
        next_try_at: When a probe finds out whether it is over; 0: none does.
        tries: How many probes have failed.
        by_person: A person asked for it, and only a person ends it.
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
    """Pause, or say more of a pause that stands: since when it stands is kept.

    A person's pause stays as it is, whatever is refused meanwhile.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        direction: A ``Direction``, or what of it.
        reason: Why, for the person who reads it: no secret, no personal data.
        now: The time to note.
        next_try_at: When a probe finds out whether it is over; 0: none does.
        tries: How many probes have failed.
        by_person: A person asked for it: only a person ends it.
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
        direction: A ``Direction``, or what of it.
        by_person: A person ends it. Else one that a person asked for stays.

    Returns:
        Whether there was one to end.
    """
    values = {"of_connection": name, "of_direction": str(direction), "at_most": int(by_person)}
    return connection.execute(_CLEAR, values).rowcount > 0


def load_pause(connection: Connection, name: str, direction: str) -> Pause | None:
    """The pause that stands, if one does."""
    found = connection.execute(_FIND, {"of_connection": name, "of_direction": str(direction)}).one_or_none()
    return None if found is None else _pause(found)


def list_pauses(connection: Connection) -> list[Pause]:
    """What is stopped now."""
    return [_pause(row) for row in connection.execute(select(pauses))]


def _pause(row: Row[*tuple[Any, ...]]) -> Pause:
    """A pause of its row."""
    values = {column.name: getattr(row, column.name) for column in pauses.c}
    return Pause(**{**values, "by_person": bool(row.by_person)})
