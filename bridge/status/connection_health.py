"""How each connection is, in a word, for the list of them: configured ones, and those that once were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.ledger.database import reading
from bridge.ledger.open import find_owner, read_revision, require_current
from bridge.ledger.organizations import find_stop_reason
from bridge.ledger.pauses import list_pauses
from bridge.ledger.renames import find_known_connections
from bridge.status.timestamps import iso

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from bridge.ledger.pauses import Pause
    from bridge.ledger.read_model import Reader

__all__ = ["ConnectionHealth", "connection_health"]


@dataclass(frozen=True, slots=True)
class ConnectionHealth:
    """One connection.

    Attributes:
        name: Its name.
        owner: The process that works on it; empty where none does.
        state: ``ok``; ``paused``: reading or sending is; ``refused``: it seems to join other organisations;
            ``new``: the ledger has no records of it; ``not configured``: only the ledger knows it.
        since_at: Since when it is paused or refused; None otherwise.
        reason: Why; empty otherwise.
    """

    name: str
    owner: str
    state: str
    since_at: int | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the public interface has it."""
        since = None if self.since_at is None else iso(self.since_at)
        return {"name": self.name, "owner": self.owner or None, "state": self.state, "since": since}


def connection_health(path: Path, configured: Collection[str]) -> list[ConnectionHealth]:
    """How all connections are; those that are not configured any more come last.

    Args:
        path: The ledger's file; where there is none yet, each connection is new.
        configured: Names, in the order of the configuration.

    Raises:
        LedgerError: The ledger cannot be read by this version.
    """
    if read_revision(path) is None:
        return [ConnectionHealth(name, "", "new") for name in configured]
    require_current(path)
    owner = find_owner(path)
    with reading(path) as connection:
        known, pauses = find_known_connections(connection), list_pauses(connection)
        of = {name: [one for one in pauses if one.connection == name] for name in configured}
        found = [_standing(connection, name, owner, of[name], known) for name in configured]
    return found + [ConnectionHealth(name, "", "not configured") for name in sorted(known - set(configured))]


def _standing(
    connection: Reader, name: str, owner: str, pauses: Collection[Pause], known: Collection[str]
) -> ConnectionHealth:
    since = min((pause.since_at for pause in pauses), default=None)
    if why := find_stop_reason(connection, name):
        return ConnectionHealth(name, owner, "refused", since, why)
    if pauses:
        first = min(pauses, key=lambda pause: pause.since_at)
        return ConnectionHealth(name, owner, "paused", since, f"{first.direction}: {first.reason}")
    return ConnectionHealth(name, owner, "ok" if name in known else "new")
