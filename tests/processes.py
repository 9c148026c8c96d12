"""The command in a process of its own, which ends with the test; what it prints can be waited for.

::

    async with commands(folder) as begin:
        process = await begin("run", "--log-format", "json")
        port = await process.listens("listening for webhooks")
        process.signal(signal.SIGTERM)
        assert (await process.ended()).status == 0
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridges import adds_up
from forking import fork

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from forking import Forked

__all__ = ["COMMAND", "LONG", "Begin", "Ended", "Process", "commands"]

COMMAND = (sys.executable, "-m", "bridge")
LONG = 40.0
"""Seconds after which something hangs, also on a busy machine."""

if TYPE_CHECKING:
    Begin = Callable[..., Awaitable["Process"]]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def numbers(self) -> dict[str, dict[str, int]]:
        """The numbers of the default connection's streams."""
        streams: dict[str, dict[str, int]] = self.document["connections"]["default"]["streams"]
        assert all(adds_up(numbers) for numbers in streams.values())
        return streams


class Process:
    """A command that runs."""

    def __init__(self, process: Forked) -> None:
        self._process = process
        self._err = b""
        self._said = asyncio.Condition()
        self._ending = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def lines(self) -> int:
        """How many lines it has written on standard error."""
        return self._err.count(b"\n")

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far, as JSON."""
        return [json.loads(line) for line in self._err.decode().splitlines() if line.startswith("{")]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def said(self, words: str) -> None:
        """Wait until it has said something on standard error."""
        await self.until(lambda: words.encode() in self._err)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, looking after each line on standard error."""
        try:
            async with asyncio.timeout(LONG), self._said:
                await self._said.wait_for(lambda: bool(condition()) or self._process.returncode is not None)
        except TimeoutError:
            said = self._err.decode()[-2000:]
            raise TimeoutError(f"not within {LONG} s; the last it said: {said}") from None
        assert condition(), f"it ended with {self._process.returncode}: {self._err.decode()[-2000:]}"

    async def listens(self, event: str) -> int:
        """The port that it says it listens on, in a line of its log (JSON)."""
        await self.said(f'"event": "{event}"')
        return next(int(line["port"]) for line in self.log if line["event"] == event)

    async def ended(self, within: float = LONG) -> Ended:
        """Wait for its end."""
        return await asyncio.wait_for(asyncio.shield(self._ending), within)

    async def end(self) -> None:
        """End it, where it runs still."""
        if self._process.returncode is None:
            self._process.kill()
        await self._ending

    async def _listen(self) -> Ended:
        out, _ = await asyncio.gather(self._process.stdout.read(), self._listen_to_complaints())
        status = await self._process.wait()
        async with self._said:
            self._said.notify_all()
        return Ended(status, out.decode(), self._err.decode())

    async def _listen_to_complaints(self) -> None:
        async for line in self._process.stderr:
            async with self._said:
                self._err += line
                self._said.notify_all()


@asynccontextmanager
async def commands(folder: Path) -> AsyncIterator[Begin]:
    """``begin("backfill", "--json")`` starts the command in a folder; what runs in the end is killed.

    Args:
        folder: Where it is started; only what is given by name reaches it of our own environment variables.
    """
    begun: list[Process] = []

    async def begin(*arguments: str, **more: str) -> Process:
        begun.append(Process(await fork(arguments, folder, _environment(**more))))
        return begun[-1]

    try:
        yield begin
    finally:
        for process in begun:
            await process.end()


def _environment(**more: str) -> dict[str, str]:
    """Nothing of ours from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAKOR_BRIDGE_")}
    return {**kept, **more}
