"""Measures how many webhooks the bridge stores, and how long a sender waits for its 202.

    python bench/webhooks.py [--events 40000] [--seconds 10] [--repeat 3]

The listener, its queue and a ledger on disk run in one process, on one core if the system allows it. The
senders run in this process. The work done in one second of the listener's CPU time counts. A wait begins
when the webhook is due, at a fixed rate whatever the answers, so a webhook that is sent late counts as late.
At the end the ledger must have every event that was answered 202. Exit status 1: a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bridge.ledger.database import reading
from bridge.ledger.open import open_ledger
from bridge.ledger.statistics import load_webhook_counts
from bridge.ledger.webhook_inbox import WebhookInbox
from bridge.webhooks import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RATE_TARGET = 4000.0
WAIT_TARGET = 20.0
PER_SECOND = 1000
DIFFERENT = 500
"""The number of contacts that the events at a fixed rate are about."""
SENDERS = 64
TOKEN = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    figure: float
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        if self.target is None:
            return True
        return self.figure >= self.target if self.at_least else self.figure <= self.target

    def __str__(self) -> str:
        line = f"{self.what:<44}{self.figure:>10,.1f}"
        if self.target is not None:
            side = ">=" if self.at_least else "<="
            line += f"  {side} {self.target:>7,.0f}  {'holds' if self.holds else 'MISSED'}"
        return f"{line}  {self.note}".rstrip()


class Sender(asyncio.Protocol):
    """One connection that posts one webhook after the other."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bool] | None = None
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # of a stream, it is one

    def data_received(self, data: bytes) -> None:
        """Store the answer once its head is complete; 202 has no body."""
        self._heard += data
        if b"\r\n\r\n" in self._heard and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._heard.startswith(b"HTTP/1.1 202 "))
            self._heard = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """End all waits, because no answer will come."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed"))

    async def post(self, number: int) -> bool:
        """Post one about an unknown contact; returns whether the answer was 202."""
        return await self.post_about(f"5f0e9c1a-8f0c-4c2b-9a57-{number:012d}")

    async def post_about(self, contact: str) -> bool:
        """Post one about a contact; returns whether the answer was 202."""
        body = b'{"id": "%s", "type": "contact"}' % contact.encode()
        head = (
            f"POST /webhooks/{TOKEN}/contact-updated HTTP/1.1\r\nHost: bridge.example\r\n"
            "User-Agent: bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        if self.transport.is_closing():
            raise ConnectionError("closed")  # nothing can be written any more
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(head.encode() + body)
        return await self._answer


@dataclass
class Server:
    """The measured process."""

    process: psutil.Process
    port: int
    ledger: Path

    def cpu(self) -> float:
        """Its CPU time in seconds."""
        return sum(self.process.cpu_times()[:2])

    async def dial(self) -> Sender:
        """Opens a connection."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Sender, "127.0.0.1", self.port))[1]

    def kept(self) -> int:
        """The number of events in the ledger."""
        with reading(self.ledger) as connection:
            return sum(one.received for one in load_webhook_counts(connection).values())


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Server]:
    """The listener, its queue and a new ledger, in their own process."""
    ledger = folder / f"{time.time_ns()}.db"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", str(ledger), stdin=pipe, stdout=pipe
    )
    if process.stdout is None or process.stdin is None:
        raise RuntimeError("the listener has no input or output")
    try:
        while not (line := await asyncio.wait_for(process.stdout.readline(), timeout=30)).strip().isdigit():
            if not line:
                raise RuntimeError("the listener did not start")
        yield Server(psutil.Process(process.pid), int(line), ledger)
    finally:
        process.stdin.close()
        await process.wait()


async def as_fast_as_it_goes(server: Server, events: int) -> tuple[float, float]:
    """Post with 64 connections; returns events per CPU second of the server, and per second."""
    numbers = iter(range(events))

    async def send(sender: Sender) -> int:
        return sum([await sender.post(number) for number in numbers])

    senders = [await server.dial() for _ in range(SENDERS)]
    cpu, wall = server.cpu(), time.perf_counter()
    taken = sum(await asyncio.gather(*(send(sender) for sender in senders)))
    cpu, wall = server.cpu() - cpu, time.perf_counter() - wall
    require(taken == events, f"only {taken} of {events} were answered 202")
    return events / cpu, events / wall


async def at_a_rate(server: Server, seconds: int) -> list[float]:
    """Post 1,000 a second, each when it is due; returns the waits for their 202, in ms."""
    idle: asyncio.Queue[Sender] = asyncio.Queue()
    for _ in range(SENDERS):
        idle.put_nowait(await server.dial())
    waits: list[float] = []

    async def send(number: int, due: float) -> None:
        sender = await idle.get()
        require(await sender.post(number % DIFFERENT), "an event was not answered 202")
        waits.append((time.perf_counter() - due) * 1000)
        idle.put_nowait(sender)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(seconds * PER_SECOND):
            due = start + number / PER_SECOND
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            group.create_task(send(number, due))
    while not idle.empty():
        idle.get_nowait().transport.close()
    return sorted(waits)


def require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads like assert
    """End with a message if a condition does not hold."""
    if not holds:
        raise RuntimeError(otherwise)


async def run(folder: Path, events: int, seconds: int, repeat: int) -> list[Line]:
    """Measure both several times, each on a new ledger; the best counts, the worst is shown."""
    rates: list[tuple[float, float]] = []
    waits: list[list[float]] = []
    for _ in range(repeat):
        async with running(folder) as server:
            rates.append(await as_fast_as_it_goes(server, events))
            require(server.kept() == events, "the ledger lacks events that were answered 202")
        async with running(folder) as server:
            waits.append(await at_a_rate(server, seconds))
            require(server.kept() == seconds * PER_SECOND, "the ledger lacks events that were answered 202")
    best, worst = max(rates), min(rates)
    slowest = sorted(percentile(one, 0.99) for one in waits)
    return [
        Line(
            "stored per CPU second of the listener",
            best[0],
            RATE_TARGET,
            at_least=True,
            note=f"worst {worst[0]:,.0f}",
        ),
        Line("stored per second, 64 senders", max(rate for _, rate in rates)),
        Line(
            "ms to the 202 at 1,000/s, 99 of 100 within",
            slowest[0],
            WAIT_TARGET,
            note=f"worst {slowest[-1]:.1f}",
        ),
        Line("ms to the 202 at 1,000/s, half within", min(percentile(one, 0.5) for one in waits)),
    ]


def percentile(ordered: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def serve(path: Path) -> None:
    """Run the listener, its queue and a new ledger until standard input ends; prints the port."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with open_ledger(path, os.urandom(32), "a bench") as ledger:
        inbox = WebhookInbox(ledger, on_stored=lambda _: None)
        receiver = Receiver(
            inbox.store, tokens={"default": [TOKEN]}, clock=lambda: time.time_ns() // 1_000_000
        )
        _, port = await receiver.start("127.0.0.1", 0)
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await receiver.stop()
        await inbox.close()


def main() -> int:
    """Print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=40_000, help="events posted as fast as possible")
    parser.add_argument("--seconds", type=int, default=10, help="duration of posting at 1,000 a second")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each")
    parser.add_argument("--folder", type=Path, help="folder for the ledgers; its disk determines the waits")
    parser.add_argument("--serve", type=Path, metavar="LEDGER", help="only run the listener")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        lines = asyncio.run(run(Path(folder), arguments.events, arguments.seconds, arguments.repeat))
    print(*lines, sep="\n")
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
