"""What the daemon remembers across restarts: jobs that are due, timestamps, and alerts that were sent.

``status`` and the status page read the jobs and the timestamps while the daemon runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.schema import moments, said, wishes
from bridge.records import Job

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

__all__ = [
    "Job",
    "Moment",
    "Said",
    "Topic",
    "Wish",
    "all_said",
    "forget_all_but",
    "fulfil",
    "keep_said",
    "moments_of",
    "note",
    "set_next",
    "want",
    "wishes_of",
]


@dataclass(frozen=True, slots=True)
class Wish:
    """How things stand with one job of one connection.

    Attributes:
        wanted_at: Since when it is wanted; 0: it is not.
        next_at: When it is to be wanted next; 0: that is not known.
    """

    wanted_at: int
    next_at: int


_WISH = upsert(wishes)
_WANT = _WISH.on_conflict_do_update(
    index_elements=["connection", "job"], set_={"wanted_at": _WISH.excluded.wanted_at}
)
_NEXT = _WISH.on_conflict_do_update(
    index_elements=["connection", "job"], set_={"next_at": _WISH.excluded.next_at}
)
_FULFIL = (
    update(wishes)
    .where(
        wishes.c.connection == bindparam("of_connection"),
        wishes.c.job == bindparam("of_job"),
        wishes.c.wanted_at == bindparam("seen"),
    )
    .values(wanted_at=0)
)


_JOBS: Final = frozenset(map(str, Job))
"""All that there are: any other word is damage."""


def want(connection: Connection, name: str, job: Job, *, now: int) -> None:
    """Want a job done, since now: also where it is being done, which is then once more afterwards.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        job: What is wanted.
        now: The time to note.
    """
    connection.execute(_WANT, {"connection": name, "job": str(job), "wanted_at": now})


def set_next(connection: Connection, name: str, job: Job, at: int) -> None:
    """Note when a job is to be wanted next; it is not wanted for that.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        job: Which.
        at: Milliseconds since the epoch; 0: not known, or never.
    """
    connection.execute(_NEXT, {"connection": name, "job": str(job), "next_at": at})


def wishes_of(connection: Connection, name: str) -> dict[Job, Wish]:
    """How things stand with each job of a connection that anything is known of."""
    found = connection.execute(select(wishes).where(wishes.c.connection == name))
    return {Job(row.job): Wish(row.wanted_at, row.next_at) for row in found if row.job in _JOBS}


def fulfil(connection: Connection, name: str, job: Job, *, wanted_at: int) -> None:
    """A job was done: the wish that was seen before it is fulfilled; one that came meanwhile stands.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        job: Which.
        wanted_at: Of the wish that was seen, to the letter: the clock may have been set back since.
    """
    connection.execute(_FULFIL, {"of_connection": name, "of_job": str(job), "seen": wanted_at})


class Moment(StrEnum):
    """What the time is of; ``ALIVE`` is the daemon's own, and stands under no connection ("")."""

    TOKEN_EXPIRES = "token_expires"  # noqa: S105 - the name of a time
    TOKEN_FAILING_SINCE = "token_failing_since"  # noqa: S105 - likewise
    TOKEN_NEXT_TRY = "token_next_try"  # noqa: S105 - likewise
    ALIVE = "alive"


_NOTE = upsert(moments).on_conflict_do_update(
    index_elements=["connection", "name"], set_={"at": upsert(moments).excluded.at}
)
_DELETE_TIMESTAMP = delete(moments).where(
    moments.c.connection == bindparam("of_connection"), moments.c.name == bindparam("of_name")
)


def note(connection: Connection, name: str, moment: Moment, at: int | None) -> None:
    """Note a time, in place of the one that was noted before.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name; empty for the daemon itself.
        moment: What it is the time of.
        at: Milliseconds since the epoch; None where there is none any more.
    """
    if at is None:
        connection.execute(_DELETE_TIMESTAMP, {"of_connection": name, "of_name": str(moment)})
    else:
        connection.execute(_NOTE, {"connection": name, "name": str(moment), "at": at})


def moments_of(connection: Connection) -> dict[tuple[str, Moment], int]:
    """All that is noted, by the connection's name and what it is the time of."""
    found = connection.execute(select(moments).where(moments.c.name.in_([*Moment])))
    return {(row.connection, Moment(row.name)): row.at for row in found}


class Topic(NamedTuple):
    """What an alert is about; two alerts of one topic are the same one, said again.

    Attributes:
        kind: The alert's word.
        connection: The connection's name; empty for the process as a whole.
        stream: The stream; empty where it is about no one stream.
        detail: What else tells it from others, e.g. the reason that records wait for.
    """

    kind: str
    connection: str = ""
    stream: str = ""
    detail: str = ""


class Said(NamedTuple):
    """When a topic was told last, and the number that was told with it, where it has one."""

    at: int
    number: int = 0


_DELETE_OF_ADDRESS = delete(said).where(said.c.address == bindparam("of_address"))


def all_said(connection: Connection) -> dict[str, dict[Topic, Said]]:
    """All that was said, by address (its hash: an address holds secrets)."""
    found: dict[str, dict[Topic, Said]] = {}
    for row in connection.execute(select(said)):
        topic = Topic(row.kind, row.connection, row.stream, row.detail)
        found.setdefault(row.address, {})[topic] = Said(row.at, row.number)
    return found


def keep_said(connection: Connection, address: str, topics: Mapping[Topic, Said]) -> None:
    """Note what one address knows, in place of what was noted before.

    Args:
        connection: Inside a writing transaction.
        address: The hash of the address.
        topics: All that it was told and that is not over.
    """
    connection.execute(_DELETE_OF_ADDRESS, {"of_address": address})
    rows = [{"address": address, **topic._asdict(), **told._asdict()} for topic, told in topics.items()]
    if rows:
        connection.execute(insert(said), rows)


def forget_all_but(connection: Connection, addresses: Collection[str]) -> None:
    """Forget what was said to addresses that are not configured any more."""
    connection.execute(delete(said).where(said.c.address.not_in(sorted(addresses))))
