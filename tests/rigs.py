"""A ledger, the simulated Trakor, and delivery between the two, for the tests of delivery."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from sqlalchemy import func, select

from bridge.delivery import DeliveryLoop, OutgoingStream, SendingMode
from bridge.ledger.database import Ledger, TextStorage
from bridge.ledger.observe import Observation, observe
from bridge.ledger.schema import claims, history, links, records
from bridge.ledger.send_queue import release_claims
from bridge.records import Policy, Stream
from bridge.settings import TrakorSettings
from bridge.trakor import TrakorClient
from builders import HASHER, draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from bridge.ledger.feeds import Feed
    from bridge.sandbox import Sandbox

CONTACTS, PRODUCTS = Stream.CONTACTS, Stream.PRODUCTS
QUICK: dict[str, Any] = {
    "max_in_flight": 8,
    "retry_first": 0.001,
    "retry_max": 0.005,
    "probe_first": 0.02,
    "probe_max": 0.05,
    "give_up_after": 30.0,
    "unanswered_wait": 0.02,
    "trial_every": 0.01,
}


def trakor_settings(**changes: Any) -> TrakorSettings:  # noqa: ANN401 - numbers
    """A section [trakor] with short waits; keys that it does not have are left out."""
    values = {key: value for key, value in (QUICK | changes).items() if key in TrakorSettings.model_fields}
    return TrakorSettings(url="https://trakor.example", api_key=SecretStr("key")).model_copy(update=values)


def sending_mode(**changes: Any) -> SendingMode:  # noqa: ANN401 - numbers
    """How a delivery ends; keys that it does not have are left out."""
    known = {one.name for one in fields(SendingMode)}
    return SendingMode(**{key: value for key, value in (QUICK | changes).items() if key in known})


def names(number: int, what: str = "Ada") -> list[str]:
    return [f"{what} {index:04}" for index in range(number)]


def _rows(connection: Connection) -> dict[str, Row[*tuple[Any, ...]]]:
    own = (claims.c.record == records.c.number) & (claims.c.key == records.c.sent_key)
    attempts = func.coalesce(claims.c.attempts, 0).label("attempts")
    chosen = select(records, attempts).outerjoin(claims, own)
    return {row.source_id: row for row in connection.execute(chosen)}


def _links(connection: Connection) -> dict[int, str]:
    found = connection.execute(select(links.c.record, links.c.trakor_id))
    return {row.record: row.trakor_id for row in found}


def details(connection: Connection) -> dict[str, str]:
    found = connection.execute(
        select(records.c.source_id, history.c.detail)
        .join(history, history.c.record == records.c.number)
        .order_by(history.c.number)
    )
    return {row.source_id: row.detail for row in found}


class Rig:
    """A ledger, the simulated Trakor, and delivery between the two. A record's id is its name."""

    def __init__(self, ledger: Ledger, feeds: Mapping[Stream, Feed], sandbox: Sandbox) -> None:
        self.ledger = ledger
        self.feeds = feeds
        self.sandbox = sandbox
        self.trakor = sandbox.trakor
        self.client = TrakorClient(
            sandbox.trakor_url, sandbox.options.trakor_key, max_in_flight=64, timeout=5
        )
        self.looks = 0

    async def want(self, wanted: Iterable[str], stream: Stream = CONTACTS) -> None:
        """Let these be seen in the source."""
        seen = [draft(name, id=name, product=stream is PRODUCTS) for name in wanted]
        await self.ledger.call(observe, self.feeds[stream], seen, Observation(), policy=Policy(), now=now())

    def delivery(self, destination: Any = None, **pace: Any) -> DeliveryLoop:  # noqa: ANN401 - a Destination; numbers
        outgoing = {stream: OutgoingStream(feed, Policy()) for stream, feed in self.feeds.items()}
        return DeliveryLoop(
            self.ledger,
            outgoing,
            destination or self.client,
            trakor_settings(**pace),
            sending_mode(**pace),
            key_of=HASHER.name_key,
            run=1,
            clock=self._clock,
            random=random.Random(1).random,  # noqa: S311 - jitter
        )

    async def deliver(self, **pace: Any) -> DeliveryLoop:  # noqa: ANN401 - numbers
        """Deliver all that is pending, as a run of its own."""
        for feed in self.feeds.values():
            await self.ledger.call(release_claims, feed, now=self._clock(), wait=20)
        delivery = self.delivery(**pace)
        delivery.finish()
        async with asyncio.timeout(30):
            await delivery.run()
        return delivery

    async def rests(self) -> None:
        """Wait until delivery does nothing but wait; one that keeps a processor busy never does."""
        async with asyncio.timeout(10):
            looks = -100
            while self.looks - looks >= 10:
                looks = self.looks
                await some_turns()

    async def rows(self) -> dict[str, Row[*tuple[Any, ...]]]:
        return await self.ledger.call(_rows)

    async def states(self) -> dict[str, set[str]]:
        """State, with its reason -> the records in it."""
        found: dict[str, set[str]] = {}
        for name, row in (await self.rows()).items():
            found.setdefault(f"{row.state}: {row.reason}" if row.reason else row.state, set()).add(name)
        return found

    async def all_is_delivered(self, number: int) -> None:
        """Nothing is missing, nothing is there twice, and each record is linked to its own."""
        states = await self.states()
        assert {state: len(found) for state, found in states.items()} == {"delivered": number}
        shelves = {**_ids(self.trakor.parties), **_ids(self.trakor.products)}
        linked = await self.ledger.call(_links)
        rows = await self.rows()
        assert {name: linked[row.number] for name, row in rows.items()} == shelves
        assert self.trakor.traffic.statuses[201] <= number

    def _clock(self) -> int:
        self.looks += 1
        return now()


def _ids(shelf: Any) -> dict[str, str]:  # noqa: ANN401 - the sandbox's Shelf
    return {entry.name: entry.id for entry in shelf.entries()}


def now() -> int:
    return time.time_ns() // 1_000_000


class WatchedLedger(Ledger):
    """A real ledger that counts its transactions, and can be told to fail."""

    def __init__(self, path: Path, text_storage: TextStorage | None = None) -> None:
        super().__init__(path, text_storage)
        self.calls: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.broken = ""
        self._called = asyncio.Event()

    async def call(self, transaction: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as in Ledger
        name = getattr(transaction, "__name__", "")
        self.calls[name] += 1
        if name == self.broken:
            raise OSError("No space left on device")
        try:
            return await super().call(transaction, *args, **kwargs)
        finally:
            self.ended[name] += 1
            self._called.set()

    async def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, looking after each transaction."""
        async with asyncio.timeout(10):
            while not condition():
                self._called.clear()
                await self._called.wait()


async def some_turns(number: int = 300) -> None:
    """Let everything go on that can without waiting."""
    for _ in range(number):
        await asyncio.sleep(0)
