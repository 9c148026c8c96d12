"""Lists of every shape, walked by the client over the simulated Salestrekker."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import BridgeError, QueryFileError, Refused, Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.paging_variables import Role
from bridge.sandbox import BeforeFirst, BrokenField, Fault, Options, Sandbox, ShapeKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import Page

    Start = Callable[[Options], Awaitable[Sandbox]]
    Load = Callable[..., ListQuery]

QUICK = RetryPolicy(attempts=3, total=5.0, first=0.001, longest=0.002)

PAGED = "contacts(page: $page, pageSize: $pageSize)"
CONNECTED = "contacts(first: $first, after: $after)"
TEXTS = {
    "offset": """query Q($offset: Int, $limit: Int) {
        contacts(offset: $offset, limit: $limit) { id isActive } }""",
    "page": f"query Q($page: Int, $pageSize: Int) {{ {PAGED} {{ total items {{ id isActive }} }} }}",
    "relay": f"""query Q($first: Int, $after: String) {{
        {CONNECTED} {{ edges {{ node {{ id isActive }} }} pageInfo {{ hasNextPage endCursor }} }} }}""",
    "relay nodes": f"""query Q($first: Int, $after: String) {{
        all: {CONNECTED} {{ nodes {{ id isActive }} pageInfo {{ more: hasNextPage at: endCursor }} }} }}""",
    "plain": "query Q { contacts { id isActive } }",
    "renamed": """query Q($skip: Int, $take: Int) {
        clients(skip: $skip, take: $take) { totalCount objects { id: clientId isActive: status } } }""",
}
SHAPES = {name: ShapeKind(name.partition(" ")[0]) for name in TEXTS}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """``load("page")`` loads the query for that shape; ``load(text=…)`` another."""

    def load(name: str = "q", text: str | None = None) -> ListQuery:
        (tmp_path / "q.graphql").write_text(TEXTS[name] if text is None else text)
        return load_list_query("q.graphql", [tmp_path])

    return load


@pytest.fixture
def of_shape(start_sandbox: Start) -> Callable[..., Awaitable[Sandbox]]:
    """Starts sandboxes, of the shape and with the options that it is given."""

    async def start(name: str, **options: Any) -> Sandbox:  # noqa: ANN401 - of several types
        wanted: dict[str, Any] = {"contacts": 200, "products": 0} | options
        return await start_sandbox(Options(shape=SHAPES[name], **wanted))

    return start


def identify(data: Mapping[str, object]) -> str | None:
    found = data.get("id")
    return found if isinstance(found, str) else None


def client_of(sandbox: Sandbox) -> SalestrekkerClient:
    return SalestrekkerClient(
        url=sandbox.salestrekker_url,
        api_key=sandbox.options.api_key,
        requests_per_minute=0,
        timeout=5.0,
        retries=QUICK,
    )


def walk(client: SalestrekkerClient, query: ListQuery, size: int = 50, **more: Any) -> Any:  # noqa: ANN401
    return aclosing(
        client.read_pages(query, stream=Stream.CONTACTS, identify=identify, page_size=size, **more)
    )


async def read(sandbox: Sandbox, query: ListQuery, size: int = 50, **more: Any) -> list[Page]:  # noqa: ANN401
    async with client_of(sandbox) as client, walk(client, query, size, **more) as pages:
        return [page async for page in pages]


def ids(pages: list[Page]) -> list[str]:
    return [record.id for page in pages for record in page.records]


def source_ids(sandbox: Sandbox) -> list[str]:
    return [row["id"] for row in sandbox.contacts]


def asked(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The variables of the requests for a list, in order."""
    exchanges = sandbox.salestrekker.traffic.exchanges
    return [one.content["variables"] for one in exchanges if one.kind in ("contacts", "clients")]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [7, 100, 1000])
async def test_a_full_walk_brings_each_record_once_in_order(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str, size: int
) -> None:
    sandbox = await of_shape(name)
    pages = await read(sandbox, load(name), size)
    assert ids(pages) == source_ids(sandbox)
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert (pages[-1].records, pages[-1].broken) == ((), ())


@pytest.mark.parametrize("name", TEXTS)
async def test_an_empty_list_is_asked_for_twice(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name, contacts=0)
    (page,) = await read(sandbox, load(name))
    assert page.last
    assert len(asked(sandbox)) == (4 if name == "page" else 2)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("count", [1, 2, 5])
