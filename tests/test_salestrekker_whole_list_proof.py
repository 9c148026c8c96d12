"""A list that is read in one request is whole only if it has no paging that the query leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bridge.salestrekker.whole_list_proof import is_unknown_name
from bridge.sandbox import Fault
from foreign_lists import ROWS, client_of, doubt_of, ids, page_by_cursor, query_of, read, read_with, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bridge.sandbox.graphql_engine import QueryPlan
    from bridge.sandbox.request_log import Exchange
    from schemas import ForeignSandbox

ITEM = "type Item { id: ID! name: String }"
BY_CURSOR = f"""type Query {{ products(cursor: String, limit: Int = 15): Products! }} {ITEM}
type Products {{ items: [Item!]! nextCursor: String total: Int! }}"""
WHOLE = f"type Query {{ products(search: String): Products! }} {ITEM} type Products {{ items: [Item!]! }}"
PLAIN = "query Q { products { items { id name } } }"


def whole(_arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": ROWS}


@pytest.fixture(params=[True, False], ids=["schema", "no schema"])
def started(request: pytest.FixtureRequest) -> Callable[..., ForeignSandbox]:
    """Serves a schema, once with introspection and once without."""

    def start(sdl: str, **answers: Any) -> ForeignSandbox:  # noqa: ANN401 - answers
        return serve(sdl, introspection=request.param, **answers)

    return start


async def test_a_query_that_leaves_the_cursor_out_is_never_taken_for_whole(
    started: Callable[..., ForeignSandbox], tmp_path: Path
) -> None:
    """15 of 40 are read, and the rest must not seem to be gone."""
    async with started(BY_CURSOR, products=page_by_cursor) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, PLAIN))
    assert len(ids(pages)) == 15
    assert pages[-1].last
    assert pages[-1].doubt is not None
    assert pages[-1].doubt.shown
    for name in ("cursor", "limit", "nextCursor", "total"):
        assert f"`{name}`" in doubt_of(pages)
    assert pages[-1].doubt.advice


@pytest.mark.parametrize(
    ("selected", "says"),
    [
        ("items { id } nextCursor", "gave a next cursor, which the query does not use"),
        ("items { id } total", "the list has 40 records, but gave 15"),
        ("items { id } hasMore", "the list goes on after 15 records"),
        ("items { id } isLast", "the list goes on after 15 records"),
        ("items { id } totalPages", "gave 3 pages"),
        ("items { id } meta { pagination { totalCount } }", "the list has 40 records"),
    ],
)
async def test_what_the_response_says_of_the_list_is_compared_with_its_end(
    tmp_path: Path, selected: str, says: str
) -> None:
    """Without a word about the schema."""
    sdl = f"""type Query {{ products: Products! }} {ITEM}
    type Products {{ items: [Item!]! nextCursor: String total: Int hasMore: Boolean isLast: Boolean
      totalPages: Int meta: Meta }} type Meta {{ pagination: Numbers }} type Numbers {{ totalCount: Int }}"""

    def cut(_arguments: object) -> dict[str, Any]:
        signs = {"hasMore": True, "isLast": False, "totalPages": 3}
        return {**page_by_cursor({}), **signs, "meta": {"pagination": {"totalCount": 40}}}

    async with serve(sdl, introspection=False, products=cut) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, f"query Q {{ products {{ {selected} }} }}"))
    assert says in doubt_of(pages)


@pytest.mark.parametrize(
    ("sdl", "text"),
    [
        (WHOLE, PLAIN),
        (f"type Query {{ products: [Item!]! }} {ITEM}", "query Q { products { id } }"),
        (
            f"type Query {{ products: P! }} {ITEM} type P {{ items: [Item!]! total: Int! }}",
            "query Q { products { items { id } total } }",
        ),
    ],
)
async def test_a_list_without_paging_is_whole(
    started: Callable[..., ForeignSandbox], tmp_path: Path, sdl: str, text: str
) -> None:
    is_list = "products: [" in sdl
    answer = {"items": ROWS, "total": len(ROWS)}
    async with started(sdl, products=lambda _: ROWS if is_list else answer) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, text))
    assert len(ids(pages)) == 40
    assert doubt_of(pages) == ""


@pytest.mark.parametrize(
    ("arguments", "offer"),
    [
        ("(offset: Int, limit: Int)", "offset"),
        ("(first: Int)", "first"),
        ("(page: PageInput)", "page.number"),
        ("(input: Wanted)", "input.paging.take"),
        ("(start: Int)", "start"),
        ("(seite: Int)", "seite"),
        ("(input: Wanted2)", "input.nr"),
    ],
)
async def test_paging_arguments_that_the_query_leaves_out_leave_a_doubt(
    tmp_path: Path, arguments: str, offer: str
) -> None:
    sdl = f"""type Query {{ products{arguments}: [Item!]! }} {ITEM}
    input PageInput {{ number: Int size: Int }} input Wanted {{ search: String paging: Paging }}
    input Paging {{ skip: Int take: Int }}
    input Wanted2 {{ nr: Int }}"""
    async with serve(sdl, products=lambda _: ROWS[:15]) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, "query Q { products { id } }"))
    assert f"`{offer}`" in doubt_of(pages)


@pytest.mark.parametrize("passed", ["year: null", "year: 2026"])
async def test_a_number_that_the_query_gives_is_a_filter(tmp_path: Path, passed: str) -> None:
    """Its name says nothing. The user has decided what it is."""
    sdl = f"type Query {{ products(year: Int): [Item!]! }} {ITEM}"
    async with serve(sdl, products=lambda _: ROWS) as sandbox:
        query = query_of(tmp_path, f"query Q {{ products({passed}) {{ id }} }}")
        assert doubt_of(await read(sandbox, query)) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        "(start: Date, from: String)",
        "(max: Float)",
        "(ownerId: Int, changedSince: Int)",
        "(filter: Wanted)",
    ],
)
async def test_arguments_of_another_meaning_leave_none(tmp_path: Path, arguments: str) -> None:
    sdl = f"""type Query {{ products{arguments}: [Item!]! }} {ITEM} scalar Date
    input Wanted {{ name: Text }} input Text {{ first: Int }}"""
    async with serve(sdl, products=lambda _: ROWS) as sandbox:
        assert doubt_of(await read(sandbox, query_of(tmp_path, "query Q { products { id } }"))) == ""


async def test_page_info_that_the_query_leaves_out_leaves_a_doubt(
    started: Callable[..., ForeignSandbox], tmp_path: Path
) -> None:
    sdl = f"""type Query {{ products: Connection! }} {ITEM}
    type Connection {{ edges: [Edge!]! pageInfo: PageInfo! }} type Edge {{ cursor: String! node: Item! }}
    type PageInfo {{ hasNextPage: Boolean! endCursor: String }}"""
    edges = {
        "edges": [{"cursor": row["id"], "node": row} for row in ROWS],
        "pageInfo": {"hasNextPage": False},
    }
    query = query_of(tmp_path, "query Q { products { edges { node { id } } } }")
    async with started(sdl, products=lambda _: edges) as sandbox:
        assert "pageInfo" in doubt_of(await read(sandbox, query))


async def test_below_the_root_only_what_is_about_the_list_counts(
    started: Callable[..., ForeignSandbox], tmp_path: Path
) -> None:
    """The organisation's own total is about something else."""
    sdl = f"""type Query {{ me: Me! }} type Me {{ organization: Organization! }} {ITEM}
    type Organization {{ id: ID! total: Int last: Boolean products: Page! }} type Page {{ data: [Item!]! }}"""
    me = {"organization": {"id": "1", "products": {"data": ROWS}}}
    query = query_of(tmp_path, "query Q { me { organization { products { data { id } } } } }")
    async with started(sdl, me=lambda _: me) as sandbox:
        pages = await read(sandbox, query)
    assert (len(ids(pages)), doubt_of(pages)) == (40, "")


