"""What comes after a check in which nothing failed: a backfill, if it would not be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import LedgerError
from bridge.ledger.database import reading
from bridge.ledger.open import find_owner, is_daemon_running, is_outdated, read_revision
from bridge.ledger.pauses import Direction, list_pauses
from bridge.wiring.ledger import ledger_path

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from bridge.settings import Settings

__all__ = ["next_step"]


def next_step(settings: Settings, connections: Collection[str], *, word: str = "Next") -> str:
    """The sentence that leads on.

    Args:
        settings: The configuration.
        connections: Names of those that were checked.
        word: What it begins with where a command is due.
    """
    try:
        path = ledger_path(settings)
        if paused := _paused_by_person(path, connections):
            option = "" if Direction.SENDING in paused else " --reading"
            are = "is" if len(paused) == 1 else "are"
            return f"{' and '.join(paused).capitalize()} {are} paused. {word}: trakor-bridge resume{option}"
        if is_daemon_running(path):
            return "The daemon is running, so no backfill is needed. How it is: trakor-bridge status"
        if find_owner(path):
            return "A backfill is running: another one has to wait until it has ended."
    except LedgerError:
        pass  # the check of the ledger said so
    return f"{word}: trakor-bridge backfill"


def _paused_by_person(path: Path, connections: Collection[str]) -> list[str]:
    """The directions that a person has paused, of any of the connections."""
    if read_revision(path) is None or is_outdated(path):
        return []
    with reading(path) as ledger:
        found = [
            pause for pause in list_pauses(ledger) if pause.by_person and pause.connection in connections
        ]
    return sorted({pause.direction for pause in found})
