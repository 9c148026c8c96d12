"""Trakor's API: requests and answers as pure functions, and the client over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from decimal import Decimal
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, Refused, Rejected, Transient
from bridge.records import Answer, Party, Product
from bridge.sandbox import Fault, Options, Sandbox
from bridge.trakor import (
    LONGEST_ANSWER,
    LONGEST_MESSAGE,
    KeyRefused,
    TrakorClient,
    build,
    decipher,
    path_of,
    scrub,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from bridge.records import Payload

KEY = "sk_live_canary_77d1"
NOW = 1_800_000_000.0
ADA = Party("Ada Ashby", "Ada Ashby | +61 491 570 156 | ada@example.com")
JSON = {"content-type": "application/json"}
Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


def said(status: int, body: object, payload: Payload | None = ADA, /, **headers: str) -> Answer | BridgeError:
    """What an answer with a JSON body is taken for."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decipher(status, JSON | named, content, payload, NOW)


# What is sent


def test_a_party_goes_to_parties_with_what_it_has() -> None:
    assert path_of(ADA) == "/parties"
    assert json.loads(build(ADA)) == {"name": ADA.name, "contact_info": ADA.contact_info}
    assert json.loads(build(Party("Ada"))) == {"name": "Ada"}


def test_a_product_goes_to_products_with_what_it_has() -> None:
    whole = Product("Basic Home", "Variable", Decimal("450.50"))
    assert path_of(whole) == "/products"
    assert json.loads(build(whole)) == {"name": "Basic Home", "description": "Variable", "price": 450.5}
    assert json.loads(build(Product("Basic Home"))) == {"name": "Basic Home"}


def test_a_price_of_nothing_is_a_price() -> None:
    assert json.loads(build(Product("Free", price=Decimal("0.00")))) == {"name": "Free", "price": 0}


@given(st.integers(0, 10**14 - 1))
def test_prices_arrive_exact_to_the_cent(cents: int) -> None:
    price = Decimal(cents).scaleb(-2)
    text = build(Product("Loan", price=price)).decode()
    as_written = json.loads(text, parse_float=Decimal, parse_int=Decimal)["price"]
    assert as_written == price


@given(st.text(), st.text())
def test_whatever_text_a_record_has_arrives_as_it_is(name: str, info: str) -> None:
    fit = (name + info).encode(errors="ignore").decode()  # mapping lets no lone surrogate through
    assert json.loads(build(Party(fit, fit))).get("contact_info", "") == fit


# What an answer means


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("created", [True, False])
def test_an_answer_with_id_and_created_is_one_whatever_the_status(status: int, created: bool) -> None:  # noqa: FBT001
    body = {"id": "p-1", "name": "Ada Ashby", "created": created}
    assert said(status, body) == Answer("p-1", "Ada Ashby", created)


def test_a_product_has_an_article_number() -> None:
    body = {"id": 17, "sku": "PRD-00017", "name": "Basic", "created": True}
    assert said(201, body, Product("Basic")) == Answer("17", "Basic", created=True, sku="PRD-00017")


@pytest.mark.parametrize("odd", [None, 5, ["Ada"]])
def test_an_odd_name_or_number_is_none(odd: object) -> None:
    assert said(201, {"id": "p-1", "name": odd, "sku": odd, "created": True}) == Answer(
        "p-1", "", created=True
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "p-1", "created": tr',
        b"",
        {"created": True},
        {"id": "", "created": True},
        {"id": None, "created": True},
        {"id": "p-1"},
        {"id": "p-1", "created": "yes"},
        {"error": "maintenance"},
        ["p-1"],
        None,
        "p-1",
    ],
)
def test_a_good_status_without_a_whole_answer_is_tried_again(body: object) -> None:
    assert type(said(200, body)) is Transient


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/json"])
def test_truncated_json_is_tried_again_however_its_kind_is_spelled(kind: str) -> None:
    assert type(decipher(201, {"content-type": kind}, b'{"id": "p', ADA, NOW)) is Transient


