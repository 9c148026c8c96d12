"""Step through a list by page number, wherever the numbers begin.

Salestrekker does not document whether the first page has the number 0 or 1::

    page 0, page 1 ──both read──> each record of the two once, then pages 2, 3, …
      └─ page 0 fails: because there is none? ──sizes──> first page 0 | 1 | not known: the error

A server that counts from 1 answers page 0 with page 1, with nothing, or with an error. Joining the two pages
is right in every case but the last, so nothing has to be guessed. If page 0 gives an error that blames the
request, and the same request for page 1 succeeds, there is no page 0. Any other error proves nothing: a page
0 that failed for another reason would be lost. So pages of one and of two items settle the question. Their
numbers are valid in either case::

    counted from 1:   page 1 of one item = [a]    page 1 of two = [a, b]      they begin alike
    counted from 0:   page 1 of one item = [b]    page 1 of two = [c, d]      they do not
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bridge.errors import BridgeError, QueryFileError, Transient
from bridge.salestrekker.large_lists import too_long_error
from bridge.salestrekker.list_query import Position
from bridge.salestrekker.pages import Page, PageRequest
from bridge.salestrekker.paginators import MAX_FAILED_IN_A_ROW, Paginator
from bridge.salestrekker.paging_variables import Role
from bridge.salestrekker.responses import PoisonItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.salestrekker.pages import BrokenRecord

__all__ = ["PageNumberPaginator"]

SAMPLED_PLACES: Final = 3
"""Number of places in the list where the first page's number is looked for. One may hold an item that
fails."""


class PageNumberPaginator(Paginator):
    """Paging by page number. The page size never changes, because page numbers depend on it."""

    async def step(self, at: Position, size: int) -> tuple[Page, Position]:
        """See ``Paginator``."""
        if at.page is None:
            return await self._open(size)
        page = await self._page(at, size)
        return page, replace(at, read=at.read + page.count, page=at.page + 1)

    async def _open(self, size: int) -> tuple[Page, Position]:
        zero = await self._page_0(size)
        if isinstance(zero, Page):
            zero.close()
        try:
            one = await self.fetch(PageRequest(Position(page=1), size))
        except PoisonItem as poison:
            return await self._open_in_trouble(size, poison)
        if isinstance(zero, QueryFileError):
            return one, Position(one.count, page=2, base=1)
        if isinstance(zero, Transient):
            one.close()
            return await self._open_in_trouble(size, zero)
        if zero.is_long or one.is_long:
            return await self._open_long(size, zero, one)
        return _joined(zero, one)

    async def _open_long(self, size: int, zero: Page, one: Page) -> tuple[Page, Position]:
        """Long pages are not joined, because memory has room for one at a time."""
        if _is_same(zero, one):
            return one, Position(one.count, page=2, base=1)
        one.close()
        return await self.step(Position(page=0), size)

    async def _page_0(self, size: int) -> Page | Transient | QueryFileError:
        """Read page 0 before page 1.

        An item that is added in front meanwhile moves others back, so that they are met twice and not missed.
        """
        try:
            return await self.fetch(PageRequest(Position(page=0), size, retry=False))
        except (Transient, QueryFileError) as trouble:
            return trouble

    async def _open_in_trouble(self, size: int, trouble: Transient) -> tuple[Page, Position]:
        """Find the first page's number if page 0 fails, or if an item of the first pages fails."""
        base = await self._proven()
        if base is None:
            base = self.query.variables.default(Role.PAGE)
        if base not in (0, 1):
            raise self._unproven(trouble)
        return await self.step(Position(page=base, base=base), size)

    async def _proven(self) -> int | None:
        """The number of the first page, or None if the list is too short or has no page size."""
        if not self.query.has_page_size:
            return None
        for place in range(1, SAMPLED_PLACES + 1):
            try:
                once, twice, again = [
                    await self._sample(page, size)
                    for page, size in ((2 * place - 1, 1), (place, 2), (2 * place - 1, 1))
                ]
            except PoisonItem:
                continue
            base = _first_page_number(once, twice, again)
            if base is not None:
                return base
        return None

    async def _sample(self, number: int, size: int) -> Page:
        """Read a page for its ids only."""
        page = await self.fetch(PageRequest(Position(page=number), size))
        page.close()
        return page

    def _unproven(self, trouble: Transient) -> BridgeError:
        if isinstance(trouble, PoisonItem):
            return trouble.request_error
        return Transient(
            f"Page 0 fails ({trouble}), and whether pages are counted from 0 or 1 could not be found out. "
            f"If this goes on, write the first page's number as the default of "
            f"${self.query.paging_variable} in {self.query.file}",
            retry_after=trouble.retry_after,
            busy=trouble.busy,
        )

    async def _page(self, at: Position, size: int) -> Page:
        try:
            return await self.fetch(PageRequest(at, size))
        except PoisonItem as poison:
            if at.page is None or not self.query.has_page_size or not 0 <= poison.index < size:
                raise poison.request_error from None
            start = (at.page - at.base) * size
            parts = await _PageSplitter(self, at.base).split(start, size)
            if any(broken.position == start + poison.index for part in parts for broken in part.broken):
                return _concatenated(parts)
            request_error = poison.request_error
        return await self._whole(at, size, request_error)

    async def _whole(self, at: Position, size: int, request_error: BridgeError) -> Page:
        """Read the page again.

        Its parts did not show the failure, so either it has passed, or the parts were other items.
        """
        try:
            return await self.fetch(PageRequest(at, size))
        except PoisonItem:
            raise request_error from None