async def test_a_walk_goes_on_from_any_page_that_was_safe(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str, count: int
) -> None:
    """Whether the walk goes on right there or in another process the next day."""
    sandbox = await of_shape(name)
    query = load(name)
    whole = await read(sandbox, query, 30)
    first = whole[:count]
    rest = await read(sandbox, query, 30, start=first[-1].next_position)
    assert ids(first) + ids(rest) == source_ids(sandbox)
    assert rest[-1].last


@pytest.mark.parametrize("name", ["relay", "plain"])
async def test_the_end_is_known_and_costs_no_request(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name)
    pages = await read(sandbox, load(name), 50)
    assert len(asked(sandbox)) == (4 if name == "relay" else 1)
    before = len(asked(sandbox))
    (last,) = await read(sandbox, load(name), 50, start=pages[-1].next_position)
    assert last.last
    assert len(asked(sandbox)) == before


@pytest.mark.parametrize("name", set(TEXTS) - {"plain"})
async def test_records_added_in_mid_walk_are_met_too(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name)
    async with client_of(sandbox) as client, walk(client, load(name)) as pages:
        found = [await anext(pages)]
        sandbox.contacts.add("Ada Late")
        found += [page async for page in pages]
    assert ids(found) == source_ids(sandbox)


@pytest.mark.parametrize("name", set(TEXTS) - {"plain"})
async def test_records_removed_in_mid_walk_lose_at_most_those_that_cross_a_page(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    """By cursor none is lost; by offset and number as many may be as were removed before the place."""
    sandbox = await of_shape(name)
    async with client_of(sandbox) as client, walk(client, load(name), 20) as pages:
        found = [await anext(pages), await anext(pages)]
        for identity in source_ids(sandbox)[:2]:
            sandbox.contacts.remove(identity)
        found += [page async for page in pages]
    lost = set(source_ids(sandbox)) - set(ids(found))
    assert len(ids(found)) == len(set(ids(found)))
    assert len(lost) == (0 if name.startswith("relay") else 2)


@pytest.mark.parametrize("name", set(TEXTS) - {"plain"})
async def test_a_server_that_gives_fewer_than_asked_loses_nothing(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name, max_page=13)
    assert ids(await read(sandbox, load(name), 50)) == source_ids(sandbox)


@pytest.mark.parametrize("name", TEXTS)
async def test_a_passing_fault_is_not_noticed(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name)
    kind = "clients" if name == "renamed" else "contacts"
    sandbox.salestrekker.faults.add(Fault(kind=kind, status=503, every=2, times=4))
    assert ids(await read(sandbox, load(name))) == source_ids(sandbox)


def poison(sandbox: Sandbox, *places: int) -> list[str]:
    """Let the id of some records fail: ``id: ID!`` leaves null for the whole list."""
    victims = [sandbox.contacts.id_at(place) for place in places]
    for victim in victims:
        broken = BrokenField(stream="contacts", path="id", id=victim, code="INTERNAL_SERVER_ERROR")
        sandbox.salestrekker.world.break_field(broken)
    return victims


@pytest.mark.parametrize("name", set(TEXTS) - {"plain"})
@pytest.mark.parametrize("places", [(0,), (59,), (1, 40, 41, 99), (199,)], ids=str)
async def test_a_record_that_takes_its_page_with_it_is_passed(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str, places: tuple[int, ...]
) -> None:
    sandbox = await of_shape(name)
    victims = poison(sandbox, *places)
    pages = await read(sandbox, load(name), 40)
    assert ids(pages) == [one for one in source_ids(sandbox) if one not in victims]
    assert [one.position for page in pages for one in page.broken] == list(places)


async def test_in_a_plain_list_there_is_no_way_around(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load
) -> None:
    """And it says so, instead of taking the list for empty."""
    sandbox = await of_shape("plain")
    poison(sandbox, 60)
    with pytest.raises(Transient, match=r"contacts\.id"):
        await read(sandbox, load("plain"))


@pytest.mark.parametrize("name", set(TEXTS) - {"plain"})
async def test_many_poisoned_records_in_a_row_are_a_fault_of_all(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name)
    poison(sandbox, *range(100, 150))
    with pytest.raises(Transient, match="id"):
        await read(sandbox, load(name), 50)
    assert len(asked(sandbox)) < 60


@pytest.mark.parametrize("name", TEXTS)
async def test_broken_records_are_reported_at_their_place_and_the_others_used(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    """``isActive`` may be null, so only that record is spoilt; ``status`` may not, and takes all along."""
    sandbox = await of_shape(name)
    victim = sandbox.contacts.id_at(60)
    sandbox.salestrekker.world.break_field(
        BrokenField(
            stream="contacts", path="isActive", id=victim, code="INTERNAL_SERVER_ERROR", message="Jane Doe"
        )
    )
    pages = await read(sandbox, load(name))
    (broken,) = [one for page in pages for one in page.broken]
    assert broken.position == 60
    assert "(INTERNAL_SERVER_ERROR)" in broken.message
    assert "Jane" not in broken.message
    assert ids(pages) == [one for one in source_ids(sandbox) if one != victim]


async def test_a_field_closed_for_all_is_named_with_its_way(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load
) -> None:
    sandbox = await of_shape("relay")
    sandbox.salestrekker.world.break_field(BrokenField(stream="contacts", path="isActive"))
    with pytest.raises(Refused, match=r"contacts\.edges\.node\.isActive"):
        await read(sandbox, load("relay"))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 10, 11, 200])
