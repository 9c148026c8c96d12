"""Read a list from a position to its end, in each style of paging.

::

    position ──Paginator.step──> a page, and the next position ──ListReader──> Page
                                             └─ finds the end, repetitions, and too many unreadable items

Paging by offset or by page number ends only at an empty page that is empty when requested again. For reasons
of the server's own, a page may be short, or empty once. A total, a last page's number or a word that there is
no more ends nothing by itself: one page more is requested. But then one empty page is enough, and so is one
that repeats the last page, or a request that is rejected, as some servers do beyond their last page. Cursors
end where the server says so, and a list without paging ends after its one page.

At the end, the server's signs are compared with what was read: ``Page.doubt``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.errors import QueryFileError, Transient
from bridge.salestrekker.list_query import Paging, Position
from bridge.salestrekker.page_number_paginator import PageNumberPaginator
from bridge.salestrekker.pages import Doubt, Page
from bridge.salestrekker.paginators import (
    MAX_FAILED_IN_A_ROW,
    CursorPaginator,
    OffsetPaginator,
    SinglePagePaginator,
    ignored_variable_error,
)
from bridge.salestrekker.responses import NO_SIGNS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import FetchPage
    from bridge.salestrekker.paginators import Paginator
    from bridge.salestrekker.responses import ListSigns

__all__ = ["MAX_EMPTY_IN_A_ROW", "ListReader", "find_contradiction"]

MAX_EMPTY_IN_A_ROW: Final = 100
"""If more pages than this are empty in a row although each gives another cursor, the end would never come."""

PAGINATORS: Final[Mapping[Paging, type[Paginator]]] = {
    Paging.OFFSET: OffsetPaginator,
    Paging.PAGE: PageNumberPaginator,
    Paging.CURSOR: CursorPaginator,
    Paging.PLAIN: SinglePagePaginator,
}


ProveWhole: TypeAlias = "Callable[[], Awaitable[Doubt | None]]"
"""Finds out why a list that was read in one request may not be whole."""


@dataclass(frozen=True, slots=True)
class ListReader:
    """One reading of a list.

    Attributes:
        query: The list query.
        fetch: Reads one page. It may be called again for the same page.
        now: Returns milliseconds since the epoch.
        prove: Called at the end of a list that was read in one request. None: only the response counts.
        wanted_whole: Whether the whole list is requested, not only what has changed.
    """

    query: ListQuery
    fetch: FetchPage
    now: Callable[[], int]
    prove: ProveWhole | None = None
    wanted_whole: bool = True

    async def pages(self, page_size: int, start: str = "") -> AsyncGenerator[Page]:
        """All pages from the position ``start`` on. The last one is empty and has ``last`` set.

        Raises:
            QueryFileError: The query does not move through the list: two pages in a row hold the same
                records, or the cursor does not advance.
            BridgeError: As ``fetch`` raises, or more than a few items in a row cannot be read.
        """
        paginator = PAGINATORS[self.query.paging](self.query, self.fetch, self.now)
        at, failed, empty, last = Position.of(start), 0, 0, _LastPage()
        page = Page((), ())
        while not at.end:
            page, after = await _next_page(paginator, at, page_size, last)
            if page.count:
                if page.id_hashes and page.id_hashes == last.id_hashes:
                    raise ignored_variable_error(self.query, "two pages in a row hold the same records")
                failed = 0 if page.records else failed + 1
                if failed > MAX_FAILED_IN_A_ROW:
                    raise page.poison.request_error if page.poison else self._unreadable(failed)
                yield replace(page, broken=(*page.broken, *page.unlisted), next_position=str(after))
            empty = 0 if page.count else empty + 1
            last = _LastPage.of(page, after, last, self.query.paging)
            if after.end and not page.count:
                break
            if empty > MAX_EMPTY_IN_A_ROW:
                raise Transient(f"{empty} pages in a row were empty ({self.query.file})")
            at = after
        yield Page((), (), str(at), last=True, doubt=await self._doubt(at, last.signs, page))

    async def _doubt(self, at: Position, signs: ListSigns, page: Page) -> Doubt | None:
        """Why the list may not be whole."""
        if not self.wanted_whole:
            return None
        doubt = find_contradiction(self.query, at.read, signs)
        if page is CUT_OFF and signs.more is not False:
            doubt = doubt or Doubt(
                f"Salestrekker gives no page after {at.read:,} records, which may be its limit",
                f"If the list has more records, let {self.query.file} page by a cursor, or select whether "
                "the list goes on (docs/paging.md).",
                shown=False,
            )
        if doubt or self.prove is None or self.query.paging is not Paging.PLAIN:
            return doubt
        return await self.prove()

    def _unreadable(self, pages: int) -> Transient:
        return Transient(f"{pages} pages in a row held no record that could be read ({self.query.file})")


@dataclass(frozen=True, slots=True)
class _LastPage:
    """What the page before the present one leaves behind.

    Attributes:
        id_hashes: See ``Page``.
        signs: The server's latest signs about the list.
        ends: Whether it was the last page, as far as the server's signs go.
        ahead: Whether a total was higher than what had been read: it counts more than one page.
    """

    id_hashes: Sequence[int] = ()
    signs: ListSigns = NO_SIGNS
    ends: bool = False
    ahead: bool = False

    @classmethod
    def of(cls, page: Page, after: Position, before: _LastPage, paging: Paging) -> _LastPage:
        """What a page leaves behind. An end without a response leaves what was there."""
        signs = before.signs if page.signs == NO_SIGNS else page.signs
        if not page.count:
            return replace(before, signs=signs)
        total = page.signs.total
        reached = before.ahead and total == after.read
        ends = paging in NUMBERED and (reached or _ends(page.signs, after))
        return cls(page.id_hashes, signs, ends, before.ahead or (total or 0) > after.read)


CUT_OFF: Final = Page((), ())
"""In place of a page that the server refused, or that repeated the one before.

