"""The webhook listener, over real sockets: what it answers, what it keeps, and what it shows nobody."""

from __future__ import annotations

import asyncio
import gzip
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from bridge.errors import LedgerError, Transient, UserError
from bridge.records.webhooks import WebhookAction
from bridge.serving import WEBHOOKS, LimitedServer, PortTaken
from bridge.webhooks import Receiver, open_webhook_sockets
from bridge.webhooks import receiver as module
from lines import SECONDS, Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping

    import aiohttp
    from aiohttp import web

    from bridge.records.webhooks import ReceivedWebhook

OLD, NEW, OTHER = "old-canary-" * 3, "new-canary-" * 3, "other-canary-" * 3
WRONG = "wrong-canary-" * 3


@dataclass
class Shelf:
    """Where events are kept: at once, when the gate is opened, or not at all."""

    events: list[ReceivedWebhook] = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def keep(self, event: ReceivedWebhook) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.events.append(event)


@dataclass
class Site:
    """A running receiver, and how to reach it."""

    receiver: Receiver
    shelf: Shelf
    port: int

    def url(self, action: str = "contact-created", token: str = OLD) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/{token}/{action}"

    async def dial(self) -> Sender:
        return Sender(*await asyncio.open_connection("127.0.0.1", self.port))


class Sender(Line):
    """A connection that posts webhooks."""

    async def ask(self, method: str = "POST", headers: str = "", body: bytes = b"", token: str = OLD) -> None:
        head = f"{method} /webhooks/{token}/contact-created HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        await self.say(head.encode() + body)


@asynccontextmanager
async def running(**how: Any) -> AsyncIterator[Site]:  # noqa: ANN401 - whatever a receiver takes
    shelf = Shelf()
    tokens = {"default": [OLD, NEW], "north": [OTHER]}
    receiver = Receiver(shelf.keep, tokens=tokens, clock=lambda: 1234, **how)
    _, port = await receiver.start("127.0.0.1", 0)
    try:
        yield Site(receiver, shelf, port)
    finally:
        await receiver.stop()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running() as one:
        yield one


# -- what is answered ------------------------------------------------------------------------------


async def test_an_event_is_answered_when_it_is_safe_and_not_before(
    site: Site, http: aiohttp.ClientSession
) -> None:
    site.shelf.gate.clear()
    asking = asyncio.create_task(post(http, site.url(), b'{"id": "c1"}'))
    await asyncio.wait_for(site.shelf.asked.wait(), SECONDS)
    assert not asking.done()
    site.shelf.gate.set()
    assert (await asyncio.wait_for(asking, SECONDS))[0] == 202
    [event] = site.shelf.events
    assert (event.connection, event.action, event.source_id) == ("default", "contact-created", "c1")
    assert event.received_at == 1234


async def post(http: aiohttp.ClientSession, url: str, body: bytes = b"", **more: Any) -> tuple[int, Any]:  # noqa: ANN401
    async with http.post(url, data=body, **more) as answer:
        await answer.read()
        return answer.status, answer.headers


@pytest.mark.parametrize("action", [*WebhookAction])
async def test_each_action_has_an_address_for_each_token(
    action: WebhookAction, site: Site, http: aiohttp.ClientSession
) -> None:
    for token in (OLD, NEW, OTHER):
        assert (await post(http, site.url(action, token), b'{"id": 7}'))[0] == 202
    assert [event.connection for event in site.shelf.events] == ["default", "default", "north"]
    assert {(event.action, event.source_id, event.problem) for event in site.shelf.events} == {
        (action, "7", "")
    }


@pytest.mark.parametrize(
    ("action", "body", "problem"),
    [
        ("contact-created", b"", "unreadable"),
        ("contact-created", b"\xff\0", "unreadable"),
        ("contact-merged", b'{"id": "x"}', "unknown-action"),
        ("%00%0a", b"", "unknown-action"),
    ],
)
async def test_what_cannot_be_understood_is_kept_all_the_same(
    action: str, body: bytes, problem: str, site: Site, http: aiohttp.ClientSession
) -> None:
    """A sender is never told to drop something."""
    assert (await post(http, site.url(action), body))[0] == 202
    assert [event.problem for event in site.shelf.events] == [problem]