@pytest.mark.parametrize("first", [0, *BeforeFirst])
async def test_pages_are_counted_from_0_or_from_1(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, first: int | BeforeFirst, count: int
) -> None:
    """Found out, whatever a page 0 that is not there is answered with; only a list of one needs a word."""
    options = {"first_page": 0} if first == 0 else {"before_first": first}
    sandbox = await of_shape("page", contacts=count, **options)
    query = load("page")
    if count <= 1 and first is BeforeFirst.FAULT:
        with pytest.raises(Transient, match="from 0 or 1 could not be found out"):
            await read(sandbox, query, 5)
        query = load(text=TEXTS["page"].replace("$page: Int", "$page: Int = 1"))
    pages = await read(sandbox, query, 5)
    assert ids(pages) == source_ids(sandbox)


@pytest.mark.parametrize("first", [0, *BeforeFirst])
async def test_the_first_record_is_poisoned_and_pages_are_counted_from_0_or_from_1(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, first: int | BeforeFirst
) -> None:
    options = {"first_page": 0} if first == 0 else {"before_first": first}
    sandbox = await of_shape("page", **options)
    victims = poison(sandbox, 0, 57)
    pages = await read(sandbox, load("page"), 50)
    assert ids(pages) == [one for one in source_ids(sandbox) if one not in victims]
    assert [one.position for page in pages for one in page.broken] == [0, 57]


async def test_a_page_0_that_fails_for_a_while_is_not_taken_for_none(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load
) -> None:
    """Else its records would be lost, and seem gone."""
    sandbox = await of_shape("page", first_page=0)
    fault = Fault(
        kind="contacts", where=lambda one: one.content["variables"]["page"] == 0, status=500, times=None
    )
    sandbox.salestrekker.faults.add(fault)
    with pytest.raises(Transient, match="500"):
        await read(sandbox, load("page"))
    sandbox.salestrekker.faults.clear()
    assert ids(await read(sandbox, load("page"))) == source_ids(sandbox)


async def test_pages_whose_size_the_query_does_not_choose(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load
) -> None:
    sandbox = await of_shape("page", contacts=250, before_first=BeforeFirst.EMPTY)
    text = "query Q($page: Int) { contacts(page: $page) { items { id } } }"
    assert ids(await read(sandbox, load(text=text))) == source_ids(sandbox)


SINCE = {
    "page": ("$modifiedSince: Int", "modifiedSince: $modifiedSince"),
    "relay": ("$updatedSince: DateTime", "updatedSince: $updatedSince"),
    "plain": ("$since: String", "changedAfter: $since"),
}


def is_incremental(name: str) -> str:
    declared, passed = SINCE[name]
    text = TEXTS[name]
    if name == "plain":
        return text.replace("query Q", f"query Q({declared})").replace("contacts", f"contacts({passed})")
    return text.replace("query Q(", f"query Q({declared}, ").replace("contacts(", f"contacts({passed}, ")


