"""Records in the ledger which jobs are due and when each is due next. Due times outlive the process.

A job is recorded as due before it runs, so that a process that dies in between still runs it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from bridge.errors import LedgerError, UserError
from bridge.ledger.read_model import list_feeds
from bridge.ledger.runs_and_sweeps import has_unread_list
from bridge.ledger.scheduled_jobs import load_scheduled_jobs, request_job, set_next_due
from bridge.ledger.send_queue import has_pending
from bridge.ledger.token_and_alive_times import TimestampName, load_timestamps
from bridge.records import Job, Stream
from bridge.schedule import Interval, Scheduler, WallClock
from bridge.settings import Every

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from bridge.ledger.database import Ledger
    from bridge.ledger.read_model import Reader
    from bridge.schedule import Due, JobKey, Timer
    from bridge.settings import ConnectionSettings, Timing
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["DueJobRecorder", "make_timers", "overdue_at", "request_full_reads"]

LONG_AWAY: Final = 15 * 60_000
"""If no daemon ran for this many milliseconds, what waits to be sent may be out of date."""

AGAIN_AFTER: Final = 10.0
"""Seconds until a failed write of due jobs is repeated."""

log = structlog.get_logger()


class DueJobRecorder:
    """Records due jobs in the ledger for as long as the daemon lives.

    Args:
        ledger: The open ledger.
        clock: Milliseconds since the epoch.
        on_due_jobs: Called with the names of connections that have a newly recorded job.
    """

    def __init__(
        self, ledger: Ledger, clock: Callable[[], int], on_due_jobs: Callable[[Collection[str]], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._on_due_jobs = on_due_jobs
        self._schedule = Scheduler({}, self._note, clock=clock)
        self._timers: dict[JobKey, Timer] = {}

    async def run(self, plans: Iterable[ConnectionPlan]) -> None:
        """Record due jobs until cancelled; retry while the ledger cannot be written.

        Args:
            plans: The plans of all connections.
        """
        self._timers = _timers(plans)
        while True:
            self._schedule = Scheduler(self._timers, self._note, clock=self._clock)
            try:
                stored, at_once = await self._ledger.call(_stored, {name for name, _ in self._timers})
                await self._schedule.run(stored, at_once & self._timers.keys())
            except LedgerError as error:
                log.warning("what is due cannot be noted", problem=str(error))
            await asyncio.sleep(AGAIN_AFTER)

    async def replace(self, plans: Iterable[ConnectionPlan]) -> None:
        """Use other plans from now on; retry while the ledger cannot be written."""
        self._timers = _timers(plans)
        while True:
            try:
                await self._schedule.replace(self._timers)
            except LedgerError as error:
                log.warning("what is due cannot be noted", problem=str(error))
                await asyncio.sleep(AGAIN_AFTER)
            else:
                return

    async def _note(self, plan: Sequence[Due]) -> None:
        await self._ledger.call(_note_all, plan, self._clock())
        self._on_due_jobs({due.connection for due in plan if due.wanted})


def request_full_reads(connection: Reader, names: Collection[str], now: int) -> set[str]:
    """Request a full read of each connection with records that have waited for long.

    Sent as they are, they could be out of date, and Trakor cannot update them.

    Args:
        connection: Inside a writing transaction, when the daemon starts.
        names: The connections.
        now: The time.

    Returns:
        The names of those connections.
    """
    alive_at = load_timestamps(connection).get(("", TimestampName.ALIVE), 0)
    if 0 <= now - alive_at < LONG_AWAY:
        return set()
    waiting = {
        feed.connection
        for feed in list_feeds(connection)
        if feed.connection in names and has_pending(connection, feed)
    }
    for name in waiting:
        request_job(connection, name, Job.RECONCILE, now=now)
    return waiting


def _timers(plans: Iterable[ConnectionPlan]) -> dict[JobKey, Timer]:
    return {key: timer for plan in plans for key, timer in make_timers(plan.connection).items()}


def _note_all(connection: Reader, plan: Sequence[Due], now: int) -> None:
    for due in plan:
        if due.wanted:
            request_job(connection, due.connection, due.job, now=now)
        set_next_due(connection, due.connection, due.job, due.next_at)


def _stored(connection: Reader, names: Collection[str]) -> tuple[dict[JobKey, int], set[JobKey]]:
    """The next times from before, and what is due at once: lists that were never read to their end."""
    stored = {
        (name, job): request_sweep.next_at
        for name in names
        for job, request_sweep in load_scheduled_jobs(connection, name).items()
    }
    return stored, {(name, Job.RECONCILE) for name in names if has_unread_list(connection, name)}


def make_timers(connection: ConnectionSettings) -> dict[JobKey, Timer]:
    """Make a timer for each job of a connection that has anything to read.

    Raises:
        UserError: The machine does not know the time zone. The default one is not checked earlier.
    """
    schedule = connection.schedule
    enabled = [stream for stream in Stream if connection.stream(stream).enabled]
    return {
        (connection.name, job): _timer(schedule.timing(job), schedule.timezone)
        for job in Job
        if any(job.reads(stream) for stream in enabled)
    }


def _timer(timing: Timing, timezone: str) -> Timer:
    if isinstance(timing, Every):
        return Interval(timing.seconds)
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise UserError(
            f"this machine does not know the time zone {timezone}",
            advice="install the package tzdata, or set [schedule] timezone to one that it knows",
        ) from error
    return WallClock(timing.minute, timing.hour, timing.day, timing.month, timing.weekday, timezone)


def overdue_at(connection: ConnectionSettings, stream: Stream, read_at: int) -> int | None:
    """Return when a list is overdue: two of its times have passed since it was read.

    Args:
        connection: The connection.
        stream: The stream of the list.
        read_at: When it was last read to its end, in milliseconds since the epoch.

    Returns:
        Milliseconds since the epoch. None: the stream is not enabled.
    """
    if not connection.stream(stream).enabled:
        return None
    timers = [timer for (_, job), timer in make_timers(connection).items() if job.reads(stream)]
    return min(timer.after(timer.after(read_at)) for timer in timers)
