"""Lists by a next cursor that is null at the end, with the guards that each style of paging has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import QueryFileError, Transient
from bridge.salestrekker.list_query import Paging
from bridge.salestrekker.pagination import MAX_EMPTY_IN_A_ROW
from bridge.sandbox import Fault
from foreign_lists import ROWS, doubt_of, ids, page_by_cursor, query_of, read, serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bridge.salestrekker.list_query import ListQuery
    from schemas import ForeignSandbox

SDL = """type Query { products(cursor: String, limit: Int): Products }
type Item { id: ID! name: String }
type Products { items: [Item!] nextCursor: String total: Int paging: Meta } type Meta { next: String }"""
TEXT = """query Q($cursor: String, $limit: Int) {
  products(cursor: $cursor, limit: $limit) { items { id name } nextCursor } }"""
ALL = [row["id"] for row in ROWS]


@pytest.fixture
def query(tmp_path: Path) -> ListQuery:
    return query_of(tmp_path, TEXT)


def asked(sandbox: ForeignSandbox) -> list[Any]:
    """The cursor of each request for a page."""
    exchanges = sandbox.salestrekker.traffic.exchanges
    return [one.content["variables"].get("cursor") for one in exchanges if one.kind == "products"]


@pytest.mark.parametrize("size", [7, 10, 40, 100])
async def test_it_is_read_to_the_null(query: ListQuery, size: int) -> None:
    async with serve(SDL, products=page_by_cursor) as sandbox:
        pages = await read(sandbox, query, size)
    assert query.paging is Paging.CURSOR
    assert (ids(pages), doubt_of(pages)) == (ALL, "")


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_it_goes_on_from_any_position_that_was_stored(query: ListQuery, count: int) -> None:
    """Whatever process reads on."""
    async with serve(SDL, products=page_by_cursor) as sandbox:
        first = (await read(sandbox, query))[:count]
        rest = await read(sandbox, query, start=first[-1].next_position)
    assert ids(first) + ids(rest) == ALL
    assert rest[-1].last


@pytest.mark.parametrize(
    ("selected", "variable"),
    [
        ("items { id } paging { next }", "$cursor: String"),
        ("items { id } nextCursor", "$pageToken: String"),
        ("items { id } nextCursor", "$bookmark: ID"),
        ("rows: items { id } goOn: nextCursor", "$whatever: String"),
    ],
)
async def test_cursor_and_variable_may_have_many_names(tmp_path: Path, selected: str, variable: str) -> None:
    name = variable.partition(":")[0]
    text = f"query Q({variable}) {{ all: products(cursor: {name}) {{ {selected} }} }}"
    sdl = SDL.replace("cursor: String", f"cursor: {variable.partition(': ')[2]}")

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = page_by_cursor(arguments)
        return {**found, "paging": {"next": found["nextCursor"]}}

    async with serve(sdl, products=page) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, text))
    assert ids(pages) == ALL


async def test_a_cursor_may_be_a_number(tmp_path: Path) -> None:
    """It is stored as text, and sent as the variable's type takes it."""
    sdl = SDL.replace("cursor: String", "cursor: Int").replace("nextCursor: String", "nextCursor: Int")

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = page_by_cursor(arguments)
        return {**found, "nextCursor": found["nextCursor"] and int(found["nextCursor"])}

    async with serve(sdl, products=page) as sandbox:
        query = query_of(tmp_path, TEXT.replace("$cursor: String", "$cursor: Int"))
        pages = await read(sandbox, query)
        rest = await read(sandbox, query, start=pages[1].next_position)
    assert ids(pages) == ALL
    assert ids(rest) == ALL[20:]


async def test_the_number_0_or_empty_text_is_not_confused_with_null(query: ListQuery) -> None:
    """Empty text ends a list as null does."""
    async with serve(SDL, products=lambda _: {"items": ROWS[:3], "nextCursor": ""}) as sandbox:
        assert ids(await read(sandbox, query)) == ALL[:3]


async def test_a_cursor_that_does_not_advance_is_an_error(query: ListQuery) -> None:
    async with serve(SDL, products=lambda _: {"items": ROWS[:3], "nextCursor": "same"}) as sandbox:
        with pytest.raises(QueryFileError, match=r"\$cursor is ignored"):
            await read(sandbox, query)


