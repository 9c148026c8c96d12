"""aiohttp's server with limits on connections, on silence, and on what an error reveals.

::

    accept ──room?──> aiohttp's protocol ──a request in time?──> handler
        │ └──no room, and none is idle──> 503, closed             └──no──> closed
        └──too many are being refused──> no connection is accepted for now
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import structlog
from aiohttp import web

from bridge.serving.sockets import LOG_INTERVAL, Acceptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

__all__ = ["ADMIN", "RETRY_AFTER", "WEBHOOKS", "LimitedServer", "Limits"]

RETRY_AFTER: Final = 10
"""Seconds after which a sender that was refused for lack of room may try again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a listener.

    Attributes:
        connections: The number of connections at once. If all are in use, an idle one makes room for a new
            one: of the address with the most idle connections, the one that has been silent the longest.
        grace_seconds: How long an idle connection is not closed to make room. Its request may be on its way.
        refused: How many connections at once are being refused for lack of room. At this number the listener
            accepts nothing until one of them is gone. The operating system has a queue of its own.
        head_seconds: The time for a new connection's first request, up to the end of its headers.
        idle_seconds: How long a connection stays open without a request.
        linger_seconds: How long the rest of an unwanted body is read, so that the sender sees the answer.
        stop_seconds: How long requests may continue when the listener stops.
    """

    connections: int
    grace_seconds: float = 0.5
    refused: int = 64
    head_seconds: float = 10.0
    idle_seconds: float = 150.0
    linger_seconds: float = 1.0
    stop_seconds: float = 2.0


WEBHOOKS: Final = Limits(connections=512)
"""Each connection has at most one body in memory: 512 bodies of 256 KiB. Idle connections stay open longer
than in proxies: if both ends close at the same time, a request on its way is lost."""

ADMIN: Final = Limits(connections=128, idle_seconds=75.0)
"""A browser opens six connections; Prometheus and a health check open one each."""


SERVER: Final = "trakor-bridge"
"""The header ``Server`` of each answer. aiohttp's default names aiohttp and its version."""

_FULL: Final = (
    f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER}\r\nServer: {SERVER}\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n"
).encode()

_VERSIONS: Final = frozenset({(1, 0), (1, 1)})
"""The supported versions of HTTP. aiohttp's parser accepts others, too, and answers with their version."""

log = structlog.get_logger()


