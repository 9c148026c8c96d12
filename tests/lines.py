"""One connection to a listener, byte by byte."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["SECONDS", "Line"]

SECONDS = 5.0


@dataclass
class Line:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self) -> str:
        """Status line and headers."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        return head.decode()

    async def status(self) -> str:
        """The status line."""
        return (await self.answer()).split("\r\n")[0]

    async def rest(self) -> bytes:
        """All that comes until the other end closes."""
        with suppress(ConnectionResetError):
            return await asyncio.wait_for(self.reader.read(), SECONDS)
        return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
