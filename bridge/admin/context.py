"""What the status page is handed: how to look, how to decide, and what only the daemon knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.ledger.database import Ledger
    from bridge.ledger.row_mapping import Feed
    from bridge.records import Policy, Stream
    from bridge.status import Snapshot

__all__ = ["PageContext"]


@dataclass(frozen=True, slots=True)
class PageContext:
    """All that the pages need.

    Attributes:
        ledger: The open ledger: read beside its owner, written through it.
        snapshot: Gives the state of everything.
        policy_of: What the user chose for a feed; raises UserError for one that is not configured any more.
        name_key: The keyed hash by which the ledger knows a name.
        read_now: Reads one record from Salestrekker, by connection, stream and id, and maps it: what would be
            sent now, by field; None where Salestrekker has no such record. Raises BridgeError.
        app_of: Where people use Salestrekker, by connection: an address without a path; empty: not known.
        problem: Why the configuration on disk cannot be used; empty while it can.
        on_decided: Told after each decision: something may be to be sent.
        clock: Milliseconds since the epoch.
    """

    ledger: Ledger
    snapshot: Callable[[], Awaitable[Snapshot]]
    policy_of: Callable[[Feed], Policy]
    name_key: Callable[[str], str]
    read_now: Callable[[str, Stream, str], Awaitable[Mapping[str, str] | None]]
    app_of: Callable[[str], str]
    problem: Callable[[], str]
    on_decided: Callable[[], None]
    clock: Callable[[], int]
