"""Walking a list page by page, and reading ahead.

::

    fetch ──> Walk: moves the offset, looks for the end, goes around a poisoned item
                └──> read_ahead: the next page is fetched while the caller works on this one

Offset paging ends only at an empty page that is asked for twice: a page may be short, or empty once,
for a server's own reasons. The offset moves by what was received, since a server may give fewer than
it was asked for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.errors import QueryFileError
from bridge.records import Record
from bridge.salestrekker.answers import PoisonedItem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from bridge.records import Stream
    from bridge.salestrekker.answers import Listed
    from bridge.salestrekker.queries import ListQuery

__all__ = ["Broken", "Fetch", "Identify", "Page", "Walk", "read_ahead", "sort_out"]

Identify: TypeAlias = "Callable[[Mapping[str, object]], str | None]"
"""A record's id, as the map finds it; None or empty where it has none."""

Fetch: TypeAlias = "Callable[[int, int], Awaitable[Page]]"
"""Read one page: offset, how many at most."""


MOST_POISONED: Final = 10
"""More items in a row than this are not each poisoned for themselves: something is wrong with all."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that exists but could not be read whole, so that it says nothing and is not gone.

    Attributes:
        position: Its place in the whole list, from 0.
        id: Salestrekker's id where it could be read, else empty.
        message: What is wrong with it, without personal data.
    """

    position: int
    id: str
    message: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it was read.

    Attributes:
        records: Those that were read whole, in the server's order.
        broken: Those that were not.
        read_at: When its request began, milliseconds since the epoch.
        next_position: Where the next page begins: the place to go on from, once this page is safe. A text
            that only ``Walk`` understands.
        last: Whether the list ends here; the last page is empty.
    """

    records: tuple[Record, ...]
    broken: tuple[Broken, ...]
    read_at: int
    next_position: str
    last: bool = False

    @property
    def empty(self) -> bool:
        """Whether the server gave nothing."""
        return not self.records and not self.broken


def sort_out(listed: Listed, *, stream: Stream, identify: Identify, offset: int, read_at: int) -> Page:
    """Make a page of the items of an answer: whole records on one side, broken ones on the other.

    Args:
        listed: The items, and which of them have faults.
        stream: Which list it is.
        identify: Finds a record's id.
        offset: The place of the first item in the whole list.
        read_at: See ``Page``.
    """
    records: list[Record] = []
    broken: list[Broken] = []
    for index, item in enumerate(listed.items):
        known = identify(item) if isinstance(item, dict) else None
        fault = listed.faults.get(index) or _unfit(item, known)
        if fault or not known or not isinstance(item, dict):
            broken.append(Broken(offset + index, known or "", fault))
        else:
            records.append(Record(stream, known, item, read_at))
    return Page(tuple(records), tuple(broken), read_at, str(offset + len(listed.items)))


def _unfit(item: object, known: str | None) -> str:
    if not isinstance(item, dict):
        return "Salestrekker listed it as null" if item is None else "Salestrekker listed no object"
    return "" if known else "it has no id"


@dataclass(frozen=True, slots=True)
class Walk:
    """One way through a list.

    Attributes:
        query: What is asked.
        fetch: Reads one page; may be asked for the same one again.
        now: Milliseconds since the epoch.
    """

    query: ListQuery
    fetch: Fetch
    now: Callable[[], int]

    async def pages(self, page_size: int, start: str = "") -> AsyncGenerator[Page]:
        """All pages from the position ``start`` on; the last one is empty and says so.

        Raises:
            QueryFileError: Two pages in a row hold the same records: the server ignores the offset.
            BridgeError: What ``fetch`` raises; also where more than a few items in a row are poisoned.
        """
        offset, lost = int(start or 0), 0
        before: tuple[str, ...] = ()
        while True:
            try:
                page = await self._page_or_end(offset, page_size)
            except PoisonedItem as poison:
                lost += 1
                if lost > MOST_POISONED:
                    raise poison.otherwise from None
                page = Page((), (Broken(offset, "", str(poison)),), self.now(), str(offset + 1))
            ids = tuple(record.id for record in page.records)
            if ids and ids == before:
                raise self._ignored_offset()
            yield page
            if page.last:
                return
            offset, before, lost = int(page.next_position), ids, 0 if ids else lost

    async def _page_or_end(self, offset: int, size: int) -> Page:
        page = await self._around_poison(offset, size)
        if not page.empty:
            return page
        again = await self._around_poison(offset, size)
        return replace(again, last=again.empty)

    async def _around_poison(self, offset: int, size: int) -> Page:
        """One page; where one item brings its whole list down, only those before it, or it alone.

        Where a schema allows no null in a list, an error inside one item leaves nothing of the page
        (GraphQL specification, 6.4.4). One poisoned record must not stop all others.

        Raises:
            PoisonedItem: The one item asked for is poisoned.
        """
        try:
            return await self.fetch(offset, size)
        except PoisonedItem as poison:
            if not self.query.sizes_pages or not 0 <= poison.index < size:
                raise poison.otherwise from None
            if size == 1:
                raise
            smaller = poison.index or 1
        return await self._around_poison(offset, smaller)

    def _ignored_offset(self) -> QueryFileError:
        return QueryFileError(
            f"{self.query.file}: two pages in a row hold the same records, so the offset is ignored",
            advice="Pass $offset to the argument that moves through the list, as your schema names it.",
        )


async def read_ahead(pages: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
    """The same pages, each fetched while the caller works on the one before.

    An error comes after the good pages before it. Closing this ends the request on its way and closes
    ``pages`` too.
    """
    ahead = asyncio.create_task(_next(pages))
    try:
        while (page := await ahead) is not None:
            ahead = asyncio.create_task(_next(pages))
            yield page
    finally:
        await _end(ahead)
        await pages.aclose()


async def _next(pages: AsyncGenerator[Page]) -> Page | None:
    return await anext(pages, None)


async def _end(task: asyncio.Task[Page | None]) -> None:
    """Stop a task and wait for its end; what it failed of meanwhile is of no interest any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
