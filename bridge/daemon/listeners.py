"""The two listeners: webhooks from outside, health and status for inside; and the inbox between them.

Whoever asks here is answered by what is on disk: an event is accepted only when it is safe.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

import structlog

from bridge.admin import AdminServer, HealthReport
from bridge.admin.context import PageContext
from bridge.admin.routes import Pages
from bridge.errors import LedgerError, UserError
from bridge.ledger.webhook_inbox import WebhookInbox
from bridge.ledger.webhook_queue import probe_storage
from bridge.records import Stream
from bridge.status import take
from bridge.webhooks import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AsyncExitStack

    from bridge.daemon.connection_worker import ConnectionWorker
    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.names import Hasher
    from bridge.records import Policy
    from bridge.settings import Settings
    from bridge.status import Snapshot

__all__ = ["Address", "Listeners"]

Address: TypeAlias = tuple[str, int]
"""A host and a port."""

STUCK_AFTER: Final = 30.0
"""Seconds without a sign of life of the ledger's thread from which the process counts as not working."""

WRITE_WITHIN: Final = 2.0
"""Seconds that a write may take for the process to count as ready."""

GOOD_FOR: Final = 1.0
"""Seconds for which a write that was taken proves that the next one will be."""

log = structlog.get_logger()


class Listeners:
    """What the daemon shows and accepts.

    Args:
        settings: The configuration.
        ledger: The open ledger.
        clock: Milliseconds since the epoch.
        on_events: Called with the names of connections whose new events are on disk.
        hasher: Of the ledger's key.
        worker_of: The worker of a connection; None if it has none.
        problem: Why the configuration on disk cannot be used; empty if it can.
        on_decided: Called after each decision of an operator.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], int],
        on_events: Callable[[Collection[str]], None],
        *,
        hasher: Hasher,
        worker_of: Callable[[str], ConnectionWorker | None],
        problem: Callable[[], str],
        on_decided: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._worker_of = worker_of
        self._alive_at = time.monotonic()
        self._written_at = -GOOD_FOR
        self._closing: asyncio.Task[None] | None = None
        self._inbox = WebhookInbox(ledger, on_stored=on_events)
        listener = settings.webhooks
        self._receiver = Receiver(
            self._inbox.store,
            tokens=_tokens(settings),
            allow_from=listener.allow_from,
            trusted_proxies=listener.trusted_proxies,
            max_body_bytes=listener.max_body_bytes,
            clock=clock,
        )
        password = settings.admin.password.get_secret_value()
        context = PageContext(
            ledger=ledger,
            snapshot=self.snapshot,
            policy_of=self._policy_of,
            name_key=hasher.name_key,
            read_now=self._read_now,
            app_of=self._app_of,
            problem=problem,
            on_decided=on_decided,
            clock=clock,
        )
        self._admin = AdminServer(
            snapshot=self.snapshot,
            health=self._health,
            ready=self._ready,
            password=password,
            hosts=settings.admin.hosts,
            pages=Pages(context, password=password),
            answers=lambda: self._receiver.numbers.answers,
        )

    async def open(self, stack: AsyncExitStack) -> tuple[Address, Address | None]:
        """Listen until the stack is closed.

        Returns:
            The address of health and status, and that of the webhook listener. The latter is None if no
            connection has a token.

        Raises:
            UserError: A port cannot be used.
        """
        settings = self._settings
        stack.push_async_callback(self._inbox.close)
        admin = await self._admin.start(settings.admin.host, settings.admin.port)
        stack.push_async_callback(self._admin.stop)
        log.info("listening for status", host=admin[0], port=admin[1])
        if not any(_tokens(settings).values()):
            log.info("webhooks are off", reason="no connection has a [webhooks] token")
            return admin, None
        webhooks = await self._receiver.start(settings.webhooks.host, settings.webhooks.port)
        stack.push_async_callback(self._stopped_accepting)
        return admin, webhooks

    def stop_accepting(self) -> None:
        """Take no more webhooks; those under way are answered, while all else winds up."""
        self._closing = asyncio.create_task(self._receiver.stop(), name="webhooks' end")

    async def _stopped_accepting(self) -> None:
        await (self._closing or self._receiver.stop())

    def replace(self, settings: Settings) -> None:
        """Take over what a reload can change here: the webhooks' tokens."""
        self._settings = settings
        self._receiver.replace_tokens(_tokens(settings))

    def alive(self) -> None:
        """The ledger's thread has given a sign of life."""
        self._alive_at = time.monotonic()

    async def snapshot(self) -> Snapshot:
        """Everything, now, read beside the ledger's thread."""
        settings = self._settings
        streams = {
            name: [stream for stream in Stream if connection.stream(stream).enabled]
            for name, connection in settings.connections.items()
        }
        return await asyncio.to_thread(take, self._ledger.path, streams, list(streams), self._clock())

    def _policy_of(self, feed: Feed) -> Policy:
        """The policy of a stream.

        Raises:
            UserError: Its connection is not configured any more.
        """
        configured = self._settings.connections.get(feed.connection)
        if configured is None:
            raise UserError(
                f"its connection {feed.connection} is not configured any more",
                advice="Put the connection back; only then can its records be decided on",
            )
        return configured.stream(feed.stream).policy()

    async def _read_now(self, connection: str, stream: Stream, source_id: str) -> Mapping[str, str] | None:
        """Read one record from Salestrekker, and map it."""
        worker = self._worker_of(connection)
        if worker is None:
            raise UserError(f"nothing is being read for the connection {connection} now")
        return await worker.read_now(stream, source_id)

    def _app_of(self, connection: str) -> str:
        """Where people use Salestrekker: its address without a path, since no deeper one is documented."""
        configured = self._settings.connections.get(connection)
        if configured is None:
            return ""
        url = urlsplit(configured.salestrekker.url)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"

    def _health(self) -> HealthReport:
        silent = time.monotonic() - self._alive_at
        return HealthReport(silent < STUCK_AFTER, why=f"the ledger has not answered for {silent:.0f} seconds")

    async def _ready(self) -> HealthReport:
        """Whether an event could be stored now: by storing one and a sign of life, ahead of all other work.

        The event is taken back in the same transaction.

        Anybody may ask, so the answer is good for a second.
        """
        if time.monotonic() - self._written_at < GOOD_FOR:
            return HealthReport(ok=True)
        try:
            async with asyncio.timeout(WRITE_WITHIN):
                await self._ledger.call_first(probe_storage, self._clock())
        except LedgerError as error:
            return HealthReport(ok=False, why=str(error))
        except TimeoutError:
            return HealthReport(
                ok=False, why=f"the ledger did not take a write within {WRITE_WITHIN:.0f} seconds"
            )
        self._written_at = time.monotonic()
        return HealthReport(ok=True)


def _tokens(settings: Settings) -> dict[str, list[str]]:
    return {
        name: [token.get_secret_value() for token in connection.webhook_tokens]
        for name, connection in settings.connections.items()
    }
