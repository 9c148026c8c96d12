"""Totals, last pages and words such as `hasMore`: second signs of a list's end, and never the only proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLError

from bridge.errors import QueryFileError
from foreign_lists import ROWS, doubt_of, ids, query_of, read, serve
from schemas.foreign import below

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from schemas import ForeignSandbox

SDL = """type Query { list(skip: Int, page: Int, take: Int): Page! } type Item { id: ID! }
type Page { rows: [Item!]! total: Int lastPage: Int hasMore: Boolean last: Boolean meta: Meta }
type Meta { pageCount: Int }"""
ALL = [row["id"] for row in ROWS]
SIGNS = ("total", "hasMore", "last", "lastPage", "meta { pageCount }")
SIZE = 10


def query_text(style: str, signs: str) -> str:
    passed = f"{style}: ${style}, take: $take"
    return f"query Q(${style}: Int, $take: Int) {{ list({passed}) {{ rows {{ id }} {signs} }} }}"


def page_of(
    arguments: Mapping[str, Any], rows: list[dict[str, Any]] = ROWS, beyond: str = "empty"
) -> dict[str, Any]:
    """One page, by offset or by number from 1, with all the signs."""
    size = arguments.get("take") or SIZE
    number, pages = arguments.get("page"), -(-len(rows) // size)
    begin = (arguments.get("skip") or 0) if number is None else (number - 1) * size
    if begin < 0 or begin >= len(rows):
        if beyond == "error" or begin < 0:
            raise GraphQLError("That page does not exist.", extensions={"code": "BAD_USER_INPUT"})
        begin = (pages - 1) * size if beyond == "last again" else begin
    found = rows[begin : begin + size]
    more = begin + len(found) < len(rows)
    signs = {"total": len(rows), "lastPage": pages, "hasMore": more, "last": not more}
    return {"rows": found, **signs, "meta": {"pageCount": pages}}


def asked(sandbox: ForeignSandbox) -> list[Any]:
    """The place of each requested page."""
    exchanges = sandbox.salestrekker.traffic.exchanges
    variables = [one.content["variables"] for one in exchanges if one.kind == "list"]
    return [one.get("skip", one.get("page")) for one in variables]


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("style", ["skip", "page"])
async def test_one_page_more_is_requested_and_may_be_empty_once(
    tmp_path: Path, style: str, signs: str
) -> None:
    async with serve(SDL, list=page_of) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, query_text(style, signs)), SIZE)
    assert (ids(pages), doubt_of(pages)) == (ALL, "")
    by_number = style == "page" or "age" not in signs  # by offset, a number of pages says nothing
    places = asked(sandbox)
    assert places[-2:] == ([40, 40] if not by_number else places[-2:])
    assert places.count(places[-1]) == (1 if by_number else 2)


@pytest.mark.parametrize("beyond", ["error", "last again"])
@pytest.mark.parametrize("style", ["skip", "page"])
async def test_beyond_the_end_a_server_may_refuse_or_repeat_its_last_page(
    tmp_path: Path, style: str, beyond: str
) -> None:
    """With a sign that the list ends there. Without one, neither is taken for an end."""
    async with serve(SDL, list=lambda arguments: page_of(arguments, beyond=beyond)) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, query_text(style, "hasMore")), SIZE)
        with pytest.raises(QueryFileError):
            await read(sandbox, query_of(tmp_path, query_text(style, "")), SIZE)
    assert (ids(pages), doubt_of(pages)) == (ALL, "")


@pytest.mark.parametrize("wrong", [{"total": 20}, {"hasMore": False}, {"last": True}, {"lastPage": 1}])
@pytest.mark.parametrize("style", ["skip", "page"])
async def test_a_sign_alone_ends_no_list(tmp_path: Path, style: str, wrong: dict[str, Any]) -> None:
    """A total that is too low, or a word that is wrong, hides no record."""
    async with serve(SDL, list=lambda arguments: {**page_of(arguments), **wrong}) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, query_text(style, next(iter(wrong)))), SIZE)
    assert ids(pages) == ALL


@pytest.mark.parametrize("style", ["skip", "page"])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"total": 50}, "has 50 records, but gave 40"), ({"hasMore": True}, "goes on after 40 records")],
)
async def test_an_end_that_the_signs_contradict_leaves_a_doubt(
    tmp_path: Path, style: str, wrong: dict[str, Any], says: str
) -> None:
    """Some servers give nothing beyond a certain number of records."""
    async with serve(SDL, list=lambda arguments: {**page_of(arguments), **wrong}) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, query_text(style, next(iter(wrong)))), SIZE)
    assert ids(pages) == ALL
    assert says in doubt_of(pages)


async def test_a_page_that_is_empty_for_once_before_the_end_is_read_again(tmp_path: Path) -> None:
    empty_once = {10}

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = page_of(arguments)
        if arguments["skip"] in empty_once:
            empty_once.remove(arguments["skip"])
            return {**found, "rows": []}
        return found

    async with serve(SDL, list=page) as sandbox:
        assert ids(await read(sandbox, query_of(tmp_path, query_text("skip", "total")), SIZE)) == ALL


async def test_a_total_of_one_page_alone_is_no_sign(tmp_path: Path) -> None:
    """It is what was read from the first page on. A server that ignores the offset is still found out."""
    query = query_of(tmp_path, query_text("skip", "total"))
    empty_once = {10}

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = page_of(arguments)
        if arguments["skip"] in empty_once:
            empty_once.remove(arguments["skip"])
            found = {**found, "rows": []}
        return {**found, "total": len(found["rows"])}

    async with serve(SDL, list=page) as sandbox:
        assert ids(await read(sandbox, query, SIZE)) == ALL
    async with serve(SDL, list=lambda _: {"rows": ROWS[:SIZE], "total": SIZE}) as sandbox:
        with pytest.raises(QueryFileError, match=r"\$skip is ignored"):
            await read(sandbox, query, SIZE)


async def test_a_total_above_the_list_is_about_something_else(tmp_path: Path) -> None:
    sdl = """type Query { me: Me! } type Me { total: Int last: Boolean list(skip: Int, take: Int): Page! }
    type Page { rows: [Item!]! } type Item { id: ID! }"""
    text = """query Q($skip: Int, $take: Int) {
        me { total last list(skip: $skip, take: $take) { rows { id } } } }"""
    me = {"total": 7_000, "last": False, "list": below(page_of)}
    async with serve(sdl, me=lambda _: me) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, text), SIZE)
    assert (ids(pages), doubt_of(pages)) == (ALL, "")


async def test_a_total_that_shrinks_while_the_list_is_read_leaves_no_doubt(tmp_path: Path) -> None:
    """The last answer counts."""

    def page(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return page_of(arguments, ROWS if arguments["skip"] < 20 else ROWS[:35])

    async with serve(SDL, list=page) as sandbox:
        pages = await read(sandbox, query_of(tmp_path, query_text("skip", "total")), SIZE)
    assert (len(ids(pages)), doubt_of(pages)) == (35, "")


async def test_a_resumed_list_is_compared_with_its_total_too(tmp_path: Path) -> None:
    query = query_of(tmp_path, query_text("skip", "total"))
    async with serve(SDL, list=lambda arguments: page_of(arguments, ROWS)) as sandbox:
        pages = await read(sandbox, query, SIZE, start="20")
    assert (ids(pages), doubt_of(pages)) == (ALL[20:], "")
