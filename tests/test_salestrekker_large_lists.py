"""Answers that are far larger than what was asked for: read a part at a time, or refused in a sentence."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.errors import Refused, Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_query import parse_by_id_query
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.large_lists import LargeListRoom, LongRecords
from bridge.salestrekker.list_query import parse_list_query
from bridge.salestrekker.query_files import load_document
from bridge.salestrekker.response_limits import (
    BATCH_BYTES,
    MAX_ITEMS,
    MAX_RECORD,
    MAX_RECORD_VALUES,
    MAX_REST,
    SMALL_BODY,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from bridge.salestrekker.by_id_query import ByIdQuery
    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import Page

TOKEN = {"data": {"authenticate": {"token": "a.b.c"}}}
QUICK = RetryPolicy(attempts=2, total=5.0, first=0.01, longest=0.01)
SIZE = 10
TEXTS = {
    "offset": "query Q($offset: Int, $limit: Int) { contacts(offset: $offset, limit: $limit) { id note } }",
    "page": "query Q($page: Int, $size: Int) { contacts(page: $page, size: $size) { id note } }",
    "relay": """query Q($first: Int, $after: String) { contacts(first: $first, after: $after) {
        edges { node { id note } } pageInfo { hasNextPage endCursor } } }""",
    "edges": """query Q($first: Int, $after: String) { contacts(first: $first, after: $after) {
        edges { cursor node { id note } } } }""",
    "plain": "query Q { contacts { id note } }",
}


def contact(number: int, size: int = 600) -> dict[str, object]:
    return {"id": f"c{number:06}", "note": "n" * size}


@dataclass
class Remote:
    """A Salestrekker whose pages have as many contacts as it likes.

    Attributes:
        contacts: All there are.
        at_most: How many it gives at once.
        base: Number of its first page.
        asked: The variables of each request for a page.
        wrap: Makes the answer of the contacts of a page, as bytes.
    """

    contacts: list[Mapping[str, object]]
    at_most: int
    base: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    wrap: Callable[[list[Any]], bytes] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.json()
        text, given = body["query"], body.get("variables") or {}
        if "authenticate" in text:
            return web.json_response(TOKEN)
        if "organizations" in text:
            return web.json_response(
                {"data": {"organizations": [{"id": "1", "organization": {"name": "One"}}]}}
            )
        if body.get("operationName") in ("Root", "Probe"):  # whether a list without pages is whole
            return web.json_response({"errors": [{"message": "not here"}]})
        self.asked.append(given)
        start = self._start(text, given)
        found = self.contacts[start : start + self.at_most]
        if self.wrap is not None:
            return web.Response(body=self.wrap(found), content_type="application/json")
        listed: object = found
        if "edges" in text:
            listed = {"edges": [{"cursor": str(at), "node": one} for at, one in enumerate(found, start + 1)]}
        if "pageInfo" in text:
            end = start + len(found)
            info = {"hasNextPage": end < len(self.contacts), "endCursor": str(end)}
            listed = {"edges": [{"node": one} for one in found], "pageInfo": info}
        return web.Response(
            body=orjson.dumps({"data": {"contacts": listed}}), content_type="application/json"
        )

    def _start(self, text: str, given: Mapping[str, Any]) -> int:
        if "$page" in text:
            return max(0, int(given["page"]) - self.base) * self.at_most
        return int(given.get("offset") or given.get("after") or 0)


def query(folder: Path, style: str) -> ListQuery:
    (folder / "q.graphql").write_text(TEXTS[style])
    return parse_list_query(load_document("q.graphql", [folder]))


def by_id(folder: Path) -> ByIdQuery:
    (folder / "one.graphql").write_text("query One($id: ID!) { contact(id: $id) { id note } }")
    return parse_by_id_query(load_document("one.graphql", [folder]))


@asynccontextmanager
async def client_of(remote: Remote | Any, **changes: Any) -> AsyncIterator[SalestrekkerClient]:  # noqa: ANN401
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/graphql", remote.handle)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        arguments: dict[str, Any] = {
            "url": str(server.make_url("/graphql")),
            "api_key": "key",
            "requests_per_minute": 0,
            "timeout": 40.0,
            "retries": QUICK,
        } | changes
        async with SalestrekkerClient(**arguments) as client:
            yield client


def identify(data: Mapping[str, object]) -> str | None:
    found = data.get("id")
    return found if isinstance(found, str) else None


def pages_of(client: SalestrekkerClient, asked: ListQuery, start: str = "") -> Any:  # noqa: ANN401 - of contextlib
    pages = client.read_pages(asked, stream=Stream.CONTACTS, identify=identify, page_size=SIZE, start=start)
    return aclosing(pages)


async def read(client: SalestrekkerClient, asked: ListQuery) -> list[tuple[str, object]]:
    """Each record's id, and its note as it is read then."""
    found: list[tuple[str, object]] = []
    async with pages_of(client, asked) as pages:
        async for page in pages:
            found += [(record.id, record.data["note"]) for record in page.records]
    return found


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("style", TEXTS)
async def test_pages_far_longer_than_asked_for_are_read_once_and_whole(
    tmp_path: Path, style: str, base: int
) -> None:
    everything = [contact(number) for number in range(7_000)]
    remote = Remote([*everything], at_most=7_000 if style == "plain" else 3_000, base=base)
    async with client_of(remote) as client:
        found = await read(client, query(tmp_path, style))
    assert found == [(one["id"], one["note"]) for one in everything]


