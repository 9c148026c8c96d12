"""Computes when each job is due, and writes due jobs to the ledger, where the workers find them.

::

    Timer.after(now) ──> APScheduler's one-shot job ──due──> note: the due job, and the next time (ledger)
          ^                                                      │
          └────────────────────── from now ──────────────────────┘

No job of APScheduler recurs. A recurring job computes the next time from the last one. If somebody then sets
the clock forward, the job runs for every missed time. If somebody sets the clock back, the job waits for the
old time. Here each time is computed from now. The scheduler also compares the wall clock with a monotonic
one, and after a jump computes all times again.

If the process dies after a job's time and before the note, the stored time has passed at the next start. The
job is due then.
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
"""In seconds. A smaller correction of the clock counts as the usual work of a time server."""

WATCH_EVERY: Final = 5.0
"""Seconds between two comparisons of the clocks."""

JobKey: TypeAlias = tuple[str, Job]
"""A connection's name, and one of its jobs."""

log = structlog.get_logger()


class Timer(Protocol):
    """Computes when something is due. Equal timers give equal times."""

    def after(self, at: int) -> int:
        """Return the next time after this one, both in milliseconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Due at a fixed interval.

    Attributes:
        seconds: The time from one run to the next.
    """

    seconds: float

    def after(self, at: int) -> int:
        """Return the time one interval later."""
        return at + max(1, round(self.seconds * 1000))


@dataclass(frozen=True, slots=True)
class WallClock:
    """Due at times of the wall clock in one time zone.

    On the day when summer time begins and 02:30 does not exist, a job of 02:30 is due as long after midnight
    as on other days (at 03:30). On the day when summer time ends and 02:30 comes twice, the first one counts,
    unless the job is due every hour. cron(8) of Debian and BSD does the same.

    Attributes:
        minute: A field of a crontab line, as are the next four.
        hour: The hour of the day.
        day: The day of the month.
        month: The month, by name or number.
        weekday: The weekday, by name only: crontab counts from Sunday, APScheduler from Monday.
        timezone: A name from the time zone database.
    """

    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    timezone: str

    def after(self, at: int) -> int:
        """Return the next time that matches all fields.

        Raises:
            ValueError: A field cannot be read, or no day matches.
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
    """Whether the wall clock shows this time for the second time."""
    before, after = found.replace(fold=0).utcoffset(), found.utcoffset()
    return before is not None and after is not None and before > after


def _without_stale_fold(found: datetime) -> datetime:
    """Remove the ``fold`` that APScheduler copies from the time where its search began."""
    return found if _is_repeated(found) else found.replace(fold=0)


@dataclass(frozen=True, slots=True)
class Due:
    """The note about one job.

    Attributes:
        connection: The connection's name.
        job: The job.
        wanted: Whether the job is due now.
        next_at: When the job will be due next, in milliseconds since the epoch; 0 means never.
    """

    connection: str
    job: Job
    wanted: bool
    next_at: int


def wall_clock() -> int:
    """Return the time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Scheduler:
    """Records the due jobs of all connections.

    Args:
        timers: When each job of each connection is due.
        note: Writes the notes about jobs to the ledger in one transaction.
        clock: Returns the time, in milliseconds since the epoch. APScheduler uses the machine's clock.
        monotonic: Returns the seconds of a clock that nobody sets.
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
        self._fired: asyncio.Queue[JobKey] = asyncio.Queue()  # bounded by the number of jobs
        self._planning = asyncio.Lock()
        self._scheduler = AsyncIOScheduler(timezone=UTC, executors={"default": AsyncIOExecutor()})
        self._difference = 0.0

    @property
    def next_at(self) -> Mapping[JobKey, int]:
        """When each job will be due next, in milliseconds since the epoch."""
        return self._next

    async def run(self, stored: Mapping[JobKey, int], at_once: Collection[JobKey] = ()) -> None:
        """Record due jobs until cancelled. Call this once.

        Args:
            stored: The next time of each job from the ledger; 0 means none. A job whose time has passed is
                due now. A time in the future stays, so that a daemon that restarts often still reads.
            at_once: Jobs that are due now in any case, because their lists were never read to the end.

        Raises:
            Exception: ``note`` failed. The stored times stay, so nothing is lost.
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
        """Replace the timers. A job with the same timer as before keeps its next time.

        Args:
            timers: All timers from now on.
            at_once: Jobs that are due now, because their connection is new.

        Raises:
            Exception: ``note`` failed. Nothing has changed then.
        """
        async with self._planning:
            now = self._clock()
            changed = {key: timer for key, timer in timers.items() if self._timers.get(key) != timer}
            ended = self._timers.keys() - timers.keys()
            # A job whose time has passed is still due. A future time belongs to the earlier timer.
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
        """Wait for a due job, or for the next comparison of the clocks, and plan what follows."""
        try:
            async with asyncio.timeout(self._watch_every):
                fired = [await self._fired.get()]
        except TimeoutError:
            fired = []
        async with self._planning:
            await self._plan(self._timers if self._has_jumped() else fired)

    async def _plan(self, keys: Iterable[JobKey], at_once: Collection[JobKey] = ()) -> None:
        """Note whether each job is due and when next, and schedule that time."""
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
            misfire_grace_time=None,  # a late job is still due
            coalesce=True,
        )

    def _forget(self, key: JobKey) -> None:
        """Unschedule a job that has no timer any more."""
        self._next.pop(key, None)
        if self._scheduler.get_job(_id(key)):
            self._scheduler.remove_job(_id(key))

    async def _fire(self, key: JobKey) -> None:
        """Report a due job to ``run``. APScheduler would cancel longer work when it shuts down."""
        self._fired.put_nowait(key)

    def _has_jumped(self) -> bool:
        """Whether the clocks have drifted apart by more than ``JUMP`` since the last jump."""
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
    """Return the note about one job.

    A stored time in the future stays, unless the timer gives an earlier one, as after a clock was set back.
    """
    following = timer.after(now)
    wanted = at_once or 0 < planned <= now
    return Due(*key, wanted, min(planned, following) if planned > now else following)