@pytest.mark.parametrize("headers", [{"content-type": "text/html; charset=utf-8"}, {}])
def test_a_page_instead_of_json_is_another_place(headers: Mapping[str, str]) -> None:
    found = decipher(200, headers, b"<html>Welcome</html>", ADA, NOW)
    assert type(found) is Refused
    assert "/api/public/v1" in found.advice


@pytest.mark.parametrize(
    ("status", "body", "unsure"),
    [(200, b"<html>Log in</html>", False), (200, b"", True), (201, b"<html>", True), (204, b"", True)],
)
def test_a_success_that_tells_nothing_may_have_made_the_record(
    status: int,
    body: bytes,
    unsure: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    found = decipher(status, {"content-type": "text/html"}, body, ADA, NOW)
    assert isinstance(found, Refused)
    assert found.unsure is unsure


def test_no_more_of_a_content_type_is_shown_than_a_person_can_read() -> None:
    found = decipher(200, {"content-type": "text/" + "x" * 8000}, b"<html>", ADA, NOW)
    assert len(str(found)) < 150


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "API key"),
        (403, "thawed"),
        (404, "url"),
        (405, "url"),
        (402, "url"),
        (407, "url"),
        (410, "url"),
        (301, "redirect"),
        (302, "redirect"),
        (304, "redirect"),
        (307, "redirect"),
        (308, "redirect"),
    ],
)
def test_what_would_meet_every_request_refuses_the_flow(status: int, advice: str) -> None:
    """The address is known to be Trakor's where it is the key that is refused."""
    found = said(status, {"error": "no"})
    assert type(found) is (KeyRefused if status in {401, 403} else Refused)
    assert str(status) in str(found)
    assert advice in found.advice


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_one_record_rejects_that_one(status: int) -> None:
    found = said(status, {"error": "contact_info: Expected string"})
    assert type(found) is Rejected
    assert str(found) == f"Trakor answered {status}: contact_info: Expected string"


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 500, 502, 503, 504, 520, 599])
def test_what_may_pass_is_tried_again(status: int) -> None:
    found = said(status, {"error": "no"})
    assert type(found) is Transient
    assert found.retry_after is None
    assert found.busy == (status in {429, 503})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), (formatdate(NOW + 90, usegmt=True), 90.0), ("99999999", 3600.0)],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_wait_that_is_asked_for_is_told_in_seconds_or_as_a_date(
    status: int, value: str, seconds: float
) -> None:
    found = said(status, {}, retry_after=value)
    assert isinstance(found, Transient)
    assert found.retry_after == seconds
    assert found.busy, "who asks for a wait blames its load, not the record"


@pytest.mark.parametrize("value", ["soon", "-3", formatdate(NOW - 90, usegmt=True), ""])
def test_a_wait_that_makes_no_sense_is_none(value: str) -> None:
    found = said(500, {}, retry_after=value)
    assert isinstance(found, Transient)
    assert found.retry_after is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "price: Expected number"}, "price: Expected number"),
        ({"message": "price: Expected number"}, "price: Expected number"),
        ({"error": {"message": "price: Expected number"}}, "price: Expected number"),
        ({"error": "  a\n\tb\u200b  "}, "a b"),
    ],
)
def test_trakors_words_are_found_where_servers_put_them(body: object, words: str) -> None:
    assert str(said(400, body, Product("Loan"))) == f"Trakor answered 400: {words}"


@pytest.mark.parametrize("body", [b"<html>Bad request</html>", b"", {}, {"error": 3}, {"error": ["x"]}, []])
def test_a_rejection_without_words_says_so(body: object) -> None:
    assert str(said(400, body)) == "Trakor answered 400 without a reason"


def test_a_long_reason_is_cut() -> None:
    found = said(400, {"error": "must not be so long " * 5000})
    assert len(str(found)) <= LONGEST_MESSAGE + len("Trakor answered 400: ")


@given(st.integers(100, 599), st.binary(max_size=300), st.sampled_from(["application/json", "text/html", ""]))
def test_any_answer_whatever_means_something(status: int, body: bytes, kind: str) -> None:
    found = decipher(status, {"content-type": kind}, body, ADA, NOW)
    assert isinstance(found, Answer | Transient | Refused | Rejected)


# No personal data in what is kept of it


