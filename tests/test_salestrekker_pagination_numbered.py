"""Numbered pages given out by servers that have their own ideas: nothing is lost, or it is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from graphql import OperationDefinitionNode, parse
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, QueryFileError, Refused, Transient
from bridge.event_loop_turns import run_to_end
from bridge.records import Stream
from bridge.salestrekker.list_query import ListQuery, parse_list_query
from bridge.salestrekker.pages import Page, PageRequest, sort_items
from bridge.salestrekker.pagination import ListReader
from bridge.salestrekker.query_files import QueryDocument
from bridge.salestrekker.responses import ListItems, PoisonItem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.salestrekker.pages import Page


def identify(data: Mapping[str, object]) -> str | None:
    found = data.get("id")
    return str(found) if found else None


def clamped(_book: Book, _size: int) -> int:
    """Page 0 is page 1."""
    return 0


def empty(book: Book, _size: int) -> int:
    """Page 0 has nothing."""
    return len(book.items)


def blamed(_book: Book, _size: int) -> int:
    """Page 0 is a mistake of the request."""
    raise QueryFileError("page must be at least 1")


def faulty(_book: Book, _size: int) -> int:
    """Page 0 is some fault."""
    raise Transient("something went wrong")


@dataclass
class Book:
    """A list in numbered pages.

    Attributes:
        items: What it holds.
        base: The number of its first page.
        zero: What it makes of page 0, where the first is 1: the place it begins at.
        fixed: Pages have this size, whatever is asked for; 0: the size that is asked for.
        most: Or at most this size.
        poisoned: Items that take their page with them.
        between: Happens after each request.
    """

    items: list[str]
    base: int
    zero: Callable[[Book, int], int] = clamped
    fixed: int = 0
    most: int = 1000
    poisoned: frozenset[str] = frozenset()
    between: Callable[[Book], None] | None = None
    asked: list[tuple[int | None, int]] = field(default_factory=list)

    async def fetch(self, ask: PageRequest) -> Page:
        self.asked.append((ask.position.page, ask.size))
        assert ask.position.page is not None
        size = self.fixed or min(ask.size, self.most)
        place = (ask.position.page - self.base) * size
        start = self.zero(self, size) if place < 0 else place
        found = self.items[start : start + size]
        if self.between:
            self.between(self)
        for index, item in enumerate(found):
            if item in self.poisoned:
                raise PoisonItem("poisoned", index, Refused("all of them"))
        listed = ListItems(tuple({"id": item} for item in found), {})
        return run_to_end(
            sort_items(listed, stream=Stream.CONTACTS, identify=identify, place=ask.position.read, read_at=1)
        )

    async def read(self, query: ListQuery, size: int, start: str = "") -> list[Page]:
        return [page async for page in ListReader(query, self.fetch, lambda: 5).pages(size, start)]


def ids(pages: list[Page]) -> list[str]:
    return [record.id for page in pages for record in page.records]


def numbered(count: int) -> list[str]:
    return [f"c{place}" for place in range(count)]


ZEROS = st.sampled_from([clamped, empty, blamed, faulty])


def a_list(text: str) -> ListQuery:
    """The query of this text, as if from a file."""
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return parse_list_query(QueryDocument("q.graphql", text, "fingerprint", operation, {}))


QUERY = a_list("query Q($page: Int, $size: Int) { list(page: $page, size: $size) { id } }")
UNSIZED = a_list("query Q($page: Int) { list(page: $page) { id } }")
TOLD = a_list("query Q($page: Int = 1, $size: Int) { list(page: $page, size: $size) { id } }")


@given(st.integers(2, 60), st.integers(0, 1), ZEROS, st.integers(1, 25), st.integers(2, 30))
async def test_every_item_is_read_once_from_wherever_a_walk_begins(
    count: int, base: int, zero: Callable[[Book, int], int], size: int, most: int
) -> None:
    """Whatever the first number is, and whatever a page 0 that is not there is answered with."""
    book = Book(numbered(count), base, zero, most=most)
    pages = await book.read(QUERY, size)
    assert ids(pages) == book.items
    for place, page in enumerate(pages):
        rest = await book.read(QUERY, size, page.next_position)
        assert ids(pages[: place + 1]) + ids(rest) == book.items


@given(st.integers(0, 60), st.integers(0, 1), ZEROS, st.integers(1, 25), st.integers(1, 25))
async def test_where_the_server_chooses_the_size_all_is_read_or_it_is_an_error(
    count: int, base: int, zero: Callable[[Book, int], int], size: int, fixed: int
) -> None:
    """Never is a part taken for the whole: a page of one item that stands alone proves nothing."""
    for query in (QUERY, UNSIZED):
        book = Book(numbered(count), base, zero, fixed=fixed)
        try:
            pages = await book.read(query, size)
        except BridgeError:
            assert zero is faulty
            assert base == 1
        else:
            assert ids(pages) == book.items


@given(
    st.integers(2, 40),
    st.integers(0, 1),
    ZEROS,
    st.integers(1, 12),
    st.sets(st.integers(0, 39), min_size=1, max_size=4),
)
async def test_a_poisoned_item_stops_only_itself(
    count: int, base: int, zero: Callable[[Book, int], int], size: int, places: set[int]
) -> None:
    """Or all, where so many are poisoned that the first number could not be found out."""
    poisoned = {place for place in places if place < count}
    book = Book(numbered(count), base, zero, poisoned=frozenset(f"c{place}" for place in poisoned))
    try:
        pages = await book.read(QUERY, size)
    except Refused:
        assert poisoned & set(range(max(6, 2 * size)))
    except Transient:
        assert (zero, base) == (faulty, 1)
    else:
        assert ids(pages) == [item for item in book.items if item not in book.poisoned]
        assert [one.position for page in pages for one in page.broken] == sorted(poisoned)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("zero", [clamped, empty, blamed, faulty])
async def test_a_single_poisoned_item_is_passed_at_any_place(
    base: int, zero: Callable[[Book, int], int]
) -> None:
    for place in range(30):
        book = Book(numbered(30), base, zero, poisoned=frozenset({f"c{place}"}))
        pages = await book.read(QUERY, 10)
        assert ids(pages) == [item for item in book.items if item != f"c{place}"]
        assert [one.position for page in pages for one in page.broken] == [place]


async def test_many_poisoned_items_of_one_page_are_each_its_own() -> None:
    """Only those in a row are counted: what is read in between shows that not all are at fault."""
    poisoned = frozenset(f"c{place}" for place in range(32, 64, 2))
    book = Book(numbered(64), 1, poisoned=poisoned)
    assert ids(await book.read(QUERY, 32)) == [item for item in book.items if item not in poisoned]


async def test_a_page_is_not_split_where_its_numbers_mean_something_else() -> None:
    """The server gives 30 where 100 are asked for: page 3 of 100 is not two pages of 50."""
    book = Book(numbered(200), 1, most=30, poisoned=frozenset({"c70"}))
    with pytest.raises(Refused, match="all of them"):
        await book.read(QUERY, 100)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("base", [0, 1])
async def test_the_shortest_lists(base: int, count: int) -> None:
    """Where page 0 fails without a reason, they prove nothing: then the query has the last word."""
    for zero in (clamped, empty, blamed):
        assert ids(await Book(numbered(count), base, zero).read(QUERY, 10)) == numbered(count)
    book = Book(numbered(count), 1, faulty)
    with pytest.raises(Transient, match=r"default of \$page in q\.graphql"):
        await book.read(QUERY, 10)
    assert ids(await book.read(TOLD, 10)) == numbered(count)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("zero", [clamped, empty, blamed, faulty])
async def test_what_is_added_in_front_meanwhile_loses_nothing(
    base: int, zero: Callable[[Book, int], int]
) -> None:
    """The newest first, and new ones after each of the first requests."""

    def grow(book: Book) -> None:
        if len(book.asked) <= 5:
            book.items.insert(0, f"new {len(book.asked)}")

    for count in range(2, 12):
        book = Book(numbered(count), base, zero, between=grow)
        try:
            found = set(ids(await book.read(QUERY, 5)))
        except Transient:
            assert (zero, base) == (faulty, 1)
        else:
            assert set(numbered(count)) <= found


async def test_the_number_costs_next_to_nothing_to_find_out() -> None:
    """Nothing where it is 0, one request where it is 1, and three small ones where page 0 just fails."""
    requests = {}
    for base, zero in ((0, clamped), (1, clamped), (1, empty), (1, blamed), (1, faulty)):
        book = Book(numbered(40), base, zero)
        await book.read(QUERY, 10)
        requests[base, zero] = len(book.asked)
    assert requests == {
        (0, clamped): 6,
        (1, clamped): 7,
        (1, empty): 7,
        (1, blamed): 7,
        (1, faulty): 11,
    }