class _PageSplitter:
    """Reads one page as several smaller ones, and those with a failing item as smaller ones still.

    The parts of a page have numbers of their own: of 100 items, page 3 is the pages 6 and 7 of 50.

    Args:
        paginator: Reads the parts.
        base: The number of the first page.
    """

    def __init__(self, paginator: PageNumberPaginator, base: int) -> None:
        self._paginator = paginator
        self._base = base
        self._lost = 0

    async def split(self, start: int, length: int) -> list[Page]:
        """The items from ``start`` on, ``length`` of them. An item that fails is a broken record."""
        part = length // _smallest_factor(length)
        found: list[Page] = []
        for first in range(start, start + length, part):
            found += await self._part(first, part)
        return found

    async def _part(self, first: int, length: int) -> list[Page]:
        at = Position(first, page=first // length + self._base, base=self._base)
        try:
            page = await self._paginator.fetch(PageRequest(at, length))
            if not page.count:
                page = await self._paginator.fetch(PageRequest(at, length))
            if page.is_long:
                return await self._shorter(page, first, length)
        except PoisonItem as poison:
            return await self.split(first, length) if length > 1 else [self._left(first, poison)]
        self._lost = 0 if page.records else self._lost
        return [page]

    async def _shorter(self, page: Page, first: int, length: int) -> list[Page]:
        """The parts of a long part: memory has room for one long page only."""
        if length == 1 and len(page.records) > 1:
            raise too_long_error("A page with a record that cannot be read is too long to go around it")
        if length > 1 and page.records:
            page.close()
            return await self.split(first, length)
        short = replace(page, records=tuple(page.records))
        page.close()
        return [short]

    def _left(self, place: int, poison: PoisonItem) -> Page:
        self._lost += 1
        if self._lost > MAX_FAILED_IN_A_ROW:
            raise poison.request_error
        return self._paginator.lost(place, poison)


def _joined(zero: Page, one: Page) -> tuple[Page, Position]:
    """Pages 0 and 1 as one page, each record once, and the position after them."""
    known, same = set(zero.id_hashes), _is_same(zero, one)
    pairs = zip(one.records, one.id_hashes, strict=True)
    fresh = tuple(record for record, id_hash in pairs if id_hash not in known)
    behind = () if same and zero.count else _moved(one.broken, 0 if same else zero.count)
    page = Page(
        (*zero.records, *fresh),
        (*zero.broken, *behind),
        read_at=min(zero.read_at, one.read_at),
        id_hashes=one.id_hashes or zero.id_hashes,
        unlisted=one.unlisted if same else (*zero.unlisted, *one.unlisted),
        more=one.more,
        signs=one.signs,
    )
    return page, Position(page.count, page=2, base=1 if same else 0)


def _is_same(zero: Page, one: Page) -> bool:
    """Whether the server answered page 0 with page 1, or with nothing."""
    known = set(zero.id_hashes)
    fresh = sum(id_hash not in known for id_hash in one.id_hashes)
    return not zero.count or 2 * fresh < len(one.records)


def _moved(broken: Sequence[BrokenRecord], by: int) -> tuple[BrokenRecord, ...]:
    return tuple(replace(one, position=one.position + by) for one in broken)


def _first_page_number(once: Page, twice: Page, again: Page) -> int | None:
    """The first page's number, if a page of one item, one of two, and the first again prove it."""
    sized = once.count == 1 and twice.count <= 2  # noqa: PLR2004 - one of two items
    if (
        not sized
        or once.id_hashes != again.id_hashes
        or not once.id_hashes
        or len(twice.id_hashes) != twice.count
    ):
        return None
    if once.id_hashes[0] not in twice.id_hashes:
        return 0
    # One item alone proves nothing: a server that ignores the size may have one left in both.
    return 1 if twice.count > 1 and twice.id_hashes[0] == once.id_hashes[0] else None


def _concatenated(parts: Sequence[Page]) -> Page:
    records = tuple(record for part in parts for record in part.records)
    return Page(
        records,
        tuple(one for part in parts for one in part.broken),
        read_at=min(part.read_at for part in parts),
        id_hashes=array("q", (id_hash for part in parts for id_hash in part.id_hashes)),
        unlisted=tuple(one for part in parts for one in part.unlisted),
    )


def _smallest_factor(number: int) -> int:
    return next((factor for factor in range(2, number + 1) if number % factor == 0), 1)