async def test_an_address_can_be_tried_in_a_browser(site: Site, http: aiohttp.ClientSession) -> None:
    async with http.get(site.url()) as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True})
    async with http.head(site.url()) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with http.get(site.url("contact-craeted")) as answer:
        assert answer.status == 404  # that is what trying is for
    assert not site.shelf.events


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_told_which_there_are(
    method: str, site: Site, http: aiohttp.ClientSession
) -> None:
    async with http.request(method, site.url(), data=b'{"id": 7}') as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    async with http.request(method, site.url(token=WRONG)) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "path",
    [
        f"/webhooks/{WRONG}/contact-created",
        "/webhooks//contact-created",
        f"/webhooks/{OLD}",
        f"/webhooks/{OLD}/",
        f"/webhooks/{OLD}/contact-created/x",
        f"/webhook/{OLD}/contact-created",
        f"/x/webhooks/{OLD}/contact-created",
        "/",
        "/healthz",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_any_other_path_is_not_there_and_ends_the_connection(
    path: str, method: str, site: Site
) -> None:
    """Who has no token holds no connection: there are only so many."""
    line = await site.dial()
    await line.say(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert (await line.answer()).startswith("HTTP/1.1 404 ")
    assert await line.rest() == b""
    await line.close()
    assert not site.shelf.events


@pytest.mark.parametrize("ending", ["/", "?x=1", "/?x=1"])
async def test_what_is_pasted_with_a_slash_or_a_query_is_the_same_address(
    ending: str, site: Site, http: aiohttp.ClientSession
) -> None:
    assert (await post(http, site.url() + ending, b'{"id": 7}'))[0] == 202
    assert site.shelf.events[0].problem == ""


async def test_tokens_are_replaced_without_closing_the_port(site: Site, http: aiohttp.ClientSession) -> None:
    site.receiver.replace_tokens({"default": [NEW]})
    statuses = [(await post(http, site.url(token=token), b'{"id": 7}'))[0] for token in (OLD, NEW, OTHER)]
    assert statuses == [404, 202, 404]


# -- bodies ----------------------------------------------------------------------------------------


async def test_a_body_that_is_too_large_is_not_taken(http: aiohttp.ClientSession) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 100

    async with running(max_body_bytes=2000) as site:
        assert (await post(http, site.url(), b"x" * 2001))[0] == 413
        async with http.post(site.url(), data=endless()) as answer:  # without a length
            assert answer.status == 413
        packed = gzip.compress(b"x" * 1_000_000)
        assert len(packed) < 2000
        assert (await post(http, site.url(), packed, headers={"Content-Encoding": "gzip"}))[0] == 413
        assert not site.shelf.events
        assert (await post(http, site.url(), b"x" * 2000))[0] == 202


async def test_a_body_comes_in_any_packing(site: Site, http: aiohttp.ClientSession) -> None:
    packed = gzip.compress(b'{"id": "c1"}')
    assert (await post(http, site.url(), packed, headers={"Content-Encoding": "gzip"}))[0] == 202
    line = await site.dial()
    await line.ask(headers="Transfer-Encoding: chunked\r\n", body=b'5\r\n{"id"\r\n6\r\n: "c2}\r\n'[:10])
    await line.say(b'7\r\n: "c2"}\r\n0\r\n\r\n')
    assert "202" in await line.answer()
    await line.close()
    assert [event.source_id for event in site.shelf.events] == ["c1", "c2"]


async def test_a_body_that_is_not_what_its_headers_say_is_told_so(
    site: Site, http: aiohttp.ClientSession
) -> None:
    assert (await post(http, site.url(), b"no gzip", headers={"Content-Encoding": "gzip"}))[0] == 400
    assert not site.shelf.events


async def test_a_slow_body_is_waited_for_so_long_and_no_longer() -> None:
    async with running(body_timeout=0.05) as site:
        line = await site.dial()
        await line.ask(headers="Content-Length: 12\r\n", body=b'{"id"')
        assert (await line.answer()).startswith("HTTP/1.1 408 ")
        assert await line.rest() == b""
        await line.close()
        assert not site.shelf.events


async def test_a_sender_that_asks_first_may_send(site: Site) -> None:
    """Some wait a second for that word before each body."""
    line = await site.dial()
    await line.ask(headers="Content-Length: 12\r\nExpect: 100-continue\r\n")
    assert await line.answer() == "HTTP/1.1 100 Continue\r\n\r\n"
    await line.say(b'{"id": "c1"}')
    assert (await line.answer()).startswith("HTTP/1.1 202 ")
    await line.close()


async def test_a_sender_that_goes_away_leaves_nothing_half(site: Site, http: aiohttp.ClientSession) -> None:
    """One that left in the middle of its body is not heard; one that left before its answer is."""
    line = await site.dial()
    await line.ask(headers="Content-Length: 12\r\n", body=b'{"id"')
    await line.close()
    site.shelf.gate.clear()
    line = await site.dial()
    await line.ask(headers="Content-Length: 12\r\n", body=b'{"id": "c1"}')
    await asyncio.wait_for(site.shelf.asked.wait(), SECONDS)
    await line.close()
    site.shelf.gate.set()
    assert (await post(http, site.url(), b'{"id": "c2"}'))[0] == 202
    assert sorted(event.source_id for event in site.shelf.events) == ["c1", "c2"]


# -- when it cannot be taken -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (LedgerError("the disk is full"), "10"),
        (Transient("too many wait", retry_after=2.5, busy=True), "3"),
        (Transient("too many wait"), "10"),
        (RuntimeError(f"/webhooks/{OLD}/contact-created"), "10"),
    ],
)
async def test_what_cannot_be_kept_is_to_be_sent_again(
    error: Exception, wait: str, site: Site, http: aiohttp.ClientSession
) -> None:
    site.shelf.error = error
    status, headers = await post(http, site.url(), b'{"id": "c1"}')
    assert (status, headers["Retry-After"]) == (503, wait)
    site.shelf.error = None
    assert (await post(http, site.url(), b'{"id": "c1"}'))[0] == 202


