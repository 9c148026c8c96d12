"""What the daemon remembers across restarts: jobs that are due, timestamps, and alerts that were sent.

``status`` and the status page read the jobs and the timestamps while the daemon runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import alerts_sent, scheduled_jobs, timestamps
from bridge.records import Job

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

__all__ = [
    "AlertSent",
    "AlertTopic",
    "Job",
    "ScheduledJob",
    "TimestampName",
    "complete_job",
    "delete_unlisted_addresses",
    "load_alerts_sent",
    "load_scheduled_jobs",
    "load_timestamps",
    "request_job",
    "save_alerts_sent",
    "set_next_due",
    "set_timestamp",
]


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """The schedule of one job of one connection.

    Attributes:
        wanted_at: Since when the job is due; 0: it is not.
        next_at: When the job becomes due next; 0: unknown.
    """

    wanted_at: int
    next_at: int


_JOB_ROW = upsert(scheduled_jobs)
_REQUEST_JOB = _JOB_ROW.on_conflict_do_update(
    index_elements=["connection", "job"], set_={"wanted_at": _JOB_ROW.excluded.wanted_at}
)
_SET_NEXT_DUE = _JOB_ROW.on_conflict_do_update(
    index_elements=["connection", "job"], set_={"next_at": _JOB_ROW.excluded.next_at}
)
_COMPLETE_JOB = (
    update(scheduled_jobs)
    .where(
        scheduled_jobs.c.connection == bindparam("of_connection"),
        scheduled_jobs.c.job == bindparam("of_job"),
        scheduled_jobs.c.wanted_at == bindparam("seen"),
    )
    .values(wanted_at=0)
)


_JOBS: Final = frozenset(map(str, Job))
"""All jobs. Any other word in the table is damage."""


def request_job(connection: Connection, name: str, job: Job, *, now: int) -> None:
    """Make a job due now. A job that is running becomes due once more afterwards.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        job: The job.
        now: The time to note.
    """
    connection.execute(_REQUEST_JOB, {"connection": name, "job": str(job), "wanted_at": now})


def set_next_due(connection: Connection, name: str, job: Job, at: int) -> None:
    """Store when a job becomes due next. This does not make it due now.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        job: The job.
        at: Milliseconds since the epoch; 0: unknown, or never.
    """
    connection.execute(_SET_NEXT_DUE, {"connection": name, "job": str(job), "next_at": at})


def load_scheduled_jobs(connection: Connection, name: str) -> dict[Job, ScheduledJob]:
    """Load the schedule of each job of a connection that the ledger knows."""
    found = connection.execute(select(scheduled_jobs).where(scheduled_jobs.c.connection == name))
    return {Job(row.job): ScheduledJob(row.wanted_at, row.next_at) for row in found if row.job in _JOBS}


def complete_job(connection: Connection, name: str, job: Job, *, wanted_at: int) -> None:
    """Mark a job as done. A request that came after ``wanted_at`` was read stays due.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        job: The job.
        wanted_at: The exact time of the request that was done; the clock may have been set back since.
    """
    connection.execute(_COMPLETE_JOB, {"of_connection": name, "of_job": str(job), "seen": wanted_at})


class TimestampName(StrEnum):
    """What a stored time means. ``ALIVE`` is the daemon's own and belongs to no connection ("")."""

    TOKEN_EXPIRES = "token_expires"  # noqa: S105 - the name of a time
    TOKEN_FAILING_SINCE = "token_failing_since"  # noqa: S105 - likewise
    TOKEN_NEXT_TRY = "token_next_try"  # noqa: S105 - likewise
    ALIVE = "alive"


_SET_TIMESTAMP = upsert(timestamps).on_conflict_do_update(
    index_elements=["connection", "name"], set_={"at": upsert(timestamps).excluded.at}
)
_DELETE_TIMESTAMP = delete(timestamps).where(
    timestamps.c.connection == bindparam("of_connection"), timestamps.c.name == bindparam("of_name")
)


def set_timestamp(connection: Connection, name: str, timestamp: TimestampName, at: int | None) -> None:
    """Store a time, replacing the previous one.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name; empty for the daemon itself.
        timestamp: What the time means.
        at: Milliseconds since the epoch; None deletes it.
    """
    if at is None:
        connection.execute(_DELETE_TIMESTAMP, {"of_connection": name, "of_name": str(timestamp)})
    else:
        connection.execute(_SET_TIMESTAMP, {"connection": name, "name": str(timestamp), "at": at})


def load_timestamps(connection: Connection) -> dict[tuple[str, TimestampName], int]:
    """Load all stored times, by the connection's name and their meaning."""
    found = connection.execute(select(timestamps).where(timestamps.c.name.in_([*TimestampName])))
    return {(row.connection, TimestampName(row.name)): row.at for row in found}


class AlertTopic(NamedTuple):
    """What an alert is about. Two alerts with one topic are the same alert, repeated.

    Attributes:
        kind: The alert's word.
        connection: The connection's name; empty for the process as a whole.
        stream: The stream; empty if the alert is not about one stream.
        detail: What else distinguishes it, for example the reason for which records wait.
    """

    kind: str
    connection: str = ""
    stream: str = ""
    detail: str = ""


class AlertSent(NamedTuple):
    """When a topic was last reported, and the number in that message if it has one."""

    at: int
    number: int = 0


_DELETE_OF_ADDRESS = delete(alerts_sent).where(alerts_sent.c.address == bindparam("of_address"))


def load_alerts_sent(connection: Connection) -> dict[str, dict[AlertTopic, AlertSent]]:
    """Load all alerts that were sent, by address. The address is hashed, because it contains secrets."""
    found: dict[str, dict[AlertTopic, AlertSent]] = {}
    for row in connection.execute(select(alerts_sent)):
        topic = AlertTopic(row.kind, row.connection, row.stream, row.detail)
        found.setdefault(row.address, {})[topic] = AlertSent(row.at, row.number)
    return found


def save_alerts_sent(connection: Connection, address: str, topics: Mapping[AlertTopic, AlertSent]) -> None:
    """Store which alerts one address has received, replacing what was stored before.

    Args:
        connection: Inside a writing transaction.
        address: The hash of the address.
        topics: All alerts that it received and that are not over.
    """
    connection.execute(_DELETE_OF_ADDRESS, {"of_address": address})
    rows = [{"address": address, **topic._asdict(), **sent._asdict()} for topic, sent in topics.items()]
    if rows:
        connection.execute(insert(alerts_sent), rows)


def delete_unlisted_addresses(connection: Connection, addresses: Collection[str]) -> None:
    """Delete the alerts of addresses that are no longer configured."""
    connection.execute(delete(alerts_sent).where(alerts_sent.c.address.not_in(sorted(addresses))))
