"""A stand-in between the bridge and a simulated system, which hands on requests and spoils answers.

::

    client ──request──> Tampering ──handed on──> sandbox
           <──spoiled── or as it is ──good answer──┘
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import aiohttp

from hostile_answers import Close, Good

if TYPE_CHECKING:
    from collections.abc import Callable

    from hostile_answers import Spoiled

    Tamper = Callable[[bytes, Good], Spoiled | None]

__all__ = ["Tampering"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_KEPT = re.compile(rb"\r\n((?:authorization|x-api-key|content-type|accept): [^\r\n]*)", re.IGNORECASE)
MOST = 1 << 20


class Tampering:
    """Stands before one system, between ``async with`` and its end.

    Args:
        port: Of the system, on 127.0.0.1.
        tamper: Is given a request's body and the good answer; what it returns is said instead.
        remembers: Answers the same request again without asking the system.
    """

    def __init__(self, port: int, tamper: Tamper, *, remembers: bool = False) -> None:
        self._port = port
        self._tamper = tamper
        self._known: dict[tuple[bytes, bytes], Good] | None = {} if remembers else None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MOST)
        self.port = self._server.sockets[0].getsockname()[1]
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Whoever has enough of an answer, or waits no longer for it, goes; so does this in the end, and
            # asyncio's own callback tells of a task that was cancelled.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; gives whether another one may come."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        path = head.split(b" ", 2)[1]
        good = await self._good(path, head, body)
        spoiled = self._tamper(body, good)
        if spoiled is None:
            writer.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % (good.status, len(good.body))
                + good.body
            )
            await writer.drain()
            return True
        size = max(1, -(-len(spoiled.raw) // spoiled.pieces))
        for at in range(0, len(spoiled.raw), size):
            writer.write(spoiled.raw[at : at + size])
            await writer.drain()
        match spoiled.close:
            case Close.KEEP:
                return True
            case Close.STALL:
                await reader.read()  # until the other end has enough
            case Close.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            case Close.CLOSE:
                writer.close()
                await writer.wait_closed()
        return False

    async def _good(self, path: bytes, head: bytes, body: bytes) -> Good:
        if self._known is not None and (known := self._known.get((path, body))) is not None:
            return known
        lines = (match[1].decode("latin-1").split(": ", 1) for match in _KEPT.finditer(head))
        url = f"http://127.0.0.1:{self._port}{path.decode()}"
        async with self._http.post(url, data=body, headers=dict(lines)) as answer:
            good = Good(answer.status, await answer.read())
        if self._known is not None:
            self._known[path, body] = good
        return good
