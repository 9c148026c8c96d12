"""Whether reading from Salestrekker goes on: one pause for all readers of one connection.

::

    a read fails ──is all reading affected?──no──> only this request is: its caller tries again later
                         │ yes
                         v
                  paused, in the ledger ──next_try_at──> one probe ──passes──> reading resumes
                         ^                                  │ fails: twice as long, up to the longest
                         └──────────────────────────────────┘

Webhooks are still accepted, and delivery sends what the ledger has. An operator's pause is not probed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import Refused, Transient
from bridge.ledger.stored_pauses import Direction, clear_pause, load_pause, set_pause
from bridge.retry import LONGEST_RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.ledger.database import Ledger
    from bridge.ledger.read_model import Pause
    from bridge.retry import RetryPolicy

__all__ = ["ReadingPause"]

LONGEST_LOOK: Final = 60.0
"""Seconds after which the pause is checked in any case: the wall clock may have been set."""

log = structlog.get_logger()


class ReadingPause:
    """Stops and resumes the reading of one connection.

    Args:
        ledger: Keeps the pause, so that a restart knows it.
        name: The connection.
        prove: Asks Salestrekker for next to nothing, once; raises Refused or Transient.
        probe: The waits between probes.
        clock: Milliseconds since the epoch.
        random: Gives a number of [0, 1).
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        prove: Callable[[], Awaitable[None]],
        *,
        probe: RetryPolicy,
        clock: Callable[[], int],
        random: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._prove = prove
        self._waits = probe
        self._clock = clock
        self._random = random
        self._open = asyncio.Event()
        self._closed = asyncio.Event()
        self._ledger_changed = asyncio.Event()
        self._asking = asyncio.Lock()
        self._paused = self._by_person = False

    async def wait_until_open(self) -> None:
        """Wait until reading may go on."""
        await self._open.wait()

    async def wait_until_paused(self) -> None:
        """Wait until reading is paused."""
        await self._closed.wait()

    def notice_change(self) -> None:
        """Check whether another process has paused or resumed reading."""
        self._ledger_changed.set()

    async def check_and_pause(self, error: Refused | Transient) -> bool:
        """Find out whether an error affects all reading, and pause then.

        Args:
            error: What a read ended with.

        Returns:
            Whether reading is paused now; otherwise only this request is affected.
        """
        async with self._asking:
            if not self._open.is_set():
                return True
            try:
                await self._prove()
            except (Refused, Transient) as general:
                await self._pause(general, tries=0)
                return True
        log.info("reading works otherwise", connection=self._name, fault=str(error))
        return False

    async def run(self) -> None:
        """Follow the ledger's pause, and probe when it is time, until cancelled."""
        while True:
            self._ledger_changed.clear()
            pause = await self._ledger.call(load_pause, self._name, Direction.READING)
            self._log_operator_change(pause)
            if pause is None:
                self._set_open(goes_on=True)
                await self._wait(None)
            elif pause.by_person:
                self._set_open(goes_on=False)
                await self._wait(None)
            else:
                self._set_open(goes_on=False)
                await self._probe_when_due(pause)

    def _log_operator_change(self, pause: Pause | None) -> None:
        """Log what an operator did from another process. Results of probes are logged where they arise."""
        by_person = pause is not None and pause.by_person
        what = ""
        if by_person and not self._by_person:
            what = "paused"
        elif (self._paused and pause is None) or (self._by_person and not by_person):
            what = "resumed"
        self._paused, self._by_person = pause is not None, by_person
        if what:
            log.info(what, connection=self._name, direction=str(Direction.READING), by_person=True)

    async def _probe_when_due(self, pause: Pause) -> None:
        wait = (pause.next_try_at - self._clock()) / 1000
        # Further away than any wait can be: the clock was set back since.
        if 0 < wait <= max(self._waits.longest, LONGEST_RETRY_AFTER):
            await self._wait(wait)
        else:
            await self._probe(pause)

    async def _probe(self, pause: Pause) -> None:
        async with self._asking:
            try:
                await self._prove()
            except (Refused, Transient) as error:
                await self._pause(error, tries=pause.tries + 1)
                return
            if await self._ledger.call(clear_pause, self._name, Direction.READING):
                self._paused = False
                paused = (self._clock() - pause.since_at) / 1000
                log.info(
                    "resumed",
                    connection=self._name,
                    direction=str(Direction.READING),
                    after_seconds=round(paused, 3),
                )

    async def _pause(self, error: Refused | Transient, *, tries: int) -> None:
        """Write the pause first of all, so that a restart keeps to it."""
        self._set_open(goes_on=False)
        wait = self._waits.probe_wait(tries, self._random)
        if isinstance(error, Transient) and error.retry_after:
            wait = max(wait, error.retry_after)
        now = self._clock()
        await self._ledger.call(
            set_pause,
            self._name,
            Direction.READING,
            reason=str(error),
            now=now,
            next_try_at=now + int(wait * 1000),
            tries=tries,
        )
        self._paused = True
        log.warning(
            "paused",
            connection=self._name,
            direction=str(Direction.READING),
            reason=str(error),
            advice=getattr(error, "advice", ""),
            tries=tries,
            next_try_in_seconds=round(wait, 3),
        )
        self._ledger_changed.set()

    def _set_open(self, *, goes_on: bool) -> None:
        now, before = (self._open, self._closed) if goes_on else (self._closed, self._open)
        now.set()
        before.clear()

    async def _wait(self, seconds: float | None) -> None:
        longest = LONGEST_LOOK if seconds is None else min(seconds, LONGEST_LOOK)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._ledger_changed.wait()
