"""The pause of reading: when it is probed, and when not, by a clock of the test's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.daemon import reading_pause
from bridge.daemon.reading_pause import ReadingPause
from bridge.errors import Transient
from bridge.ledger.open import open_ledger
from bridge.ledger.stored_pauses import Direction, load_pause, set_pause
from bridge.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.ledger.database import Ledger

NOW = 1_700_000_000_000
LONG = 10.0


class World:
    """A Salestrekker that is down, a clock that stands, and how often both are asked.

    Attributes:
        asked: How often the time was asked for.
        proved: How often Salestrekker was.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.asked = self.proved = 0
        self.happened = asyncio.Event()
        self.pause = ReadingPause(
            ledger, "default", self._prove, probe=RetryPolicy(60, 600), clock=self._clock, random=lambda: 0.5
        )

    async def until(self, *, asked: int = 0, proved: int = 0) -> None:
        """Wait until both were asked so often."""
        running = asyncio.create_task(self.pause.run())
        try:
            async with asyncio.timeout(LONG):
                while self.asked < asked or self.proved < proved:
                    self.happened.clear()
                    await self.happened.wait()
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def stands(self, seconds: float) -> None:
        """A pause stands whose next probe is so far away."""
        at = NOW + int(seconds * 1000)
        await self.ledger.call(
            set_pause, "default", Direction.READING, reason="down", now=NOW, next_try_at=at, tries=4
        )

    def _clock(self) -> int:
        self.asked += 1
        self.happened.set()
        return NOW

    async def _prove(self) -> None:
        self.proved += 1
        self.happened.set()
        raise Transient("down")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with open_ledger(tmp_path / "ledger.db", b"k" * 32, "a test") as ledger:
        yield ledger


async def test_looking_at_the_clock_is_no_reason_to_probe(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause of minutes is looked at once a minute, and probed when its time has come."""
    monkeypatch.setattr(reading_pause, "LONGEST_LOOK", 0.01)
    world = World(ledger)
    await world.stands(300)
    await world.until(asked=5)
    assert not world.proved


@pytest.mark.parametrize("seconds", [-1.0, 86_400.0], ids=["its time has come", "the clock was set back"])
async def test_a_pause_is_probed_in_time_whatever_the_clock_was(ledger: Ledger, seconds: float) -> None:
    """A time further away than any wait can be was noted before the clock was set back."""
    world = World(ledger)
    await world.stands(seconds)
    await world.until(proved=1)
    pause = await ledger.call(load_pause, "default", Direction.READING)
    assert pause is not None
