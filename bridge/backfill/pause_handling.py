"""The pauses of a connection, as a backfill handles them.

A backfill obeys an operator's pause and does nothing. It may try again what stopped by itself, and ends such
a pause if all goes well: perhaps no daemon runs that could find it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.backfill.problem_wording import Problem
from bridge.ledger.connection_organizations import pause_if_stopped
from bridge.ledger.stored_pauses import Direction, clear_pause, list_pauses, set_pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.ledger.read_model import Reader
    from bridge.records import Stream

__all__ = ["end_pauses", "note_refusals", "operator_pauses"]


def operator_pauses(connection: Reader, name: str) -> list[Problem]:
    """Why a backfill of a connection does nothing. Empty if no operator has paused it.

    Args:
        connection: To the ledger.
        name: The connection's name.
    """
    paused = [
        pause.direction for pause in list_pauses(connection) if pause.connection == name and pause.by_person
    ]
    return [
        Problem(
            f"{direction} of {name} is paused by a person: nothing was read or sent",
            f"`trakor-bridge resume{' --reading' if direction == Direction.READING else ''}` lets it go on; "
            "then run this again",
            refusal=True,
        )
        for direction in sorted(paused)
    ]


def note_refusals(connection: Reader, name: str, refused: Mapping[str, str], *, now: int) -> None:
    """Note what was refused: `status` shows it, and a daemon begins with one probe.

    A pause for a changed organisation has its own text.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        refused: Direction -> why.
        now: The time to note.
    """
    if pause_if_stopped(connection, name, now=now):
        return
    for direction, why in refused.items():
        set_pause(connection, name, direction, reason=why, now=now, next_try_at=now)


def end_pauses(connection: Reader, name: str, streams: Iterable[Stream]) -> None:
    """Everything was read and sent: end what had stopped by itself. An operator's pause stays.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        streams: Those that were read and sent.
    """
    for direction in (*Direction, *(f"{Direction.SENDING} {stream}" for stream in streams)):
        clear_pause(connection, name, direction)
