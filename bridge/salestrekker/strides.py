"""One step through a list, in each style of paging but numbered pages (``numbered.py``).

A step reads the page that begins at a position and tells where the next one begins. Where one item brings
its whole page down, the step goes around it: one record that cannot be read must not stop all others. In a
schema that allows no null in a list, an error inside one item leaves nothing of the page (GraphQL
specification, section 6.4.4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bridge.errors import BridgeError, QueryFileError
from bridge.salestrekker.pages import Ask, Broken, Fetched
from bridge.salestrekker.positions import Position
from bridge.salestrekker.responses import PoisonedItem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.salestrekker.pages import Fetch
    from bridge.salestrekker.queries import ListQuery
    from bridge.salestrekker.responses import More

__all__ = ["MOST_LOST", "OffsetStride", "PlainStride", "RelayStride", "Step", "Stride", "ignored"]

MOST_LOST: Final = 10
"""More items in a row than this are not each poisoned for themselves: something is wrong with all."""


@dataclass(frozen=True, slots=True)
class Step:
    """A page, and where the next one begins.

    Attributes:
        fetched: The page.
        next: Where to go on; its ``end`` where the page is known to be the last.
        id_hashes: Of the last request's records: the next request must not give the same.
        poison: The item that was left behind, where the page is nothing but that.
    """

    fetched: Fetched
    next: Position
    id_hashes: Sequence[int]
    poison: PoisonedItem | None = None


class Stride(ABC):
    """How one style of paging steps through a list.

    Args:
        query: What is asked.
        fetch: Reads one page.
        now: Milliseconds since the epoch.
    """

    def __init__(self, query: ListQuery, fetch: Fetch, now: Callable[[], int]) -> None:
        self.query = query
        self.fetch = fetch
        self.now = now

    @abstractmethod
    async def step(self, at: Position, size: int) -> Step:
        """Read the page that begins at a position.

        Raises:
            QueryFileError: The answer shows that the query does not move through the list.
            BridgeError: What ``fetch`` raises.
        """

    def lost(self, place: int, poison: PoisonedItem) -> Fetched:
        """A page that is nothing but an item that cannot be read."""
        return Fetched((), (Broken(place, "", str(poison)),), self.now())

    async def shrinking(self, at: Position, size: int) -> Fetched:
        """A page; where one item brings it down, only the items before that one.

        Raises:
            PoisonedItem: The item that stands first is poisoned.
        """
        try:
            return await self.fetch(Ask(at, size))
        except PoisonedItem as poison:
            if not self.query.sizes_pages or not 0 <= poison.index < size:
                raise poison.otherwise from None
            if size == 1:
                raise
            smaller = poison.index or 1
        return await self.shrinking(at, smaller)


class OffsetStride(Stride):
    """By offset. It moves by what was received, since a server may give fewer than it was asked for."""

    async def step(self, at: Position, size: int) -> Step:
        """See ``Stride``."""
        try:
            fetched = await self.shrinking(at, size)
        except PoisonedItem as poison:
            return Step(self.lost(at.read, poison), Position(at.read + 1), (), poison)
        return Step(fetched, Position(at.read + fetched.count), fetched.id_hashes)


class PlainStride(Stride):
    """The whole list at once: no way around a poisoned item."""

    async def step(self, at: Position, size: int) -> Step:
        """See ``Stride``."""
        try:
            fetched = await self.fetch(Ask(at, size))
        except PoisonedItem as poison:
            raise poison.otherwise from None
        return Step(fetched, Position(fetched.count, end=True), fetched.id_hashes)


class RelayStride(Stride):
    """By cursor, as Relay's connections: https://relay.dev/graphql/connections.htm."""

    async def step(self, at: Position, size: int) -> Step:
        """See ``Stride``."""
        poison = None
        try:
            fetched = await self.shrinking(at, size)
        except PoisonedItem as found:
            poison = found
            fetched = replace(self.lost(at.read, found), more=await self._past(at, found))
        after = self._next(at, fetched) if fetched.count else at
        return Step(fetched, after, fetched.id_hashes, poison)

    async def _past(self, at: Position, poison: PoisonedItem) -> More | None:
        """Where the list goes on after one item, asked without reading the item."""
        try:
            return (await self.fetch(Ask(at, 1, stepping=True))).more
        except BridgeError:
            raise poison.otherwise from None

    def _next(self, at: Position, fetched: Fetched) -> Position:
        read = at.read + fetched.count
        if fetched.more is None:
            raise ValueError("a page by cursor says whether there is more")
        if not fetched.more.more:
            return Position(read, end=True)
        if not fetched.more.cursor:
            raise QueryFileError(
                f"{self.query.file}: Salestrekker says that the list goes on, but gives no endCursor",
                advice="Where your schema's list can be read by offset or page number, use that.",
            )
        if fetched.more.cursor == at.cursor:
            raise ignored(self.query, "the cursor does not advance")
        return Position(read, cursor=fetched.more.cursor)


def ignored(query: ListQuery, sign: str) -> QueryFileError:
    """The error for a list that does not move on, with what shows it."""
    return QueryFileError(
        f"{query.file}: {sign}, so ${query.mover} is ignored",
        advice=f"Pass ${query.mover} to the argument that moves through the list, as your schema names it.",
    )
