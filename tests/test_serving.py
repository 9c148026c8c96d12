"""Listeners that strangers reach: bounds on connections and time, and nothing told of what they sent."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.serving import WEBHOOKS, LimitedServer, Limits, open_sockets
from bridge.serving import sockets as module
from lines import SECONDS, Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FEW = replace(WEBHOOKS, connections=8, refused=2, grace_seconds=0.0)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Site:
    """A running listener that answers once its gate is open, and how to reach it."""

    server: LimitedServer
    port: int
    gate: asyncio.Event
    asked: asyncio.Event
    lines: list[Line] = field(default_factory=list)

    async def dial(self, source: str = "127.0.0.1") -> Line:
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0)))
        self.lines.append(line)
        return line


@asynccontextmanager
async def running(limits: Limits = FEW) -> AsyncIterator[Site]:
    gate, asked = asyncio.Event(), asyncio.Event()
    gate.set()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.set()
        await request.read()
        await gate.wait()
        return web.Response(text="here")

    server = LimitedServer(handle, limits, "webhooks")
    sockets = await open_sockets("127.0.0.1", 0, section="webhooks", what="webhooks cannot be received")
    port = sockets[0].getsockname()[1]
    server.start(sockets)
    site = Site(server, port, gate, asked)
    try:
        yield site
    finally:
        gate.set()
        await server.stop()
        await close(*site.lines)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - nobody tells when the other end was noticed
            await asyncio.sleep(0.001)


async def close(*lines: Line) -> None:
    for line in lines:
        await line.close()


async def test_slow_heads_of_one_address_keep_nobody_else_out() -> None:
    """600 of them kept 385 of 387 webhooks out."""
    async with running() as site:
        slow = [await site.dial() for _ in range(30)]
        for line in slow:
            await line.say(b"POST /webhooks/")
        for _ in range(20):
            real = await site.dial("127.0.0.2")
            await real.say(REQUEST)
            assert await real.status() == "HTTP/1.1 200 OK"
            await close(real)
        assert site.server.open <= FEW.connections


async def test_who_asked_and_idles_makes_room_after_who_never_asked() -> None:
    async with running(replace(FEW, connections=3)) as site:
        idle = await site.dial()
        await idle.say(REQUEST)
        await idle.status()
        silent = [await site.dial() for _ in range(2)]
        await until(lambda: site.server.open == 3)
        others = []
        for _ in range(3):
            others.append(await site.dial())
            await others[-1].say(REQUEST)
            assert await others[-1].status() == "HTTP/1.1 200 OK"
        for line in (*silent, idle):
            assert (await line.rest()).endswith((b"", b"here"))
        assert site.server.refused == 0


async def test_nobody_whose_request_is_being_answered_makes_room() -> None:
    async with running(replace(FEW, connections=2)) as site:
        site.gate.clear()
        busy = [await site.dial() for _ in range(2)]
        for line in busy:
            await line.say(REQUEST)
        await until(lambda: site.server.open == 2)
        await site.asked.wait()
        other = await site.dial()
        await other.say(REQUEST)
        assert await other.status() == "HTTP/1.1 503 Service Unavailable"
        site.gate.set()
        for line in busy:
            assert await line.status() == "HTTP/1.1 200 OK"


async def test_above_the_bound_nothing_is_accepted_until_there_is_room() -> None:
    """3,000 connections a second that only open and close ended a fresh daemon after 15 s."""
    async with running(replace(FEW, connections=2, linger_seconds=0.05)) as site:
        site.gate.clear()
        busy = [await site.dial() for _ in range(2)]
        for line in busy:
            await line.say(REQUEST)
        await until(lambda: site.server.open == 2)
        crowd = [await site.dial() for _ in range(40)]
        assert site.server.refusing <= FEW.refused
        site.gate.set()
        await close(*crowd)
        real = await site.dial()
        await real.say(REQUEST)
        assert await real.status() == "HTTP/1.1 200 OK"


async def test_who_says_no_more_after_a_whole_request_gets_the_answer() -> None:
    async with running() as site:
        site.gate.clear()
        line = await site.dial()
        await line.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        line.writer.write_eof()
        await site.asked.wait()
        site.gate.set()
        answer = await line.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"here")
        await close(line)
        await until(lambda: site.server.open == 0)


@pytest.mark.parametrize(
    "said", [b"", b"POST / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nbo"]
)
async def test_who_says_no_more_in_the_middle_is_gone(said: bytes) -> None:
    async with running() as site:
        line = await site.dial()
        await line.say(said)
        line.writer.write_eof()
        await line.rest()
        await close(line)
        await until(lambda: site.server.open == 0)


@pytest.mark.parametrize(
    "said",
    [
        b"canary-of-a-client\r\n\r\n",
        b"GET / HTTP/9.canary\r\n\r\n",
        b"GET / HTTP/1.1\r\nca na ry: x\r\n\r\n",
        b"\x16\x03\x01canary\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_told_so_without_a_word_of_it(said: bytes) -> None:
    async with running() as site:
        line = await site.dial()
        with capture_logs() as logs:
            await line.say(said)
            answer = await line.rest()
        assert answer.split(b"\r\n")[0].endswith(b" 400 Bad Request")
        assert not re.search(b"ca ?na", answer)
        assert b"aiohttp" not in answer
        assert b"python" not in answer.lower()
        assert logs == []


@pytest.mark.parametrize("version", ["", " HTTP/0.9", " HTTP/2.0"])
async def test_no_other_version_of_http_is_spoken(version: str) -> None:
    """A request without a version was answered as HTTP/0.9, and a webhook in HTTP/2.0 was kept."""
    async with running() as site:
        line = await site.dial()
        await line.say(f"GET /{version}\r\nHost: x\r\n\r\n".encode())
        assert (await line.rest()).startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
        assert not site.asked.is_set()


async def test_without_a_descriptor_it_waits_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asyncio's own server wrote a traceback for each: 72 MB in 75 s."""
    monkeypatch.setattr(module, "SHORTAGE_PAUSE", 0.001)
    accept, short = socket.socket.accept, 20

    def refused(self: socket.socket) -> tuple[socket.socket, Any]:
        nonlocal short
        short -= 1
        if short >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", refused)
    async with running() as site:
        with capture_logs() as logs:
            line = await site.dial()
            await line.say(REQUEST)
            assert await line.status() == "HTTP/1.1 200 OK"
        assert [entry["event"] for entry in logs] == ["no connection can be accepted"]
        assert "open files" in logs[0]["advice"]