@pytest.mark.parametrize("name", SINCE)
async def test_only_what_has_changed_is_read_and_a_little_before(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    """Record N is stamped N seconds after the year began; five minutes are read again."""
    sandbox = await of_shape(name, contacts=1000)
    query = load(text=is_incremental(name))
    assert query.is_incremental
    changed = sandbox.contacts.id_at(3)
    sandbox.contacts.rename(changed, "Ada Changed")
    since = int(datetime(2024, 1, 1, 0, 15, tzinfo=UTC).timestamp() * 1000)
    every = source_ids(sandbox)
    assert ids(await read(sandbox, query, since=since)) == [changed, *every[600:]]
    assert ids(await read(sandbox, query)) == every


@pytest.mark.parametrize(("name", "default"), [("page", "0"), ("relay", '"2025-01-01"'), ("plain", '"x"')])
async def test_a_full_walk_is_full_whatever_default_the_time_has(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str, default: str
) -> None:
    sandbox = await of_shape(name)
    declared = SINCE[name][0]
    query = load(text=is_incremental(name).replace(declared, f"{declared} = {default}"))
    assert ids(await read(sandbox, query)) == source_ids(sandbox)
    assert {variables[query.variables.name(Role.SINCE)] for variables in asked(sandbox)} == {None}


def answering(name: str, **answers: Any) -> Fault:  # noqa: ANN401 - any JSON value
    """A server that gives the same answer, whatever is asked."""
    content = {"page": {"items": answers.get("rows")}, "relay": answers}.get(name, answers.get("rows"))
    return Fault(kind="contacts", status=200, body={"data": {"contacts": content}}, times=None)


ROWS = [{"id": "a"}, {"id": "b"}]
EDGES = [{"node": row} for row in ROWS]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("page", {"rows": ROWS}),
        ("offset", {"rows": ROWS}),
        ("relay", {"edges": EDGES, "pageInfo": {"hasNextPage": True, "endCursor": "same"}}),
    ],
)
async def test_a_server_that_never_moves_on_is_found_out(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str, answer: dict[str, Any]
) -> None:
    sandbox = await of_shape(name)
    sandbox.salestrekker.faults.add(answering(name, **answer))
    query = load(name)
    with pytest.raises(QueryFileError, match=f"{query.paging_variable} is ignored") as caught:
        await read(sandbox, query, 2)
    assert f"${query.paging_variable}" in caught.value.advice


@pytest.mark.parametrize(
    ("info", "edges", "error", "says"),
    [
        ({"hasNextPage": True, "endCursor": None}, EDGES, QueryFileError, "no endCursor"),
        ({"hasNextPage": True, "endCursor": "x"}, [], Transient, "says there is more"),
        ({"hasNextPage": None, "endCursor": "x"}, EDGES, Transient, "without hasNextPage"),
        (None, EDGES, Transient, "without hasNextPage"),
        ({"hasNextPage": True, "endCursor": "x"}, None, Transient, "null"),
        ({"hasNextPage": True, "endCursor": "x"}, "none", QueryFileError, "not a list"),
    ],
)
async def test_a_connection_that_contradicts_itself_is_an_error(
    of_shape: Callable[..., Awaitable[Sandbox]],
    load: Load,
    info: object,
    edges: object,
    error: type[BridgeError],
    says: str,
) -> None:
    sandbox = await of_shape("relay")
    sandbox.salestrekker.faults.add(answering("relay", edges=edges, pageInfo=info))
    with pytest.raises(error, match=says):
        await read(sandbox, load("relay"))


async def test_edges_without_their_node_are_broken_records(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load
) -> None:
    sandbox = await of_shape("relay")
    edges = [{"node": {"id": "a"}}, None, {"node": None}]
    info = {"hasNextPage": False, "endCursor": None}
    sandbox.salestrekker.faults.add(answering("relay", edges=edges, pageInfo=info))
    page, last = await read(sandbox, load("relay"))
    assert [record.id for record in page.records] == ["a"]
    assert [one.position for one in page.broken] == [1, 2]
    assert last.last


@pytest.mark.parametrize("name", ["offset", "page"])
async def test_pages_without_end_that_hold_nothing_readable_are_given_up(
    of_shape: Callable[..., Awaitable[Sandbox]], load: Load, name: str
) -> None:
    sandbox = await of_shape(name)
    sandbox.salestrekker.faults.add(answering(name, rows=[None, None]))
    with pytest.raises(Transient, match="no record that could be read"):
        await read(sandbox, load(name), 2)
    assert len(asked(sandbox)) < 20
