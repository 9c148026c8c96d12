"""A total, or a number of pages, announces a list's end and never proves it: search engines stop counting."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest
from graphql import build_schema

from bridge.errors import QueryFileError
from bridge.records import Record, Stream
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.pages import Doubt, Page, PageRequest
from bridge.salestrekker.pagination import ListReader
from bridge.salestrekker.responses import ListSigns
from bridge.salestrekker.schema.type_shapes import SchemaShapes
from bridge.salestrekker.whole_list_proof import find_offers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bridge.salestrekker.list_query import ListQuery

QUERIES = {
    "offset": "query C($skip: Int, $take: Int) { contacts(skip: $skip, take: $take) { total items { id } } }",
    "page": "query C($page: Int, $s: Int) { contacts(page: $page, size: $s) { lastPage items { id } } }",
}
CAP = 100
SIZE = 20


def loaded(folder: Path, text: str) -> ListQuery:
    (folder / "c.graphql").write_text(text, "utf-8")
    return load_list_query("c.graphql", [folder])


def page(first: int, size: int, signs: ListSigns) -> Page:
    ids = [f"c{number}" for number in range(first, first + size)]
    records = tuple(Record(Stream.CONTACTS, one, {"id": one}, 1) for one in ids)
    return Page(records, (), id_hashes=array("q", map(hash, ids)), signs=signs)


async def read(query: ListQuery, fetch: Callable[[PageRequest], Page]) -> tuple[int, Doubt | None]:
    """How many records were read, and the doubt at the end."""

    async def fetched(request: PageRequest) -> Page:
        return fetch(request)

    count, doubt = 0, None
    async for one in ListReader(query, fetched, lambda: 1).pages(SIZE):
        count, doubt = count + one.count, one.doubt
    return count, doubt


@pytest.mark.parametrize("repeats", ["", "the last page again"])
@pytest.mark.parametrize("style", QUERIES)
async def test_a_list_that_may_be_cut_off_at_its_total_is_not_taken_for_whole(
    style: str, repeats: str, tmp_path: Path
) -> None:
    signs = ListSigns(total=CAP) if style == "offset" else ListSigns(last_page=CAP // SIZE)

    def fetch(request: PageRequest) -> Page:
        at = request.position
        first = at.read if style == "offset" else ((at.page or 1) - 1) * SIZE
        if first >= CAP and not repeats:
            raise QueryFileError("the result window is too large")
        return page(min(first, CAP - SIZE), SIZE, signs)

    count, doubt = await read(loaded(tmp_path, QUERIES[style]), fetch)
    assert count == CAP
    assert doubt is not None
    assert not doubt.shown
    assert "100 records" in doubt.reason


async def test_if_the_server_says_that_nothing_follows_a_refusal_is_the_end(tmp_path: Path) -> None:
    text = QUERIES["offset"].replace("total", "hasMore")

    def fetch(request: PageRequest) -> Page:
        first = request.position.read
        if first >= CAP:
            raise QueryFileError("there is no such page")
        return page(first, SIZE, ListSigns(more=first + SIZE < CAP))

    assert await read(loaded(tmp_path, text), fetch) == (CAP, None)


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        ("criteria: Criteria", "criteria.pageSize"),
        ("filter: Criteria", "filter.pageSize"),
        ("input: Input", "input.options.limit"),
        ("where: Where", ""),
    ],
)
def test_paging_in_any_object_is_offered(arguments: str, offered: str, tmp_path: Path) -> None:
    schema = build_schema(f"""
        type Query {{ contacts({arguments}): [Contact!]! }}
        input Criteria {{ text: String page: Int pageSize: Int }}
        input Input {{ options: Options }}
        input Options {{ limit: Int offset: Int }}
        input Where {{ age: Int size: String _and: [Where!] }}
        type Contact {{ id: ID! }}""")
    found = find_offers(loaded(tmp_path, "{ contacts { id } }"), "Query", SchemaShapes(schema))
    assert bool(found) is bool(offered)
    assert not offered or offered in (found or ())
