"""Runs the demonstration's daemon in this process: posts webhooks to it and waits for results.

Every wait has a limit, and ends when the daemon ends.
"""

from __future__ import annotations

import asyncio
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from bridge.daemon import Signals, Started, run
from bridge.errors import BridgeError
from bridge.ledger.database import reading
from bridge.wiring.ledger_and_key import ledger_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bridge.daemon.listeners import Address
    from bridge.ledger.read_model import Reader
    from bridge.records import WebhookAction
    from bridge.settings import Settings

__all__ = ["Daemon"]

LONGEST: Final = 15.0
"""Seconds that the demonstration waits for anything, even on a busy machine."""

LOOK_EVERY: Final = 0.01
"""Seconds between two checks of the ledger during a wait."""

ACCEPTED: Final = 202


class Daemon:
    """A daemon that runs inside ``async with``.

    Args:
        settings: The configuration; the daemon works on all connections.
        token: The secret part of the webhook addresses.

    Attributes:
        webhooks: How many webhooks were posted and accepted.
        stopped_in: Seconds from the stop signal to the end.
    """

    def __init__(self, settings: Settings, token: str) -> None:
        self._settings = settings
        self._ledger = ledger_path(settings)
        self._token = token
        self._signals = Signals()
        self._address: Address = ("", 0)
        self.webhooks = 0
        self.stopped_in = 0.0

    async def __aenter__(self) -> Self:
        begun: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            run(
                self._settings,
                tuple(self._settings.connections),
                lambda: self._settings,
                self._signals,
                begun.set_result,
            )
        )
        try:
            self._address = await self._address_of(begun)
        except BaseException:
            await self._cancel()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.stopped_in = await self._stop()
        finally:
            await self._cancel()

    async def post(self, action: WebhookAction, identity: str) -> float:
        """Post a webhook as Salestrekker does.

        Args:
            action: The action in the address.
            identity: Salestrekker's id of the contact, deal or product.

        Returns:
            Seconds until the daemon accepted it.

        Raises:
            BridgeError: The daemon did not accept it.
        """
        began = time.monotonic()
        status = await asyncio.to_thread(_post, self._address, f"/webhooks/{self._token}/{action}", identity)
        if status != ACCEPTED:
            raise BridgeError(f"the demonstration's daemon answered a webhook with {status}")
        self.webhooks += 1
        return time.monotonic() - began

    async def wait_until(self, what: str, condition: Callable[[Reader], object]) -> float:
        """Wait until the ledger fulfils a condition.

        Args:
            what: The condition in a few words, for the error message.
            condition: Checks the ledger.

        Returns:
            Seconds that it took.

        Raises:
            BridgeError: The wait timed out, or the daemon ended.
        """
        began = time.monotonic()
        while not await asyncio.to_thread(self._holds, condition):
            self._raise_if_ended()
            if time.monotonic() - began > LONGEST:
                raise BridgeError(f"the demonstration waited {LONGEST:.0f} s in vain until {what}")
            await asyncio.sleep(LOOK_EVERY)
        return time.monotonic() - began

    async def _address_of(self, begun: asyncio.Future[Started]) -> Address:
        """Wait for the address for webhooks."""
        either: set[asyncio.Future[Any]] = {self._task, begun}
        await asyncio.wait(either, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        self._raise_if_ended()
        address = begun.result().webhooks if begun.done() else None
        if address is None:
            raise BridgeError("the demonstration's daemon does not listen for webhooks")
        return address

    async def _stop(self) -> float:
        """Stop the daemon, and return the seconds that took."""
        began = time.monotonic()
        self._signals.stop.set()
        await asyncio.wait({self._task}, timeout=LONGEST)
        if not self._task.done():
            raise BridgeError(f"the demonstration's daemon did not end within {LONGEST:.0f} s")
        _raise(self._task)
        return time.monotonic() - began

    def _holds(self, condition: Callable[[Reader], object]) -> bool:
        with reading(self._ledger) as connection:
            return bool(condition(connection))

    def _raise_if_ended(self) -> None:
        if self._task.done():
            _raise(self._task)
            raise BridgeError("the demonstration's daemon ended by itself")

    async def _cancel(self) -> None:
        """Cancel the daemon if it still runs, and ignore its result."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=LONGEST)
        if self._task.done() and not self._task.cancelled():
            self._task.exception()  # retrieved, so that asyncio does not log that nobody did


def _raise(task: asyncio.Task[None]) -> None:
    """Raise the error that ended the daemon, if any."""
    error: BaseException | None = None if task.cancelled() else task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, BridgeError):
        raise error
    if error is not None:
        raise BridgeError(f"the demonstration's daemon died of {type(error).__name__}") from error


def _post(address: Address, path: str, identity: str) -> int:
    """Send one request on its own connection, and return the status."""
    connection = HTTPConnection(*address, timeout=LONGEST)
    try:
        connection.request("POST", path, orjson.dumps({"id": identity}), {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise BridgeError(f"the demonstration's daemon took no webhook: {type(error).__name__}") from error
    finally:
        connection.close()
