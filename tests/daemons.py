"""A daemon in the test's own process, over real sockets: what it logs can be waited for.

::

    async with Daemon(Bridge(tmp_path, sandbox)) as daemon:
        await daemon.said("swept", stream="contacts")
        await daemon.webhook("contact-updated", {"id": "…"})
        await daemon.said("webhooks processed")
"""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import structlog

from bridge import logs
from bridge.daemon import Signals, Started, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bridges import Bridge

__all__ = ["TOKEN", "Daemon", "daemon_settings"]

TOKEN = "0123456789abcdef0123456789abcdef"
LONG = 40.0
"""Seconds after which something hangs, also on a busy machine."""


def daemon_settings() -> dict[str, dict[str, object]]:
    """Listeners on free ports, webhooks at once, and no sweep but the first one."""
    return {
        "webhooks": {"host": "127.0.0.1", "port": 0, "token": TOKEN, "debounce": "20ms"},
        "admin": {"port": 0},
        "schedule": {"contacts": "30d", "products": "30d", "reconcile": "30d"},
    }


class Lines(io.StringIO):
    """Log lines (JSON), and whoever waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[dict[str, Any]] = []
        self._loop = asyncio.get_running_loop()
        self._written = asyncio.Event()

    def write(self, text: str) -> int:
        """Take a line, from whatever thread."""
        if text.strip():
            self.all.append(json.loads(text))
            self._loop.call_soon_threadsafe(self._written.set)
        return len(text)

    async def wait_for(self, after: int, event: str, **fields: object) -> int:
        """Wait for a line with these fields; returns the number of lines up to it.

        Args:
            after: Only lines after so many.
            event: What it is about.
            fields: What else it says.
        """
        seen = after
        wanted = {"event": event, **fields}
        async with asyncio.timeout(LONG):
            while True:
                self._written.clear()
                while seen < len(self.all):
                    line = self.all[seen]
                    seen += 1
                    if all(line.get(key) == value for key, value in wanted.items()):
                        return seen
                await self._written.wait()


class Daemon:
    """Runs the daemon of a bridge between ``async with`` and its end.

    Args:
        bridge: Configuration, sandbox and ledger.

    Attributes:
        lines: What it logged.
        signals: To stop it, or to let it read its configuration anew.
        started: Where it listens.
    """

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        for table, values in daemon_settings().items():
            bridge.changes[table] = {**values, **bridge.changes.get(table, {})}
        self.signals = Signals()
        self.started: Started
        self._seen = 0

    async def __aenter__(self) -> Self:
        self.lines = Lines()
        logs.configure("info", "json", self.lines)
        settings = self.bridge.settings
        begun: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            run(
                settings,
                tuple(settings.connections),
                lambda: self.bridge.settings,
                self.signals,
                begun.set_result,
            )
        )
        self.http = aiohttp.ClientSession()
        waited: set[asyncio.Future[Any]] = {self.task, begun}
        await asyncio.wait(waited, timeout=LONG, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.http.close()
            await self.task
        self.started = begun.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.close()
        self.signals.stop.set()
        try:
            if kind is None:
                await asyncio.wait_for(self.task, LONG)
            else:
                self.task.cancel()
                await asyncio.wait({self.task}, timeout=LONG)
        finally:
            structlog.reset_defaults()

    async def said(self, event: str, **fields: object) -> None:
        """Wait until it has logged this, since the last time that was waited for."""
        self._seen = await self.lines.wait_for(self._seen, event, **fields)

    async def webhook(self, action: str, body: object, *, token: str = TOKEN) -> int:
        """Send one webhook as Salestrekker does; gives the status."""
        assert self.started.webhooks is not None
        host, port = self.started.webhooks
        async with self.http.post(f"http://{host}:{port}/webhooks/{token}/{action}", json=body) as answer:
            return answer.status

    async def ask(self, path: str) -> tuple[int, str]:
        """Ask the admin listener; gives status and text."""
        host, port = self.started.admin
        async with self.http.get(f"http://{host}:{port}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, condition: Callable[[dict[str, Any]], object]) -> None:
        """Ask for the status until a condition on it holds."""
        async with asyncio.timeout(LONG):
            while not condition(await self.status()):
                pass

    async def settled(self) -> None:
        """Wait until nothing waits: no list to be read to its end, no webhook, no record to be sent."""
        await self.until(_nothing_waits)

    async def status(self) -> dict[str, Any]:
        """What /api/status says of the default connection."""
        _, text = await self.ask("/api/status")
        found: dict[str, Any] = json.loads(text)["connections"]["default"]
        return found


def _nothing_waits(status: dict[str, Any]) -> bool:
    streams = status["streams"].values()
    pending = any(stream["states"]["pending"] for stream in streams)
    read = all(stream["last_sweep"] and stream["last_sweep"]["ended_at"] for stream in streams)
    return read and not pending and not status["webhooks"]["waiting"]
