"""What the status page is handed by the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.admin.context import PageContext
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.daemon.connection_worker import Worker
    from bridge.ledger.database import Ledger
    from bridge.ledger.row_mapping import Feed
    from bridge.naming import Hasher
    from bridge.records import Policy, Stream
    from bridge.settings import Settings
    from bridge.status import Snapshot

__all__ = ["Inside", "desk_of"]


@dataclass(frozen=True, slots=True)
class Inside:
    """What of the daemon the page reaches.

    Attributes:
        hasher: Of the ledger's key.
        worker_of: A connection's worker; None while it has none.
        problem: Why the configuration on disk cannot be used; empty while it can.
        on_decided: Told after a person's decision.
    """

    hasher: Hasher
    worker_of: Callable[[str], Worker | None]
    problem: Callable[[], str]
    on_decided: Callable[[], None]


def desk_of(
    inside: Inside,
    ledger: Ledger,
    snapshot: Callable[[], Awaitable[Snapshot]],
    settings: Callable[[], Settings],
    clock: Callable[[], int],
) -> PageContext:
    """Hand the page what it needs.

    Args:
        inside: What of the daemon it reaches.
        ledger: The open ledger.
        snapshot: Gives the state of everything.
        settings: The configuration that is worked with; another one after a reload.
        clock: Milliseconds since the epoch.
    """

    def policy_of(feed: Feed) -> Policy:
        configured = settings().connections.get(feed.connection)
        if configured is None:
            raise UserError(
                f"its connection {feed.connection} is not configured any more",
                advice="Put the connection back; only then can its records be decided on",
            )
        return configured.stream(feed.stream).policy()

    async def read(connection: str, stream: Stream, source_id: str) -> Mapping[str, str] | None:
        worker = inside.worker_of(connection)
        if worker is None:
            raise UserError(f"nothing is read for the connection {connection} at the moment")
        return await worker.read_now(stream, source_id)

    def app_of(connection: str) -> str:
        configured = settings().connections.get(connection)
        return "" if configured is None else _origin(configured.salestrekker.url)

    return PageContext(
        ledger=ledger,
        snapshot=snapshot,
        policy_of=policy_of,
        name_key=inside.hasher.name_key,
        read_now=read,
        app_of=app_of,
        problem=inside.problem,
        on_decided=inside.on_decided,
        clock=clock,
    )


def _origin(url: str) -> str:
    """Where people use what an API of that address belongs to; no deeper address is documented."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
