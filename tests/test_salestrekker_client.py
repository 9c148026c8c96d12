"""The client against the simulated Salestrekker: whole lists, faults in the middle, tokens that end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import BridgeError, QueryFileError, Refused, Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import shipped_queries
from bridge.salestrekker.tokens import RenewalPolicy
from bridge.sandbox import AuthErrorStyle, BrokenField, Fault, Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import Page

QUICK = RetryPolicy(attempts=4, total=5.0, first=0.01, longest=0.02)
CONTACTS = load_list_query("contacts.graphql", [shipped_queries()])
PRODUCTS = load_list_query("products.graphql", [shipped_queries()])


def identify(data: Mapping[str, object]) -> str | None:
    found = data.get("id")
    return found if isinstance(found, str) else None


def client_of(sandbox: Sandbox, **changes: Any) -> SalestrekkerClient:  # noqa: ANN401 - of several types
    arguments: dict[str, Any] = {
        "url": sandbox.salestrekker_url,
        "api_key": sandbox.options.api_key,
        "requests_per_minute": 0,
        "timeout": 5.0,
        "retries": QUICK,
    } | changes
    return SalestrekkerClient(**arguments)


async def read(client: SalestrekkerClient, query: ListQuery = CONTACTS, size: int = 50) -> list[Page]:
    walk = client.read_pages(query, stream=Stream.CONTACTS, identify=identify, page_size=size)
    async with aclosing(walk) as pages:
        return [page async for page in pages]


def ids(pages: list[Page]) -> list[str]:
    return [record.id for page in pages for record in page.records]


def source_ids(sandbox: Sandbox) -> list[str]:
    return [row["id"] for row in sandbox.contacts]


def kinds(sandbox: Sandbox) -> Counter[str]:
    return Counter(exchange.kind for exchange in sandbox.salestrekker.traffic.exchanges)


async def test_a_whole_list_is_read_once_in_order(sandbox: Sandbox) -> None:
    before = time.time() * 1000
    async with client_of(sandbox) as client:
        pages = await read(client)
    assert ids(pages) == source_ids(sandbox)
    assert [page.last for page in pages] == [False] * 4 + [True]
    assert all(before - 1 <= one.read_at <= time.time() * 1000 for page in pages for one in page.records)
    assert kinds(sandbox) == {"authenticate": 1, "organizations": 1, "contacts": 6}


async def test_products_are_read_likewise(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        pages = await read(client, PRODUCTS)
    assert ids(pages) == [row["id"] for row in sandbox.products]
    assert pages[0].records[0].data.keys() >= {"name", "lender", "fee", "isActive"}


async def test_a_walk_goes_on_from_where_a_page_was_safe(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        walk = client.read_pages(
            CONTACTS, stream=Stream.CONTACTS, identify=identify, page_size=50, start="120"
        )
        assert ids([page async for page in walk]) == source_ids(sandbox)[120:]


async def test_a_server_that_gives_fewer_than_asked_loses_nothing(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]],
) -> None:
    sandbox = await start_sandbox(Options(contacts=95, products=0, max_page=30))
    async with client_of(sandbox) as client:
        assert ids(await read(client, size=100)) == source_ids(sandbox)


async def test_many_at_once_authenticate_once(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await asyncio.gather(*(read(client) for _ in range(5)))
    assert kinds(sandbox)["authenticate"] == 1


async def test_no_more_are_in_flight_than_allowed(sandbox: Sandbox) -> None:
    async with client_of(sandbox, max_in_flight=2) as client:
        await asyncio.gather(*(read(client, size=20) for _ in range(5)))
    assert max(exchange.in_flight for exchange in sandbox.salestrekker.traffic.exchanges) <= 2


async def test_the_rate_is_kept_with_a_burst_of_a_few(sandbox: Sandbox) -> None:
    """1,200 a minute is 20 a second: after a burst of 4, the other 6 requests take 0.3 of one."""
    async with client_of(sandbox, requests_per_minute=1200) as client:
        began = time.monotonic()
        await asyncio.gather(*(read(client, size=100) for _ in range(2)))
    assert sum(kinds(sandbox).values()) == 10
    assert time.monotonic() - began >= 6 / 20 * 0.9


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="contacts", status=503, body="<html>busy</html>", times=3),
        Fault(kind="contacts", status=500, body={"errors": [{"message": "boom"}]}, times=3),
        Fault(kind="contacts", reset=True, times=3),
        Fault(kind="contacts", status=200, body='{"data": {"contacts": [{"id"', times=3),
        Fault(kind="contacts", status=200, body={"data": None}, times=3),
        Fault(kind="contacts", status=200, body={"data": {"contacts": None}}, times=3),
        Fault(kind="contacts", status=429, headers={"Retry-After": "0"}, times=3),
        Fault(kind="authenticate", status=502, times=3),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status or 'reset'}",
)
async def test_a_passing_fault_is_not_noticed(sandbox: Sandbox, fault: Fault) -> None:
    sandbox.salestrekker.faults.add(fault)
    async with client_of(sandbox) as client:
        assert ids(await read(client)) == source_ids(sandbox)


async def test_a_lasting_fault_ends_the_walk_after_a_few_attempts(sandbox: Sandbox) -> None:
    sandbox.salestrekker.faults.add(Fault(kind="contacts", status=503, times=None))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient, match="503"):
            await read(client)
    assert kinds(sandbox)["contacts"] == QUICK.attempts


async def test_retry_after_is_waited_out_by_all(sandbox: Sandbox) -> None:
    sandbox.salestrekker.faults.add(Fault(kind="contacts", status=429, headers={"Retry-After": "1"}))
    async with client_of(sandbox) as client:
        await client.authenticate()
        await asyncio.gather(*(read(client, size=200) for _ in range(3)))
    refused, *later = [one for one in sandbox.salestrekker.traffic.exchanges if one.kind == "contacts"]
    assert refused.status == 429
    behind = [one.at - refused.at for one in later if one.at > refused.at]
    assert len([gap for gap in behind if gap >= 0.9]) >= len(behind) - 2  # two were on their way already


async def test_a_long_retry_after_is_handed_on_instead_of_waited_out(sandbox: Sandbox) -> None:
    """And the next request is not even sent."""
    sandbox.salestrekker.faults.add(Fault(kind="contacts", status=503, headers={"Retry-After": "120"}))
    async with client_of(sandbox) as client:
        for _ in range(2):
            with pytest.raises(Transient) as caught:
                await read(client)
            assert caught.value.retry_after == pytest.approx(120, abs=5)
    assert kinds(sandbox)["contacts"] == 1


async def test_a_slow_answer_is_given_up_in_time(sandbox: Sandbox) -> None:
    gate = asyncio.Event()
    sandbox.salestrekker.faults.add(Fault(kind="contacts", gate=gate, times=None))
    async with client_of(sandbox, timeout=0.1, retries=RetryPolicy(attempts=1)) as client:
        with pytest.raises(Transient, match="in time"):
            await read(client)
    gate.set()


@pytest.mark.parametrize("style", list(AuthErrorStyle))
async def test_a_revoked_token_is_renewed_once_for_all(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], style: AuthErrorStyle
) -> None:
    """However the refusal is worded, and however many requests meet it."""
    sandbox = await start_sandbox(Options(contacts=200, products=0, auth_error_style=style))
    async with client_of(sandbox) as client:
        await client.authenticate()
        sandbox.salestrekker.revoke_tokens()
        lists = await asyncio.gather(*(read(client) for _ in range(4)))
    assert all(ids(pages) == source_ids(sandbox) for pages in lists)
    assert kinds(sandbox)["authenticate"] == 2


@pytest.mark.parametrize("style", list(AuthErrorStyle))
async def test_a_key_that_is_revoked_in_the_middle_is_tried_once(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], style: AuthErrorStyle
) -> None:
    """Whatever was read before arrives; then all stops, until it is forgiven."""
    sandbox = await start_sandbox(Options(contacts=200, products=0, auth_error_style=style))
    async with client_of(sandbox) as client:
        walk = client.read_pages(CONTACTS, stream=Stream.CONTACTS, identify=identify, page_size=50)
        async with aclosing(walk) as pages:
            await anext(pages)
            sandbox.salestrekker.revoke_key()
            with pytest.raises(Refused, match="did not accept the API key") as caught:
                [page async for page in pages]
        assert "api_key" in caught.value.advice
        assert kinds(sandbox)["authenticate"] == 2
        with pytest.raises(Refused):
            await read(client)
        assert kinds(sandbox)["authenticate"] == 2
        sandbox.salestrekker.restore_key()
        client.reset_refusal()
        assert ids(await read(client)) == source_ids(sandbox)


async def test_a_token_that_is_never_accepted_is_renewed_once(sandbox: Sandbox) -> None:
    sandbox.salestrekker.faults.add(Fault(kind="contacts", status=401, times=None))
    async with client_of(sandbox) as client:
        ends = await asyncio.gather(*(read(client) for _ in range(3)), return_exceptions=True)
    assert ["also a new one" in str(end) for end in ends] == [True] * 3
    assert {type(end) for end in ends} == {Refused}
    assert kinds(sandbox)["authenticate"] == 2


async def test_a_query_refused_with_a_good_token_stops_only_itself(sandbox: Sandbox) -> None:
    """A permission that is missing for one list, answered as if it were the token."""
    async with client_of(sandbox) as client:
        await read(client)
        sandbox.salestrekker.faults.add(Fault(kind="products", status=403, times=None))
        with pytest.raises(Refused):
            await read(client, PRODUCTS)
        client.reset_refusal()
        assert ids(await read(client)) == source_ids(sandbox)


async def test_a_token_is_renewed_before_it_ends(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]],
) -> None:
    """By a clock that is set by hand: nothing is refused on the way."""
    sandbox = await start_sandbox(Options(contacts=20, products=0))
    now = time.time()
    async with client_of(sandbox, clock=lambda: now) as client:
        await read(client)
        assert client.token_expires_at == pytest.approx((now + 14 * 86400) * 1000, abs=2000)
        now += 12 * 86400 + 60
        await read(client)
    assert kinds(sandbox)["authenticate"] == 2
    assert {exchange.status for exchange in sandbox.salestrekker.traffic.exchanges} == {200}


async def test_broken_records_are_reported_and_the_others_used(sandbox: Sandbox) -> None:
    victim = sandbox.contacts.id_at(60)
    sandbox.salestrekker.world.break_field(
        BrokenField(
            stream="contacts", path="isActive", id=victim, code="INTERNAL_SERVER_ERROR", message="Jane Doe"
        )
    )
    async with client_of(sandbox) as client:
        pages = await read(client)
    broken = [broken for page in pages for broken in page.broken]
    assert [(one.position, one.id) for one in broken] == [(60, victim)]
    assert "isActive (INTERNAL_SERVER_ERROR)" in broken[0].message
    assert "Jane" not in broken[0].message
    assert set(ids(pages)) == set(source_ids(sandbox)) - {victim}


async def test_a_record_that_takes_its_page_with_it_is_passed(sandbox: Sandbox) -> None:
    """``contacts: [Contact!]!``: an error in ``id: ID!`` leaves null for the whole answer."""
    victim = sandbox.contacts.id_at(60)
    sandbox.salestrekker.world.break_field(
        BrokenField(stream="contacts", path="id", id=victim, code="INTERNAL_SERVER_ERROR")
    )
    async with client_of(sandbox) as client:
        pages = await read(client)
    assert [one.position for page in pages for one in page.broken] == [60]
    assert ids(pages) == [one for one in source_ids(sandbox) if one != victim]


async def test_a_field_that_is_closed_for_all_records_is_named(sandbox: Sandbox) -> None:
    sandbox.salestrekker.world.break_field(BrokenField(stream="contacts", path="isActive"))
    async with client_of(sandbox) as client:
        with pytest.raises(Refused, match=r"contacts\.isActive") as caught:
            await read(client)
    assert "contacts.graphql" in caught.value.advice


async def test_a_query_that_does_not_fit_the_schema_names_file_and_field(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    text = "query Q($offset: Int) { contacts(offset: $offset) { id shoeSize } }"
    (tmp_path / "q.graphql").write_text(text)
    async with client_of(sandbox) as client:
        with pytest.raises(QueryFileError, match=r"q\.graphql: .*shoeSize"):
            await read(client, load_list_query("q.graphql", [tmp_path]))


@pytest.mark.parametrize("path", ["", "/api", "/graphql/x"])
async def test_a_wrong_address_is_refused_at_once(sandbox: Sandbox, path: str) -> None:
    url = sandbox.salestrekker_url.removesuffix("/graphql") + path
    async with client_of(sandbox, url=url) as client:
        with pytest.raises(Refused, match="HTTP 404") as caught:
            await read(client)
    assert "url" in caught.value.advice
    assert sum(kinds(sandbox).values()) == 1


async def test_a_client_left_in_the_middle_of_a_walk_leaves_nothing(sandbox: Sandbox) -> None:
    gate = asyncio.Event()
    before = asyncio.all_tasks()
    async with client_of(sandbox) as client:
        pages = client.read_pages(CONTACTS, stream=Stream.CONTACTS, identify=identify, page_size=50)
        held = sandbox.salestrekker.faults.add(
            Fault(kind="contacts", where=lambda one: one.content["variables"]["offset"] > 0, gate=gate)
        )
        await anext(pages)
        await sandbox.salestrekker.wait_for(lambda: held.hits)
    gate.set()
    assert {task for task in asyncio.all_tasks() - before if "_next" in repr(task)} == set()
    assert [page async for page in pages] == []


async def test_nothing_listening_is_transient(sandbox: Sandbox) -> None:
    url = sandbox.salestrekker_url
    await sandbox.__aexit__()
    async with client_of(sandbox, url=url) as client:
        with pytest.raises(Transient, match="cannot be reached"):
            await client.authenticate()


async def test_every_error_of_the_client_is_one_of_ours(sandbox: Sandbox) -> None:
    async with client_of(sandbox, url="http://") as client:
        with pytest.raises(BridgeError):
            await client.authenticate()


async def test_reads_go_on_with_the_old_token_where_a_revoked_key_gives_no_new_one(sandbox: Sandbox) -> None:
    """While renewal fails the old one is used to its end; whoever asks is told since when it fails."""
    now, told = time.time(), asyncio.Event()
    async with client_of(sandbox, clock=lambda: now, on_token=told.set) as client:
        assert ids(await read(client)) == source_ids(sandbox)
        now += 13 * 86400
        sandbox.salestrekker.revoked = True
        told.clear()
        assert ids(await read(client)) == source_ids(sandbox)
        standing = client.token
        assert standing is not None
        assert standing.failing_since == int(now * 1000)
        assert "API key" in standing.problem
        assert told.is_set()


async def test_a_token_is_kept_good_although_nothing_is_read(sandbox: Sandbox) -> None:
    now = time.time()
    renewing = RenewalPolicy(look=0.001)
    async with client_of(sandbox, clock=lambda: now, renewing=renewing) as client:
        await client.authenticate()
        refreshing = asyncio.create_task(client.keep_token())
        now += 13 * 86400
        await sandbox.salestrekker.wait_for(lambda: kinds(sandbox)["authenticate"] == 2)
        refreshing.cancel()
        await asyncio.wait([refreshing])
