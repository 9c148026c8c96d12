"""A listening socket, and a sentence where there can be none."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Final

from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PortTaken", "listen"]

BACKLOG: Final = 1024
"""Connections that the operating system keeps until they are accepted: a burst is no reason to refuse."""

_WHY: Final = {
    errno.EACCES: "this user may not listen there: ports below 1024 need a right of their own",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
}


class PortTaken(UserError):  # noqa: N818 - says what is the matter
    """Another process listens there."""


async def listen(factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server:
    """Begin to accept connections.

    Args:
        factory: Makes the protocol of a connection.
        host: Address or name to listen on.
        port: 0: the operating system chooses.

    Raises:
        UserError: It cannot be listened there.
    """
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(factory, host, port, backlog=BACKLOG)
    except OSError as error:
        raise _fault(error, host, port) from error


def _fault(error: OSError, host: str, port: int) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"port {port} of {host} is taken by another process",
            advice="set [webhooks] port to a free one, or end what listens there",
        )
    why = _WHY.get(error.errno or 0, error.strerror or type(error).__name__)
    return UserError(
        f"webhooks cannot be received on {host}, port {port}: {why}",
        advice="set [webhooks] host and port to what this machine has: 0.0.0.0 is every address of it",
    )