async def test_it_is_said_once_that_a_server_gives_more_than_asked_for(tmp_path: Path) -> None:
    remote = Remote([contact(number) for number in range(60)], at_most=25)
    with structlog.testing.capture_logs() as said:
        async with client_of(remote) as client:
            await read(client, query(tmp_path, "offset"))
            await read(client, query(tmp_path, "offset"))
    told = [line for line in said if line["event"] == "more than was asked for"]
    assert [(line["asked"], line["given"], line["log_level"]) for line in told] == [(SIZE, 25, "warning")]


async def test_a_long_page_costs_one_request_more_and_that_only_once(tmp_path: Path) -> None:
    """The first one is broken off: whether there is room for it is asked before it is read."""
    remote = Remote([contact(number) for number in range(3_000)], at_most=3_000)
    async with client_of(remote) as client:
        for expected in (2, 1):
            remote.asked.clear()
            await read(client, query(tmp_path, "plain"))
            assert len(remote.asked) == expected


async def test_one_long_page_at_a_time_is_in_memory(tmp_path: Path) -> None:
    """The second walk begins when the first is done with its page, and with the walk at the latest."""
    remote = Remote([contact(number) for number in range(3_000)], at_most=3_000)
    room, asked = LargeListRoom(), query(tmp_path, "plain")
    async with client_of(remote, room=room) as one, client_of(remote, room=room) as other:
        async with pages_of(one, asked) as first, pages_of(other, asked) as second:
            page = await anext(first)
            waiting = asyncio.create_task(anext(second))
            assert isinstance(page.records, LongRecords)
            assert len(page.records) == 3_000
            before = len(remote.asked)
            await read_of(page, 3_000)
            assert not waiting.done()
            await anext(first)
            later = await asyncio.wait_for(waiting, 40)
            assert len(later.records) == 3_000
            assert len(remote.asked) <= before + 2
        async with asyncio.timeout(40):
            assert len(await read(one, asked)) == 3_000


async def read_of(page: Page, number: int) -> None:
    """Read all, and let the loop turn."""
    assert sum(1 for record in page.records if record.data["note"]) == number
    for _ in range(100):
        await asyncio.sleep(0)


async def test_a_walk_that_is_left_makes_room(tmp_path: Path) -> None:
    remote = Remote([contact(number) for number in range(3_000)], at_most=3_000)
    async with client_of(remote) as client:
        for _ in range(3):
            async with asyncio.timeout(40), pages_of(client, query(tmp_path, "plain")) as pages:
                await anext(pages)


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("others", [0, 3_000], ids=["a small page", "a long page"])
async def test_what_is_too_much_for_a_record_is_so_whatever_stands_beside_it(
    tmp_path: Path, others: int
) -> None:
    odd: list[Mapping[str, object]] = [
        {"id": "large", "note": "x" * MAX_RECORD},
        {"id": "many", "note": [[]] * (MAX_RECORD_VALUES + 1)},
    ]
    fits: list[Mapping[str, object]] = [
        {"id": "just", "note": "x" * (MAX_RECORD - 30)},
        {"id": "few", "note": [1] * (MAX_RECORD_VALUES - 9)},
    ]
    remote = Remote([*odd, *fits, *(contact(number) for number in range(others))], at_most=5_000)
    async with client_of(remote) as client, pages_of(client, query(tmp_path, "plain")) as pages:
        page = await anext(pages)
        assert [one.id for one in page.broken] == ["large", "many"]
        assert [record.id for record in page.records[:2]] == ["just", "few"]