@pytest.mark.parametrize(
    ("message", "scrubbed"),
    [
        ("name: Must contain at most 255 characters", "name: Must contain at most 255 characters"),
        ('party "Ada Ashby" is blocked', "party … … is blocked"),
        ('{"name":"ADA ASHBY"} is bad', "… … is bad"),
        ("name=ada_ashby;", "…"),
        ("cut: Ada Ash…", "cut: … …"),
        ("bob@example.org wrote", "… wrote"),
        ("call 0491570156 or +61 491 570 156", "call … or … … … …"),
        (r"name \u0041da", "name …"),
    ],
)
def test_the_words_of_a_record_are_left_out_of_the_message(message: str, scrubbed: str) -> None:
    assert scrub(message, ADA) == scrubbed


LETTERS = "bdfgjkqvwxzBDFGéßЖשםल王小明가"
"""No letter of the words around: whichever is left over is the record's."""

words = st.text(LETTERS, min_size=1, max_size=8)
values = st.lists(words, min_size=1, max_size=4).map(" ".join)
forms = st.sampled_from(
    [
        str,
        str.upper,
        str.casefold,
        json.dumps,
        lambda text: json.dumps({"n": text}, ensure_ascii=False, separators=(",", ":")),
        lambda text: f"«{text}»,",
        lambda text: text.replace(" ", "_"),
        lambda text: text.replace(" ", " | "),
        lambda text: f"{text[: len(text) // 2 + 1]}…",
    ]
)


@given(values, values, forms)
def test_nothing_of_a_record_is_left_however_it_is_repeated(
    name: str, info: str, form: Callable[[str], str]
) -> None:
    for repeated in (form(name), form(info)):
        found = scrub(f"in: {repeated} at a time, not 12 or (3)", Party(name, info))
        assert found.startswith("in:")
        assert found.endswith("at a time, not 12 or (3)")
        assert not set(found.casefold()) & set(LETTERS.casefold())


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
        await client.prove()
    assert (len(sandbox.trakor.parties), len(sandbox.trakor.products)) == (0, 0)


async def test_a_bad_key_a_frozen_organisation_and_a_wrong_address_are_found_by_the_proof(
    sandbox: Sandbox,
) -> None:
    async with client_of(sandbox, api_key="sk_live_wrong") as client:
        with pytest.raises(Refused, match="401"):
            await client.prove()
    async with TrakorClient(f"{sandbox.trakor_url}/v2", sandbox.options.trakor_key) as client:
        with pytest.raises(Refused, match="404"):
            await client.prove()
    sandbox.trakor.freeze()
    async with client_of(sandbox) as client:
        with pytest.raises(Refused, match="403"):
            await client.prove()


async def test_the_proof_lets_an_outage_show(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(status=503, headers={"Retry-After": "4"}))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient) as caught:
            await client.prove()
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
                await client.prove()
    assert elsewhere == []


async def test_who_does_not_answer_in_time_may_answer_later(sandbox: Sandbox) -> None:
    held = asyncio.Event()
    sandbox.trakor.faults.add(Fault(gate=held))
    async with client_of(sandbox, timeout=0.05) as client:
        with pytest.raises(Transient, match="no answer"):
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
        with pytest.raises(Transient, match="no answer"):
            await client.post(ADA)
        assert sandbox.trakor.traffic.kinds["parties"] == 2
        again = await client.post(ADA)
    assert not again.created


async def test_nobody_at_the_address_is_transient(sandbox: Sandbox) -> None:
    async with TestServer(web.Application()) as server:
        url = str(server.make_url("/api/public/v1"))
    async with TrakorClient(url, KEY, timeout=5.0) as client:
        with pytest.raises(Transient, match="no answer"):
            await client.post(ADA)
    assert sandbox.trakor.traffic.total == 0


async def test_what_is_no_http_is_transient() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xffnot http at all\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with TrakorClient(f"http://127.0.0.1:{port}/api/public/v1", KEY, timeout=5.0) as client:
            with pytest.raises(Transient, match="no answer"):
                await client.post(ADA)


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
    assert sent < 400 * LONGEST_ANSWER, "what the sockets' buffers hold, not what was there to be sent"


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
