"""What a request to Trakor came to, over real sockets: it never left, or it may be at work there."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trustme

from bridge.errors import BridgeError, NeverSent, Transient, Unanswered
from bridge.records import Party, TrakorAnswer
from bridge.trakor import TrakorClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from bridge.sandbox import Sandbox

KEY = "sk_live_canary_77d1"
ADA = Party("Ada Ashby", "ada@example.com")
MADE = b'{"id": "p-1", "name": "Ada Ashby", "created": true}'
Behave: TypeAlias = "Callable[[Peer], Awaitable[None]]"


def answer(
    body: bytes = MADE, *, status: str = "201 Created", more: str = "", length: int | None = None
) -> bytes:
    """An answer as it goes over the wire."""
    promised = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {promised}\r\n{more}\r\n"
    return head.encode() + body


class Peer:
    """The server's side of one connection."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer

    async def request(self) -> None:
        """Read one whole request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        lines = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in lines}
        body = json.loads(await self.reader.readexactly(int(headers["content-length"])))
        self.server.seen.append(body.get("name", ""))
        self.server.heads.append(headers)
        self.server.arrived.set()

    async def say(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()


class Server:
    """A server that does with each connection what it is told, on a free port."""

    def __init__(self, behave: Behave, tls: ssl.SSLContext | None = None) -> None:
        self._behave = behave
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/api/public/v1"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self.end()

    async def end(self) -> None:
        """All connections are over."""
        async with asyncio.timeout(10):
            await asyncio.gather(*self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.create_task(self._handle(reader, writer)))

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._behave(Peer(self, reader, writer))
            await reader.read()  # until the client is gone
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def outcome(url: str, *, timeout: float = 5.0, payload: Party = ADA) -> TrakorAnswer | BridgeError:  # noqa: ASYNC109 - handed on
    """What one POST comes to."""
    async with TrakorClient(url, KEY, timeout=timeout) as client:
        return await posted(client, payload)


async def posted(client: TrakorClient, payload: Party = ADA) -> TrakorAnswer | BridgeError:
    try:
        return await client.post(payload)
    except BridgeError as error:
        return error


# It never left


async def test_a_refused_connection_sent_nothing() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        found = await outcome(f"http://127.0.0.1:{bound.getsockname()[1]}/api/public/v1")
    assert type(found) is NeverSent
    assert str(found) == "Trakor cannot be reached: no connection can be made"


async def test_a_name_that_does_not_resolve_sent_nothing() -> None:
    found = await outcome("http://trakor.invalid/api/public/v1")
    assert type(found) is NeverSent


async def test_a_certificate_that_nobody_vouches_for_is_sent_nothing() -> None:
    async with Server(_answers, _certificate(trustme.CA())).running() as server:
        found = await outcome(server.url)
    assert type(found) is NeverSent
    assert str(found) == "Trakor cannot be reached: its TLS certificate is not trusted"
    assert server.seen == []


async def test_tls_where_none_is_spoken_sent_nothing() -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Server(plain).running() as server:
        found = await outcome(server.url.replace("http:", "https:"))
    assert type(found) is NeverSent
    assert str(found) == "Trakor cannot be reached: no TLS connection can be made"


async def test_a_handshake_that_breaks_off_sent_nothing() -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.writer.transport.abort()

    async with Server(hang_up).running() as server:
        found = await outcome(server.url.replace("http:", "https:"))
    assert type(found) is NeverSent


async def test_a_handshake_that_never_ends_sent_nothing() -> None:
    async with Server(_silent).running() as server:
        found = await outcome(server.url.replace("http:", "https:"), timeout=0.1)
    assert type(found) is NeverSent
    assert str(found) == "Trakor cannot be reached: no connection was to be had in time"


async def test_who_waits_in_vain_for_a_free_connection_sent_nothing() -> None:
    """Whoever is told "never sent" was not seen by the server, and whoever was seen is unanswered."""
    names = [f"Ada {index}" for index in range(12)]
    async with Server(_reads).running() as server:
        async with TrakorClient(server.url, KEY, timeout=0.3, max_in_flight=2) as client:
            found = await asyncio.gather(*(posted(client, Party(name)) for name in names))
        await server.end()
    kinds = {name: type(one) for name, one in zip(names, found, strict=True)}
    never = {name for name, kind in kinds.items() if kind is NeverSent}
    assert set(kinds.values()) == {NeverSent, Unanswered}
    assert not never & set(server.seen)


# It may be at work there


async def _close(peer: Peer) -> None:
    peer.writer.close()


async def _abort(peer: Peer) -> None:
    peer.writer.transport.abort()


def _says(content: bytes) -> Behave:
    async def say(peer: Peer) -> None:
        await peer.say(content)
        peer.writer.close()

    return say


CHUNKED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(_close, id="closed"),
        pytest.param(_abort, id="reset"),
        pytest.param(_says(b"HTTP/1.1 201 Crea"), id="half a head"),
        pytest.param(_says(answer(MADE[:10], length=len(MADE))), id="half a body"),
        pytest.param(_says(CHUNKED + b"a\r\n" + MADE[:10] + b"\r\n"), id="half of the chunks"),
        pytest.param(_says(CHUNKED + b"no number\r\n"), id="broken chunks"),
        pytest.param(_says(answer(MADE[:10])), id="half a document"),
        pytest.param(_says(answer(b"\x00no gzip", more="Content-Encoding: gzip\r\n")), id="broken gzip"),
        pytest.param(_says(b"\x00\xffnot http at all\r\n\r\n"), id="no HTTP"),
        pytest.param(_says(answer(b"<html>Bad gateway</html>", status="502 Bad Gateway")), id="502"),
        pytest.param(_says(answer(b"<html>Oops</html>", status="500 Oops")), id="500 that is not JSON"),
    ],
)
async def test_what_was_sent_and_has_no_whole_answer_may_be_at_work_there(then: Behave) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await then(peer)

    async with Server(behave).running() as server:
        found = await outcome(server.url)
    assert type(found) is Unanswered
    assert not found.timed_out
    assert server.seen == [ADA.name], "sent once"


async def test_a_connection_that_is_reset_before_all_was_read_may_have_brought_it() -> None:
    async def half(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.writer.transport.abort()

    async with Server(half).running() as server:
        found = await outcome(server.url, payload=Party("Ada", "x" * 900_000))
    assert type(found) is Unanswered


async def test_who_never_answers_is_unanswered_and_timed_out() -> None:
    async with Server(_reads).running() as server:
        found = await outcome(server.url, timeout=0.1)
    assert isinstance(found, Unanswered)
    assert found.timed_out
    assert str(found) == "no answer from Trakor: nothing whole came in time"


async def test_an_answer_that_stalls_is_unanswered_and_timed_out() -> None:
    async def stall(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(MADE[:10], length=len(MADE)))

    async with Server(stall).running() as server:
        found = await outcome(server.url, timeout=0.1)
    assert isinstance(found, Unanswered)
    assert found.timed_out


async def test_a_server_that_reads_nothing_may_have_it_in_its_buffers() -> None:
    async with Server(_silent).running() as server:
        found = await outcome(server.url, timeout=0.1)
    assert isinstance(found, Unanswered)
    assert found.timed_out


async def test_a_kept_connection_that_is_closed_at_the_second_request_is_not_tried_again_here() -> None:
    """The ledger must know of every attempt; aiohttp repeats only what is idempotent in HTTP."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer())
        await peer.request()
        peer.writer.close()

    async with Server(once).running() as server, TrakorClient(server.url, KEY, timeout=5.0) as client:
        assert isinstance(await posted(client), TrakorAnswer)
        found = await posted(client)
        assert type(found) is Unanswered
        assert (len(server.seen), server.connections) == (2, 1)
        assert isinstance(await posted(client), TrakorAnswer), "a connection that broke is not used again"


