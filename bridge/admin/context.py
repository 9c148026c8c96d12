"""What the status page reads and changes, and what only the daemon knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.records import Policy, Stream
    from bridge.status import Snapshot

__all__ = ["PageContext"]


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything that the pages need.

    Attributes:
        ledger: The open ledger: read beside its owner, written through it.
        snapshot: Reads the state of everything.
        policy_of: The policy of a stream; raises UserError if its connection is no longer configured.
        name_key: The keyed hash of a name, as in the ledger.
        read_now: Reads one record from Salestrekker, by connection, stream and id, and maps it: what would be
            sent now, by field; None if Salestrekker has no such record. Raises BridgeError.
        app_of: The address of Salestrekker's web application, by connection; empty if unknown.
        problem: Why the configuration on disk cannot be used; empty if it can.
        on_decided: Called after each decision, because there may be something to send.
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
