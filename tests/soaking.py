"""What a daemon has to live through in a soak: an office, weather at both systems, kills, and floods.

::

    office: contacts come and change ──webhook, again until 202──> daemon ──> Trakor, watched for newcomers
    weather: outages, resets, throttles, freezes, revoked tokens      lives: SIGKILL, and begun anew
    floods: strangers open hundreds of connections, and send what is hostile
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from bisect import bisect
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import psutil
from sqlalchemy import select

from bridge.ledger.database import reading
from bridge.ledger.schema import canaries, links
from bridge.sandbox import Fault
from daemons import TOKEN
from fuzzing import SOURCES, Tally, fire_all
from hostile_requests import Listener, Target
from processes import COMMAND, LONG

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bridge.sandbox import Sandbox

__all__ = ["LATENCY", "TAKEN", "Life", "Lives", "Office", "Posted", "flooded", "strangers", "weathered"]

WATCH = 0.05
"""Seconds between two looks at what Trakor has and at how large the process is."""

LATENCY = 0.02
"""Seconds that Trakor takes, between its look-up and its insert."""

TAKEN = 200, 201
"""How Trakor answers a name that it has then."""

STRANGERS = 600
"""Connections of a flood at each listener: more than either has room for."""


@dataclass
class Life:
    """One run of the daemon, from its start to its end.

    Attributes:
        process: Its process.
        log: Where its log is.
        began: When it began, in seconds of the monotonic clock.
        memory: MiB that it held, one after the other.
        descriptors: The most that it had open.
    """

    process: asyncio.subprocess.Process
    log: Path
    began: float
    memory: list[float] = field(default_factory=list)
    descriptors: int = 0

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return time.monotonic() - self.began

    def look(self) -> int:
        """Note how large it is; gives how many descriptors it has open."""
        try:
            process = psutil.Process(self.process.pid)
            memory, descriptors = process.memory_info().rss / 2**20, process.num_fds()
        except psutil.Error:  # it has just ended
            return 0
        if memory:
            self.memory.append(memory)
        self.descriptors = max(self.descriptors, descriptors)
        return descriptors

    async def listens(self, event: str) -> int:
        """The port of a listener, once it is there.

        Raises:
            RuntimeError: It ended before.
        """
        async with asyncio.timeout(LONG):
            while True:
                for line in self.log.read_text("utf-8").splitlines():
                    if f'"event": "{event}"' in line:
                        return int(json.loads(line)["port"])
                if self.process.returncode is not None:
                    raise RuntimeError(f"the daemon ended: {self.log.read_text('utf-8')[-2000:]}")
                await asyncio.sleep(WATCH)


@dataclass
class Lives:
    """The daemon, begun anew whenever it was killed.

    Attributes:
        folder: Where its configuration, its ledger and its logs are.
        all: Every life so far.
        ports: Where the present one listens; empty while there is none.
        there: Set while it listens.
        kills: How many were killed.
    """

    folder: Path
    all: list[Life] = field(default_factory=list)
    ports: dict[Listener, int] = field(default_factory=dict)
    there: asyncio.Event = field(default_factory=asyncio.Event)
    kills: int = 0

    @property
    def last(self) -> Life:
        """The present one."""
        return self.all[-1]

    async def begin(self) -> None:
        """Start it, and wait until it listens."""
        log = self.folder / f"life-{len(self.all)}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(*COMMAND, "run", "--log-format", "json"),
                cwd=self.folder,
                stderr=stderr,
                stdout=subprocess.DEVNULL,
            )
        self.all.append(Life(process, log, time.monotonic()))
        self.ports[Listener.ADMIN] = await self.last.listens("listening for status")
        self.ports[Listener.WEBHOOKS] = await self.last.listens("listening for webhooks")
        self.there.set()

    async def kill(self) -> None:
        """SIGKILL, at whatever it is doing; then begin anew."""
        self.there.clear()
        self.kills += 1
        self.last.process.kill()
        if await self.last.process.wait() != -signal.SIGKILL:
            raise RuntimeError(f"the daemon ended by itself: {self.last.log.read_text('utf-8')[-2000:]}")
        await self.begin()

    async def stop(self) -> int:
        """Stop it in order; gives the exit status."""
        self.there.clear()
        with suppress(ProcessLookupError):
            self.last.process.terminate()
        return await asyncio.wait_for(self.last.process.wait(), LONG)

    async def watched(self) -> None:
        """Look at it, for ever.

        Raises:
            RuntimeError: It has ended by itself.
        """
        while True:
            await asyncio.sleep(1)
            self.last.look()
            if self.there.is_set() and self.last.process.returncode is not None:
                raise RuntimeError(f"the daemon ended by itself: {self.last.log.read_text('utf-8')[-2000:]}")


class Posted(NamedTuple):
    """One answer of Trakor to a name.

    Attributes:
        status: Of HTTP; 0: the connection was cut.
        life: Which life of the daemon sent it. What arrives after a kill and before the next process exists
            was sent by the one that was killed.
        canary: It was answered before, and is one of the ledger's canaries: names that are posted again on
            purpose, to find out whose fault a failure is.
    """

    status: int
    life: int
    canary: bool


@dataclass
class Office:
    """Whoever works in Salestrekker: contacts come and change, and each change is posted until it is taken.

    Attributes:
        sandbox: Both systems.
        lives: Whom it posts to.
        chance: Decides what happens.
        taken: (action, contact) -> how often it was answered 202.
        waits: Seconds until each 202, of the request that was answered so.
        lags: Seconds from a newcomer's 202 until Trakor had it.
        again: How often a webhook had to be sent once more.
        awaited: Newcomers whom Trakor has not got yet: name -> when their webhook was answered.
        posts: Trakor's answers to each name, in order.
    """

    sandbox: Sandbox
    lives: Lives
    chance: random.Random
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    again: int = 0
    awaited: dict[str, float] = field(default_factory=dict)
    posts: dict[str, list[Posted]] = field(default_factory=dict)
    _settled: list[str] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)
    _canaries: set[str] = field(default_factory=set)
    _posting: set[asyncio.Task[None]] = field(default_factory=set)

    async def opened(self, rate: float, seconds: float) -> None:
        """Change and post at a rate for some time; then wait until all is taken.

        Args:
            rate: Webhooks a second.
            seconds: For how long.
        """
        self._settled = [self.sandbox.contacts.id_at(place) for place in range(len(self.sandbox.contacts))]
        began, number = time.monotonic(), 0
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)) as http:
            while time.monotonic() < began + seconds:
                number += 1
                task = asyncio.create_task(self._posted(http, *self._changed(number)))
                self._posting.add(task)
                task.add_done_callback(self._posting.discard)
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await asyncio.gather(*self._posting)

    async def watched(self) -> None:
        """Note what Trakor gets, for ever."""
        while True:
            self.look()
            await asyncio.sleep(WATCH)

    def look(self) -> None:
        """Note what Trakor has got since the last look."""
        exchanges = self.sandbox.trakor.traffic.exchanges
        while exchanges and exchanges[0].status is not None:
            exchange = exchanges.popleft()
            if exchange.name:
                before = self.posts.setdefault(exchange.name, [])
                again = exchange.status in TAKEN and any(one.status in TAKEN for one in before)
                life = bisect([one.began for one in self.lives.all], exchange.at)
                canary = again and self._is_canary(exchange.kind, exchange.name)
                before.append(Posted(exchange.status or 0, life, canary))
        self.sandbox.salestrekker.traffic.exchanges.clear()
        now, parties = time.monotonic(), self.sandbox.trakor.parties
        for name in [one for one in self.awaited if one in parties]:
            self.lags.append(now - self.awaited.pop(name))
            self._settled.append(self._ids.pop(name))

    def _is_canary(self, kind: str, name: str) -> bool:
        """Whether a name is a canary now, or was one when that was last looked at."""
        trakor, before = self.sandbox.trakor, self._canaries
        chosen = select(links.c.trakor_id).join(canaries, canaries.c.record == links.c.record)
        with reading(self.lives.folder / "ledger.db") as connection:
            self._canaries = {str(one) for one in connection.scalars(chosen)}
        return (trakor.products if kind == "products" else trakor.parties)[name].id in self._canaries | before

    def _changed(self, number: int) -> tuple[str, str, str]:
        """What happens: the webhook's action, its contact, and the name of one who is new."""
        contacts, what = self.sandbox.contacts, self.chance.random()
        if what < 0.1:
            name = f"Newcomer Number {number}"
            contact = contacts.add(name, email=f"newcomer{number}@example.com")
            self._ids[name] = contact
            return "contact-created", contact, name
        one = self.chance.choice(self._settled)
        if what < 0.5:
            contacts.change_email(one, f"changed{number}@example.com")
        elif what < 0.6:
            contacts.rename(one, f"Renamed Number {number}")
        elif what < 0.65 and len(self._settled) > 50:
            self._settled.remove(one)
            contacts.remove(one)
            return "contact-deleted", one, ""
        return "contact-updated", one, ""

    async def _posted(self, http: aiohttp.ClientSession, action: str, contact: str, name: str) -> None:
        """Post one, as often as it takes: whoever died before the answer may have kept it or not."""
        while True:
            await self.lives.there.wait()
            url = f"http://127.0.0.1:{self.lives.ports[Listener.WEBHOOKS]}/webhooks/{TOKEN}/{action}"
            began = time.monotonic()
            with suppress(aiohttp.ClientError, ConnectionError):
                async with http.post(url, json={"id": contact}) as answer:
                    if answer.status == 202:
                        now = time.monotonic()
                        self.waits.append(now - began)
                        self.taken[action, contact] += 1
                        if name:
                            self.awaited[name] = now
                        return
            self.again += 1
            await asyncio.sleep(0.1)


