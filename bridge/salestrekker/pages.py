"""Pages of a list, and records by id: their values, and fetching the next page in advance.

::

    PageRequest ──fetch──> Page ──pagination.ListReader──> Page ──prefetch_pages──> the caller
                                    └─ its next position     └─ fetches the next page meanwhile
"""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.records import Record
from bridge.salestrekker.large_lists import LongList, LongRecords
from bridge.salestrekker.response_limits import find_excess
from bridge.salestrekker.responses import NO_SIGNS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence

    from bridge.records import Stream
    from bridge.salestrekker.by_id_batches import BatchResults
    from bridge.salestrekker.list_query import Position
    from bridge.salestrekker.responses import ListItems, ListSigns, NextPage, PoisonItem

__all__ = [
    "BrokenRecord",
    "Doubt",
    "FetchPage",
    "Identify",
    "Page",
    "PageRequest",
    "RecordsById",
    "prefetch_pages",
    "sort_items",
    "sort_records_by_id",
]

MAX_BROKEN_IDS: Final = 100
"""Maximum number of broken records of one page whose ids are kept. Nobody is shown more."""

Identify: TypeAlias = "Callable[[Mapping[str, object]], str | None]"
"""Returns a record's id, as the map finds it, or None or empty text if it has none."""

FetchPage: TypeAlias = "Callable[[PageRequest], Awaitable[Page]]"
"""Reads the requested page. It may be called again for the same page."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What one request asks for.

    Attributes:
        position: Where the page begins.
        size: The maximum number of items.
        retry: Try again after a failure that may pass.
        next_page_only: Ask only where the list goes on, for no items.
    """

    position: Position
    size: int
    retry: bool = True
    next_page_only: bool = False


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A record that exists but could not be read whole. It is neither stored nor treated as gone.

    Attributes:
        position: Its place in the whole list, from 0.
        id: Salestrekker's id if it could be read, else empty text.
        message: What is wrong with it, without personal data.
    """

    position: int
    id: str
    message: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a list that was read to its end may not be whole. Then no record is marked as gone.

    Attributes:
        reason: What shows it, as a sentence without its full stop.
        advice: What to do about it.
        shown: Whether something shows that a part is missing. Otherwise only the proof is missing.
    """

    reason: str
    advice: str
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        records: The records that were read whole, in the server's order. Those of a long page can be read
            until the next page is requested.
        broken: The records that exist but could not be read whole.
        next_position: Where the next page begins: the place to resume from once this page is stored. Only
            ``ListReader`` sets and interprets the text.
        last: Whether the list ends here. The last page is empty.
        read_at: When the request began, milliseconds since the epoch.
        more: Whether and where the list goes on, if the server says so.
        id_hashes: A number for the id of each record of the last request, in order. Equal ids have equal
            numbers.
        unlisted: Records that have an error but no place in the list.
        poison: The item that was skipped, if the page is nothing but that item.
        signs: What else the server says about the list.
        doubt: Why the pages up to here may not be the whole list, or None. Only the last page has it.
    """

    records: Sequence[Record]
    broken: tuple[BrokenRecord, ...]
    next_position: str = ""
    last: bool = False
    read_at: int = 0
    more: NextPage | None = None
    id_hashes: Sequence[int] = ()
    unlisted: tuple[BrokenRecord, ...] = ()
    poison: PoisonItem | None = None
    signs: ListSigns = NO_SIGNS
    doubt: Doubt | None = None

    @property
    def is_long(self) -> bool:
        """Whether its records are decoded one by one until the page is closed."""
        return isinstance(self.records, LongRecords)

    @property
    def count(self) -> int:
        """The number of items on the page."""
        return len(self.records) + len(self.broken)

    def at_close(self, done: Callable[[], None]) -> None:
        """Call ``done`` when a long page is closed, or at once if the page is not long or has no records."""
        if isinstance(self.records, LongRecords) and self.count:
            self.records.items.at_close(done)
        else:
            self.close()
            done()

    def close(self) -> None:
        """Release the memory of a long page. Its records cannot be read afterwards."""
        if isinstance(self.records, LongRecords):
            self.records.items.close()


@dataclass(frozen=True, slots=True)
class RecordsById:
    """Records that were requested by their ids.

    Attributes:
        records: The records that were read whole.
        absent: The ids for which Salestrekker answered null without an error.
        broken: Those that could not be read whole. ``position`` is the place among the requested ids.
        read_at: When the first of the requests began, milliseconds since the epoch.
    """

    records: list[Record]
    absent: list[str]
    broken: list[BrokenRecord]
    read_at: int


def sort_items(
    listed: ListItems, *, stream: Stream, identify: Identify, place: int, read_at: int
) -> Generator[None, None, Page]:
    """Sort the items of a response into whole and broken records. Run it in slices.

    Args:
        listed: The items, and which of them have errors.
        stream: The stream of the list.
        identify: Returns a record's id.
        place: The place of the first item in the whole list.
        read_at: See ``Page``.

    Raises:
        Transient: An item of a long list is not whole.
    """
    items = listed.items
    records: list[Record] = []
    hashes, places = array("q"), array("I")
    broken: list[BrokenRecord] = []
    for index in range(len(items)):
        item, failure = items.item(index) if isinstance(items, LongList) else (items[index], "")
        known = identify(item) if isinstance(item, dict) else None
        failure = listed.item_errors.get(index) or failure or _unfit(item, known)
        if failure or not known or not isinstance(item, dict):
            broken.append(
                BrokenRecord(place + index, (known or "") if len(broken) < MAX_BROKEN_IDS else "", failure)
            )
        else:
            hashes.append(hash(known))
            places.append(index)
            if not isinstance(items, LongList):
                records.append(Record(stream, known, item, read_at))
        yield
    found: Sequence[Record] = tuple(records)
    if isinstance(items, LongList):
        found = LongRecords(items, places, identify, stream=stream, read_at=read_at)
    elsewhere = (index for index in listed.item_errors if not 0 <= index < len(items))
    unlisted = tuple(BrokenRecord(place, "", listed.item_errors[index]) for index in elsewhere)
    return Page(
        found,
        tuple(broken),
        read_at=read_at,
        more=listed.more,
        id_hashes=hashes,
        unlisted=unlisted,
        signs=listed.signs,
    )


def sort_records_by_id(
    results: BatchResults, ids: Sequence[str], *, stream: Stream, identify: Identify, began: int
) -> RecordsById:
    """Sort the results of requests by id into whole and broken records.

    Args:
        results: The results.
        ids: The requested ids.
        stream: The stream of the records.
        identify: Returns a record's id.
        began: When the first request was about to be made, milliseconds since the epoch.
    """
    records: list[Record] = []
    item_errors = dict(results.broken)
    for asked, (item, read_at) in results.found.items():
        known = identify(item)
        if known == asked:
            records.append(Record(stream, known, item, read_at))
        else:
            item_errors[asked] = _unfit(item, known) or "it has another id than the one that was asked for"
    broken = [
        BrokenRecord(place, one, item_errors[one]) for place, one in enumerate(ids) if one in item_errors
    ]
    read_at = began if results.read_at is None else results.read_at
    return RecordsById(records, list(results.absent), broken, read_at)


def _unfit(item: object, known: str | None) -> str:
    if not isinstance(item, dict):
        return "Salestrekker listed it as null" if item is None else "Salestrekker listed no object"
    return find_excess(item) if known else "it has no id"


async def prefetch_pages(pages: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
    """Return the same pages, fetching each while the caller works on the one before.

    A long page is closed before the next one is fetched, because memory has room for one only. An error comes
    after the good pages before it. Closing this iterator ends the pending request and closes ``pages``.
    """
    ahead = asyncio.create_task(_next(pages))
    try:
        while (page := await ahead) is not None:
            if isinstance(page.records, LongRecords):
                yield page
                page.records.items.close()
                ahead = asyncio.create_task(_next(pages))
            else:
                ahead = asyncio.create_task(_next(pages))
                yield page
    finally:
        try:
            await _end(ahead)
        finally:
            await pages.aclose()


async def _next(pages: AsyncGenerator[Page]) -> Page | None:
    return await anext(pages, None)


async def _end(task: asyncio.Task[Page | None]) -> None:
    """Cancel a task, wait for its end, and ignore its error."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