async def test_pages_that_repeat_themselves_under_new_cursors_are_an_error(query: ListQuery) -> None:
    def again(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"items": ROWS[:3], "nextCursor": f"{arguments.get('cursor')}x"}

    async with serve(SDL, products=again) as sandbox:
        with pytest.raises(QueryFileError, match="two pages in a row hold the same records"):
            await read(sandbox, query)


async def test_an_empty_page_is_read_twice(query: ListQuery) -> None:
    """A page that is empty only once, and gives no cursor then, is not the end."""
    answers = iter([page_by_cursor({}), {"items": [], "nextCursor": None}])

    def sometimes_empty(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return next(answers, None) or page_by_cursor(arguments)

    async with serve(SDL, products=sometimes_empty) as sandbox:
        assert ids(await read(sandbox, query, 15)) == ALL


async def test_an_empty_page_in_the_middle_is_passed(query: ListQuery) -> None:
    """Servers that filter after they have cut a page give such pages, with a cursor."""
    steps = {None: (ROWS[:3], "a"), "a": ([], "b"), "b": ([], "c"), "c": (ROWS[3:5], "d"), "d": ([], None)}

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        items, cursor = steps[arguments.get("cursor")]
        return {"items": items, "nextCursor": cursor}

    async with serve(SDL, products=page) as sandbox:
        pages = await read(sandbox, query)
        rest = await read(sandbox, query, start=pages[0].next_position)
        assert asked(sandbox)[:9] == [None, "a", "a", "b", "b", "c", "d", "d", "a"]
    assert (ids(pages), ids(rest)) == (ALL[:5], ALL[3:5])


async def test_empty_pages_without_end_are_given_up(query: ListQuery) -> None:
    def empty(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"items": [], "nextCursor": f"{int(arguments.get('cursor') or 0) + 1}"}

    async with serve(SDL, products=empty) as sandbox:
        with pytest.raises(Transient, match="pages in a row were empty"):
            await read(sandbox, query)
        assert len(asked(sandbox)) <= 2 * (MAX_EMPTY_IN_A_ROW + 1)


async def test_an_empty_page_whose_cursor_stays_is_the_end(query: ListQuery) -> None:
    """Some servers repeat their last cursor for ever."""

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"items": [] if arguments.get("cursor") else ROWS[:3], "nextCursor": "end"}

    async with serve(SDL, products=page) as sandbox:
        assert ids(await read(sandbox, query)) == ALL[:3]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"items": [{"id": "a"}]}, "products without nextCursor"),
        ({"items": None, "nextCursor": "x"}, "null"),
    ],
)
async def test_a_response_that_does_not_say_where_the_list_goes_on_is_no_end(
    query: ListQuery, answer: dict[str, Any], says: str
) -> None:
    async with serve(SDL, products=page_by_cursor) as sandbox:
        fault = Fault(kind="products", status=200, body={"data": {"products": answer}}, times=None)
        sandbox.salestrekker.faults.add(fault)
        with pytest.raises(Transient, match=says):
            await read(sandbox, query)


async def test_a_cursor_that_failed_is_no_end(query: ListQuery) -> None:
    """Null with an error is not the null at the end."""
    body = {
        "data": {"products": {"items": [{"id": "a"}], "nextCursor": None}},
        "errors": [{"message": "x", "path": ["products", "nextCursor"]}],
    }
    async with serve(SDL, products=page_by_cursor) as sandbox:
        sandbox.salestrekker.faults.add(Fault(kind="products", status=200, body=body, times=None))
        with pytest.raises(Transient):
            await read(sandbox, query)


async def test_a_cursor_of_another_form_is_an_error(query: ListQuery) -> None:
    body = {"data": {"products": {"items": [{"id": "a"}], "nextCursor": {"id": 5}}}}
    async with serve(SDL, products=page_by_cursor) as sandbox:
        sandbox.salestrekker.faults.add(Fault(kind="products", status=200, body=body, times=None))
        with pytest.raises(QueryFileError, match="is no cursor"):
            await read(sandbox, query)