async def weathered(sandbox: Sandbox, chance: random.Random, seen: Counter[str], pause: float) -> None:
    """Let something go wrong at one of both systems now and then, for ever.

    Args:
        sandbox: Both systems.
        chance: Decides what.
        seen: What went wrong, and how often, is noted there.
        pause: Seconds from one thing to the next, about.
    """
    trakor, salestrekker = sandbox.trakor, sandbox.salestrekker
    lasting: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "Trakor answers 503": (lambda: trakor.faults.add(Fault(status=503, times=None)), trakor.faults.clear),
        "Trakor answers 500 to every third": (
            lambda: trakor.faults.add(Fault(status=500, body={"error": "odd"}, every=3, times=None)),
            trakor.faults.clear,
        ),
        "Trakor cuts every third": (
            lambda: trakor.faults.add(Fault(reset=True, every=3, times=None)),
            trakor.faults.clear,
        ),
        "Trakor cuts every second, and makes it later": (
            lambda: trakor.faults.add(Fault(reset=True, late=True, late_after=2.0, every=2, times=None)),
            trakor.faults.clear,
        ),
        "Trakor is frozen": (trakor.freeze, trakor.unfreeze),
        "Trakor takes 300 ms": (
            lambda: setattr(trakor, "latency", 0.3),
            lambda: setattr(trakor, "latency", LATENCY),
        ),
        "Trakor answers 429": (
            lambda: trakor.faults.add(Fault(status=429, headers={"Retry-After": "1"}, times=None)),
            trakor.faults.clear,
        ),
        "Salestrekker answers 503": (
            lambda: salestrekker.faults.add(Fault(status=503, times=None)),
            salestrekker.faults.clear,
        ),
        "Salestrekker cuts every third": (
            lambda: salestrekker.faults.add(Fault(reset=True, every=3, times=None)),
            salestrekker.faults.clear,
        ),
        "Salestrekker takes 500 ms": (
            lambda: setattr(salestrekker, "latency", 0.5),
            lambda: setattr(salestrekker, "latency", 0.0),
        ),
        "Salestrekker revokes its tokens": (salestrekker.revoke_tokens, lambda: None),
        "Salestrekker throttles": (lambda: salestrekker.throttle(2.0, times=5), lambda: None),
    }
    while True:
        await asyncio.sleep(chance.uniform(0.3, 1.7) * pause)
        what = chance.choice(sorted(lasting))
        begin, end = lasting[what]
        seen[what] += 1
        begin()
        try:
            await asyncio.sleep(chance.uniform(0.2, 0.8) * pause)
        finally:
            end()