async def test_a_kept_connection_that_was_closed_meanwhile_is_not_used() -> None:
    closed = asyncio.Event()

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer())
        peer.writer.close()
        await peer.writer.wait_closed()
        closed.set()

    async with (
        Server(_answers).running() as other,
        Server(once).running() as server,
        TrakorClient(server.url, KEY, timeout=5.0) as client,
    ):
        for number in (1, 2, 3):
            closed.clear()
            assert isinstance(await posted(client), TrakorAnswer)
            assert server.connections == number
            await closed.wait()
            await outcome(other.url)  # by then the loop has seen the end


# It was answered


@pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "429 Slow", "409 Locked"])
async def test_an_answer_that_says_to_try_again_has_ended_it(status: str) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(b'{"error": "x"}', status=status, more="Retry-After: 4\r\n"))

    async with Server(behave).running() as server:
        found = await outcome(server.url)
    assert type(found) is Transient
    assert (found.busy, found.retry_after) == (True, 4.0)


async def test_an_answer_that_is_packed_against_our_wish_is_understood() -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(gzip.compress(MADE), more="Content-Encoding: gzip\r\n"))

    async with Server(behave).running() as server:
        assert await outcome(server.url) == TrakorAnswer("p-1", "Ada Ashby", created=True)


# What is sent beside the body


async def test_headers_are_ours_no_cookie_is_kept_and_no_proxy_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def behave(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            await peer.say(answer(more="Set-Cookie: session=1; Path=/\r\n"))

    async with Server(behave).running() as server:
        async with TrakorClient(server.url, KEY, timeout=5.0) as client:
            for _ in range(2):
                assert isinstance(await posted(client), TrakorAnswer)
        assert server.connections == 1
    for head in server.heads:
        head = dict(head)  # noqa: PLW2901 - some are taken out
        assert head.pop("host") == f"localhost:{server.port}"
        assert head.pop("user-agent").startswith("trakor-bridge/")
        assert int(head.pop("content-length")) > 0
        assert head == {
            "x-api-key": KEY,
            "content-type": "application/json",
            "accept": "*/*",
            "accept-encoding": "identity",
        }


async def test_an_authority_that_the_machine_is_told_of_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with Server(_answers, _certificate(authority)).running() as server:
        assert isinstance(await outcome(server.url), TrakorAnswer)


async def test_no_error_brings_the_librarys_along_which_holds_the_key(sandbox: Sandbox) -> None:
    """The errors of aiohttp about malformed answers hold the request, and what the server sent."""

    async def babble(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 Ada Ashby\r\n\r\n")

    urls = [sandbox.trakor_url.replace("http:", "https:"), "http://trakor.invalid"]
    async with Server(babble).running() as server:
        for url in [server.url, *urls]:
            error: BaseException | None = await _error_at(url)
            while error is not None:
                assert not type(error).__module__.startswith("aiohttp")
                assert KEY not in f"{error!r} {vars(error)}"
                assert "Ada" not in f"{error!r}"
                error = error.__cause__ or error.__context__


async def _error_at(url: str) -> BridgeError:
    found = await outcome(url)
    assert isinstance(found, BridgeError)
    return found


# What servers do


async def _answers(peer: Peer) -> None:
    await peer.request()
    await peer.say(answer())


async def _reads(peer: Peer) -> None:
    await peer.request()


async def _silent(peer: Peer) -> None:
    """It takes the connection, and neither reads nor writes until the client is gone."""


def _certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context
