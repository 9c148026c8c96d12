"""Opens listening sockets, or says why that is not possible, and accepts connections while there is room."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LOG_INTERVAL", "Acceptor", "PortTaken", "allow_more_files", "open_sockets"]

BACKLOG: Final = 1024
"""How many connections the operating system queues until they are accepted. A burst is not refused."""

ACCEPTS_PER_TURN: Final = 64
"""How many connections are accepted before other work has its turn."""

PAUSE: Final = 0.1
"""Seconds until the next check for room."""

SHORTAGE_PAUSE: Final = 1.0
"""Seconds without accepting after the machine had no descriptor or memory for a connection."""

LOG_INTERVAL: Final = 60.0
"""Seconds between two log lines about such a shortage."""

_SHORTAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_UNAVAILABLE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_REASONS: Final = {
    errno.EACCES: "this user may not listen there: ports below 1024 need a special right",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
}

log = structlog.get_logger()


class PortTaken(UserError):  # noqa: N818 - says what is wrong
    """Another process listens on the port."""


def allow_more_files() -> None:
    """Raise this process's limit of open files and connections to what the system allows.

    Many systems start a process with 1,024, because some programs cannot handle more.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems refuse their own limit: it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def open_sockets(host: str, port: int, *, section: str, what: str) -> list[socket.socket]:
    """Open listening sockets on each of a host's addresses.

    Args:
        host: The address or name to listen on.
        port: The port; 0 means that the operating system chooses one.
        section: The section of the configuration for the advice, such as ``webhooks``.
        what: The consequence for the message, such as ``webhooks cannot be received``.

    Raises:
        UserError: The process cannot listen there.
    """
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    unavailable: OSError | None = None
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            try:
                sockets.append(_listen(family, address))
            except OSError as error:
                if error.errno not in _UNAVAILABLE:
                    raise
                unavailable = error  # a name can have an IPv6 address on a machine without IPv6
    except OSError as error:
        for one in sockets:
            one.close()
        raise _bind_error(error, host, port, section, what) from error
    if not sockets and unavailable is not None:
        raise _bind_error(unavailable, host, port, section, what) from unavailable
    return sockets


class Acceptor:
    """Accepts connections while there is room.

    asyncio's own server accepts every connection, and logs a traceback for each one that the machine has no
    descriptor for.

    Args:
        factory: Makes the protocol of a connection from the client's address.
        can_accept: Whether another connection may be accepted now.
        name: The listener's name for the log.
    """

    def __init__(
        self, factory: Callable[[str], asyncio.BaseProtocol], can_accept: Callable[[], bool], name: str
    ) -> None:
        self._factory = factory
        self._can_accept = can_accept
        self._name = name
        self._sockets: list[socket.socket] = []
        self._starting: set[asyncio.Task[None]] = set()
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._logged_at = -LOG_INTERVAL

    def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections from these sockets. ``close`` closes them."""
        self._sockets = [*sockets]
        for one in self._sockets:
            asyncio.get_running_loop().add_reader(one, self._accept, one)

    def close(self) -> None:
        """Accept nothing more."""
        loop = asyncio.get_running_loop()
        for timer in self._paused.values():
            timer.cancel()
        self._paused.clear()
        for one in self._sockets:
            loop.remove_reader(one)
            one.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if not self._can_accept():
                self._pause(listening, PAUSE)
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._log_shortage(error)
                self._pause(listening, SHORTAGE_PAUSE)
                return
            self._start(accepted, str(address[0]) if address else "")

    def _start(self, accepted: socket.socket, address: str) -> None:
        accepted.setblocking(False)  # noqa: FBT003 - the library's signature
        loop = asyncio.get_running_loop()
        protocol = self._factory(address)
        begin = loop.create_task(_connect(loop, protocol, accepted))
        self._starting.add(begin)
        begin.add_done_callback(self._starting.discard)

    def _pause(self, listening: socket.socket, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._paused[listening] = loop.call_later(seconds, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        self._paused.pop(listening, None)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _log_shortage(self, error: OSError) -> None:
        """Log the shortage, which may pass by itself, at most once a minute."""
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            short = error.errno in _SHORTAGE
            log.warning(
                "no connection can be accepted",
                listener=self._name,
                reason=error.strerror or type(error).__name__,
                advice="raise the limit of open files (ulimit -n, LimitNOFILE)" if short else "",
                again_at_most_every=f"{LOG_INTERVAL:.0f}s",
            )


def _bind_error(error: OSError, host: str, port: int, section: str, what: str) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"port {port} of {host} is taken by another process",
            advice=f"set [{section}] port to a free port, or stop the process that listens on this one",
        )
    why = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
    return UserError(
        f"{what} on {host}, port {port}: {why}",
        advice=f"set [{section}] host and port to what this machine has: 127.0.0.1 always exists, and 0.0.0.0"
        " means all addresses",
    )


async def _connect(
    loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, accepted: socket.socket
) -> None:
    try:
        await loop.connect_accepted_socket(lambda: protocol, accepted)
    except OSError:
        accepted.close()


def _listen(family: int, address: Any) -> socket.socket:  # noqa: ANN401 - of either family
    """Open a listening socket with the same options as asyncio's."""
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)  # noqa: FBT003 - the library's signature
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