class LimitedServer:
    """A listener with limits.

    Args:
        handler: Answers one request.
        limits: The limits.
        name: The listener's name for the log.
        factory: Makes the requests for the handler; None means aiohttp's plain ones.

    Attributes:
        refused: How many connections were refused for lack of room.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        name: str,
        factory: Callable[..., web.BaseRequest] | None = None,
    ) -> None:
        self._handler = handler
        self._name = name
        self._factory = factory
        self._limits = limits
        self._acceptor = Acceptor(self._accept, self._has_room, name)
        self._open: dict[asyncio.BaseProtocol, _Connection] = {}
        self._refusing: set[_RefusedConnection] = set()
        self._server: _Server | None = None
        self.refused = 0

    @property
    def open(self) -> int:
        """The number of open connections."""
        return len(self._open)

    @property
    def refusing(self) -> int:
        """The number of connections that are being refused now for lack of room."""
        return len(self._refusing)

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections from these sockets. ``stop`` closes them."""
        self._server = _Server(self._serve, self._limits, self._forget, self._name, self._factory)
        self._acceptor.open(sockets)

    async def stop(self) -> None:
        """Accept nothing more. Requests in progress may continue for ``stop_seconds``."""
        self._acceptor.close()
        if self._server is None:
            return
        self._server.pre_shutdown()
        await asyncio.sleep(0)  # idle connections end here
        await self._server.shutdown(self._limits.stop_seconds)
        for protocol in [*self._open]:
            self._forget(protocol)
        for refused in [*self._refusing]:
            refused.hang_up()

    def _serve(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        """Return the answer to one request, to be awaited by aiohttp."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            connection.note_request()
        return self._handler(request) if request.version in _VERSIONS else _refuse_version(request)

    def _has_room(self) -> bool:
        return len(self._open) < self._limits.connections or len(self._refusing) < self._limits.refused

    def _accept(self, address: str) -> asyncio.BaseProtocol:
        if self._server is None or (len(self._open) >= self._limits.connections and not self._make_room()):
            self.refused += 1
            return _RefusedConnection(self._refusing, self._limits.linger_seconds)
        protocol = self._server.protocol()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._limits.head_seconds, self._hang_up, protocol)
        self._open[protocol] = _Connection(protocol, address, timer)
        return protocol

    def _make_room(self) -> bool:
        """Close the longest idle connection of the address with the most idle ones; False if none is idle.

        A connection without any request so far goes first. So a client that opens too many connections from
        one address loses its own.
        """
        before = asyncio.get_running_loop().time() - self._limits.grace_seconds
        idle = [one for one in self._open.values() if one.since < before and one.protocol.is_idle]
        silent = [one for one in idle if one.is_silent]
        if not idle:
            return False
        (most, _), *_ = Counter(one.address for one in silent or idle).most_common(1)
        self._hang_up(next(one.protocol for one in silent or idle if one.address == most))
        return True

    def _hang_up(self, protocol: web.RequestHandler) -> None:
        self._forget(protocol)
        protocol.force_close()

    def _forget(self, protocol: asyncio.BaseProtocol) -> None:
        connection = self._open.pop(protocol, None)
        if connection is not None:
            connection.cancel_timer()


async def _refuse_version(request: web.BaseRequest) -> web.StreamResponse:
    """Refuse HTTP/0.9 and HTTP/2.0, which the listener does not speak."""
    request._cache["version"] = request.version._replace(major=1, minor=1)  # noqa: SLF001 - the answer's version
    answer = web.Response(status=HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, headers={"Server": SERVER})
    answer.force_close()
    return answer


class _Connection:
    """The state of one connection.

    Args:
        protocol: aiohttp's protocol of the connection.
        address: The client's address.
        timer: Ends the connection if no request comes in time.

    Attributes:
        is_silent: Whether the connection has had no request so far.
        since: When the connection was accepted, or had its last request, in the loop's time.
    """

    __slots__ = ("_loop", "_timer", "address", "is_silent", "protocol", "since")

    def __init__(self, protocol: _Protocol, address: str, timer: asyncio.TimerHandle) -> None:
        self.protocol = protocol
        self.address = address
        self.is_silent = True
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self._timer = timer

    def note_request(self) -> None:
        """Note that a request came. The timer for the first request ends."""
        self.since = self._loop.time()
        if self.is_silent:
            self.is_silent = False
            self._timer.cancel()

    def cancel_timer(self) -> None:
        """Stop waiting for a first request."""
        self._timer.cancel()


class _Server(web.Server):
    """aiohttp's server without its logs, which would show addresses and what was sent."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        on_lost: Callable[[web.RequestHandler], None],
        name: str,
        factory: Callable[..., web.BaseRequest] | None,
    ) -> None:
        self._name = name
        self._logged_at = -LOG_INTERVAL
        silent = logging.Logger("silent")  # noqa: LOG001 - outside of the tree of loggers, so that no configuration enables it
        silent.disabled = True
        self._on_lost = on_lost
        self._options: dict[str, Any] = {
            "access_log": None,
            "logger": silent,
            "keepalive_timeout": limits.idle_seconds,
            "lingering_time": limits.linger_seconds,
        }
        super().__init__(handler, request_factory=factory)

    def log_error(self, error: BaseException) -> None:
        """Log the error of a handler, at most once a minute and without the request."""
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.error(
                "a request met an error of ours",
                listener=self._name,
                again_at_most_every=f"{LOG_INTERVAL:.0f}s",
                exc_info=error,
            )

    def protocol(self) -> _Protocol:
        """Return the protocol of a new connection."""
        return _Protocol(self, loop=asyncio.get_running_loop(), **self._options)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._on_lost(handler)


class _Protocol(web.RequestHandler):
    """aiohttp's protocol of one connection."""

    __slots__ = ()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered or waits for its answer."""
        return not self._messages and self._current_request is None

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio defines it
        """Handle the end of the client's data. A client that sent a whole request still gets its answer."""
        self._loop.call_soon(self._end)  # after a request that came just before
        return True

    def _end(self) -> None:
        request = self._current_request
        if self._messages or (request is not None and request.content.is_eof()):
            self._close = True  # after the answer
        elif self.transport is not None:
            self.transport.close()  # ends a handler that still reads the request

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an unreadable request or a handler's error with a status, and nothing of what was sent."""
        del request, message
        if exc is not None and status == HTTPStatus.INTERNAL_SERVER_ERROR and self._manager is not None:
            cast("_Server", self._manager).log_error(exc)
        answer = web.Response(status=status, headers={"Server": SERVER})
        answer.force_close()
        return answer


class _RefusedConnection(asyncio.Protocol):
    """One connection too many. Any request on it is answered with 503.

    The connection is not closed before the client has sent something. If unread data is left when a
    connection is closed, the client loses the answer.
    """

    def __init__(self, refusing: set[_RefusedConnection], seconds: float) -> None:
        self._refusing = refusing
        self._transport: asyncio.Transport | None = None
        self._answered = False
        refusing.add(self)  # here already: many connections are accepted before any protocol starts
        self._timer = asyncio.get_running_loop().call_later(seconds, self.hang_up)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data  # the rest of a body is read and ignored
        if not self._answered and self._transport is not None:
            self._answered = True
            self._transport.write(_FULL)
            with suppress(OSError):
                self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._refusing.discard(self)
        self._timer.cancel()

    def hang_up(self) -> None:
        """Close the connection, answered or not."""
        self._refusing.discard(self)
        self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
