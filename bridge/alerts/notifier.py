"""Sends alerts: decides once a minute what is news for each address, and remembers what each was sent.

``lower_counts`` and ``compose`` are pure; ``Notifier`` is the daemon's task.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import structlog

from bridge.alerts.apprise_sender import Message
from bridge.alerts.conditions import DAY, HOUR, ONCE, OVER, AlertKind, conditions, count_waiting, disk_of
from bridge.errors import LedgerError
from bridge.ledger.alerts_sent import (
    AlertSent,
    AlertTopic,
    delete_unlisted_addresses,
    load_alerts_sent,
    save_alerts_sent,
)
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

    from bridge.alerts.apprise_sender import Address
    from bridge.alerts.conditions import Condition, Disk, OverdueAt
    from bridge.alerts.heartbeat import Heartbeat
    from bridge.ledger.database import Ledger
    from bridge.status import Snapshot

__all__ = ["Notifier", "compose", "lower_counts"]

AGAIN_AFTER: Final = DAY
"""Milliseconds after which an alert is repeated while its condition lasts."""

DIGEST_EVERY: Final = HOUR
"""Milliseconds between two messages about records that need a decision."""

ADVICE: Final = "What to do: see `trakor-bridge status`, and docs/operations.md for the word in brackets."


def lower_counts(
    sent: Mapping[AlertTopic, AlertSent], waiting: Mapping[AlertTopic, int]
) -> dict[AlertTopic, AlertSent]:
    """Lower the stored counts to what needs a decision now, so that later records count as new.

    Args:
        sent: The alerts that were sent to an address.
        waiting: How many records need a decision now.
    """
    return {
        topic: entry._replace(number=min(entry.number, waiting.get(topic, 0)))
        if topic.kind == AlertKind.WAITING
        else entry
        for topic, entry in sent.items()
    }


def compose(
    found: Sequence[Condition],
    waiting: Mapping[AlertTopic, int],
    sent: Mapping[AlertTopic, AlertSent],
    over: Collection[AlertTopic],
    now: int,
) -> tuple[Message | None, dict[AlertTopic, AlertSent]]:
    """Compose the next message to an address.

    Args:
        found: The conditions now.
        waiting: How many records need a decision.
        sent: The alerts that were sent to the address before (``lower_counts``).
        over: Topics that are certainly over.
        now: The time.

    Returns:
        The message, or None if there is none; and the alerts sent, once the message is accepted.
    """
    news = [one for one in found if not one.covered and _is_news(one, sent.get(one.topic), now)]
    ended = [topic for topic in sent if topic in over and topic.kind in OVER]
    grown = _grown(waiting, sent, now)
    known = {
        topic: entry for topic, entry in sent.items() if topic.kind == AlertKind.WAITING or topic not in over
    }
    known |= {one.topic: AlertSent(now) for one in news}
    known |= {topic: AlertSent(now, waiting[topic]) for topic in grown}
    lines = [*map(_line, news), *map(_ending, ended), *_digest(_without_mass_changes(grown, news), waiting)]
    if not lines:
        return None, known
    return Message(_title(news, ended), "\n".join([*lines, "", ADVICE]), grave=bool(news)), known


def _is_news(one: Condition, entry: AlertSent | None, now: int) -> bool:
    """Whether it was never sent, or a day ago. A clock that was set back far counts like one set forward."""
    return entry is None or (one.kind not in ONCE and abs(now - entry.at) >= AGAIN_AFTER)


def _grown(
    waiting: Mapping[AlertTopic, int], sent: Mapping[AlertTopic, AlertSent], now: int
) -> dict[AlertTopic, int]:
    """How many more records need a decision than were reported; empty while the last digest is recent."""
    last = max((entry.at for topic, entry in sent.items() if topic.kind == AlertKind.WAITING), default=None)
    if last is not None and abs(now - last) < DIGEST_EVERY:
        return {}
    more = {topic: number - sent.get(topic, AlertSent(0)).number for topic, number in waiting.items()}
    return {topic: number for topic, number in more.items() if number > 0}


def _without_mass_changes(
    grown: Mapping[AlertTopic, int], news: Sequence[Condition]
) -> dict[AlertTopic, int]:
    """Leave out drifted records, if the same message reports that they changed alike."""
    alike = {(one.connection, one.stream) for one in news if one.kind is AlertKind.BURST}
    return {
        topic: number
        for topic, number in grown.items()
        if topic.detail != State.DRIFTED or (topic.connection, topic.stream) not in alike
    }


def _title(news: Sequence[Condition], ended: Sequence[AlertTopic]) -> str:
    """The first condition, and how many more there are."""
    if news:
        others = f" and {len(news) - 1} more" if len(news) > 1 else ""
        return f"trakor-bridge: {news[0].kind}{others}"
    return f"trakor-bridge: {ended[0].kind} is over" if ended else "trakor-bridge: records need a decision"


def _line(one: Condition) -> str:
    return f"[{one.kind}] {_whose(one.connection)}{one.text}"


def _ending(topic: AlertTopic) -> str:
    stream = f"{topic.stream} " if topic.stream else ""
    sentence = OVER[AlertKind(topic.kind)].format(stream=stream)
    return f"[{topic.kind}] Over. {_whose(topic.connection)}{sentence}"


def _whose(connection: str) -> str:
    return f"{connection}: " if connection else ""


def _digest(grown: Mapping[AlertTopic, int], waiting: Mapping[AlertTopic, int]) -> Iterator[str]:
    """A line for each connection with new records to decide on: how many, why, and how many in all."""
    by_connection: defaultdict[str, list[AlertTopic]] = defaultdict(list)
    for topic in grown:
        by_connection[topic.connection].append(topic)
    for name, topics in by_connection.items():
        why = ", ".join(f"{_number(grown[topic], topic.stream)} ({topic.detail})" for topic in topics)
        total = sum(number for topic, number in waiting.items() if topic.connection == name)
        yield f"[{AlertKind.WAITING}] {name}: new decisions needed: {why}. {total:,} in all."


def _number(number: int, stream: str) -> str:
    return f"{number:,} {stream.removesuffix('s') if number == 1 else stream}"


LOOK_EVERY: Final = 60.0
"""Seconds."""

SURELY_OVER: Final = 5
"""Checks in a row without a condition until it counts as over: one that comes and goes is one alert."""

LONGEST_WAIT: Final = 60
"""The most checks until a failing address is tried again; the first wait is one check."""

log = structlog.get_logger()


class Notifier:
    """Sends alerts to all addresses.

    Args:
        snapshot: Reads the state of everything.
        ledger: Stores what was sent.
        addresses: The addresses, by the hash that identifies each in the ledger.
        overdue_at: When a list is overdue; None for one that is not read.
        clock: Milliseconds since the epoch.
        heartbeat: Called after good sweeps; None for none.
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
        self._recipients = [_Recipient(key, address) for key, address in addresses.items()]
        self._overdue_at = overdue_at
        self._clock = clock
        self._heartbeat = heartbeat
        self._disk = disk or (lambda: disk_of(ledger.path))
        self._loaded = False
        self._absent: Counter[AlertTopic] = Counter()

    async def run(self) -> None:
        """Check once a minute, for ever."""
        while True:
            await self.check()
            await asyncio.sleep(LOOK_EVERY)

    async def check(self) -> None:
        """Check once, and send what is new. If the ledger fails, the next check does it."""
        try:
            await self._load()
            snapshot = await self._snapshot()
        except LedgerError as error:
            log.warning("alerts cannot look", problem=str(error))
            return
        found, waiting = conditions(snapshot, self._disk(), self._overdue_at), count_waiting(snapshot)
        over = self._over(found)
        sending = [one.notify(found, waiting, over, self._clock()) for one in self._recipients]
        # At the same time, so that an address that hangs does not delay the others.
        await asyncio.gather(*sending, *([self._heartbeat.update(snapshot)] if self._heartbeat else []))
        await self._store()

    async def _load(self) -> None:
        """Load what earlier processes sent, and delete addresses that are no longer configured."""
        if self._loaded:
            return
        await self._ledger.call(delete_unlisted_addresses, [one.key for one in self._recipients])
        sent = await self._ledger.call(load_alerts_sent)
        for one in self._recipients:
            one.restore(sent.get(one.key, {}))
        self._loaded = True

    def _over(self, found: Sequence[Condition]) -> set[AlertTopic]:
        """Topics that were sent to some address, and whose condition was absent for several checks."""
        there = {one.topic for one in found}
        gone = {topic for one in self._recipients for topic in one.sent} - there
        self._absent = Counter({topic: self._absent[topic] + 1 for topic in gone})
        return {topic for topic, looks in self._absent.items() if looks >= SURELY_OVER}

    async def _store(self) -> None:
        """Store what was sent. If that fails, each check tries again, and nothing is sent twice."""
        for one in self._recipients:
            if one.stored != one.sent:
                entry = dict(one.sent)
                try:
                    await self._ledger.call(save_alerts_sent, one.key, entry)
                except LedgerError as error:
                    log.warning("alerts that were sent cannot be noted", problem=str(error))
                    return
                one.stored = entry