async def test_few_bytes_of_a_long_page_are_decoded_together(tmp_path: Path) -> None:
    """Else a hundred large records would be in memory at once."""
    sizes = [60_000] * 20 + [600] * 250 + [60_000]
    remote = Remote([contact(number, size) for number, size in enumerate(sizes)], at_most=5_000)
    async with client_of(remote) as client, pages_of(client, query(tmp_path, "plain")) as pages:
        page = await anext(pages)
        assert isinstance(page.records, LongRecords)
        parts = [[record.id for record in part] for part in page.records.parts(100)]
    assert [one for part in parts for one in part] == [f"c{number:06}" for number in range(len(sizes))]
    assert max(map(len, parts)) == 100
    assert max(sum(sizes[int(one[1:])] for one in part) for part in parts) <= BATCH_BYTES


async def test_a_page_without_a_record_that_an_error_names_is_not_whole(tmp_path: Path) -> None:
    """A server may leave out what failed; it exists all the same."""

    def wrap(found: list[Any]) -> bytes:
        errors = [{"message": "no", "path": ["contacts", 7, "note"]}] if found else []
        return orjson.dumps({"data": {"contacts": found}, "errors": errors})

    remote = Remote([contact(1), contact(2)], at_most=5, wrap=wrap)
    async with client_of(remote) as client, pages_of(client, query(tmp_path, "offset")) as pages:
        page = await anext(pages)
        assert [record.id for record in page.records] == ["c000001", "c000002"]
        assert [one.message for one in page.broken] == ["Salestrekker reports an error at note"]
        assert remote.asked[-1]["offset"] == 0
        assert (await anext(pages)).last
        assert remote.asked[-1]["offset"] == 2, "it goes on behind what was received"


@pytest.mark.parametrize("style", ["offset", "plain"])
async def test_an_empty_page_with_errors_is_not_the_end(tmp_path: Path, style: str) -> None:
    """What stands behind it would be taken for gone."""

    def wrap(found: list[Any]) -> bytes:
        fails = not found or found[0]["id"] == "c000010"
        errors = [{"message": "no", "path": ["contacts", 0, "note"]}] if fails else []
        return orjson.dumps({"data": {"contacts": [] if fails else found}, "errors": errors})

    everything: list[Mapping[str, object]] = [contact(number) for number in range(30)]
    remote = Remote(everything[10:] if style == "plain" else everything, at_most=10, wrap=wrap)
    async with client_of(remote) as client:
        with pytest.raises(Transient, match="lists no record of a page"):
            await read(client, query(tmp_path, style))


@pytest.mark.parametrize("note", [b"9" * 5_000, b"1e400", b'"\\ud83d"'], ids=["digits", "double", "half"])
async def test_an_odd_value_takes_no_others_down(tmp_path: Path, note: bytes) -> None:
    def wrap(found: list[Any]) -> bytes:
        items = [orjson.dumps(one) for one in found] + [b'{"id": "odd", "note": %s}' % note]
        return b'{"data": {"contacts": [%s]}}' % b",".join(items)

    for others in (5, 3_000):
        remote = Remote([contact(number) for number in range(others)], at_most=5_000, wrap=wrap)
        async with client_of(remote) as client, pages_of(client, query(tmp_path, "plain")) as pages:
            page = await anext(pages)
            assert len(page.records) + len(page.broken) == others + 1
            assert len(page.records) >= others


