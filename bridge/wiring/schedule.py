"""When each connection reads, as the schedule wants it told, and when that is overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.errors import UserError
from bridge.records import Job, Stream
from bridge.schedule import Interval, WallClock
from bridge.settings import Every

if TYPE_CHECKING:
    from bridge.schedule import JobKey, Timer
    from bridge.settings import ConnectionSettings, Timing

__all__ = ["make_timers", "overdue_at"]


def make_timers(connection: ConnectionSettings) -> dict[JobKey, Timer]:
    """A timer for each job of a connection that has anything to read.

    Raises:
        UserError: The machine does not know the time zone: the default one is not looked up before.
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
    """When a list is overdue: two times have passed then at which it was to be read.

    Args:
        connection: Its connection.
        stream: Whose list.
        read_at: When it was read to its end, milliseconds since the epoch.

    Returns:
        Milliseconds since the epoch; None where the stream is not enabled.
    """
    if not connection.stream(stream).enabled:
        return None
    timers = [timer for (_, job), timer in make_timers(connection).items() if job.reads(stream)]
    return min(timer.after(timer.after(read_at)) for timer in timers)
