"""Makes the task that sends alerts, as configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.alerts import Heartbeat, Notifier, address_of
from bridge.daemon.due_job_recorder import overdue_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.ledger.database import Ledger
    from bridge.names import Hasher
    from bridge.records import Stream
    from bridge.settings import Settings
    from bridge.status import Snapshot
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["make_notifier"]

DOMAIN = "alerts.urls"
"""The domain of the keyed hashes of alert addresses."""


def make_notifier(
    settings: Settings,
    ledger: Ledger,
    hasher: Hasher,
    snapshot: Callable[[], Awaitable[Snapshot]],
    plans: Callable[[], Mapping[str, ConnectionPlan]],
    clock: Callable[[], int],
) -> Notifier | None:
    """Make the task that sends alerts and the heartbeat. None: neither is configured.

    Args:
        settings: The configuration.
        ledger: The open ledger.
        hasher: Uses the ledger's key.
        snapshot: Takes a snapshot of all configured connections.
        plans: Returns the plans of the connections at work.
        clock: Milliseconds since the epoch.

    Raises:
        UserError: Apprise does not understand an address.
    """
    urls = [url.get_secret_value() for url in settings.alerts.urls]
    addresses = {hasher.value(DOMAIN, url): address_of(url, at) for at, url in enumerate(urls, 1)}
    heartbeat_url = settings.alerts.heartbeat_url.get_secret_value()
    if not addresses and not heartbeat_url:
        return None

    async def of_the_plans() -> Snapshot:
        taken, working = await snapshot(), plans()
        return replace(
            taken, connections={name: one for name, one in taken.connections.items() if name in working}
        )

    def overdue(name: str, stream: Stream, at: int) -> int | None:
        return overdue_at(plans()[name].connection, stream, at)

    heartbeat = Heartbeat(heartbeat_url) if heartbeat_url else None
    return Notifier(of_the_plans, ledger, addresses, overdue_at=overdue, clock=clock, heartbeat=heartbeat)