def is_about_the_schema(request: Exchange) -> bool:
    return request.content.get("operationName") in ("Root", "Shape", "Probe")


@pytest.mark.parametrize("status", [200, 403, 500])
async def test_a_server_that_shows_nothing_leaves_a_doubt_and_the_token_stays(
    tmp_path: Path, status: int
) -> None:
    """A firewall that refuses introspection has not refused the token."""
    body = {"errors": [{"message": "no"}]} if status == 200 else "<html>"
    async with serve(WHOLE, products=whole) as sandbox:
        fault = Fault(where=is_about_the_schema, status=status, body=body, times=None)
        sandbox.salestrekker.faults.add(fault)
        query = query_of(tmp_path, PLAIN)
        pages = await read(sandbox, query)
        again = await read(sandbox, query)
    assert len(ids(pages)) == len(ids(again)) == 40
    assert "does not give its schema, and its errors do not show it" in doubt_of(pages)
    assert pages[-1].doubt is not None
    assert not pages[-1].doubt.shown


async def test_a_server_that_reports_one_error_at_a_time_is_asked_again(tmp_path: Path) -> None:
    """Until it reports none."""
    async with serve(BY_CURSOR, introspection=False, products=page_by_cursor) as sandbox:
        engine = sandbox.salestrekker.engine
        plan = engine.plan

        def with_one_error(*arguments: Any, **more: Any) -> QueryPlan:  # noqa: ANN401 - handed on
            found = plan(*arguments, **more)
            return replace(found, errors=found.errors[:1])

        engine.plan = with_one_error  # type: ignore[assignment]  # without the cache's methods
        pages = await read(sandbox, query_of(tmp_path, PLAIN))
    assert "`nextCursor`" in doubt_of(pages)


async def test_the_result_is_remembered_by_a_client(tmp_path: Path) -> None:
    """A list is swept again every quarter of an hour."""
    query = query_of(tmp_path, PLAIN)
    async with serve(WHOLE, products=whole) as sandbox, client_of(sandbox) as client:
        for _ in range(2):
            pages = await read_with(client, query)
        exchanges = sandbox.salestrekker.traffic.exchanges
        assert sum(one.name == "Root" for one in exchanges) == 1
    assert doubt_of(pages) == ""


async def test_a_list_in_pages_costs_no_question(tmp_path: Path) -> None:
    """It is whole because it was read to its end."""
    text = "query Q($cursor: String) { products(cursor: $cursor) { items { id } nextCursor } }"
    async with serve(BY_CURSOR, products=page_by_cursor) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, text))
        names = {one.name for one in sandbox.salestrekker.traffic.exchanges}
    assert (len(ids(pages)), doubt_of(pages)) == (40, "")
    assert names.isdisjoint({"Root", "Shape", "Probe"})


@pytest.mark.parametrize(
    ("message", "is_unknown"),
    [
        ('Cannot query field "total" on type "Products". Did you mean "totals"?', True),
        ("Field 'total' doesn't exist on type 'Products'", True),
        ("Field 'products' doesn't accept argument 'total'", True),
        ("Validation error (FieldUndefined@[products/total]) : Field 'total' in type 'P' is undefined", True),
        ("The field `total` does not exist on the type `Products`.", True),
        ('Cannot query field "totals" on type "Products". Did you mean "total"?', False),
        ('Field "total" must not have a selection', False),
        ("total is wrong", False),
    ],
)
def test_the_sentences_of_servers_about_unknown_names(message: str, *, is_unknown: bool) -> None:
    assert is_unknown_name(message, "total") is is_unknown
