"""Reading waits for sending, and never in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bridge.backfill.backpressure import Backlog
from bridge.records import Stream
from bridge.salestrekker.pages import Page
from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge, Silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

PAGES = 5
THIRD = 3


class Source:
    """Gives pages, and says how many were taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = False
        self.third = asyncio.Event()

    async def pages(self) -> AsyncGenerator[Page]:
        try:
            for number in range(PAGES):
                self.taken += 1
                if self.taken == THIRD:
                    self.third.set()
                yield Page((), (), str(number))
        finally:
            self.closed = True


async def read_all(backlog: Backlog, source: Source, each: int) -> int:
    """Read to the end, so many pending a page; returns how many pages came."""
    got = 0
    async for _ in backlog.throttle(source.pages()):
        got += 1
        backlog.read(each)
    return got


async def test_no_page_is_handed_on_while_too_much_waits_to_be_sent() -> None:
    """Two pages fill it; the third comes once something was sent."""
    backlog, source = Backlog(lambda: False, most=10), Source()
    reading = asyncio.create_task(read_all(backlog, source, 5))
    await asyncio.wait_for(source.third.wait(), 5)
    await asyncio.wait({reading}, timeout=0.05)
    assert source.taken == THIRD, "one is read ahead, no more"
    backlog.sent(100)
    assert await asyncio.wait_for(reading, 5) == PAGES
    assert source.closed


async def test_reading_does_not_wait_in_vain() -> None:
    """What cannot be sent is read all the same, also where that turns out in the midst of waiting."""
    stuck = False
    backlog, source = Backlog(lambda: stuck, most=10), Source()
    reading = asyncio.create_task(read_all(backlog, source, 5))
    await asyncio.wait_for(source.third.wait(), 5)
    stuck = True
    backlog.look()
    assert await asyncio.wait_for(reading, 5) == PAGES


async def test_a_backfill_does_not_read_far_ahead_of_a_trakor_that_hangs(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> None:
    """Of 4,000 contacts no more than the bound and a few pages are read before the first answer."""
    sandbox = await start_sandbox(Options(contacts=4000, products=0))
    opened = asyncio.Event()
    sandbox.trakor.faults.add(Fault(gate=opened, times=None))
    bridge = Bridge(tmp_path, sandbox, {"contacts": {"page_size": 500}})
    watch = Silent(read=2000)
    backfill = asyncio.create_task(bridge.backfill(Stream.CONTACTS, watch=watch))
    await asyncio.wait_for(watch.reached.wait(), 20)
    await asyncio.wait({backfill}, timeout=0.5)
    assert len(bridge.books.ids(Stream.CONTACTS)) <= 3000
    opened.set()
    await backfill
    bridge.in_order()
