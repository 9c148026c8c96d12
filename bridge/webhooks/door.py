"""The connections of the webhook listener: how many there may be, and how long one may say nothing.

::

    accept ──room?──> aiohttp's protocol ──a request in time?──> handler
        └──none──> 503, closed               └──none──> closed
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from aiohttp import web

from bridge.webhooks.listening import listen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

__all__ = ["RETRY_AFTER", "Door"]

HEAD_TIMEOUT: Final = 10.0
"""Seconds in which a new connection's first request has to come, up to the end of its headers."""

IDLE_TIMEOUT: Final = 150.0
"""Seconds that a connection is kept without a request. Longer than proxies keep theirs: where both ends
close at the same time, a request that is on its way is lost."""

LINGER: Final = 1.0
"""Seconds in which the rest of a body that nobody wants is read, so that the sender sees the answer."""

STOP_SECONDS: Final = 2.0
"""Seconds in which requests may end when the listener stops."""

RETRY_AFTER: Final = 10
"""Seconds after which a sender may try again."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nServer: trakor-bridge\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n" % RETRY_AFTER
)


class Door:
    """A listening socket with a bound on its connections.

    Args:
        handler: Answers one request; must not raise.
        most: Connections at once.
        head_timeout: Seconds in which a new connection's first request has to come.

    Attributes:
        turned_away: How many were answered that there is no room.
    """

    def __init__(self, handler: Handler, most: int, head_timeout: float = HEAD_TIMEOUT) -> None:
        self._handler = handler
        self._most = most
        self._head_timeout = head_timeout
        self._lines: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
        self._outside: set[_TurnedAway] = set()
        self._server: _Server | None = None
        self._socket: asyncio.Server | None = None
        self.turned_away = 0

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._lines)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Begin to listen; gives the address and the port that were taken.

        Raises:
            UserError: It cannot be listened there.
        """
        self._server = _Server(self._handler, self._lost)
        self._socket = await listen(self._accept, host, port)
        address = self._socket.sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self) -> None:
        """Accept nothing more; let what is under way end, for ``STOP_SECONDS`` at most."""
        if self._socket is None or self._server is None:
            return
        self._socket.close()
        self._server.pre_shutdown()
        await asyncio.sleep(0)  # idle connections end here
        await self._server.shutdown(STOP_SECONDS)
        for line in [*self._lines]:
            self._lost(line)
        for away in [*self._outside]:
            away.hang_up()

    def heard_of(self, line: asyncio.BaseProtocol) -> None:
        """A connection made a request: from now on it may be idle."""
        if timer := self._lines.get(line):
            timer.cancel()

    def _accept(self) -> asyncio.BaseProtocol:
        if self._server is None or len(self._lines) >= self._most:
            self.turned_away += 1
            return _TurnedAway(self._outside)
        line = self._server()
        loop = asyncio.get_running_loop()
        self._lines[line] = loop.call_later(self._head_timeout, self._hang_up, line)
        return line

    def _hang_up(self, line: web.RequestHandler) -> None:
        self._lost(line)
        line.force_close()

    def _lost(self, line: asyncio.BaseProtocol) -> None:
        if timer := self._lines.pop(line, None):
            timer.cancel()


class _Server(web.Server):
    """aiohttp's server, silent: its logs would show addresses, and tells when a connection ends."""

    def __init__(self, handler: Handler, lost: Callable[[web.RequestHandler], None]) -> None:
        silent = logging.Logger("silent")  # noqa: LOG001 - in no tree, so that nothing switches it on
        silent.disabled = True
        super().__init__(
            handler,
            access_log=None,
            logger=silent,
            keepalive_timeout=IDLE_TIMEOUT,
            lingering_time=LINGER,
        )
        self._tell_lost = lost

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._tell_lost(handler)


class _TurnedAway(asyncio.Protocol):
    """One connection too many: whatever it asks is answered with 503.

    It is not closed before it has said something: what lies unread when a connection is closed makes the
    other end lose the answer.
    """

    def __init__(self, outside: set[_TurnedAway]) -> None:
        self._outside = outside
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._outside.add(self)
        self._timer = asyncio.get_running_loop().call_later(LINGER, self.hang_up)

    def data_received(self, data: bytes) -> None:
        del data  # the rest of a body is read, and nobody looks at it
        if not self._answered:
            self._answered = True
            self._transport.write(_FULL)
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._outside.discard(self)
        self._timer.cancel()

    def hang_up(self) -> None:
        """End it, answered or not."""
        self._transport.abort()