async def test_more_connections_than_there_may_be_are_told_to_come_again(
    http: aiohttp.ClientSession,
) -> None:
    async with running(limits=replace(WEBHOOKS, connections=2)) as site:
        lines = [await site.dial() for _ in range(2)]
        for line in lines:
            await line.ask(headers="Content-Length: 12\r\n", body=b'{"id"')
        status, headers = await post(http, site.url(), b'{"id": "c3"}' * 10_000)
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        for line in lines:
            await line.say(b': "c1"}')
            assert "202" in await line.answer()
            await line.close()
        await until(lambda: site.receiver.numbers.open == 0)
        assert (await post(http, site.url(), b'{"id": "c3"}'))[0] == 202
        assert site.receiver.numbers.answers == {202: 3, 503: 1}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - nobody tells when a connection's end was noticed
            await asyncio.sleep(0.001)


async def test_a_connection_that_never_asks_is_closed() -> None:
    """Nor does one byte of a request line now and then keep it open."""

    async def nobody(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError("nothing was asked")

    door = LimitedServer(nobody, replace(WEBHOOKS, head_seconds=0.05), "webhooks")
    sockets = await open_webhook_sockets("127.0.0.1", 0)
    host, port = sockets[0].getsockname()
    door.start(sockets)
    try:
        lines = [Sender(*await asyncio.open_connection(host, port)) for _ in range(2)]
        await lines[1].say(b"POST /webhooks/")
        for line in lines:
            assert await line.rest() == b""
            await line.close()
        await until(lambda: door.open == 0)
    finally:
        await door.stop()


# -- who may send ----------------------------------------------------------------------------------


async def test_only_allowed_networks_may_send(http: aiohttp.ClientSession) -> None:
    allowed = [ip_network("203.0.113.0/24")]
    async with running(allow_from=allowed) as site:
        forged = {"X-Forwarded-For": "203.0.113.9"}
        assert (await post(http, site.url(), b'{"id": 7}', headers=forged))[0] == 403
        assert (await post(http, site.url(token=WRONG), b'{"id": 7}'))[0] == 404
        assert not site.shelf.events
    async with running(allow_from=[ip_network("127.0.0.0/8")]) as site:
        assert (await post(http, site.url(), b'{"id": 7}'))[0] == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("X-Forwarded-For", "203.0.113.9")], 202),
        ([("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "203.0.113.9")], 202),
        ([("X-Forwarded-For", "203.0.113.9, 1.2.3.4")], 403),
        ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "1.2.3.4")], 403),
        ([], 403),
    ],
)
async def test_behind_a_trusted_proxy_the_sender_is_the_one_that_it_saw(
    headers: list[tuple[str, str]], status: int, http: aiohttp.ClientSession
) -> None:
    allowed, proxies = [ip_network("203.0.113.0/24")], [ip_network("127.0.0.0/8")]
    async with running(allow_from=allowed, trusted_proxies=proxies) as site:
        assert (await post(http, site.url(), b'{"id": 7}', headers=headers))[0] == status


# -- connections, beginning and end ----------------------------------------------------------------


async def test_one_connection_carries_many_events(site: Site) -> None:
    line = await site.dial()
    for _ in range(3):
        await line.ask(headers="Content-Length: 12\r\n", body=b'{"id": "c1"}')
        assert "202" in await line.answer()
    await line.ask(headers="Content-Length: 12\r\n", body=b'{"id": "c1"}')
    await line.ask(headers="Content-Length: 12\r\nConnection: close\r\n", body=b'{"id": "c1"}')
    assert (await line.rest()).count(b"202 Accepted") == 2
    await line.close()
    assert len(site.shelf.events) == 5


