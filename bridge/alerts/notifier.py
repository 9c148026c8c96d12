"""The daemon's task: look once a minute, tell each address what is new to it, keep what it was told."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog

from bridge.alerts.conditions import conditions, disk_of, waiting_of
from bridge.alerts.notifications import lowered, turn
from bridge.errors import LedgerError
from bridge.ledger.daemon_state import delete_unlisted_addresses, load_alerts_sent, save_alerts_sent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from bridge.alerts.apprise_address import Address
    from bridge.alerts.conditions import Condition, Disk, OverdueAt
    from bridge.alerts.heartbeat import Heartbeat
    from bridge.ledger.daemon_state import AlertSent, AlertTopic
    from bridge.ledger.database import Ledger
    from bridge.status import Snapshot

__all__ = ["Notifier"]

LOOK_EVERY: Final = 60.0
"""Seconds."""

SURELY_OVER: Final = 5
"""Looks in a row without a condition until it is said to be over: what comes and goes is one alert."""

LONGEST_WAIT: Final = 60
"""Looks until an address that took nothing is tried again, at most; the first wait is one look."""

log = structlog.get_logger()


class Notifier:
    """Tells who has to know.

    Args:
        snapshot: Takes one of the connections that are worked on.
        ledger: Keeps what was said.
        addresses: Whom to tell, each with the hash that the ledger knows it by.
        overdue_at: When a list is overdue; None for one that is not to be read.
        clock: Milliseconds since the epoch.
        heartbeat: Asked after good sweeps; None for none.
        disk: The ledger's file system.
    """

    def __init__(
        self,
        snapshot: Callable[[], Awaitable[Snapshot]],
        ledger: Ledger,
        addresses: Mapping[str, Address],
        *,
        overdue_at: OverdueAt,
        clock: Callable[[], int],
        heartbeat: Heartbeat | None = None,
        disk: Callable[[], Disk | None] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._ledger = ledger
        self._listeners = [_Recipient(key, address) for key, address in addresses.items()]
        self._overdue_at = overdue_at
        self._clock = clock
        self._heartbeat = heartbeat
        self._disk = disk or (lambda: disk_of(ledger.path))
        self._remembers = False
        self._absent: Counter[AlertTopic] = Counter()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Look once, and tell what there is to tell; what the ledger prevents is left to the next look."""
        try:
            await self._remember()
            snapshot = await self._snapshot()
        except LedgerError as fault:
            log.warning("alerts cannot look", problem=str(fault))
            return
        found, waiting = conditions(snapshot, self._disk(), self._overdue_at), waiting_of(snapshot)
        over = self._over(found)
        tellings = [one.tell(found, waiting, over, self._clock()) for one in self._listeners]
        # Side by side: an address that hangs keeps none of the others waiting.
        await asyncio.gather(*tellings, *([self._heartbeat.look(snapshot)] if self._heartbeat else []))
        await self._keep()

    async def _remember(self) -> None:
        """What an earlier life said; addresses that are not configured any more are forgotten."""
        if self._remembers:
            return
        await self._ledger.call(delete_unlisted_addresses, [one.key for one in self._listeners])
        said = await self._ledger.call(load_alerts_sent)
        for one in self._listeners:
            one.remember(said.get(one.key, {}))
        self._remembers = True

    def _over(self, found: Sequence[Condition]) -> set[AlertTopic]:
        """Topics that some address was told of, and that were not there for some looks."""
        there = {one.topic for one in found}
        gone = {topic for one in self._listeners for topic in one.said} - there
        self._absent = Counter({topic: self._absent[topic] + 1 for topic in gone})
        return {topic for topic, looks in self._absent.items() if looks >= SURELY_OVER}

    async def _keep(self) -> None:
        """Note what was said. Where that fails it is tried at each look, and nothing is said twice."""
        for one in self._listeners:
            if one.kept != one.said:
                told = dict(one.said)
                try:
                    await self._ledger.call(save_alerts_sent, one.key, told)
                except LedgerError as fault:
                    log.warning("what was said cannot be noted", problem=str(fault))
                    return
                one.kept = told


class _Recipient:
    """One address, what it knows, and how it answers.

    Attributes:
        key: What the ledger knows it by.
        said: What it was told.
        kept: What of that is in the ledger.
    """

    def __init__(self, key: str, address: Address) -> None:
        self.key = key
        self.said: dict[AlertTopic, AlertSent] = {}
        self.kept: dict[AlertTopic, AlertSent] = {}
        self._address = address
        self._failures = 0
        self._passed_over = 0

    def remember(self, said: Mapping[AlertTopic, AlertSent]) -> None:
        """Take over what the ledger has."""
        self.said, self.kept = dict(said), dict(said)

    async def tell(
        self,
        found: Sequence[Condition],
        waiting: Mapping[AlertTopic, int],
        over: Collection[AlertTopic],
        now: int,
    ) -> None:
        """Send what it does not know yet; what it did not take is said later, as it is then."""
        self.said = lowered(self.said, waiting)
        message, known = turn(found, waiting, self.said, over, now)
        if message is None:
            return
        if self._failures and self._passed_over + 1 < self._wait():
            self._passed_over += 1
            return
        if await self._address.send(message):
            self.said, self._failures = known, 0
            log.info("alert sent", address=self._address.number, alert=message.title)
        else:
            self._failures += 1
            log.warning(
                "alert was not taken",
                address=self._address.number,
                alert=message.title,
                tries=self._failures,
                next_try_in_minutes=self._wait(),
                advice="`trakor-bridge alerts test` tries each address",
            )
        self._passed_over = 0

    def _wait(self) -> int:
        """Looks from a failure to the next try: 1, 2, 4 … up to the longest."""
        return int(min(LONGEST_WAIT, 2 ** min(self._failures - 1, LONGEST_WAIT)))
