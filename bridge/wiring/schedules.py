"""When each connection reads, as the schedule wants it told."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.errors import UserError
from bridge.records import Job, Stream
from bridge.schedule import Interval, WallClock
from bridge.settings import Every

if TYPE_CHECKING:
    from bridge.schedule import Key, Timer
    from bridge.settings import Connection, Timing

__all__ = ["timers_of"]


def timers_of(connection: Connection) -> dict[Key, Timer]:
    """A timer for each job of a connection that has anything to read.

    Raises:
        UserError: The machine does not know the time zone: the default one is not looked up before.
    """
    schedule = connection.schedule
    timings = {
        Job.CONTACTS: schedule.contacts,
        Job.PRODUCTS: schedule.products,
        Job.RECONCILE: schedule.reconcile,
    }
    enabled = [stream for stream in Stream if connection.stream(stream).enabled]
    return {
        (connection.name, job): _timer(timing, schedule.timezone)
        for job, timing in timings.items()
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
