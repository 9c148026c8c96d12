"""The daemon under webhooks, sweeps, faults, kills and floods, and what is lost or doubled: nothing.

    python tests/soak.py [--minutes 60] [--rate 50] [--seed 1] [--write]

One daemon and, in this process, both simulated systems, on loopback. Its Trakor looks a name up and then
inserts it, so that whoever sends a name twice at once makes two of it. Exit status 1: something was lost,
doubled or not delivered. ``--write`` puts the result into docs/guarantees.md.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import func, select

from bridge import logs
from bridge.ledger.database import reading
from bridge.ledger.schema import events, feeds, records, sweeps
from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from bridge.sandbox.trakor_store import Lookup
from bridges import Bridge
from daemons import daemon_settings
from processes import commands
from soaking import LATENCY, TAKEN, Lives, Office, Posted, flooded, strangers, weathered

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BEGIN", "END", "Found", "Soaked", "found_in", "is_repeated", "soak", "written"]

PAGE = Path(__file__).parent.parent / "docs" / "guarantees.md"
BEGIN, END = "<!-- What `make soak` found. It writes this itself. -->", "<!-- Until here. -->"
CONTACTS, PRODUCTS = 500, 50
SETTLES_WITHIN = 600.0
TURNED_DOWN = ("rejected: refused-by-trakor", "rejected: server-error")


@dataclass(frozen=True)
class Found:
    """What must be nothing.

    Attributes:
        lost: Webhooks that were answered 202, and are not in the ledger or not processed.
        undelivered: Newcomers whose webhook was taken, and whom Trakor does not have.
        waiting: Records that still wait to be sent.
        twins: Names that Trakor has twice.
        doubled: Source records that have two records in Trakor.
        overlapping: Requests for a name while another one for it was at work.
        repeated: Names that were posted again in one life of the process, although Trakor had answered, and
            that were no canaries.
        missed: What one more read of everything finds that was not known.
        status: The daemon's exit status, when it was stopped in order.
    """

    lost: int = 0
    undelivered: int = 0
    waiting: int = 0
    twins: int = 0
    doubled: int = 0
    overlapping: int = 0
    repeated: int = 0
    missed: int = 0
    status: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether all is as it must be."""
        return not any(vars(self).values())


