"""Step through a list by offset, by cursor, or all at once: one page from one position.

By page number, see ``page_number_paginator``. ``pagination`` finds the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bridge.errors import BridgeError, QueryFileError
from bridge.salestrekker.list_query import Position
from bridge.salestrekker.pages import BrokenRecord, Page, PageRequest
from bridge.salestrekker.responses import PoisonItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import FetchPage
    from bridge.salestrekker.responses import NextPage

__all__ = [
    "MAX_FAILED_IN_A_ROW",
    "CursorPaginator",
    "OffsetPaginator",
    "Paginator",
    "SinglePagePaginator",
    "ignored_variable_error",
]

MAX_FAILED_IN_A_ROW: Final = 10
"""If more items than this fail in a row, the cause is not the items but something common to all."""


class Paginator(ABC):
    """One style of paging.

    Args:
        query: The list query.
        fetch: Reads one page.
        now: Returns milliseconds since the epoch.
    """

    def __init__(self, query: ListQuery, fetch: FetchPage, now: Callable[[], int]) -> None:
        self.query = query
        self.fetch = fetch
        self.now = now

    @abstractmethod
    async def step(self, at: Position, size: int) -> tuple[Page, Position]:
        """Read the page at a position.

        Returns:
            The page, and the position of the next one, whose ``end`` is set if this page is known to be the
                last.

        Raises:
            QueryFileError: The response shows that the query does not move through the list.
            BridgeError: As ``fetch`` raises.
        """

    def lost(self, place: int, poison: PoisonItem) -> Page:
        """A page that holds nothing but an item that cannot be read."""
        return Page((), (BrokenRecord(place, "", str(poison)),), read_at=self.now(), poison=poison)

    async def shrinking(self, at: Position, size: int) -> Page:
        """Read a page. If one item makes it fail, read only the items before that one.

        Raises:
            PoisonItem: The first item fails.
        """
        try:
            return await self.fetch(PageRequest(at, size))
        except PoisonItem as poison:
            if not self.query.has_page_size or not 0 <= poison.index < size:
                raise poison.request_error from None
            if size == 1:
                raise
            smaller = poison.index or 1
        return await self.shrinking(at, smaller)


class OffsetPaginator(Paginator):
    """Paging by offset: it advances by the number of received items, which may be fewer than requested."""

    async def step(self, at: Position, size: int) -> tuple[Page, Position]:
        """See ``Paginator``."""
        try:
            page = await self.shrinking(at, size)
        except PoisonItem as poison:
            return self.lost(at.read, poison), Position(at.read + 1)
        return page, Position(at.read + page.count)


class SinglePagePaginator(Paginator):
    """The whole list at once. An item that fails cannot be skipped."""

    async def step(self, at: Position, size: int) -> tuple[Page, Position]:
        """See ``Paginator``."""
        try:
            page = await self.fetch(PageRequest(at, size))
        except PoisonItem as poison:
            raise poison.request_error from None
        return page, Position(page.count, end=True)


class CursorPaginator(Paginator):
    """Paging by cursor: Relay's connections, or a next cursor that is null at the end.

    Relay: https://relay.dev/graphql/connections.htm.
    """

    async def step(self, at: Position, size: int) -> tuple[Page, Position]:
        """See ``Paginator``."""
        try:
            page = await self.shrinking(at, size)
        except PoisonItem as poison:
            page = replace(self.lost(at.read, poison), more=await self._past(at, poison))
        return page, self._next(at, page)

    async def _past(self, at: Position, poison: PoisonItem) -> NextPage | None:
        """Ask where the list goes on after an item, without reading the item."""
        try:
            return (await self.fetch(PageRequest(at, 1, next_page_only=True))).more
        except BridgeError:
            raise poison.request_error from None

    def _next(self, at: Position, page: Page) -> Position:
        read = at.read + page.count
        if page.more is None:
            raise ValueError("a page by cursor says whether there is more")
        if not page.count and (page.more.explicit or page.more.cursor in (None, "", at.cursor)):
            return at
        if not page.more.more:
            return Position(read, end=True)
        if not page.more.cursor:
            raise QueryFileError(
                f"{self.query.file}: Salestrekker says that the list goes on, but gives no {self._cursor}",
                advice="If your schema's list can be read by offset or page number, use that.",
            )
        if page.more.cursor == at.cursor:
            raise ignored_variable_error(self.query, "the cursor does not advance")
        return Position(read, cursor=page.more.cursor)

    @property
    def _cursor(self) -> str:
        field = self.query.info.cursor
        return field.name if field else "cursor"


def ignored_variable_error(query: ListQuery, sign: str) -> QueryFileError:
    """The error for a list that does not advance.

    Args:
        query: The list query.
        sign: What shows it, as the beginning of a sentence.
    """
    return QueryFileError(
        f"{query.file}: {sign}, so ${query.paging_variable} is ignored",
        advice=f"Pass ${query.paging_variable} to the argument that moves through the list, "
        "as your schema names it.",
    )
