"""Decides when a job is due and records it; whoever reads finds the due job in the ledger.

::

    Timer.after(now) ──> APScheduler's one-shot job ──due──> note: the due job, and the next time (ledger)
          ^                                                      │
          └──────────────────── from now, again ─────────────────┘

No job of APScheduler recurs. It would compute the next time from the last one: a clock set forward would then
run every missed time, and a clock set back would wait for the old time to come again. Here each time is
computed from now, and the wall clock is compared with a monotonic one: after a jump everything is planned
again.

If the process dies between a time and its note, the stored time has passed at the next start, and counts
then.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias
from zoneinfo import ZoneInfo

import structlog
from apscheduler.executors.asyncio import AsyncIOExecutor  # type: ignore[import-untyped]
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]
from apscheduler.triggers.date import DateTrigger  # type: ignore[import-untyped]

from bridge.records import Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

__all__ = ["Due", "Interval", "JobKey", "Scheduler", "Timer", "WallClock", "wall_clock"]

JUMP: Final = 30.0
"""Seconds. A clock that is put right by less is left to the time servers' care."""

WATCH_EVERY: Final = 5.0
"""Seconds between two looks at both clocks."""

JobKey: TypeAlias = tuple[str, Job]
"""A connection's name, and what is due for it."""

log = structlog.get_logger()


class Timer(Protocol):
    """Says when something is due; two that are equal say the same."""

    def after(self, at: int) -> int:
        """The next time after this one; both in milliseconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Due at a fixed interval.

    Attributes:
        seconds: From one time to the next.
    """

    seconds: float

    def after(self, at: int) -> int:
        """The time one interval later."""
        return at + max(1, round(self.seconds * 1000))


@dataclass(frozen=True, slots=True)
class WallClock:
    """Due when a clock on the wall says so.

    Where summer time begins and 02:30 is left out, it is due as long after midnight as on other days
    (at 03:30); where it ends and 02:30 comes twice, the first one counts, unless every hour is meant.
    That is how cron(8) of Debian and BSD takes it.

    Attributes:
        minute: A field of a crontab line, as are the next three; months and weekdays by name or number.
        hour: Of the day.
        day: Of the month.
        month: Of the year.
        weekday: By name only: crontab counts from Sunday, APScheduler from Monday.
        timezone: A name of the time zone database: where the wall is.
    """

    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    timezone: str

    def after(self, at: int) -> int:
        """The next time that all fields agree to.

        Raises:
            ValueError: A field cannot be read, or there is no such day.
        """
        zone = ZoneInfo(self.timezone)
        trigger = CronTrigger(
            minute=self.minute, hour=self.hour, day=self.day, month=self.month,
            day_of_week=self.weekday, timezone=zone,
        )  # fmt: skip
        start = datetime.fromtimestamp((at + 1) / 1000, zone)
        while (found := trigger.get_next_fire_time(None, start)) is not None:
            if not _is_repeated(found) or self.hour == "*":
                return round(_without_stale_fold(found).timestamp() * 1000)
            start = (found.astimezone(UTC) + timedelta(seconds=1)).astimezone(zone)
        raise ValueError(f"there is no such day: {self.day} in {self.month}")


def _is_repeated(found: datetime) -> bool:
    """Whether this is the second of two times for which a wall clock shows the same."""
    before, after = found.replace(fold=0).utcoffset(), found.utcoffset()
    return before is not None and after is not None and before > after