@pytest.mark.parametrize("places", [(0,), (9,), (3, 14, 15, 39)], ids=str)
async def test_a_record_that_makes_its_page_fail_is_passed(query: ListQuery, places: tuple[int, ...]) -> None:
    """In smaller pages, and past the record itself by a request for the cursor alone."""
    rows = [{**row, "id": None} if place in places else row for place, row in enumerate(ROWS)]
    async with serve(SDL, products=lambda arguments: page_by_cursor(arguments, rows)) as sandbox:
        pages = await read(sandbox, query)
    assert ids(pages) == [one for place, one in enumerate(ALL) if place not in places]
    assert [one.position for page in pages for one in page.broken] == list(places)


async def test_many_that_fail_in_a_row_are_a_fault_of_all(query: ListQuery) -> None:
    rows = [{**row, "id": None} if place > 5 else row for place, row in enumerate(ROWS)]
    async with serve(SDL, products=lambda arguments: page_by_cursor(arguments, rows)) as sandbox:
        with pytest.raises(Transient, match="id"):
            await read(sandbox, query)
        assert len(asked(sandbox)) < 60


async def test_a_list_that_ends_before_its_total_leaves_a_doubt(tmp_path: Path) -> None:
    """A server that gives no more than a certain number, and then says that the list ends."""
    text = TEXT.replace("nextCursor", "nextCursor total")

    def capped(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {**page_by_cursor(arguments, ROWS[:30]), "total": 40}

    async with serve(SDL, products=capped) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, text))
    assert ids(pages) == ALL[:30]
    assert "the list has 40 records, but gave 30" in doubt_of(pages)


def test_a_query_by_cursor_must_select_the_next_one(tmp_path: Path) -> None:
    with pytest.raises(QueryFileError, match="whether and where the list goes on") as caught:
        query_of(tmp_path, TEXT.replace("nextCursor", "total"))
    assert "`nextCursor` beside the list" in caught.value.advice


EDGES = """type Query { products(after: String, first: Int): Edges } type Edges { edges: [Edge] }
type Item { id: ID! name: String } type Edge { cursor: String node: Item }"""
BY_ITEM = """query Q($after: String, $first: Int) {
  products(after: $after, first: $first) { edges { cursor node { id name } } } }"""


def edges(arguments: Mapping[str, Any], rows: list[dict[str, Any]] = ROWS) -> dict[str, Any]:
    begin = int(arguments.get("after") or 0)
    found = list(enumerate(rows, 1))[begin : begin + (arguments.get("first") or 15)]
    return {"edges": [{"cursor": str(place), "node": row} for place, row in found]}


@pytest.mark.parametrize("size", [7, 10, 100])
async def test_the_cursor_of_the_last_item_is_one_too(tmp_path: Path, size: int) -> None:
    """Without `pageInfo`, the list ends at an empty page that is empty again."""
    query = query_of(tmp_path, BY_ITEM)
    async with serve(EDGES, products=edges) as sandbox:
        pages = await read(sandbox, query, size)
        rest = await read(sandbox, query, size, start=pages[0].next_position)
        empty = await read(sandbox, query, size, start="40 after 40")
    assert (ids(pages), doubt_of(pages)) == (ALL, "")
    assert ids(rest) == ALL[size:]
    assert [page.last for page in empty] == [True]


@pytest.mark.parametrize("places", [(0,), (3, 14, 15, 39)], ids=str)
async def test_by_the_cursors_of_items_a_record_that_fails_is_passed(
    tmp_path: Path, places: tuple[int, ...]
) -> None:
    sdl = EDGES.replace("edges: [Edge]", "edges: [Edge!]!").replace("node: Item", "node: Item!")
    rows = [{**row, "id": None} if place in places else row for place, row in enumerate(ROWS)]
    async with serve(sdl, products=lambda arguments: edges(arguments, rows)) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, BY_ITEM))
    assert ids(pages) == [one for place, one in enumerate(ALL) if place not in places]
    assert [one.position for page in pages for one in page.broken] == list(places)


@pytest.mark.parametrize("last", [None, {"cursor": None, "node": ROWS[9]}])
async def test_a_last_item_without_a_cursor_is_no_end(tmp_path: Path, last: object) -> None:
    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"edges": [*edges(arguments)["edges"][:-1], last]}

    async with serve(EDGES, products=page) as sandbox:
        with pytest.raises(Transient, match="without cursor"):
            await read(sandbox, query_of(tmp_path, BY_ITEM))