async def flooded(lives: Lives, seed: int, number: int, targets: Sequence[Target]) -> None:
    """Strangers at both ports: many that say nothing or half of it, and some hundred hostile requests.

    Args:
        lives: The daemon.
        seed: Of the hostile requests.
        number: Which flood it is.
        targets: What the strangers know: no token, no log-in.
    """
    await lives.there.wait()
    silent: list[asyncio.StreamWriter] = []
    try:
        with suppress(OSError, ExceptionGroup):  # it is killed meanwhile
            for place in range(STRANGERS):
                for port in [*lives.ports.values()]:
                    source = (SOURCES[place % 4], 0)
                    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
                    writer.write(b"POST /webhooks/" if place % 2 else b"")
                    silent.append(writer)
            numbers = range(number * 300, number * 300 + 300)
            await fire_all(seed, numbers, targets, lives.ports.__getitem__, Tally())
    finally:
        for writer in silent:
            writer.transport.abort()


def strangers() -> tuple[Target, ...]:
    """What those know who know nothing."""
    webhooks = Target(Listener.WEBHOOKS, token="f" * 32, ids=("nobody",))
    admin: dict[str, Any] = {
        "session": "trakor_bridge_visit=x",
        "csrf": "x",
        "guest": "a=b",
        "guest_csrf": "x",
    }
    return webhooks, Target(Listener.ADMIN, **admin)
