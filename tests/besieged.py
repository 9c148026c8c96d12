"""A daemon in a process of its own that hostile requests are fired at, and what it must still be afterwards.

::

    async with besieged(folder, sandbox, begin) as daemon:
        await fire_all(seed, range(2000), daemon.targets, daemon.ports.__getitem__, tally)
        await daemon.is_well()                       # a good webhook is kept, and it is ready
        await daemon.delivers_a_newcomer()           # what a webhook is about reaches Trakor
        await daemon.stops(seconds)                  # in order, and its log is short and says nothing
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil

from bridges import Bridge
from daemons import TOKEN, daemon_settings
from hostile_requests import MARK, Listener, Target
from processes import LONG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from bridge.sandbox import Sandbox
    from processes import Begin, Process

__all__ = ["Besieged", "besieged", "too_much"]

PASSWORD = "quiet-river-93"
PER_REQUEST = frozenset({"wrong password for the admin listener", "wrong password for the status page"})
"""Lines about a password that was looked at: of those only a few are in a second."""

PER_BATCH = frozenset({"webhooks processed", "delivered"})
"""Lines about a batch of work."""


def too_much(log: Sequence[Mapping[str, Any]], seconds: float) -> list[str]:
    """What a daemon logged too often: trouble more than once a minute, other lines more than some a second.

    Args:
        log: Its lines.
        seconds: How long it was fired at.
    """
    bounds = dict.fromkeys(PER_REQUEST | PER_BATCH, 25 * seconds)
    counted = Counter(str(line["event"]) for line in log)
    return [
        f"{number} times {event!r}"
        for event, number in counted.items()
        if number > bounds.get(event, 2 + seconds / 60) + 20
    ]


@dataclass(frozen=True)
class Besieged:
    """A running daemon.

    Attributes:
        process: Its process.
        bridge: Its folder, configuration and ledger.
        ports: Where it listens.
        targets: What attackers know of it.
    """

    process: Process
    bridge: Bridge
    ports: Mapping[Listener, int]
    targets: Sequence[Target]
    http: aiohttp.ClientSession
    _numbers: Any

    @property
    def sandbox(self) -> Sandbox:
        """The two systems it works for."""
        return self.bridge.sandbox

    @property
    def memory(self) -> float:
        """MiB that it holds."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    @property
    def descriptors(self) -> int:
        """How many files and connections it has open."""
        return psutil.Process(self.process.pid).num_fds()

    async def is_well(self) -> None:
        """A good webhook is kept, and the admin listener says that it is ready."""
        assert await self.post("contact-updated", self.sandbox.contacts.id_at(0)) == 202
        async with self.http.get(f"http://127.0.0.1:{self.ports[Listener.ADMIN]}/readyz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")

    async def post(self, action: str, contact: str) -> int:
        """One good webhook; gives the status."""
        url = f"http://127.0.0.1:{self.ports[Listener.WEBHOOKS]}/webhooks/{TOKEN}/{action}"
        async with self.http.post(url, json={"id": contact}) as answer:
            return answer.status

    async def delivers_a_newcomer(self) -> None:
        """Whoever comes into Salestrekker now is in Trakor soon, by a webhook alone."""
        name = f"Newcomer Number {next(self._numbers)}"
        contact = self.sandbox.contacts.add(name, email="newcomer@example.com")
        assert await self.post("contact-created", contact) == 202
        trakor = self.sandbox.trakor
        await trakor.wait_for(lambda: name in trakor.parties.names(), timeout=3 * LONG)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on its ledger holds."""
        async with asyncio.timeout(3 * LONG):
            while not condition():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)

    async def rests(self, descriptors: int) -> None:
        """Wait until it has no more descriptors than this."""
        async with asyncio.timeout(LONG):
            while self.descriptors > descriptors:  # noqa: ASYNC110 - the operating system tells nobody
                await asyncio.sleep(0.05)

    async def stops(self, seconds: float | None = None) -> None:
        """It ends in order; its log has neither a fault of ours nor what was sent.

        Args:
            seconds: How long it was fired at: its log must be short for that. None: it may be of any length.
        """
        self.process.signal(signal.SIGTERM)
        ended = await self.process.ended()
        assert ended.status == 0
        assert "Traceback" not in ended.err
        assert MARK not in ended.err
        assert seconds is None or too_much(self.process.log, seconds) == []


@asynccontextmanager
async def besieged(folder: Path, sandbox: Sandbox, begin: Begin, **changes: Any) -> AsyncIterator[Besieged]:  # noqa: ANN401 - tables
    """Run a daemon with a password for its status page, and log in there.

    Args:
        folder: Where its configuration and its ledger are.
        sandbox: The two systems it works for.
        begin: Starts the command in that folder.
        changes: Tables of its configuration.
    """
    settings = daemon_settings()
    settings["admin"]["password"] = PASSWORD
    settings["webhooks"]["debounce"] = "1s"
    for table, values in changes.items():
        settings[table] = {**settings.get(table, {}), **values}
    bridge = Bridge(folder, sandbox, settings)
    assert bridge.settings.connections
    process = await begin("run", "--log-format", "json")
    ports = {
        Listener.WEBHOOKS: await process.listens("listening for webhooks"),
        Listener.ADMIN: await process.listens("listening for status"),
    }
    await process.said('"event": "started"')
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        admin = await _logged_in(http, ports[Listener.ADMIN])
        ids = tuple(sandbox.contacts.id_at(place) for place in range(min(50, len(sandbox.contacts))))
        webhooks = Target(Listener.WEBHOOKS, token=TOKEN, ids=ids)
        yield Besieged(process, bridge, ports, (webhooks, admin), http, count(1))


async def _logged_in(http: aiohttp.ClientSession, port: int) -> Target:
    """What somebody has who is logged in at the status page, under the name ``localhost``."""
    url, host = f"http://127.0.0.1:{port}", {"Host": "localhost"}
    async with http.get(f"{url}/login", headers=host) as answer:
        guest, guest_csrf = _cookie(answer), _csrf(await answer.text())
    form = {"csrf": guest_csrf, "password": PASSWORD}
    headers = {**host, "Cookie": guest}
    async with http.post(f"{url}/login", data=form, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303
        session = _cookie(answer)
    async with http.get(f"{url}/", headers={**host, "Cookie": session}) as answer:
        csrf = _csrf(await answer.text())
    return Target(Listener.ADMIN, session=session, csrf=csrf, guest=guest, guest_csrf=guest_csrf)


def _cookie(answer: aiohttp.ClientResponse) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return unescape(found[1])
