"""Walking a list: where it ends, what moves it on, how a poisoned item is passed, and reading ahead."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import QueryFileError, Refused, Transient
from bridge.event_loop_turns import run_to_end
from bridge.records import Stream
from bridge.salestrekker.list_query import Position, load_list_query
from bridge.salestrekker.pages import Page, PageRequest, prefetch_pages, sort_items
from bridge.salestrekker.pagination import ListReader
from bridge.salestrekker.query_files import shipped_queries
from bridge.salestrekker.responses import ListItems, PoisonItem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

QUERY = load_list_query("contacts.graphql", [shipped_queries()])


def identify(data: Mapping[str, object]) -> str | None:
    found = data.get("id")
    return str(found) if found else None


@dataclass
class Shelf:
    """A list of ``size`` items, given out as a server does that has its own ideas.

    Attributes:
        size: How many items there are.
        at_most: Gives no more at once, whatever is asked for.
        poisoned: Items that take their whole page with them.
        empty_once: Offsets at which the first answer is empty.
    """

    size: int
    at_most: int = 1000
    poisoned: frozenset[int] = frozenset()
    empty_once: set[int] = field(default_factory=set)
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def fetch(self, ask: PageRequest) -> Page:
        offset, size = ask.position.read, ask.size
        self.asked.append((offset, size))
        if offset in self.empty_once:
            self.empty_once.remove(offset)
            return self._page(offset, 0)
        count = max(0, min(size, self.at_most, self.size - offset))
        for index in range(count):
            if offset + index in self.poisoned:
                raise PoisonItem("poisoned", index, Refused("all of them"))
        return self._page(offset, count)

    def pages(self, page_size: int, start: int = 0) -> AsyncGenerator[Page]:
        return ListReader(QUERY, self.fetch, lambda: 5).pages(page_size, str(start))

    def _page(self, offset: int, count: int) -> Page:
        items = tuple({"id": str(offset + index)} for index in range(count))
        found = ListItems(items, {})
        return run_to_end(
            sort_items(found, stream=Stream.CONTACTS, identify=identify, place=offset, read_at=1)
        )


async def ids_of(pages: AsyncGenerator[Page]) -> list[int]:
    return [int(record.id) for page in [page async for page in pages] for record in page.records]


def test_items_are_sorted_into_records_and_broken_ones() -> None:
    found = ListItems(({"id": "a"}, {"id": "b"}, None, {"name": "x"}, 7), {1: "no e-mail"})
    page = run_to_end(sort_items(found, stream=Stream.PRODUCTS, identify=identify, place=40, read_at=9))
    assert [(record.id, record.stream, record.read_at) for record in page.records] == [("a", "products", 9)]
    assert [(broken.position, broken.id) for broken in page.broken] == [
        (41, "b"),
        (42, ""),
        (43, ""),
        (44, ""),
    ]
    assert [broken.message for broken in page.broken][:3] == [
        "no e-mail",
        "Salestrekker listed it as null",
        "it has no id",
    ]
    assert page.count == 5


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 20), st.integers(0, 60))
async def test_every_item_is_read_once_whatever_the_page_sizes(
    size: int, page_size: int, at_most: int, start: int
) -> None:
    """The offset moves by what was received, also where the server gives fewer than it was asked for."""
    assert await ids_of(Shelf(size, at_most=at_most).pages(page_size, start)) == list(range(start, size))


async def test_the_end_is_an_empty_page_asked_for_twice() -> None:
    shelf = Shelf(25)
    pages = [page async for page in shelf.pages(10)]
    assert [page.last for page in pages] == [False, False, False, True]
    assert (pages[-1].records, pages[-1].broken) == ((), ())
    assert pages[-1].next_position == "25"
    assert shelf.asked == [(0, 10), (10, 10), (20, 10), (25, 10), (25, 10)]


async def test_a_page_that_is_empty_only_once_is_not_the_end() -> None:
    assert await ids_of(Shelf(25, empty_once={0, 10, 25}).pages(10)) == list(range(25))


@given(st.integers(1, 30), st.integers(1, 12), st.frozensets(st.integers(0, 29), max_size=5))
async def test_a_poisoned_item_stops_only_itself(size: int, page_size: int, poisoned: frozenset[int]) -> None:
    """All others are read, and the poisoned ones are told by their place."""
    shelf = Shelf(size, poisoned=poisoned)
    pages = [page async for page in shelf.pages(page_size)]
    found = {int(record.id) for page in pages for record in page.records}
    broken = [broken.position for page in pages for broken in page.broken]
    assert found == set(range(size)) - poisoned
    assert broken == sorted(poisoned & set(range(size)))


async def test_many_poisoned_items_in_a_row_are_a_fault_of_all() -> None:
    """Else a field that fails for all would be asked for once per record."""
    shelf = Shelf(500, poisoned=frozenset(range(20, 500)))
    with pytest.raises(Refused, match="all of them"):
        await ids_of(shelf.pages(100))
    assert len(shelf.asked) < 30


@pytest.mark.parametrize("page_size", [1, 10])
async def test_many_poisoned_items_among_others_are_each_its_own(page_size: int) -> None:
    """Only those in a row are counted: what is read in between shows that not all are at fault."""
    shelf = Shelf(40, poisoned=frozenset(range(0, 40, 2)))
    assert await ids_of(shelf.pages(page_size)) == list(range(1, 40, 2))


async def test_a_server_that_ignores_the_offset_is_found_out() -> None:
    shelf = Shelf(30)

    async def fetch(ask: PageRequest) -> Page:
        return await shelf.fetch(replace(ask, position=Position()))

    walk = ListReader(QUERY, fetch, lambda: 5).pages(10)
    assert len((await anext(walk)).records) == 10
    with pytest.raises(QueryFileError, match=r"\$offset is ignored"):
        await anext(walk)


async def test_the_next_page_is_fetched_while_the_caller_works_and_no_further() -> None:
    shelf = Shelf(50)
    second = asyncio.Event()

    async def fetch(ask: PageRequest) -> Page:
        if ask.position.read == 10:
            second.set()
        return await shelf.fetch(ask)

    async with aclosing(prefetch_pages(ListReader(QUERY, fetch, lambda: 5).pages(10))) as pages:
        assert (await anext(pages)).next_position == "10"
        await asyncio.wait_for(second.wait(), 5)
        assert [offset for offset, _ in shelf.asked] == [0, 10]


async def test_an_error_comes_after_the_good_pages_before_it() -> None:
    shelf = Shelf(50)

    async def fetch(ask: PageRequest) -> Page:
        if ask.position.read == 20:
            raise Transient("lost")
        return await shelf.fetch(ask)

    async with aclosing(prefetch_pages(ListReader(QUERY, fetch, lambda: 5).pages(10))) as pages:
        assert [(await anext(pages)).next_position for _ in range(2)] == ["10", "20"]
        with pytest.raises(Transient, match="lost"):
            await anext(pages)


@pytest.mark.parametrize("hangs", [True, False])
async def test_closing_early_leaves_no_task_and_no_complaint(*, hangs: bool) -> None:
    """Neither while the next page is on its way nor when it has failed already."""
    shelf = Shelf(50)
    reached, cancelled = asyncio.Event(), asyncio.Event()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fetch(ask: PageRequest) -> Page:
        if ask.position == Position():
            return await shelf.fetch(ask)
        reached.set()
        if not hangs:
            raise Transient("lost")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with aclosing(prefetch_pages(ListReader(QUERY, fetch, lambda: 5).pages(10))) as pages:
        await anext(pages)
        await asyncio.wait_for(reached.wait(), 5)
    assert cancelled.is_set() is hangs
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert complaints == []
