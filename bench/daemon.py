"""Measures the daemon: waits of webhooks beside a sweep, requests, time to Trakor, idle CPU, memory.

    python bench/daemon.py [--contacts 5000] [--requests-per-minute 120] [--seconds 10]

Sandbox, `trakor-bridge run` and the senders are three processes. A webhook's wait begins when it is due
(bench/webhooks.py). Exit status 1: a target is missed. bench/README.md explains noise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from backfill import Sandbox, stay_on
from webhooks import TOKEN, Line, Server, at_a_rate, percentile, require

from bridge.ledger.database import reading, writing
from bridge.ledger.scheduled_jobs import request_job
from bridge.ledger.schema import records
from bridge.ledger.statistics import load_webhook_counts
from bridge.records import Job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SETTINGS = {
    "TRAKOR_BRIDGE_WEBHOOKS__HOST": "127.0.0.1",
    "TRAKOR_BRIDGE_WEBHOOKS__PORT": "0",
    "TRAKOR_BRIDGE_WEBHOOKS__TOKEN": TOKEN,
    "TRAKOR_BRIDGE_ADMIN__PORT": "0",
    "TRAKOR_BRIDGE_SCHEDULE__CONTACTS": "30d",
    "TRAKOR_BRIDGE_SCHEDULE__PRODUCTS": "30d",
    "TRAKOR_BRIDGE_SCHEDULE__RECONCILE": "30d",
}
DEBOUNCE = 1.0
WAIT_TARGET = 20.0
REQUESTS_TARGET = 25
TO_TRAKOR_TARGET = 500.0
IDLE_TARGET = 1.0
MEMORY_TARGET = 130.0
EVENTS = 500
SWEPT = '"event": "swept"'
TRIES = 15
SETTLES_WITHIN = 900.0


class Daemon(Server):
    """The daemon and its sandbox."""

    sandbox: Sandbox
    log: Path

    def state(self) -> dict[str, Any]:
        """The numbers of requests that both systems got."""
        found: dict[str, Any] = self._control("GET", "/state")
        return found

    def add(self, name: str) -> str:
        """Adds a contact; returns its id."""
        return str(
            self._control("POST", "/contacts", {"name": name, "email": f"{hash(name)}@example.com"})["id"]
        )

    def has_logged(self, event: str, times: int) -> bool:
        """Whether its log has this event that many times."""
        return self.log.read_text(encoding="utf-8").count(f'"event": "{event}"') >= times

    def memory(self) -> float:
        """Its memory in MB."""
        return float(self.process.memory_info().rss) / 2**20

    async def until(self, what: str, condition: Any) -> None:  # noqa: ANN401 - any callable
        """Poll every 20 ms: measured times are longer, or have a clock of their own."""
        end = time.monotonic() + SETTLES_WITHIN
        while not condition():
            require(time.monotonic() < end, f"{what}: not within {SETTLES_WITHIN:.0f} s")
            require(self.process.status() != psutil.STATUS_ZOMBIE, "the daemon has ended: see its log")
            await asyncio.sleep(0.02)

    def _control(self, method: str, path: str, content: object = None) -> Any:  # noqa: ANN401 - JSON
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.sandbox.control}{path}", body, method=method)  # noqa: S310 - on loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - on loopback
            return json.load(answer)


@contextlib.asynccontextmanager
async def running(folder: Path, contacts: int, requests_per_minute: int) -> AsyncIterator[Daemon]:
    """A sandbox, and a daemon with a new ledger."""
    sandbox, log = Sandbox(folder, contacts, 0.0), folder / "log.jsonl"
    try:
        # In reality it is another machine, so the senders on the same core must not wait for it.
        psutil.Process(sandbox.pid).nice(10)
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bridge", "run", "--log-format", "json"),
                stderr=stderr,
                cwd=folder,
                env={
                    **os.environ,
                    **SETTINGS,
                    "TRAKOR_BRIDGE_SALESTREKKER__REQUESTS_PER_MINUTE": str(requests_per_minute),
                },
            )
        stay_on(process.pid, max)
        daemon = Daemon(psutil.Process(process.pid), 0, folder / "ledger.db")
        daemon.sandbox, daemon.log = sandbox, log
        try:
            await daemon.until("start", lambda: daemon.has_logged("started", 1))
            lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
            daemon.port = next(one["port"] for one in lines if one["event"] == "listening for webhooks")
            yield daemon
        finally:
            process.terminate()
            require(await process.wait() == 0, f"it ended badly: {log.read_text(encoding='utf-8')[-2000:]}")
    finally:
        sandbox.stop()


async def beside_a_sweep(daemon: Daemon, seconds: int, what: str) -> list[Line]:
    """Measures how long webhooks wait, at 1,000 a second, while a whole list is read."""
    waits: list[float] = []
    ends = daemon.log.read_text(encoding="utf-8").count(SWEPT)
    while True:
        waits += await at_a_rate(daemon, seconds)
        if daemon.log.read_text(encoding="utf-8").count(SWEPT) > ends:
            break
    waits.sort()
    return [
        Line(f"ms to the 202 {what}, 99 of 100", percentile(waits, 0.99), WAIT_TARGET),
        Line("  half within, and the longest", percentile(waits, 0.5), note=f"longest {waits[-1]:.0f}"),
    ]


def _waiting(daemon: Daemon) -> int:
    with reading(daemon.ledger) as connection:
        return sum(one.waiting for one in load_webhook_counts(connection).values())


async def requests(daemon: Daemon) -> Line:
    """Measures how many requests some hundred webhooks about as many contacts need."""
    with reading(daemon.ledger) as connection:
        ids = list(connection.scalars(records.select().with_only_columns(records.c.source_id).limit(EVENTS)))
    before = daemon.state()["salestrekker"]["traffic"]["requests"]
    senders = [await daemon.dial() for _ in range(10)]
    await asyncio.gather(*(_post_all(sender, ids[n::10]) for n, sender in enumerate(senders)))
    await daemon.until("webhooks", lambda: _waiting(daemon) == 0)
    asked = daemon.state()["salestrekker"]["traffic"]["requests"] - before
    return Line(f"requests for {EVENTS} webhooks of as many contacts", asked, REQUESTS_TARGET)


async def _post_all(sender: Any, ids: list[str]) -> None:  # noqa: ANN401 - a Sender
    for one in ids:
        require(await sender.post_about(one), "an event was not answered 202")


async def to_trakor(daemon: Daemon) -> Line:
    """Measures the time from a new contact's webhook to Trakor, beyond the debounce."""
    took = []
    sender = await daemon.dial()
    for number in range(TRIES):
        there = daemon.state()["trakor"]["parties"]
        new = daemon.add(f"Nobody Before {number}")
        began = time.perf_counter()
        require(await sender.post_about(new), "an event was not answered 202")
        await daemon.until("delivery", lambda: daemon.state()["trakor"]["parties"] > there)  # noqa: B023 - at once
        took.append((time.perf_counter() - began - DEBOUNCE) * 1000)
    took.sort()
    note = f"longest {took[-1]:.0f}"
    return Line(
        "ms from webhook to Trakor, beyond the debounce", took[len(took) // 2], TO_TRAKOR_TARGET, note=note
    )


async def idle(daemon: Daemon, seconds: int) -> list[Line]:
    """Measures CPU and memory while nothing happens."""
    cpu = daemon.cpu()
    await asyncio.sleep(seconds)
    share = 100 * (daemon.cpu() - cpu) / seconds
    return [
        Line("% of a core while idle", share, IDLE_TARGET),
        Line("MB in memory, in the end", daemon.memory(), MEMORY_TARGET),
    ]


async def run(folder: Path, contacts: int, requests_per_minute: int, seconds: int) -> AsyncIterator[Line]:
    """Measure all figures in turn."""
    async with running(folder, contacts, requests_per_minute) as daemon:
        for line in await beside_a_sweep(daemon, seconds, "beside a first sweep"):
            yield line
        await daemon.until("webhooks", lambda: _waiting(daemon) == 0)
        await daemon.until("delivery", lambda: _pending(daemon) == 0)
        yield Line("MB in memory, after the first sweep", daemon.memory(), MEMORY_TARGET)
        with writing(daemon.ledger) as connection:
            request_job(connection, "default", Job.RECONCILE, now=time.time_ns() // 1_000_000)
        for line in await beside_a_sweep(daemon, seconds, "beside a sweep"):
            yield line
        await daemon.until("webhooks", lambda: _waiting(daemon) == 0)
        yield await requests(daemon)
        yield await to_trakor(daemon)
        for line in await idle(daemon, seconds):
            yield line


def _pending(daemon: Daemon) -> int:
    with reading(daemon.ledger) as connection:
        found = connection.execute(records.select().where(records.c.state == "pending").limit(1)).first()
    return int(found is not None)


async def _print(lines: AsyncIterator[Line]) -> bool:
    holds = True
    async for line in lines:
        print(line, flush=True)
        holds &= line.holds
    return holds


def main() -> int:
    """Print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contacts", type=int, default=5000, help="number of contacts")
    parser.add_argument(
        "--requests-per-minute", type=int, default=120, help="as in the configuration, with the same default"
    )
    parser.add_argument("--seconds", type=int, default=10, help="duration of each measurement")
    parser.add_argument("--folder", type=Path, help="folder for the ledger; its disk determines the waits")
    arguments = parser.parse_args()
    stay_on(0, min)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        lines = run(Path(folder), arguments.contacts, arguments.requests_per_minute, arguments.seconds)
        return int(not asyncio.run(_print(lines)))


if __name__ == "__main__":
    sys.exit(main())
