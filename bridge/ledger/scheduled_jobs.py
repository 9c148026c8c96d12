"""The daemon's scheduled jobs: which are due, and when each is due next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import scheduled_jobs
from bridge.records import Job

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ScheduledJob", "complete_job", "load_scheduled_jobs", "request_job", "set_next_due"]


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