A total, or a number of pages, announced the end. That is no proof: a search engine counts, and pages, up to
10,000 records only.
"""

NUMBERED: Final = frozenset({Paging.OFFSET, Paging.PAGE})
"""Styles in which only an empty page shows the end."""


def _ends(signs: ListSigns, after: Position) -> bool:
    """Whether the server says that nothing comes after a position, by other signs than a total."""
    pages = None if after.page is None else after.page - after.base
    past = signs.last_page is not None and pages is not None and pages >= signs.last_page
    return past or signs.more is False


async def _next_page(paginator: Paginator, at: Position, size: int, last: _LastPage) -> tuple[Page, Position]:
    """A page and where the next one begins. At the end, the page is empty and the position has ``end`` set.

    An empty page counts only if it is empty again, or if the server's signs announced it.
    """
    end = CUT_OFF, replace(at, end=True)
    try:
        page, after = await paginator.step(at, size)
    except QueryFileError:
        if last.ends:
            return end
        raise
    if page.count:
        repeats = last.ends and page.id_hashes and page.id_hashes == last.id_hashes
        return end if repeats else (page, after)
    if not (last.ends and not page.unlisted):
        page, after = await paginator.step(at, size)
    if page.count:
        return page, after
    file = paginator.query.file
    if page.unlisted:
        raise Transient(f"Salestrekker lists no record of a page, and reports errors about some ({file})")
    if page.more and page.more.more and page.more.explicit:
        raise Transient(f"Salestrekker gives an empty page, and says there is more ({file})")
    goes_on = page.more is not None and not page.more.explicit and after != at
    return (page, after) if goes_on else (page, replace(at, end=True))


def find_contradiction(query: ListQuery, read: int, signs: ListSigns) -> Doubt | None:
    """What in the server's last response contradicts the end of a list, or None.

    Args:
        query: The list query.
        read: How many items were read.
        signs: The server's latest signs about the list.
    """
    if signs.total is not None and signs.total > read:
        return Doubt(
            f"Salestrekker says that the list has {signs.total:,} records, but gave {read:,}",
            f"Let {query.file} move through the list (docs/paging.md). If the total counts other records "
            "too, take it out of the query.",
        )
    if signs.more and query.paging is not Paging.CURSOR:
        return Doubt(f"Salestrekker says that the list goes on after {read:,} records", _move_on(query))
    if query.paging is Paging.PLAIN and (signs.cursor or (signs.last_page or 0) > 1):
        what = "a next cursor" if signs.cursor else f"{signs.last_page:,} pages"
        return Doubt(f"Salestrekker gave {what}, which the query does not use", _move_on(query))
    return None


def _move_on(query: ListQuery) -> str:
    return (
        f"Let {query.file} move through the list: declare the variable for it, and pass it on "
        "(docs/paging.md). `trakor-bridge check` shows what to write, if the schema is available."
    )