def _without_stale_fold(found: datetime) -> datetime:
    """Without the ``fold`` that APScheduler carries over from where it began to search."""
    return found if _is_repeated(found) else found.replace(fold=0)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be noted of one job.

    Attributes:
        connection: Whose.
        job: What.
        wanted: It is due now.
        next_at: When it will be due next, in milliseconds since the epoch; 0: never any more.
    """

    connection: str
    job: Job
    wanted: bool
    next_at: int


def wall_clock() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Scheduler:
    """Records what is due, for all connections.

    Args:
        timers: When each job of each connection is due.
        note: Writes what is due, and when it is due next, to the ledger in one transaction.
        clock: The time, in milliseconds since the epoch; APScheduler uses the machine's own.
        monotonic: Seconds of a clock that nobody sets.
        watch_every: Seconds between two comparisons of both clocks.
    """

    def __init__(
        self,
        timers: Mapping[JobKey, Timer],
        note: Callable[[Sequence[Due]], Awaitable[None]],
        *,
        clock: Callable[[], int] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
        watch_every: float = WATCH_EVERY,
    ) -> None:
        self._timers = dict(timers)
        self._note = note
        self._clock = clock
        self._monotonic = monotonic
        self._watch_every = watch_every
        self._next: dict[JobKey, int] = {}
        self._fired: asyncio.Queue[JobKey] = asyncio.Queue()  # at most what is planned
        self._planning = asyncio.Lock()
        self._scheduler = AsyncIOScheduler(timezone=UTC, executors={"default": AsyncIOExecutor()})
        self._difference = 0.0

    @property
    def next_at(self) -> Mapping[JobKey, int]:
        """When each job will be due next, in milliseconds since the epoch."""
        return self._next

    async def run(self, stored: Mapping[JobKey, int], at_once: Collection[JobKey] = ()) -> None:
        """Record what is due until cancelled; to be called once.

        Args:
            stored: The next times from the ledger. One that has passed is due now. One in the future stays,
                so that a daemon that restarts often still reads. 0 is none.
            at_once: What is due now in any case: lists that were never read to their end.

        Raises:
            Exception: What ``note`` raises. Nothing is lost: the stored time stays.
        """
        self._next = {key: next_at for key, next_at in stored.items() if key in self._timers}
        self._difference = self._clock_difference()
        self._scheduler.start()
        try:
            async with self._planning:
                await self._plan(self._timers, at_once)
            while True:
                await self._wait_and_plan()
        finally:
            self._scheduler.shutdown(wait=False)

    async def replace(self, timers: Mapping[JobKey, Timer], at_once: Collection[JobKey] = ()) -> None:
        """Go by other timers from now on; a job whose timer stays the same keeps its next time.

        Args:
            timers: All of them.
            at_once: What is due now: lists of a connection that is new.

        Raises:
            Exception: What ``note`` raises; then all is as it was.
        """
        async with self._planning:
            now = self._clock()
            changed = {key: timer for key, timer in timers.items() if self._timers.get(key) != timer}
            ended = self._timers.keys() - timers.keys()
            # A time that has passed is due all the same; one to come was another timer's.
            passed = {key: planned for key, planned in self._next.items() if planned <= now}
            plan = [
                _due(key, timer, passed.get(key, 0), now, at_once=key in at_once)
                for key, timer in changed.items()
            ]
            await self._note([*plan, *(Due(*key, wanted=False, next_at=0) for key in ended)])
            self._timers = dict(timers)
            for key in ended:
                self._forget(key)
            for due in plan:
                self._schedule(due)

    async def _wait_and_plan(self) -> None:
        """Wait for what is due, at most until the next look at the clocks."""
        try:
            async with asyncio.timeout(self._watch_every):
                fired = [await self._fired.get()]
        except TimeoutError:
            fired = []
        async with self._planning:
            await self._plan(self._timers if self._has_jumped() else fired)

    async def _plan(self, keys: Iterable[JobKey], at_once: Collection[JobKey] = ()) -> None:
        """Have noted of each job whether it is due and when it is next; then wait for that time."""
        now = self._clock()
        plan = [
            _due(key, self._timers[key], self._next.get(key, 0), now, at_once=key in at_once)
            for key in keys
            if key in self._timers
        ]
        if plan:
            await self._note(plan)
        for due in plan:
            self._schedule(due)

    def _schedule(self, due: Due) -> None:
        if due.wanted:
            log.info("due", connection=due.connection, job=str(due.job))
        key = (due.connection, due.job)
        self._next[key] = due.next_at
        self._scheduler.add_job(
            self._fire,
            DateTrigger(datetime.fromtimestamp(due.next_at / 1000, UTC), timezone=UTC),
            args=[key],
            id=_id(key),
            replace_existing=True,
            misfire_grace_time=None,  # however late: due is due
            coalesce=True,
        )

    def _forget(self, key: JobKey) -> None:
        """Wait no longer for what has no timer any more."""
        self._next.pop(key, None)
        if self._scheduler.get_job(_id(key)):
            self._scheduler.remove_job(_id(key))

    async def _fire(self, key: JobKey) -> None:
        """APScheduler's job. It only says so: what it awaited would be cancelled at the end."""
        self._fired.put_nowait(key)

    def _has_jumped(self) -> bool:
        """Whether one clock has gone on without the other since the last jump."""
        difference = self._clock_difference()
        jump = difference - self._difference
        if abs(jump) <= JUMP:
            return False
        self._difference = difference
        log.warning("clock jumped", seconds=round(jump))
        return True

    def _clock_difference(self) -> float:
        return self._clock() / 1000 - self._monotonic()


def _id(key: JobKey) -> str:
    connection, job = key
    return f"{job} of {connection}"


def _due(key: JobKey, timer: Timer, planned: int, now: int, *, at_once: bool) -> Due:
    """Plan one job. A future time stays, unless the clock was set back or the timer is sooner."""
    following = timer.after(now)
    wanted = at_once or 0 < planned <= now
    return Due(*key, wanted, min(planned, following) if planned > now else following)
