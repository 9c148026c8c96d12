"""What goes over the wire and what must not come out: bounds, redirects, and no secret in any error."""

from __future__ import annotations

import asyncio
import base64
import gzip
import logging
import traceback
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.errors import BridgeError, Refused, Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import shipped_queries
from bridge.salestrekker.transport import GraphqlLibraryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

KEY = "canary-key-5f1e77"
QUERY = load_list_query("contacts.graphql", [shipped_queries()])
Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


CLAIMS = base64.urlsafe_b64encode(orjson.dumps({"canary": 1, "exp": 4_000_000_000})).decode()
TOKEN = f"eyJcanary.{CLAIMS.rstrip('=')}.canary-signature"


def page(*ids: str) -> web.Response:
    return web.json_response({"data": {"contacts": [{"id": one} for one in ids]}})


async def authenticated(request: web.Request) -> web.Response | None:
    """The answer to ``authenticate``; None for anything else."""
    body = await request.json()
    if body["operationName"] != "Authenticate":
        return None
    return web.json_response({"data": {"authenticate": {"token": TOKEN}}})


@asynccontextmanager
async def client_to(handler: Handler, **changes: Any) -> AsyncIterator[SalestrekkerClient]:  # noqa: ANN401
    """A client to a server of one handler; ``changes`` are arguments of the client."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        arguments: dict[str, Any] = {
            "url": str(server.make_url("/graphql")),
            "api_key": KEY,
            "requests_per_minute": 0,
            "timeout": 5.0,
            "retries": RetryPolicy(attempts=2, total=2.0, first=0.01, longest=0.01),
        } | changes
        async with SalestrekkerClient(**arguments) as client:
            yield client


async def read(client: SalestrekkerClient) -> list[str]:
    pages = client.read_pages(
        QUERY, stream=Stream.CONTACTS, identify=lambda data: str(data["id"]), page_size=10
    )
    return [record.id async for page in pages for record in page.records]


def everything_said(error: BaseException) -> str:
    """All that a log, a page or a debugger could show of an error and of those behind it."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    words = [text for one in seen for text in (str(one), repr(one), repr(one.args), repr(vars(one)))]
    return "\n".join(["".join(traceback.format_exception(error)), *words])


async def test_what_is_sent_is_as_the_vendor_wants_it() -> None:
    """POST with JSON, a bearer token, and the page's variables; no token with the log-in."""
    seen: list[tuple[str, str | None, dict[str, Any]]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.headers.get("Authorization"), await request.json()))
        return await authenticated(request) or page()

    async with client_to(handler) as client:
        await read(client)
    assert [(method, authorization) for method, authorization, _ in seen] == [
        ("POST", None),
        *[("POST", f"Bearer {TOKEN}")] * 3,
    ]
    assert seen[0][2]["variables"] == {"apiKey": KEY}
    assert KEY not in seen[0][2]["query"]
    assert "organizations" in seen[1][2]["query"], "the log-in is held to its organisation before it is used"
    assert seen[2][2] == {
        "query": QUERY.document.text,
        "operationName": "Contacts",
        "variables": {"offset": 0, "limit": 10},
    }


async def test_a_redirect_is_never_followed_with_the_credentials() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(await request.text())
        return page()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    async with TestServer(app, shutdown_timeout=0.1) as other:

        async def handler(_request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": str(other.make_url("/graphql"))})

        async with client_to(handler) as client:
            with pytest.raises(Refused, match=r"HTTP 307.*redirected to http://127"):
                await read(client)
    assert asked == []


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_beyond_the_bound_is_not_read(*, packed: bool) -> None:
    """Unpacked size counts: a few kilobytes may unpack to gigabytes."""

    async def handler(request: web.Request) -> web.Response:
        if (answer := await authenticated(request)) is not None:
            return answer
        body = orjson.dumps({"data": {"contacts": [{"id": "x" * 300_000}]}})
        if packed:
            body = gzip.compress(body)
        return web.Response(
            body=body,
            content_type="application/json",
            headers={"Content-Encoding": "gzip"} if packed else {},
        )

    async with client_to(handler, max_body=100_000) as client:
        with pytest.raises(Refused, match="longer than 100,000 bytes") as caught:
            await read(client)
    assert "page_size" in caught.value.advice


async def test_an_endless_error_page_is_cut_off() -> None:
    """Of what is no success only the beginning is read, however much of it there is."""
    written = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=503)
        await response.prepare(request)
        with suppress(ConnectionError):
            while written < 500_000_000:
                await response.write(b"x" * 65_536)
                written += 65_536
        return response

    async with client_to(handler) as client:
        with pytest.raises(Transient, match="503"):
            await client.authenticate()
    assert written < 100_000_000