async def test_what_is_wrong_with_an_item_of_a_long_page_stays_with_it(tmp_path: Path) -> None:
    odd: list[Mapping[str, object] | None] = [
        None,
        {"note": "no id"},
        {"id": "large", "note": "x" * MAX_RECORD},
        {"id": "many", "note": [1] * (MAX_RECORD_VALUES + 1)},
        {"id": "commas", "note": ",[{" * (MAX_RECORD_VALUES // 2)},
        {"id": "deep", "note": nested(900)},
        contact(1),
    ]

    def wrap(found: list[Any]) -> bytes:
        errors = [{"message": "no", "path": ["contacts", 6, "note"]}]
        return json.dumps({"data": {"contacts": found}, "errors": errors if found else []}).encode()

    plenty = [contact(number) for number in range(100, 2_500)]
    remote = Remote([*odd, *plenty], at_most=5_000, wrap=wrap)  # type: ignore[list-item]  # one is null
    async with client_of(remote) as client, pages_of(client, query(tmp_path, "plain")) as pages:
        page = await anext(pages)
        ids = [record.id for record in page.records]
    assert ids == ["commas", *(one["id"] for one in plenty)]
    assert [(one.position, one.id, one.message) for one in page.broken] == [
        (0, "", "Salestrekker listed it as null"),
        (1, "", "it has no id"),
        (2, "large", f"it is larger than {MAX_RECORD:,} bytes"),
        (3, "many", f"it holds more than {MAX_RECORD_VALUES:,} values"),
        (5, "deep", "it is nested too deeply"),
        (6, "c000001", "Salestrekker reports an error at note"),
    ]


class Troubled(Remote):
    """Numbered pages, of which page 0 fails; or one item takes its page down.

    Attributes:
        poison: The place of the item that does, None for none; then page 0 is the first.
    """

    poison: int | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        given = (await request.json()).get("variables") or {}
        size = given.get("size", self.at_most)
        if self.poison is None and given.get("page") == 0:
            self.asked.append(given)
            error = {"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}
            return web.json_response({"data": None, "errors": [error]})
        self.at_most = size
        start = given.get("page", 0) * size
        if self.poison is not None and start <= self.poison < start + size:
            self.asked.append(given)
            error = {"message": "no", "path": ["contacts", self.poison - start, "note"]}
            return web.json_response({"data": {"contacts": None}, "errors": [error]})
        return await super().handle(request)


@pytest.mark.parametrize(
    "note", ["n" * 1_200, [1] * 60, [[]] * 60], ids=["by bytes", "by values", "by brackets"]
)
@pytest.mark.parametrize("keeps_to_size", [True, False])
async def test_long_numbered_pages_of_which_page_0_fails(
    tmp_path: Path, note: object, *, keeps_to_size: bool
) -> None:
    """Where no sizes can tell which page is the first, the variable's default does."""
    everything: list[Mapping[str, object]] = [{"id": f"c{number}", "note": note} for number in range(2_500)]
    text = TEXTS["page"].replace("$page: Int", "$page: Int = 1")
    if not keeps_to_size:
        text = text.replace(", $size: Int", "").replace(", size: $size", "")
    (tmp_path / "q.graphql").write_text(text)
    asked = parse_list_query(load_document("q.graphql", [tmp_path]))
    async with client_of(Troubled(everything, at_most=1_000, base=1)) as client:
        found = []
        pages = client.read_pages(asked, stream=Stream.CONTACTS, identify=identify, page_size=1_000)
        async with aclosing(pages):
            async for page in pages:
                found += [record.id for record in page.records]
    assert found == [one["id"] for one in everything]


@pytest.mark.parametrize("note", ["n" * 2_500, [1] * 60], ids=["by bytes", "by values"])
async def test_one_poisoned_record_of_a_long_numbered_page_stops_only_itself(
    tmp_path: Path, note: object
) -> None:
    everything: list[Mapping[str, object]] = [{"id": f"c{number}", "note": note} for number in range(2_500)]
    remote = Troubled(everything, at_most=1_000)
    remote.poison = 1_700
    broken, found = [], []
    async with client_of(remote) as client:
        pages = client.read_pages(
            query(tmp_path, "page"), stream=Stream.CONTACTS, identify=identify, page_size=1_000
        )
        async with aclosing(pages):
            async for page in pages:
                found += [record.id for record in page.records]
                broken += [one.position for one in page.broken]
    assert broken == [1_700]
    assert found == [one["id"] for one in everything if one["id"] != "c1700"]


async def test_a_wait_for_room_is_no_attempt(tmp_path: Path) -> None:
    """However long others take: the first fault afterwards is tried again as any other."""

    class Failing(Remote):
        fails = False

        async def handle(self, request: web.Request) -> web.Response:
            """Fail once, when there is room."""
            if self.fails and "contacts" in (await request.json())["query"]:
                self.fails = False
                return web.Response(status=503)
            return await super().handle(request)

    room, quick = LargeListRoom(), RetryPolicy(attempts=2, total=0.3, first=0.01, longest=0.01)
    everything: list[Mapping[str, object]] = [contact(number) for number in range(3_000)]
    remote, other = Failing(everything, at_most=3_000), Remote(everything, at_most=3_000)
    plain, loop = query(tmp_path, "plain"), asyncio.get_running_loop()
    async with client_of(remote, room=room, retries=quick) as client, client_of(other, room=room) as first:
        async with pages_of(first, plain) as pages:
            page = await anext(pages)
            reading, began = asyncio.create_task(read(client, plain)), loop.time()
            while loop.time() < began + 1.0:
                await read_of(page, 3_000)
            remote.fails = True
        async with asyncio.timeout(40):
            assert len(await reading) == 3_000
    assert not remote.fails


ITEM = orjson.dumps(contact(1))
HOSTILE: dict[str, tuple[bytes, type[Exception], str]] = {
    "very many": (
        b'{"data": {"contacts": [' + b"{}," * MAX_ITEMS + b"{}]}}",
        Refused,
        "more than 100,000 records",
    ),
    "an item that is no JSON": (
        b'{"data": {"contacts": [' + (ITEM + b",") * 3_000 + b'{"id": nonsense}]}}',
        Transient,
        "not whole",
    ),
    "a list that does not end": (b'{"data": {"contacts": [' + (ITEM + b",") * 3_000, Transient, "not whole"),
    "two lists": (
        b'{"data": {"contacts": [' + (ITEM + b",") * 3_000 + ITEM + b'], "contacts": [' + ITEM + b"]}}",
        Transient,
        "not whole",
    ),
    "much beside the list": (
        b'{"data": {"contacts": [], "x": "' + b"x" * MAX_REST + b'"}}',
        Refused,
        "holds more than was asked for",
    ),
    "very many errors": (
        b'{"data": {"contacts": []}, "errors": [' + b"{}," * 20_000 + b"{}]}",
        Transient,
        "more than 10,000 errors",
    ),
    "another document before the list": (
        b'{"data": null, "x": [' + b"1," * 30_000 + b'1], "data": {"contacts": [' + ITEM + b"]}}",
        Transient,
        "not whole",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_nobody_asked_for_is_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    body, error, sentence = HOSTILE[kind]
    remote = Remote([], at_most=1, wrap=lambda _: body)
    async with client_of(remote) as client:
        with pytest.raises(error, match=sentence):
            await read(client, query(tmp_path, "plain"))
        remote.wrap = None
        async with asyncio.timeout(40):
            assert await read(client, query(tmp_path, "plain")) == [], "there is room again"


class ById:
    """A Salestrekker of single contacts, one of which is far too large.

    Attributes:
        asked: How many ids each request asked for.
    """

    def __init__(self, note: object) -> None:
        self.note = note
        self.asked: list[int] = []

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.json()
        if "authenticate" in body["query"]:
            return web.json_response(TOKEN)
        if "organizations" in body["query"]:
            return web.json_response(
                {"data": {"organizations": [{"id": "1", "organization": {"name": "One"}}]}}
            )
        ids = list(body["variables"].values())
        self.asked.append(len(ids))
        records = [{"id": one, "note": self.note if one == "large" else "small"} for one in ids]
        keys = ["contact"] if len(ids) == 1 else [f"r{place}" for place in range(len(ids))]
        data = dict(zip(keys, records, strict=True))
        return web.Response(body=orjson.dumps({"data": data}), content_type="application/json")


@pytest.mark.parametrize("note", ["x" * SMALL_BODY, [[]] * 30_000], ids=["bytes", "values"])
async def test_one_record_that_is_too_large_takes_no_others_down(tmp_path: Path, note: object) -> None:
    """Fewer are asked for together, down to the one that is broken."""
    remote = ById(note)
    ids = [f"c{number}" for number in range(12)] + ["large"] + [f"d{number}" for number in range(12)]
    async with client_of(remote) as client:
        found = await client.read_by_id(
            by_id(tmp_path), ids, stream=Stream.CONTACTS, identify=identify, ids_per_request=25
        )
    assert {record.id for record in found.records} == {*ids} - {"large"}
    assert [(one.id, "Salestrekker's answer" in one.message) for one in found.broken] == [("large", True)]
