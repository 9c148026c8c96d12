"""Reading waits for sending: a limit on the records that are read but not sent yet.

Reading is much faster than Trakor. Without a limit, it would take the time that is needed to process Trakor's
answers, and put the data of a whole organisation into the ledger long before they are sent.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bridge.salestrekker.pages import Page

__all__ = ["MAX_UNSENT", "Backlog"]

MAX_UNSENT: Final = 2_000
"""When this run has so many records that are read and not sent yet, no further page is read. With any page
size and
any number of requests in flight, that is seconds of work."""


class Backlog:
    """Counts how far reading is ahead of sending.

    Args:
        gives_way: Whether waiting would be in vain: what was read cannot be sent, or only after everything is
            read.
        most: See ``MAX_UNSENT``.
    """

    def __init__(self, gives_way: Callable[[], bool], most: int = MAX_UNSENT) -> None:
        self._gives_way = gives_way
        self._most = most
        self._ahead = 0
        self._changed = asyncio.Event()

    def read(self, pending: int) -> None:
        """So many more records are to be sent."""
        self._ahead += pending

    def sent(self, number: int) -> None:
        """So many records are done."""
        self._ahead -= number
        self._changed.set()

    def look(self) -> None:
        """Check again whether waiting is in vain."""
        self._changed.set()

    async def throttle(self, pages: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
        """The pages of a list, each when there is room for it. The list is closed at the end.

        Args:
            pages: The pages as fast as they come.
        """
        async with aclosing(pages):
            async for page in pages:
                await self._room()
                yield page

    async def _room(self) -> None:
        while self._ahead >= self._most and not self._gives_way():
            self._changed.clear()
            await self._changed.wait()
