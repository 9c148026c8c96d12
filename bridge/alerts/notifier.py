"""Sends alerts: decides once a minute what is news for each address, and remembers what each was sent.

``lowered`` and ``turn`` are pure; ``Notifier`` is the daemon's task.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import structlog

from bridge.alerts.apprise_address import Message
from bridge.alerts.conditions import DAY, HOUR, ONCE, OVER, AlertKind, conditions, disk_of, waiting_of
from bridge.errors import LedgerError
from bridge.ledger.daemon_state import (
    AlertSent,
    AlertTopic,
    delete_unlisted_addresses,
    load_alerts_sent,
    save_alerts_sent,
)
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

    from bridge.alerts.apprise_address import Address
    from bridge.alerts.conditions import Condition, Disk, OverdueAt
    from bridge.alerts.heartbeat import Heartbeat
    from bridge.ledger.database import Ledger
    from bridge.status import Snapshot

__all__ = ["Notifier", "lowered", "turn"]

AGAIN_AFTER: Final = DAY
"""Milliseconds after which what lasts is said again."""

DIGEST_EVERY: Final = HOUR
"""Milliseconds between two messages about records that wait."""

ADVICE: Final = "What to do: `trakor-bridge status`, and docs/operations.md under the word in brackets."


def lowered(
    said: Mapping[AlertTopic, AlertSent], waiting: Mapping[AlertTopic, int]
) -> dict[AlertTopic, AlertSent]:
    """What an address knows, where records that it was told of do not wait any more: later ones are new.

    Args:
        said: What it was told.
        waiting: How many wait now.
    """
    return {
        topic: told._replace(number=min(told.number, waiting.get(topic, 0)))
        if topic.kind == AlertKind.WAITING
        else told
        for topic, told in said.items()
    }


def turn(
    found: Sequence[Condition],
    waiting: Mapping[AlertTopic, int],
    said: Mapping[AlertTopic, AlertSent],
    over: Collection[AlertTopic],
    now: int,
) -> tuple[Message | None, dict[AlertTopic, AlertSent]]:
    """What an address is to be told.

    Args:
        found: What is wrong now.
        waiting: How many records wait for a person.
        said: What it was told before (``lowered``).
        over: Topics that are surely over.
        now: The time.

    Returns:
        The message, None where there is nothing to say; and what it knows after that.
    """
    news = [one for one in found if not one.covered and _is_news(one, said.get(one.topic), now)]
    ended = [topic for topic in said if topic in over and topic.kind in OVER]
    grown = _grown(waiting, said, now)
    known = {
        topic: told for topic, told in said.items() if topic.kind == AlertKind.WAITING or topic not in over
    }
    known |= {one.topic: AlertSent(now) for one in news}
    known |= {topic: AlertSent(now, waiting[topic]) for topic in grown}
    lines = [*map(_line, news), *map(_ending, ended), *_digest(_not_told(grown, news), waiting)]
    if not lines:
        return None, known
    return Message(_title(news, ended), "\n".join([*lines, "", ADVICE]), grave=bool(news)), known


def _is_news(one: Condition, told: AlertSent | None, now: int) -> bool:
    """Never said, or a day ago; a clock that was set back far counts as well as one set forward."""
    return told is None or (one.kind not in ONCE and abs(now - told.at) >= AGAIN_AFTER)


def _grown(
    waiting: Mapping[AlertTopic, int], said: Mapping[AlertTopic, AlertSent], now: int
) -> dict[AlertTopic, int]:
    """By how many more records wait than were told of; nothing while the last digest is fresh."""
    last = max((told.at for topic, told in said.items() if topic.kind == AlertKind.WAITING), default=None)
    if last is not None and abs(now - last) < DIGEST_EVERY:
        return {}
    more = {topic: number - said.get(topic, AlertSent(0)).number for topic, number in waiting.items()}
    return {topic: number for topic, number in more.items() if number > 0}


def _not_told(grown: Mapping[AlertTopic, int], news: Sequence[Condition]) -> dict[AlertTopic, int]:
    """Without the drifted records of which the same message says that they changed alike."""
    alike = {(one.connection, one.stream) for one in news if one.kind is AlertKind.BURST}
    return {
        topic: number
        for topic, number in grown.items()
        if topic.detail != State.DRIFTED or (topic.connection, topic.stream) not in alike
    }


def _title(news: Sequence[Condition], ended: Sequence[AlertTopic]) -> str:
    """The first thing that is wrong, and how many more are."""
    if news:
        others = f" and {len(news) - 1} more" if len(news) > 1 else ""
        return f"trakor-bridge: {news[0].kind}{others}"
    return f"trakor-bridge: {ended[0].kind} is over" if ended else "trakor-bridge: records wait for you"


def _line(one: Condition) -> str:
    return f"[{one.kind}] {_whose(one.connection)}{one.text}"


def _ending(topic: AlertTopic) -> str:
    stream = f"{topic.stream} " if topic.stream else ""
    sentence = OVER[AlertKind(topic.kind)].format(stream=stream)
    return f"[{topic.kind}] Over. {_whose(topic.connection)}{sentence}"


def _whose(connection: str) -> str:
    return f"{connection}: " if connection else ""


def _digest(grown: Mapping[AlertTopic, int], waiting: Mapping[AlertTopic, int]) -> Iterator[str]:
    """A line for each connection that has more records waiting: how many more, why, and how many in all."""
    by_connection: defaultdict[str, list[AlertTopic]] = defaultdict(list)
    for topic in grown:
        by_connection[topic.connection].append(topic)
    for name, topics in by_connection.items():
        why = ", ".join(f"{_number(grown[topic], topic.stream)} ({topic.detail})" for topic in topics)
        total = sum(number for topic, number in waiting.items() if topic.connection == name)
        yield f"[{AlertKind.WAITING}] {name}: new for a person to decide: {why}. {total:,} wait in all."


def _number(number: int, stream: str) -> str:
    return f"{number:,} {stream.removesuffix('s') if number == 1 else stream}"


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
