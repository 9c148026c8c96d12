"""A webhook is on disk before it is answered; those that arrive together share one commit."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from books import empty_ledger
from bridge.errors import LedgerError, Transient
from bridge.ledger.database import Ledger, reading
from bridge.ledger.open import derive_key, open_ledger
from bridge.ledger.webhook_inbox import WebhookInbox
from bridge.ledger.webhook_queue import list_webhooks
from bridge.records import ReceivedWebhook

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

KEY = derive_key("the tests' key")
RECEIVES = """
import asyncio, sys
from pathlib import Path
from bridge.ledger.database import Ledger
from bridge.ledger.webhook_inbox import WebhookInbox
from bridge.records import ReceivedWebhook

async def main():
    inbox = WebhookInbox(Ledger(Path(sys.argv[1])), on_stored=lambda names: None)
    async def one(worker):
        n = 0
        while True:
            await inbox.store(ReceivedWebhook("a", "contact-updated", f"{worker}-{n}", 1))
            print(f"{worker}-{n}", flush=True)
            n += 1
    await asyncio.gather(*(one(worker) for worker in range(8)))

asyncio.run(main())
"""

WRITES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO a VALUES (1)")
connection.commit()
"""


def received(number: int, connection: str = "a") -> ReceivedWebhook:
    return ReceivedWebhook(connection, "contact-updated", str(number), 1000 + number)


@pytest.fixture
def ledger(ledger_template: Path, tmp_path: Path) -> Iterator[Ledger]:
    """An open ledger."""
    with open_ledger(empty_ledger(ledger_template, tmp_path / "ledger.db"), KEY, "test") as opened:
        yield opened


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """A transaction is under way until the end."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        begun.set()
        assert go_on.wait(10)

    ledger._submit(slow)  # noqa: SLF001 - nobody waits for it
    assert begun.wait(10)
    try:
        yield
    finally:
        go_on.set()


def kept(path: Path) -> list[str]:
    with reading(path) as connection:
        return [one.source_id for one in reversed(list_webhooks(connection, [], 100_000))]


class Told:
    """What the inbox said was kept, commit by commit."""

    def __init__(self) -> None:
        self.names: list[set[str]] = []

    def __call__(self, names: Collection[str]) -> None:
        self.names.append(set(names))


async def test_what_is_kept_is_on_disk(ledger: Ledger) -> None:
    told = Told()
    inbox = WebhookInbox(ledger, on_stored=told)
    await inbox.store(received(1))
    assert kept(ledger.path) == ["1"]
    assert told.names == [{"a"}]
    await inbox.close()


async def test_what_arrives_while_one_commit_is_under_way_shares_the_next(ledger: Ledger) -> None:
    """In the order in which it came, and at most so many at once."""
    told = Told()
    inbox = WebhookInbox(ledger, on_stored=told, at_once=20)
    with held(ledger):
        storing = [asyncio.ensure_future(inbox.store(received(n, "ab"[n > 20]))) for n in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(*storing)
    assert kept(ledger.path) == [str(n) for n in range(50)]
    assert told.names == [{"a"}, {"a", "b"}, {"b"}]
    await inbox.close()


async def test_webhooks_go_before_all_that_waits(ledger: Ledger) -> None:
    """Whatever was asked for earlier finds them on disk already."""
    inbox = WebhookInbox(ledger, on_stored=Told())

    def how_many(connection: Connection) -> int:
        return len(list_webhooks(connection, ["a"], 10))

    with held(ledger):
        working = [asyncio.ensure_future(ledger.call(how_many)) for _ in range(5)]
        storing = asyncio.ensure_future(inbox.store(received(1)))
        while ledger._queue.qsize() < 6:  # noqa: ASYNC110, SLF001 - until all have been asked for
            await asyncio.sleep(0)
    assert await asyncio.gather(*working) == [1] * 5
    await storing
    await inbox.close()


async def test_what_is_urgent_runs_before_what_was_asked_for_earlier(ledger: Ledger) -> None:
    """In the owner's thread, where the order is exact; and among the urgent the order is kept."""
    order: list[int] = []

    def nth(_connection: Connection, n: int) -> None:
        order.append(n)

    with held(ledger):
        waiting = [asyncio.ensure_future(ledger.call(nth, n)) for n in range(3)]
        await asyncio.sleep(0)
        urgent = [asyncio.ensure_future(ledger.call_first(nth, n)) for n in (7, 8)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, *urgent)
    assert order == [7, 8, 0, 1, 2]


