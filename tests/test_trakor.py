"""Trakor's API: requests and answers as pure functions, and the client over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, Refused, Transient, Unanswered
from bridge.records import Party, Product
from bridge.sandbox import Fault, Options, Sandbox
from bridge.trakor import (
    TrakorClient,
    build_body,
    endpoint_of,
)
from bridge.trakor.client import MAX_RESPONSE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


KEY = "sk_live_canary_77d1"
ADA = Party("Ada Ashby", "Ada Ashby | +61 491 570 156 | ada@example.com")
Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


# What is sent


def test_a_party_goes_to_parties_with_what_it_has() -> None:
    assert endpoint_of(ADA) == "/parties"
    assert json.loads(build_body(ADA)) == {"name": ADA.name, "contact_info": ADA.contact_info}
    assert json.loads(build_body(Party("Ada"))) == {"name": "Ada"}


def test_a_product_goes_to_products_with_what_it_has() -> None:
    whole = Product("Basic Home", "Variable", Decimal("450.50"))
    assert endpoint_of(whole) == "/products"
    assert json.loads(build_body(whole)) == {"name": "Basic Home", "description": "Variable", "price": 450.5}
    assert json.loads(build_body(Product("Basic Home"))) == {"name": "Basic Home"}


def test_a_price_of_nothing_is_a_price() -> None:
    assert json.loads(build_body(Product("Free", price=Decimal("0.00")))) == {"name": "Free", "price": 0}


@given(st.integers(0, 10**14 - 1))
def test_prices_arrive_exact_to_the_cent(cents: int) -> None:
    price = Decimal(cents).scaleb(-2)
    text = build_body(Product("Loan", price=price)).decode()
    as_written = json.loads(text, parse_float=Decimal, parse_int=Decimal)["price"]
    assert as_written == price


@given(st.text(), st.text())
def test_whatever_text_a_record_has_arrives_as_it_is(name: str, info: str) -> None:
    fit = (name + info).encode(errors="ignore").decode()  # mapping lets no lone surrogate through
    assert json.loads(build_body(Party(fit, fit))).get("contact_info", "") == fit


# The client


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """The address of a server of one handler, for any path and method."""
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield str(server.make_url("/api/public/v1"))


@asynccontextmanager
async def client_to(handler: Handler, **changes: Any) -> AsyncIterator[TrakorClient]:  # noqa: ANN401
    async with served(handler) as url, TrakorClient(url, KEY, **({"timeout": 5.0} | changes)) as client:
        yield client


@asynccontextmanager
async def client_of(sandbox: Sandbox, **changes: Any) -> AsyncIterator[TrakorClient]:  # noqa: ANN401
    key = changes.pop("api_key", sandbox.options.trakor_key)
    async with TrakorClient(sandbox.trakor_url, key, **({"timeout": 5.0} | changes)) as client:
        yield client


async def test_a_party_and_a_product_are_made_once(sandbox: Sandbox) -> None:
    loan = Product("Basic Home", "Variable", Decimal("2.68"))
    async with client_of(sandbox) as client:
        party, again = await client.post(ADA), await client.post(ADA)
        product = await client.post(loan)
    assert (party.created, again.created, again.trakor_id) == (True, False, party.trakor_id)
    assert product.sku == "PRD-00001"
    assert sandbox.trakor.parties[ADA.name].text == ADA.contact_info
    assert sandbox.trakor.products[loan.name].price == 2.68


async def test_a_good_key_is_proven_without_making_anything(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await client.probe()
    assert (len(sandbox.trakor.parties), len(sandbox.trakor.products)) == (0, 0)


async def test_a_bad_key_a_frozen_organisation_and_a_wrong_address_are_found_by_the_proof(
    sandbox: Sandbox,
) -> None:
    async with client_of(sandbox, api_key="sk_live_wrong") as client:
        with pytest.raises(Refused, match="401"):
            await client.probe()
    async with TrakorClient(f"{sandbox.trakor_url}/v2", sandbox.options.trakor_key) as client:
        with pytest.raises(Refused, match="404"):
            await client.probe()
    sandbox.trakor.freeze()
    async with client_of(sandbox) as client:
        with pytest.raises(Refused, match="403"):
            await client.probe()


async def test_the_proof_lets_an_outage_show(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(status=503, headers={"Retry-After": "4"}))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient) as caught:
            await client.probe()
    assert caught.value.retry_after == 4.0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_so_the_key_reaches_no_other_host(status: int) -> None:
    elsewhere: list[str] = []

    async def other(request: web.Request) -> web.Response:
        elsewhere.append(request.headers.get("X-API-KEY", ""))
        return web.json_response({"id": "x", "name": "x", "created": True})

    async with served(other) as target:

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": target})

        async with client_to(redirect) as client:
            with pytest.raises(Refused, match="redirect"):
                await client.post(ADA)
            with pytest.raises(Refused, match="redirect"):
                await client.probe()
    assert elsewhere == []


async def test_who_does_not_answer_in_time_may_answer_later(sandbox: Sandbox) -> None:
    held = asyncio.Event()
    sandbox.trakor.faults.add(Fault(gate=held))
    async with client_of(sandbox, timeout=0.05) as client:
        with pytest.raises(Unanswered, match="no answer"):
            await client.post(ADA)
    held.set()


async def test_an_answer_that_stalls_in_its_middle_is_given_up(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(stall=30.0))
    async with client_of(sandbox, timeout=0.1) as client:
        with pytest.raises(Transient, match="no answer"):
            await client.post(ADA)


async def test_a_connection_that_breaks_is_transient_and_not_tried_again_here(sandbox: Sandbox) -> None:
    """The ledger must know of every attempt: also one on a connection that was kept open."""
    async with client_of(sandbox) as client:
        await client.post(Party("Bea"))
        sandbox.trakor.faults.add(Fault(reset=True, commit=True))
        with pytest.raises(Unanswered, match="no answer"):
            await client.post(ADA)
        assert sandbox.trakor.traffic.kinds["parties"] == 2
        again = await client.post(ADA)
    assert not again.created


async def test_of_an_endless_answer_no_more_is_read_than_counts() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)
            sent += 65536

    async with client_to(endless) as client:
        with pytest.raises(Transient):
            await client.post(ADA)
    assert sent < 400 * MAX_RESPONSE, "what the sockets' buffers hold, not what was there to be sent"


async def test_a_huge_packed_answer_is_not_unpacked_whole() -> None:
    asked: list[str] = []
    bomb = gzip.compress(b" " * (20 * 2**20))

    async def packed(request: web.Request) -> web.Response:
        asked.append(request.headers["Accept-Encoding"])
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return web.Response(body=bomb, headers=headers)

    async with client_to(packed) as client:
        with pytest.raises(Transient):
            await client.post(ADA)
    assert asked == ["identity"]


async def test_a_cancelled_request_gives_its_place_back(sandbox: Sandbox) -> None:
    gate = asyncio.Event()
    sandbox.trakor.faults.add(Fault(gate=gate, times=4))
    async with client_of(sandbox, max_in_flight=2) as client:
        for _ in range(2):
            both = [asyncio.create_task(client.post(Party(name))) for name in ("Ada", "Bea")]
            await sandbox.trakor.wait_for(partial(_have_arrived, sandbox, sandbox.trakor.traffic.total + 2))
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        gate.set()
        assert (await client.post(ADA)).created


def _have_arrived(sandbox: Sandbox, number: int) -> bool:
    return sandbox.trakor.traffic.total >= number


async def test_no_error_tells_the_key_or_the_record(start_sandbox: Callable[..., Awaitable[Sandbox]]) -> None:
    sandbox = await start_sandbox(Options(contacts=0, products=0, trakor_key=KEY))
    faults = [
        Fault(status=400, body={"error": f"{ADA.name} {KEY}1234 {ADA.contact_info}"}),
        Fault(status=401, body={"error": KEY}),
        Fault(status=500, body={"error": ADA.name}),
        Fault(status=200, body=f"<html>{ADA.name} {KEY}</html>"),
        Fault(status=200, body={"error": ADA.name}),
        Fault(reset=True),
    ]
    async with client_of(sandbox) as client:
        for fault in faults:
            sandbox.trakor.faults.add(fault)
            with pytest.raises(BridgeError) as caught:
                await client.post(ADA)
            told = f"{caught.value} {caught.value.__cause__} {getattr(caught.value, 'advice', '')}"
            assert not any(canary in told for canary in (KEY, "Ada", "Ashby", "570", "example.com"))