@dataclass
class Soaked:
    """A soak that is over.

    Attributes:
        bridge: The daemon's folder, configuration and ledger, and both systems.
        office: What was posted, and what came of it.
        lives: The daemon's.
        weather: What went wrong, and how often.
        rate: Webhooks a second.
        minutes: For how long.
        floods: How many there were.
        retried: Records that a person had to let try again.
        descriptors: How many the daemon had open when all was settled.
        status: Its exit status.
        missed: What one more read of everything found.
        found: What must be nothing.
    """

    bridge: Bridge
    office: Office
    lives: Lives
    weather: Counter[str]
    rate: float
    minutes: float
    floods: int = 0
    retried: int = 0
    descriptors: int = 0
    status: int = 0
    missed: int = 0
    found: Found = field(default_factory=Found)

    def table(self) -> str:
        """The result, as a table of Markdown."""
        lines = (f"| {what} | {figure} |" for what, figure in (*self._losses(), *self._figures()))
        return "\n".join(["| figure | result |", "|---|---|", *lines])

    def _losses(self) -> list[tuple[str, str]]:
        found = self.found
        answers = self.office.posts.values()
        again = sum(sum(one.status in TAKEN for one in several) > 1 for several in answers)
        newcomers = len(self.office.lags) + found.undelivered
        return [
            (
                "webhooks answered 202",
                f"{self.office.taken.total():,}: {self.rate:g} a second for {self.minutes:g} minutes",
            ),
            ("of these lost", f"{found.lost}"),
            ("newcomers; of these not delivered", f"{newcomers:,}; {found.undelivered}"),
            ("records that still wait to be sent", f"{found.waiting}"),
            ("names that Trakor has twice; contacts with two parties", f"{found.twins}; {found.doubled}"),
            ("requests for one name at the same time", f"{found.overlapping}"),
            ("names posted again after Trakor's answer, for no reason", f"{found.repeated}"),
            ("the same after a kill, or as a canary after a failure", f"{again - found.repeated}"),
            ("what one more read of everything found", f"{found.missed}"),
            ("records rejected in an outage, and retried by hand", f"{self.retried}"),
        ]

    def _figures(self) -> list[tuple[str, str]]:
        lives = self.lives.all
        waits, lags = sorted(self.office.waits), sorted(self.office.lags)
        longest = max(lives, key=lambda life: len(life.memory))
        memory = longest.memory[len(longest.memory) // 10 :] or [0.0]
        most = max(max(life.memory, default=0.0) for life in lives)
        size = sum(life.log.stat().st_size for life in lives)
        return [
            ("`SIGKILL`s; floods; faults", f"{self.lives.kills}; {self.floods}; {self.weather.total()}"),
            ("webhooks that had to be sent again meanwhile", f"{self.office.again:,}"),
            (
                "ms to the 202: half within; 99 of 100 within",
                f"{1000 * share(waits, 0.5):.1f}; {1000 * share(waits, 0.99):.0f}",
            ),
            (
                "seconds from the 202 to Trakor: half within; 99 of 100 within",
                f"{share(lags, 0.5):.1f}; {share(lags, 0.99):.0f}",
            ),
            (
                "MiB in memory: the most; at the beginning and the end of the longest life",
                f"{most:.0f}; {memory[0]:.0f} and {memory[-1]:.0f}",
            ),
            (
                "descriptors: the most, in a flood; in the end",
                f"{max(life.descriptors for life in lives):,}; {self.descriptors}",
            ),
            ("bytes of log; for each webhook", f"{size:,}; {size / max(1, self.office.taken.total()):.0f}"),
        ]


def share(ordered: Sequence[float], part: float) -> float:
    """The value that this part of the values does not exceed; 0 where there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


# -- the soak ---------------------------------------------------------------------------------------


def settings_of(seconds: float) -> dict[str, dict[str, object]]:
    """The configuration: waits are shorter than as shipped, so that faults follow each other faster."""
    often = f"{max(2, min(60, round(seconds / 4)))}s"
    changes = daemon_settings()
    changes["webhooks"]["debounce"] = "1s"
    changes["schedule"] = {"contacts": often, "products": often, "reconcile": "5m", "gone_limit": 1.0}
    changes["salestrekker"] = {
        "requests_per_minute": 1200, "retry_first": "200ms", "retry_max": "5s", "probe_first": "1s",
        "probe_max": "5s",
    }  # fmt: skip
    changes["trakor"] = {
        "retry_first": "200ms", "retry_max": "5s", "probe_first": "1s", "probe_max": "5s",
        "unanswered_wait": "5s",
    }  # fmt: skip
    return changes


async def soak(folder: Path, *, minutes: float, rate: float, seed: int) -> Soaked:
    """Run it to its end: until nothing waits, and the daemon is stopped in order.

    Args:
        folder: An empty one.
        minutes: For how long webhooks are posted.
        rate: So many a second.
        seed: Of all that happens, as far as time allows.
    """
    seconds = minutes * 60
    async with Sandbox(Options(contacts=CONTACTS, products=PRODUCTS, lookup=Lookup.INSERTS)) as sandbox:
        sandbox.trakor.latency = LATENCY
        bridge = Bridge(folder, sandbox, settings_of(seconds))
        if not bridge.settings.connections:
            raise RuntimeError("there is no connection")
        lives = Lives(folder)
        office = Office(sandbox, lives, chance_of(seed, "office"))
        soaked = Soaked(bridge, office, lives, Counter(), rate, minutes)
        await lives.begin()
        watching = [asyncio.create_task(one) for one in (office.watched(), lives.watched())]
        try:
            await _lived(soaked, seconds, seed, watching)
            await _settled(soaked)
            soaked.descriptors = lives.last.look()
            soaked.status = await lives.stop()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            if lives.last.process.returncode is None:
                lives.last.process.kill()
                await lives.last.process.wait()
        soaked.missed = await _missed(soaked)
        soaked.found = found_in(soaked)
        return soaked


def chance_of(seed: int, what: str) -> random.Random:
    """What decides something."""
    return random.Random(f"{what}:{seed}")  # noqa: S311 - to be had again, not to be secret


async def _lived(soaked: Soaked, seconds: float, seed: int, watching: Sequence[asyncio.Task[None]]) -> None:
    """Everything at once, until the office closes."""
    troubles = [
        asyncio.create_task(one)
        for one in (
            weathered(
                soaked.office.sandbox, chance_of(seed, "weather"), soaked.weather, min(20.0, seconds / 5)
            ),
            _flooded(soaked, seed, seconds),
            _told(soaked),
        )
    ]
    working = asyncio.create_task(soaked.office.opened(soaked.rate, seconds))
    killing = asyncio.create_task(_killed(soaked.lives, chance_of(seed, "kills"), seconds))
    try:
        every: set[asyncio.Task[None]] = {working, killing, *troubles, *watching}
        while not (working.done() and killing.done()):
            done, every = await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # whatever fails ends the soak
    finally:
        for task in (working, killing, *troubles):
            task.cancel()
        await asyncio.gather(working, killing, *troubles, return_exceptions=True)
    sandbox = soaked.office.sandbox
    sandbox.trakor.latency, sandbox.salestrekker.latency = LATENCY, 0.0


async def _killed(lives: Lives, chance: random.Random, seconds: float) -> None:
    """Kill it now and then; the last third of the time is one life."""
    until, pause = time.monotonic() + seconds * 2 / 3, min(90.0, seconds / 3)
    while True:
        wait = chance.uniform(0.5, 1.5) * pause
        if time.monotonic() + wait > until:
            return
        await asyncio.sleep(wait)
        await lives.kill()


async def _flooded(soaked: Soaked, seed: int, seconds: float) -> None:
    while True:
        await asyncio.sleep(min(60.0, seconds / 3))
        await flooded(soaked.lives, seed, soaked.floods, strangers())
        soaked.floods += 1


async def _told(soaked: Soaked) -> None:
    """A line each minute."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(60)
        office, life = soaked.office, soaked.lives.last
        tell(
            f"{(time.monotonic() - began) / 60:5.0f} min: {office.taken.total():>8,} webhooks,"
            f" {len(office.lags):>7,} newcomers delivered, {len(office.awaited):>4,} awaited,"
            f" {life.memory[-1] if life.memory else 0:.0f} MiB, {soaked.lives.kills} kills,"
            f" {soaked.floods} floods, {soaked.weather.total()} faults"
        )


async def _settled(soaked: Soaked) -> None:
    """Wait until nothing waits, with a person who lets those try again that an outage made be rejected.

    A list that moves while it is read hides records; the next sweep finds them, so that one is waited for.
    What does not settle in time, or since the daemon has ended, is found afterwards.
    """
    ledger, closed_at = soaked.bridge.folder / "ledger.db", time.time() * 1000
    until = time.monotonic() + SETTLES_WITHIN
    async with commands(soaked.bridge.folder) as begin:
        while _waits(ledger) or soaked.office.awaited or not _is_swept(ledger, closed_at):
            if soaked.lives.last.process.returncode is not None or time.monotonic() > until:
                return
            turned_down = soaked.bridge.books.ids(Stream.CONTACTS, *TURNED_DOWN)
            if turned_down and not _waits(ledger):
                soaked.retried += len(turned_down)
                await (await begin("records", "retry", "--state", "rejected", "--yes")).ended()
            await asyncio.sleep(0.5)


def _is_swept(ledger: Path, since: float) -> bool:
    """Whether a sweep of the contacts that began since then, and one of the products, are complete."""
    chosen = select(feeds.c.stream, func.max(sweeps.c.began_at)).join(feeds, feeds.c.number == sweeps.c.feed)
    with reading(ledger) as connection:
        found = connection.execute(chosen.where(sweeps.c.complete == 1).group_by(feeds.c.stream)).all()
    last = {str(stream): int(began) for stream, began in found}
    return last.get(str(Stream.CONTACTS), 0) >= since and str(Stream.PRODUCTS) in last


def _waits(ledger: Path) -> int:
    """How many events and records wait."""
    event = select(func.count()).select_from(events).where(events.c.done_at.is_(None))
    record = select(func.count()).select_from(records)
    record = record.where(records.c.state == "pending", records.c.gone == 0)
    with reading(ledger) as connection:
        return int(connection.scalar(event) or 0) + int(connection.scalar(record) or 0)


async def _missed(soaked: Soaked) -> int:
    """What one more read of everything finds that was not known: records that change, requests to Trakor."""
    bridge, trakor = soaked.bridge, soaked.bridge.sandbox.trakor
    before, posts = bridge.books.known, trakor.traffic.total
    await bridge.backfill(restart=True)
    after = bridge.books.known
    changed = [one for one in before.keys() | after.keys() if before.get(one) != after.get(one)]
    return len(changed) + trakor.traffic.total - posts


def found_in(soaked: Soaked) -> Found:
    """What was lost, doubled or not delivered."""
    bridge, office = soaked.bridge, soaked.office
    trakor = bridge.sandbox.trakor
    office.look()
    ledger = bridge.folder / "ledger.db"
    with reading(ledger) as connection:
        kept = connection.execute(select(events.c.action, events.c.source_id, events.c.done_at)).all()
    missing = office.taken - Counter((one.action, one.source_id) for one in kept)
    return Found(
        lost=missing.total() + sum(one.done_at is None for one in kept),
        undelivered=len(office.awaited),
        waiting=_waits(ledger),
        twins=len(trakor.parties.twins()) + len(trakor.products.twins()),
        doubled=sum(len(known.ids) > 1 for known in bridge.books.known.values()),
        overlapping=trakor.overlaps.requests.total() + trakor.overlaps.late.total(),
        repeated=sum(map(is_repeated, office.posts.values())),
        missed=soaked.missed,
        status=soaked.status,
    )


def is_repeated(answers: Sequence[Posted]) -> bool:
    """Whether a name was posted again, although Trakor had answered to the same life of the daemon.

    Canaries are, on purpose.
    """
    taken = [one for one in answers if one.status in TAKEN]
    return any(one.life == next_.life and not next_.canary for one, next_ in pairwise(taken))


# -- its result -------------------------------------------------------------------------------------


def written(page: str, text: str) -> str:
    """The page with this text in its section."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise RuntimeError("docs/guarantees.md has no section for the result of a soak")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def machine() -> str:
    """What it was run on."""
    memory = psutil.virtual_memory().total / 2**30
    version = platform.python_version()
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()}, Python {version}"


def tell(text: str) -> None:
    """Say it at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Soak, and tell what was found; 1 where that is not nothing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="for how long webhooks are posted")
    parser.add_argument("--rate", type=float, default=50, help="webhooks a second")
    parser.add_argument("--seed", type=int, default=1, help="of all that happens, as far as time allows")
    parser.add_argument("--write", action="store_true", help="put the result into docs/guarantees.md")
    arguments = parser.parse_args()
    logs.configure("error", "console", sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        soaked = asyncio.run(
            soak(Path(folder), minutes=arguments.minutes, rate=arguments.rate, seed=arguments.seed)
        )
        table = soaked.table()
    date = dt.datetime.now(dt.UTC).date()
    text = f"{date:%Y-%m-%d}, on a machine with {machine()}:\n\n{table}"
    tell("\n".join([text, "", *(f"{what}: {times}" for what, times in sorted(soaked.weather.items()))]))
    if arguments.write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), text), "utf-8")
    return 0 if soaked.found.is_nothing else 1


if __name__ == "__main__":
    sys.exit(main())
