"""An address for alerts, used through Apprise. An address is never shown whole, because it contains secrets.

Apprise blocks on sockets, so a message is sent in a thread, with a time limit. After the limit the thread is
abandoned: a process that ends does not wait for it.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bridge import __version__
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apprise import Apprise


__all__ = ["Address", "Message", "address_of"]

TIME_LIMIT: Final = 30.0
"""Seconds after which a message that was not accepted counts as failed."""

HOST: Final = re.compile(r"localhost|[\w-]+(\.[\w-]+)+|[0-9a-f:]*:[0-9a-f:]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one address, with all its alerts.

    Attributes:
        title: A few words.
        body: A line for each alert.
        grave: Whether something is wrong. Otherwise something is over, or records need a decision.
    """

    title: str
    body: str
    grave: bool


def address_of(url: str, number: int) -> Address:
    """Parse an address of the configuration.

    Args:
        url: An Apprise address.
        number: Its position in ``alerts.urls``, from 1. Messages name the address by this number.

    Raises:
        UserError: Apprise does not understand it.
    """
    import apprise  # noqa: PLC0415 - 0.3 s and 25 MiB that a bridge without alerts does without

    asset = apprise.AppriseAsset(
        app_id="trakor-bridge",
        app_desc=f"trakor-bridge {__version__}",
        storage_mode=apprise.PersistentStoreMode.MEMORY,  # nothing is written to disk
        async_mode=False,
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        scheme = url.partition("://")[0]
        raise UserError(
            f"address {number} of alerts.urls ({scheme}://…) is not an Apprise address",
            advice="https://appriseit.com/services/ lists the addresses of all services",
        )
    made = apprise.Apprise(asset=asset)
    made.add(service)
    private: str = service.url(privacy=True)  # type: ignore[no-untyped-call]  # Apprise has no types
    return Address(number, _shown(private), made)


def _shown(private: str) -> str:
    """Scheme and host, without a token or topic that some services have in place of a host.

    Args:
        private: The address as Apprise shows it: without secrets, but with users and paths.
    """
    parts = urlsplit(private)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host if HOST.fullmatch(host) else '…'}"


class Address:
    """Sends messages to one address.

    Args:
        number: Its position in ``alerts.urls``, from 1.
        shown: Its scheme and host.
        service: Apprise with this one address.

    Attributes:
        number: As given.
        shown: As given.
    """

    def __init__(self, number: int, shown: str, service: Apprise) -> None:
        self.number = number
        self.shown = shown
        self._service = service
        self._under_way = threading.Event()

    async def send(self, message: Message, *, within: float = TIME_LIMIT) -> bool:
        """Send a message.

        Args:
            message: The message.
            within: The time limit in seconds.

        Returns:
            Whether it was accepted. Also False while an earlier message is still being sent.
        """
        if self._under_way.is_set():
            return False
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._under_way.set()
        arguments = (message, _answer_to(taken))
        threading.Thread(target=self._notify, args=arguments, name="alert", daemon=True).start()
        try:
            return await asyncio.wait_for(taken, within)
        except TimeoutError:
            return False

    def _notify(self, message: Message, answer: Callable[[bool], None]) -> None:
        """Send in the thread. An exception may contain the address, so it is ignored."""
        taken = False
        with suppress(Exception):
            kind = "warning" if message.grave else "info"
            taken = bool(
                self._service.notify(
                    body=message.body, title=message.title, notify_type=kind, body_format="text"
                )
            )
        self._under_way.clear()
        answer(taken)


def _answer_to(future: asyncio.Future[bool]) -> Callable[[bool], None]:
    """Make a function that sets a future's result from another thread, if anybody still waits."""
    loop = future.get_loop()

    def settle(taken: bool) -> None:  # noqa: FBT001 - the one thing that it says
        if not future.done():
            future.set_result(taken)

    def answer(taken: bool) -> None:  # noqa: FBT001 - likewise
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, taken)

    return answer