async def test_stopping_lets_what_is_under_way_end(site: Site, http: aiohttp.ClientSession) -> None:
    idle = await site.dial()
    site.shelf.gate.clear()
    asking = asyncio.create_task(post(http, site.url(), b'{"id": "c1"}'))
    await asyncio.wait_for(site.shelf.asked.wait(), SECONDS)
    stopping = asyncio.create_task(site.receiver.stop())
    assert await idle.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await site.dial()
    site.shelf.gate.set()
    assert (await asyncio.wait_for(asking, SECONDS))[0] == 202
    await asyncio.wait_for(stopping, SECONDS)
    await idle.close()
    assert site.receiver.numbers.open == 0


async def test_a_port_that_is_taken_is_a_sentence(site: Site) -> None:
    with pytest.raises(PortTaken, match=f"port {site.port} of 127.0.0.1 is taken"):
        await open_webhook_sockets("127.0.0.1", site.port)
    with pytest.raises(
        UserError, match=r"cannot be received on 192\.0\.2\.1, port 0: this machine does not have"
    ):
        await open_webhook_sockets("192.0.2.1", 0)
    with pytest.raises(UserError, match=r"cannot be received on no\.invalid"):
        await open_webhook_sockets("no.invalid", 0)


async def test_a_receiver_that_was_never_started_can_be_stopped() -> None:
    await Receiver(Shelf().keep, tokens={}, clock=lambda: 1).stop()


# -- what nobody sees ------------------------------------------------------------------------------


async def test_no_log_at_any_level_shows_an_address_or_a_body(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, http: aiohttp.ClientSession
) -> None:
    """Not of a good request, a wrong one, a malformed one, nor one that met an error."""
    told: list[str] = []
    monkeypatch.setattr(module, "log", plain_log(told))
    with caplog.at_level(logging.DEBUG):
        async with running() as site:
            site.shelf.error = RuntimeError("boom")
            assert (await post(http, site.url(), b'{"id": "canary"}'))[0] == 503
            site.shelf.error = None
            for token, body in ((OLD, b"canary"), (OLD, b'{"id": "canary"}'), (WRONG, b"")):
                await post(http, site.url(token=token), body)
            await post(http, site.url("canary-action"))
            for raw in malformed():
                line = await site.dial()
                await line.say(raw)
                assert b" 202 " not in await line.rest()
                await line.close()
    assert any("boom" in line for line in told)
    assert any("nothing can be done with" in line for line in told)
    shown = "\n".join(line for line in (*told, caplog.text) if "aiohttp.client" not in line)
    assert "canary" not in shown


def malformed() -> list[bytes]:
    path = f"/webhooks/{OLD}/contact-created".encode()
    return [
        b"POST %b HTTP/9.9.9\r\n\r\n" % path,
        b"PO\0ST %b HTTP/1.1\r\n\r\n" % path,
        b"POST %b%b HTTP/1.1\r\n\r\n" % (path, b"x" * 10_000),
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n" % path,
        b"POST %b HTTP/1.1\r\nno header\r\n\r\n" % path,
        b"POST http://[%b HTTP/1.1\r\nHost: x\r\n\r\n" % path,
        b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\ncanary\r\n"
        % path,
    ]


def plain_log(told: list[str]) -> Any:  # noqa: ANN401
    """A logger whose lines go, unredacted, into a list."""

    def tell(_logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        told.append(repr(event))
        raise structlog.DropEvent

    return structlog.wrap_logger(None, processors=[structlog.processors.format_exc_info, tell])


async def test_a_sender_in_trouble_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, site: Site, http: aiohttp.ClientSession
) -> None:
    told: list[str] = []
    monkeypatch.setattr(module, "log", plain_log(told))
    site.shelf.error = LedgerError("the disk is full")
    for _ in range(5):
        await post(http, site.url(), b'{"id": "c1"}')
    assert len(told) == 1
    assert "the disk is full" in told[0]


async def test_the_numbers_say_how_often_each_status_was_answered(
    site: Site, http: aiohttp.ClientSession
) -> None:
    await post(http, site.url(), b'{"id": "c1"}')
    await post(http, site.url(), b'{"id": "c1"}')
    await post(http, site.url(token=WRONG))
    assert site.receiver.numbers.answers == {202: 2, 404: 1}