@pytest.mark.parametrize(
    ("addresses", "taken"),
    [
        (("127.0.0.1", "127.0.0.2"), ["127.0.0.1", "127.0.0.2"]),
        (("192.0.2.1", "127.0.0.1"), ["127.0.0.1"]),  # one that the machine lacks is passed over
    ],
)
async def test_it_listens_at_each_address_of_a_name(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], taken: list[str]
) -> None:
    loop = asyncio.get_running_loop()
    found = [(await loop.getaddrinfo(one, 0, type=socket.SOCK_STREAM))[0] for one in addresses]

    async def names(*_: Any, **__: Any) -> list[Any]:  # noqa: ANN401 - as the loop's
        return found

    monkeypatch.setattr(loop, "getaddrinfo", names)
    sockets = await open_sockets("a.name", 0, section="admin", what="")
    assert [one.getsockname()[0] for one in sockets] == taken
    for one in sockets:
        one.close()


async def test_a_handler_that_fails_is_told_of_once_and_without_the_request() -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        raise ValueError("ours")

    server = LimitedServer(handle, FEW, "admin")
    sockets = await open_sockets("127.0.0.1", 0, section="admin", what="")
    server.start(sockets)
    try:
        with capture_logs() as logs:
            for _ in range(3):
                line = Line(*await asyncio.open_connection(*sockets[0].getsockname()))
                await line.say(b"GET /canary HTTP/1.1\r\nHost: x\r\n\r\n")
                assert await line.status() == "HTTP/1.1 500 Internal Server Error"
                await close(line)
    finally:
        await server.stop()
    assert [(entry["event"], entry["listener"]) for entry in logs] == [
        ("a request met an error of ours", "admin")
    ]
    assert "canary" not in str(logs)
