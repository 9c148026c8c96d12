"""``kill -9`` at 50 moments of the daemon's life: what was answered 202 is done in the end, nothing is twice.

::

    life: begin ──> kill ──> begin ──> kill ──> …  25 times each, in two folders side by side
    office: contacts come, change and go; each change is posted until it is answered 202
    then: one life in order, to its end ──> all is done ──> a whole sweep finds nothing that was not known

In the one folder the lists are swept again and again, from the first time on. In the other they were read
once and are never swept again: there only the webhooks can have brought what is known in the end.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest
from sqlalchemy import select

from bridge.ledger.database import reading
from bridge.ledger.schema import claims, events, records
from bridge.names import Hasher
from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from bridge.wiring.ledger_and_key import ledger_key
from bridges import Bridge
from daemons import TOKEN, daemon_settings
from processes import LONG, commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from bridge.sandbox.request_log import Traffic
    from processes import Begin, Process

    Start = Callable[[Options], Awaitable[Sandbox]]

pytestmark = pytest.mark.acceptance

KILLS = 25
"""In each of the two folders."""

CONTACTS = Stream.CONTACTS


@dataclass
class Office:
    """Whoever works in Salestrekker: changes contacts and posts that, again until it is taken.

    Attributes:
        bridge: Configuration, sandbox and ledger.
        chance: Decides what happens.
        address: Where webhooks are posted to at the moment.
        closing: Nothing more is to be changed.
        taken: (action, contact) -> how often it was answered 202.
    """

    bridge: Bridge
    chance: random.Random
    address: str = ""
    closing: bool = False
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    _listening: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _added: int = 0

    def moved_to(self, port: int) -> None:
        """There is somebody to post to."""
        self.address = f"http://127.0.0.1:{port}/webhooks/{TOKEN}"
        self._listening.set()

    def closed(self) -> None:
        """There is not."""
        self._listening.clear()

    async def open(self, *, pause: float) -> None:
        """Change and post, one after the other; in the end the last change is posted, too."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            while not self.closing:
                await self._post(http, *self._change())
                await asyncio.sleep(pause)  # no faster than an office works

    async def answered(self, more: int) -> None:
        """Wait until so many more were answered 202."""
        wanted = self.taken.total() + more
        while self.taken.total() < wanted:
            self._news.clear()
            await self._news.wait()

    def _change(self) -> tuple[str, str]:
        contacts = self.bridge.sandbox.contacts
        what = self.chance.random()
        if what < 0.35:
            self._added += 1
            name = f"Newcomer Number {self._added}"
            return "contact-created", contacts.add(name, email=f"newcomer{self._added}@example.com")
        one = contacts.id_at(self.chance.randrange(len(contacts)))
        if what < 0.6:
            contacts.rename(one, f"Renamed {self.chance.randrange(10_000)}")
        elif what < 0.95:
            contacts.change_email(one, f"changed{self.chance.randrange(10_000)}@example.com")
        else:
            contacts.remove(one)
            return "contact-deleted", one
        return "contact-updated", one

    async def _post(self, http: aiohttp.ClientSession, action: str, contact: str) -> None:
        """Post one, as often as it takes: whoever died before the answer may have kept it or not."""
        while True:
            await self._listening.wait()
            with suppress(aiohttp.ClientError, ConnectionError):
                async with http.post(f"{self.address}/{action}", json={"id": contact}) as answer:
                    if answer.status == 202:
                        self.taken[action, contact] += 1
                        self._news.set()
                        return
            await asyncio.sleep(0.02)  # it was killed, and whoever kills it does not know yet


@dataclass
class Folder:
    """A daemon that is killed again and again, in a folder of its own."""

    bridge: Bridge
    begin: Begin
    office: Office
    chance: random.Random
    sweeps: bool

    async def lives(self, kills: int) -> None:
        """So many lives, each killed at its moment."""
        moments = [self._at_a_start, self._at_a_read, self._at_a_webhook, self._at_a_post, self._at_a_line]
        for number in range(kills):
            process = await self.begin("run", "--log-format", "json", "--log-level", "debug")
            moving = asyncio.create_task(self._move(process))
            await moments[number % len(moments)](process)
            process.signal(signal.SIGKILL)
            self.office.closed()
            moving.cancel()
            assert (await process.ended()).status == -signal.SIGKILL, "it ended before it was killed"

    async def to_its_end(self, office: asyncio.Task[None]) -> None:
        """One life that nobody disturbs, until nothing waits; then it is stopped in order."""
        process = await self.begin("run", "--log-format", "json")
        await self._move(process)
        await asyncio.wait_for(office, LONG)
        await process.until(lambda: self._is_swept(process))
        await process.until(self._nothing_waits)
        process.signal(signal.SIGTERM)
        ended = await process.ended()
        assert ended.status == 0
        assert "Traceback" not in ended.err

    def _nothing_waits(self) -> bool:
        event = select(events.c.number).where(events.c.done_at.is_(None)).limit(1)
        pending = records.c.state == "pending", records.c.gone == 0
        record = select(records.c.number).where(*pending).limit(1)
        with reading(self.bridge.folder / "ledger.db") as connection:
            return connection.scalar(event) is None and connection.scalar(record) is None

    def _is_swept(self, process: Process) -> bool:
        whole = {"event": "swept", "stream": str(CONTACTS), "complete": True}
        read = any(whole.items() <= line.items() for line in process.log) and self._products_are_known()
        return read or not self.sweeps

    def _products_are_known(self) -> bool:
        """Their list is read once an hour: each life that was to read it may have been killed."""
        known = self.bridge.books.ids(Stream.PRODUCTS)
        return {row["id"] for row in self.bridge.sandbox.products} <= known

    async def _move(self, process: Process) -> None:
        self.office.moved_to(await process.listens("listening for webhooks"))

    async def _once_started(self, process: Process, comes: Awaitable[None]) -> None:
        """A moment that does not come within some seconds of the start is now: nothing was left to do."""
        await process.said('"event": "started"')
        with suppress(TimeoutError):
            await asyncio.wait_for(comes, 3)

    async def _at_a_start(self, process: Process) -> None:
        """Anywhere from the first instruction until it works."""
        with suppress(TimeoutError):
            await process.ended(within=self.chance.uniform(0.1, 1.4))

    async def _at_a_read(self, process: Process) -> None:
        await self._once_started(process, self._reaches(self.bridge.sandbox.salestrekker.traffic, 6))

    async def _at_a_webhook(self, process: Process) -> None:
        await self._once_started(process, self.office.answered(self.chance.randrange(1, 30)))

    async def _at_a_post(self, process: Process) -> None:
        await self._once_started(process, self._reaches(self.bridge.sandbox.trakor.traffic, 15))

    async def _at_a_line(self, process: Process) -> None:
        """After any line of its log: each is written at the end of something."""
        lines = process.lines + self.chance.randrange(1, 8)
        await self._once_started(process, process.until(lambda: process.lines >= lines))

    def _reaches(self, seen: Traffic, at_most: int) -> Awaitable[None]:
        total = seen.total + self.chance.randrange(1, at_most)
        return seen.wait_for(lambda: seen.total >= total, timeout=LONG)


