"""Stores received webhooks with group commits, so that each can be answered once it is on disk.

::

    WebhookInbox.store ──┐
    WebhookInbox.store ──┤ queue ──at most 256──> call_first(store_webhooks) ──commit──> each store returns
    WebhookInbox.store ──┘   ^                                                    └──> on_stored
                             └── more than 10,000: Transient, the sender tries again

All webhooks that arrive while one commit is in progress share the next one. One commit costs the same for
one webhook and for 256, so no webhook waits for others to arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.errors import Transient
from bridge.ledger.webhook_queue import store_webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Row

    from bridge.ledger.database import Ledger
    from bridge.records.webhooks import ReceivedWebhook, WebhookSubject

    Waiting: TypeAlias = Row[int, str, str, int, int, int]
    About: TypeAlias = tuple[WebhookSubject, str]

__all__ = ["WebhookInbox"]


COME_BACK_AFTER: Final = 5.0
"""Seconds after which a sender may try again if too many webhooks wait."""


class WebhookInbox:
    """Stores webhooks, so that they can be answered.

    Args:
        ledger: The open ledger.
        most: Maximum number of webhooks that wait to be stored.
        at_once: Maximum number of webhooks that share a commit.
        on_stored: Called after each commit with the names of the connections that have new webhooks.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        most: int = 10_000,
        at_once: int = 256,
        on_stored: Callable[[Collection[str]], None],
    ) -> None:
        self._ledger = ledger
        self._most = most
        self._at_once = at_once
        self._on_stored = on_stored
        self._waiting: deque[tuple[ReceivedWebhook, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def store(self, received: ReceivedWebhook) -> None:
        """Store one webhook; it is on disk when this returns.

        Args:
            received: The webhook. A caller that is cancelled only stops waiting.

        Raises:
            LedgerError: The ledger cannot be written.
            Transient: Too many webhooks wait already.
        """
        if len(self._waiting) >= self._most:
            raise Transient(f"{self._most} webhooks wait to be stored already", retry_after=COME_BACK_AFTER)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, stored))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="inbox")
        await stored

    async def close(self) -> None:
        """Wait until every submitted webhook is stored or has failed, before the ledger is closed."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        """Write until nothing waits. An error never ends this early: it is passed to the waiting callers."""
        while self._waiting:
            batch = list(islice(self._waiting, self._at_once))
            try:
                await self._ledger.call_first(store_webhooks, [received for received, _ in batch])
                self._on_stored({received.connection for received, _ in batch})
            except Exception as error:  # noqa: BLE001 - passed on to the callers, whatever it is
                self._settle(len(batch), error)
            else:
                self._settle(len(batch), None)

    def _settle(self, number: int, error: Exception | None) -> None:
        """Answer the first callers in the queue; one that no longer waits was cancelled."""
        for _ in range(number):
            _, stored = self._waiting.popleft()
            if stored.done():
                continue
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(error)