async def test_an_answer_cut_short_is_transient() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if (answer := await authenticated(request)) is not None:
            return answer
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "500"})
        await response.prepare(request)
        await response.write(b'{"data": {"contacts": [')
        assert request.transport is not None
        request.transport.close()
        return response

    async with client_to(handler) as client:
        with pytest.raises(Transient, match="cannot be reached"):
            await read(client)


async def test_a_403_with_the_paths_of_fields_does_not_cost_the_token() -> None:
    logins = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal logins
        if (answer := await authenticated(request)) is not None:
            logins += 1
            return answer
        errors = [{"message": "no", "path": ["contacts"], "extensions": {"code": "FORBIDDEN"}}]
        return web.json_response({"data": None, "errors": errors}, status=403)

    async with client_to(handler) as client:
        with pytest.raises(Refused, match="read contacts"):
            await read(client)
    assert logins == 1


async def test_cookies_are_not_kept() -> None:
    """Each request stands for itself: the token alone says who asks."""
    cookies: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.extend(request.cookies)
        answer = await authenticated(request) or page()
        answer.set_cookie("session", "1")
        return answer

    async with client_to(handler) as client:
        await read(client)
    assert cookies == []


async def test_the_libraries_log_no_secret_and_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """Also where somebody sets all loggers to debug: gql logs what it sends and what it gets."""

    async def handler(request: web.Request) -> web.Response:
        return await authenticated(request) or page("canary-record")

    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="gql"):
        async with client_to(handler) as client:
            pages = client.read_pages(
                QUERY, stream=Stream.CONTACTS, identify=lambda data: str(data["id"]), page_size=5
            )
            async with aclosing(pages):
                assert (await anext(pages)).records[0].id == "canary-record"
    assert "gql.transport.aiohttp" in {record.name for record in caplog.records}
    assert "canary" not in caplog.text


def echo(status: int, content_type: str, wrap: str) -> Handler:
    """A server that repeats all it was told: the key in the log-in's answer, the token in a read's."""

    async def handler(request: web.Request) -> web.Response:
        body = await request.text()
        if wrap != "login" and (answer := await authenticated(request)) is not None:
            return answer
        told = f"{body} {request.headers.get('Authorization', '')} {KEY} {TOKEN}"
        texts = {
            "text": told,
            "login": orjson.dumps({"errors": [{"message": told}]}).decode(),
            "errors": orjson.dumps({"errors": [{"message": told}]}).decode(),
            "path": orjson.dumps({"errors": [{"message": told, "path": ["contacts", 0, "id"]}]}).decode(),
            "cut": orjson.dumps({"data": {"authenticate": {"token": told}}}).decode()[:-3],
            "odd": orjson.dumps({"token": told}).decode(),
        }
        return web.Response(status=status, text=texts[wrap], content_type=content_type)

    return handler


@pytest.mark.parametrize("wrap", ["text", "login", "errors", "path", "cut", "odd"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
async def test_no_error_tells_a_secret(status: int, content_type: str, wrap: str) -> None:
    """Neither its text nor its repr, its attributes, its causes, contexts or traceback."""
    async with client_to(echo(status, content_type, wrap)) as client:
        with pytest.raises(BridgeError) as caught:
            await read(client)
        said = everything_said(caught.value)
        assert "canary" not in said
        assert base64.b64encode(b"canary").decode()[:6] not in said
        assert "canary" not in repr(client)


@pytest.mark.parametrize(
    "answer", [b"nonsense canary\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nBad Header canary\r\n\r\n"]
)
async def test_no_error_of_the_connection_tells_a_secret(answer: bytes) -> None:
    """The errors of aiohttp about malformed answers hold the request with all its headers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b"authenticate(" in body:
            good = orjson.dumps({"data": {"authenticate": {"token": TOKEN}}})
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n%s" % (len(good), good))
        else:
            writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = SalestrekkerClient(
            url=f"http://127.0.0.1:{port}/graphql",
            api_key=KEY,
            requests_per_minute=0,
            retries=RetryPolicy(attempts=2, total=2.0, first=0.01, longest=0.01),
        )
        async with client:
            with pytest.raises(Transient) as caught:
                await read(client)
    said = everything_said(caught.value)
    assert "canary" not in said
    assert isinstance(caught.value.__cause__, GraphqlLibraryError)
