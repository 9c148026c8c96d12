"""Reading waits for sending: how much of what was read may wait to be sent.

Reading is much faster than Trakor. Left to itself it takes the time that answers need to be dealt with,
and puts the words of a whole organisation into the ledger long before they are sent.
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
"""Records read by this run and not sent yet, from which on no further page is taken: with any page and any
number of requests in flight that is seconds of work."""


class Backlog:
    """Counts how far reading is ahead.

    Args:
        gives_way: Says that waiting would be in vain: what was read cannot be sent, or not before all is
            read.
        most: See ``MAX_UNSENT``.
    """

    def __init__(self, gives_way: Callable[[], bool], most: int = MAX_UNSENT) -> None:
        self._gives_way = gives_way
        self._most = most
        self._ahead = 0
        self._changed = asyncio.Event()

    def read(self, pending: int) -> None:
        """So many more are to be sent."""
        self._ahead += pending

    def sent(self, number: int) -> None:
        """So many have come to their end."""
        self._ahead -= number
        self._changed.set()

    def look(self) -> None:
        """Whether to give way may be answered otherwise now."""
        self._changed.set()

    async def throttle(self, pages: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
        """The pages of a list, each when there is room for it; closed at the end.

        Args:
            pages: As fast as they come.
        """
        async with aclosing(pages):
            async for page in pages:
                await self._room()
                yield page

    async def _room(self) -> None:
        while self._ahead >= self._most and not self._gives_way():
            self._changed.clear()
            await self._changed.wait()