SWEPT_AGAIN: Mapping[str, object] = {"contacts": "1s", "products": "1h", "reconcile": "2s"}


@pytest.mark.timeout(300)
async def test_killed_fifty_times_it_keeps_what_it_took_and_sends_nothing_twice(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """Each event that was answered 202 is done, and what it was about stands in the ledger as it is now."""
    async with AsyncExitStack() as stack:
        folders = []
        for name, schedule in (("swept", SWEPT_AGAIN), ("webhooks-alone", {})):
            sandbox = await start_sandbox(Options(contacts=150, products=5))
            sandbox.trakor.latency = 0.005
            (tmp_path / name).mkdir()
            bridge = _bridge(tmp_path / name, sandbox, schedule)
            begin = await stack.enter_async_context(commands(tmp_path / name))
            chance = random.Random(name)  # noqa: S311 - the same each time, as far as time allows
            folders.append(Folder(bridge, begin, Office(bridge, chance), chance, bool(schedule)))
        await asyncio.gather(*(_worked_in(folder) for folder in folders))
    for folder in folders:
        _all_is_done(folder.bridge, folder.office.taken)
        await _a_whole_sweep_finds_nothing(folder.bridge)


def _bridge(folder: Path, sandbox: Sandbox, schedule: Mapping[str, object]) -> Bridge:
    changes = daemon_settings()
    changes["schedule"] |= {**schedule, "gone_limit": 1.0}
    changes["contacts"] = {"page_size": 40}
    changes["trakor"] = {"max_in_flight": 4}
    bridge = Bridge(folder, sandbox, changes)
    assert bridge.settings.connections
    return bridge


async def _worked_in(folder: Folder) -> None:
    """A busy office and a daemon that is killed; then quiet, and its end."""
    if not folder.sweeps:
        await folder.bridge.backfill()
    office = asyncio.create_task(folder.office.open(pause=0.01))
    try:
        await folder.lives(KILLS)
        folder.office.closing = True
        await folder.to_its_end(office)
    finally:
        office.cancel()
        await asyncio.wait({office})


def _all_is_done(bridge: Bridge, taken: Counter[tuple[str, str]]) -> None:
    """Whatever was answered 202 is in the ledger, as often at least, and nothing waits."""
    assert taken.total() > KILLS, "there was work in between"
    with reading(bridge.folder / "ledger.db") as connection:
        kept = connection.execute(select(events)).all()
    assert all(one.done_at is not None and one.outcome for one in kept)
    assert not taken - Counter((one.action, one.source_id) for one in kept), "answered 202, and lost"
    assert {one.outcome for one in kept} <= {"read", "gone", "not-found"}


async def _a_whole_sweep_finds_nothing(bridge: Bridge) -> None:
    """What the ledger says of each contact is what is so: reading all of it anew changes nothing."""
    before = bridge.in_order(also_there=_asked_for_and_gone(bridge))
    assert all(len(known.ids) <= 1 for known in before.known.values()), "two names for one source record"
    posts = bridge.sandbox.trakor.traffic.total
    await bridge.backfill(restart=True)
    after = bridge.books.known
    assert after.keys() == before.known.keys()
    assert [(one, was, after[one]) for one, was in before.known.items() if after[one] != was] == []
    assert bridge.sandbox.trakor.traffic.total == posts


def _asked_for_and_gone(bridge: Bridge) -> set[str]:
    """Names that Trakor was asked for, by a life that was killed, whose contacts went before the next one.

    Nobody asks for them again: whether Trakor has them is not known until the contact is back.
    """
    unanswered = records.c.state == "pending", records.c.gone == 1, claims.c.attempts > 0
    chosen = select(claims.c.key).join(records, records.c.number == claims.c.record).where(*unanswered)
    with reading(bridge.folder / "ledger.db") as connection:
        keys = set(connection.scalars(chosen))
    hasher = Hasher(ledger_key(bridge.settings, make=False))
    names = bridge.sandbox.trakor.parties.names()
    return {name for name in names if hasher.name_key(name) in keys}