async def test_too_many_are_turned_away_and_those_that_wait_are_kept(ledger: Ledger) -> None:
    inbox = WebhookInbox(ledger, most=3, on_stored=Told())
    with held(ledger):
        storing = [asyncio.ensure_future(inbox.store(received(n))) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Transient) as turned_away:
            await inbox.store(received(4))
        assert turned_away.value.retry_after
    await asyncio.gather(*storing)
    await inbox.store(received(5))
    assert kept(ledger.path) == ["0", "1", "2", "5"]
    await inbox.close()


async def test_a_sender_that_stops_waiting_loses_nothing_and_stops_nobody(ledger: Ledger) -> None:
    inbox = WebhookInbox(ledger, on_stored=Told())
    with held(ledger):
        storing = [asyncio.ensure_future(inbox.store(received(n))) for n in range(3)]
        await asyncio.sleep(0)
        storing[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing[0]
    await asyncio.gather(*storing[1:])
    await inbox.close()
    assert kept(ledger.path) == ["0", "1", "2"]


async def test_a_fault_reaches_each_of_those_that_share_it_and_nobody_after_them(ledger: Ledger) -> None:
    """Such as a full disk; what comes once there is room again is kept."""
    inbox = WebhookInbox(ledger, on_stored=Told())
    await ledger.call(lambda connection: connection.exec_driver_sql("ALTER TABLE events RENAME TO away"))
    with held(ledger):
        storing = [asyncio.ensure_future(inbox.store(received(n))) for n in range(3)]
        await asyncio.sleep(0)
    for outcome in await asyncio.gather(*storing, return_exceptions=True):
        assert isinstance(outcome, LedgerError)
    await ledger.call(lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO events"))
    await inbox.store(received(4))
    assert kept(ledger.path) == ["4"]
    await inbox.close()


async def test_it_closes_when_all_is_kept(ledger: Ledger) -> None:
    inbox = WebhookInbox(ledger, on_stored=Told())
    storing = [asyncio.ensure_future(inbox.store(received(n))) for n in range(300)]
    await asyncio.sleep(0)
    await inbox.close()
    assert len(kept(ledger.path)) == 300
    await asyncio.gather(*storing)


def test_whatever_was_answered_outlives_a_kill(ledger_template: Path, tmp_path: Path) -> None:
    """Killed at any instant: each event that its sender was told of is there, once."""
    path = empty_ledger(ledger_template, tmp_path / "ledger.db")
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", RECEIVES, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline().strip() for _ in range(500)]
        process.send_signal(signal.SIGKILL)
        answered += process.stdout.read().split("\n")[:-1]
    on_disk = kept(path)
    assert set(answered) <= set(on_disk)
    assert len(on_disk) == len(set(on_disk))


# -- what others changed


async def test_the_owner_sees_that_another_process_has_committed(ledger: Ledger) -> None:
    """Once for each time it asks; its own commits and a reader's looks are none."""
    assert not await ledger.changed_elsewhere()
    await ledger.call(lambda connection: connection.exec_driver_sql("CREATE TABLE a (b)"))
    kept(ledger.path)
    assert not await ledger.changed_elsewhere()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITES, str(ledger.path))
    assert await process.wait() == 0
    assert await ledger.changed_elsewhere()
    assert not await ledger.changed_elsewhere()