class _Recipient:
    """One address, with its alerts sent and its failures.

    Attributes:
        key: What identifies it in the ledger.
        sent: The alerts that were sent to it.
        stored: Those of them that are in the ledger.
    """

    def __init__(self, key: str, address: Address) -> None:
        self.key = key
        self.sent: dict[AlertTopic, AlertSent] = {}
        self.stored: dict[AlertTopic, AlertSent] = {}
        self._address = address
        self._failures = 0
        self._passed_over = 0

    def restore(self, sent: Mapping[AlertTopic, AlertSent]) -> None:
        """Take over what the ledger has stored."""
        self.sent, self.stored = dict(sent), dict(sent)

    async def notify(
        self,
        found: Sequence[Condition],
        waiting: Mapping[AlertTopic, int],
        over: Collection[AlertTopic],
        now: int,
    ) -> None:
        """Send what is new. What it did not accept is composed again at a later check."""
        self.sent = lower_counts(self.sent, waiting)
        message, known = compose(found, waiting, self.sent, over, now)
        if message is None:
            return
        if self._failures and self._passed_over + 1 < self._wait():
            self._passed_over += 1
            return
        if await self._address.send(message):
            self.sent, self._failures = known, 0
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
        """Checks from a failure to the next try: 1, 2, 4 and so on, up to ``LONGEST_WAIT``."""
        return int(min(LONGEST_WAIT, 2 ** min(self._failures - 1, LONGEST_WAIT)))
