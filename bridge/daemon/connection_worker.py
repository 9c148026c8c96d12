"""One connection at work: reading by schedule and by webhook, sending, and renewing its token.

::

    OrganizationCheck ──may work──> SweepWorker ────┐ stopped and resumed by ReadingPause
        │                           WebhookWorker ──┴──> ledger ──Trakor proved──> SendingWorker
        │                           keep_token
        └──another organisation turned up: all of it ends

All of them end together. The daemon handles the error that one of them ends with.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import structlog

from bridge.daemon.organization_check import OrganizationChanged, OrganizationCheck
from bridge.daemon.reading_context import ReadingContext, read_now
from bridge.daemon.reading_pause import ReadingPause
from bridge.daemon.sending_worker import SendingWorker
from bridge.daemon.sweep_worker import SweepWorker
from bridge.daemon.webhook_worker import WebhookWorker
from bridge.delivery import OutgoingStream
from bridge.ledger.send_queue import open_feed
from bridge.ledger.token_and_alive_times import TimestampName, set_timestamp
from bridge.wiring.connection import make_salestrekker_client, make_trakor_client
from bridge.wiring.organization_identity import make_salestrekker_guard, make_trakor_guard

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.names import Hasher
    from bridge.records import Stream
    from bridge.salestrekker.large_lists import LargeListRoom
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["ConnectionWorker"]

LONGEST_HOLD: Final = 900.0
"""Maximum seconds that sending waits until everything to be sent has been read again."""

log = structlog.get_logger()


class ConnectionWorker:
    """Keeps one Trakor organisation in step with one Salestrekker organisation.

    Args:
        plan: The connection's settings, queries and mappers.
        ledger: The open ledger.
        feeds: The connection's streams (``feeds_for``).
        hasher: Uses the ledger's key.
        debounce: Seconds from the first webhook for a record until it is read.
        clock: Milliseconds since the epoch.
        reads_first: What waits to be sent is old: read it again before any of it is sent.
        starting: The process has just started.
        room: Memory for long lists, shared by all connections.
    """

    def __init__(  # noqa: PLR0913 - all dependencies, most of them by name
        self,
        plan: ConnectionPlan,
        ledger: Ledger,
        feeds: Mapping[Stream, Feed],
        hasher: Hasher,
        *,
        debounce: float,
        clock: Callable[[], int],
        reads_first: bool = False,
        starting: bool = False,
        room: LargeListRoom | None = None,
    ) -> None:
        connection = plan.connection
        self.plan = plan
        self._ledger = ledger
        self._name = connection.name
        hold = make_salestrekker_guard(connection, ledger, hasher, clock=clock, on_stopped=self._stop)
        self._client = make_salestrekker_client(connection, on_token=self._note_token, hold=hold, room=room)
        self._destination = make_trakor_client(connection)
        self._delivery = SendingWorker(
            ledger,
            {
                stream: OutgoingStream(feed, connection.stream(stream).policy())
                for stream, feed in feeds.items()
            },
            self._destination,
            connection.trakor,
            name=connection.name,
            key_of=hasher.name_key,
            clock=clock,
            random=random.random,
        )
        self._organization_check = OrganizationCheck(
            ledger,
            connection.name,
            self._client,
            make_trakor_guard(connection, ledger, hasher, feeds.values(), self._destination, clock=clock),
            connection.trakor.probe,
            clock=clock,
            random=random.random,
            starting=starting,
        )
        pause = ReadingPause(
            ledger,
            connection.name,
            self._client.probe,
            probe=connection.salestrekker.probe,
            clock=clock,
            random=random.random,
        )
        self._context = context = ReadingContext(
            plan, self._client, ledger, feeds, clock, self._delivery.wake
        )
        self._pause = pause
        self._webhook_worker = WebhookWorker(context, pause, debounce, random.random)
        self._sweep_worker = SweepWorker(context, pause, random.random, self._webhook_worker.wait_until_idle)
        self._token_changed = asyncio.Event()
        self._reads_first = reads_first

    @staticmethod
    async def feeds_for(plan: ConnectionPlan, ledger: Ledger, *, now: int) -> dict[Stream, Feed]:
        """Open the ledger's feeds of a connection, and end the claims that an earlier process left."""
        feeds = {}
        for stream in plan.queries:
            feeds[stream] = await ledger.call(
                open_feed,
                plan.connection.name,
                plan.connection.scope,
                stream,
                now=now,
                wait=int(plan.connection.trakor.unanswered_wait * 1000),
            )
        return feeds

    def request_sweep(self) -> None:
        """Check the ledger for a new due job."""
        self._sweep_worker.wake()

    def event(self) -> None:
        """Check the ledger for new webhooks."""
        self._webhook_worker.wake()

    def notice_change(self) -> None:
        """Check what another process has written: a pause, a decision, a webhook to replay."""
        self._organization_check.notice_change()
        self._delivery.notice_change()
        self._pause.notice_change()
        self._sweep_worker.wake()
        self._webhook_worker.wake()

    async def read_now(self, stream: Stream, source_id: str) -> Mapping[str, str] | None:
        """Read a record as it is in Salestrekker now (``reading_context.read_now``)."""
        return await read_now(self._context, stream, source_id)

    async def run(self) -> None:
        """Work until it is cancelled; requests in flight then get some seconds.

        It waits until the connection may work, and returns when the connection may not work any more.

        Raises:
            SeveralOrganizations: The process has just started, and the log-in has several organisations.
            BaseExceptionGroup: What its tasks ended with.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            await stack.enter_async_context(self._destination)
            await self._organization_check.wait_until_open()
            with contextlib.suppress(OrganizationChanged):
                await self._work()

    async def _work(self) -> None:
        """Run all tasks until one of them ends.

        Raises:
            OrganizationChanged: Another organisation turned up, and nothing else went wrong.
            BaseExceptionGroup: What the tasks ended with.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for what, flow in (
                    ("admission", self._organization_check.wait_until_revoked()),
                    ("sending", self._send()),
                    ("pause", self._pause.run()),
                    ("token", self._client.keep_token()),
                    ("token's standing", self._keep_token_noted()),
                    ("events", self._webhook_worker.run()),
                    ("sweeps", self._sweep_worker.run()),
                ):
                    tasks.create_task(flow, name=f"{self._name}: {what}")
        except BaseExceptionGroup as errors:
            _, others = errors.split(OrganizationChanged)
            if others is not None:
                raise others from None
            raise OrganizationChanged from None

    async def _send(self) -> None:
        """Send until cancelled, once Trakor is proved to be the same as before.

        With ``reads_first`` it sends after reading, unless reading is paused or takes too long.
        """
        await self._organization_check.wait_until_proved()
        if self._reads_first:
            log.info("reading before sending", connection=self._name)
            await _first_of(
                self._sweep_worker.reconciled(), self._pause.wait_until_paused(), within=LONGEST_HOLD
            )
        await self._delivery.run()

    def _stop(self) -> None:
        self._organization_check.stop()

    def _note_token(self) -> None:
        self._token_changed.set()

    async def _keep_token_noted(self) -> None:
        """Store in the ledger when the token expires, and since when it cannot be renewed."""
        while True:
            await self._token_changed.wait()
            self._token_changed.clear()
            standing = self._client.token
            timestamps = {
                TimestampName.TOKEN_EXPIRES: standing.expires_at if standing else None,
                TimestampName.TOKEN_FAILING_SINCE: standing.failing_since if standing else None,
                TimestampName.TOKEN_NEXT_TRY: standing.next_try_at if standing else None,
            }
            for name, at in timestamps.items():
                await self._ledger.call(set_timestamp, self._name, name, at)


async def _first_of(*waits: Coroutine[None, None, None], within: float) -> None:
    """Wait until one of these is done, or for this many seconds."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
