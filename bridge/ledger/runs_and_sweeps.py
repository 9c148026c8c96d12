"""Runs and sweeps: when they began, how far they are, and what they found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from sqlalchemy import case, func, insert, select, update

from bridge.ledger.feeds import Feed, is_of_feed
from bridge.ledger.row_mapping import is_in
from bridge.ledger.schema import feeds, records, runs, sweeps
from bridge.records import Origin, Reason, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from bridge.ledger.feeds import Feed

__all__ = [
    "COUNTS",
    "ONLY_A_PART",
    "LastSweep",
    "Run",
    "Sweep",
    "SweepProgress",
    "begin_run",
    "begin_sweep",
    "count_needing_operator",
    "count_run",
    "end_run",
    "end_sweep",
    "find_last_complete",
    "find_last_good",
    "find_last_sweeps",
    "has_unread_list",
    "list_runs",
    "load_sweep_progress",
    "note_missing",
    "note_problem",
]

ONLY_A_PART: Final = "only a part"
"""The problem of a sweep that was to read only a part of its list."""


CHECKPOINT_LIFE = 24 * 60 * 60 * 1000
"""Milliseconds for which an interrupted sweep may be continued."""


COUNTS = (
    "read", "created", "existing", "unchanged", "merged", "skipped", "held", "rejected", "drifted", "pending",
)  # fmt: skip
"""The numbers of a stream in `backfill --json`: all but `read` add up to `read`."""


@dataclass(frozen=True, slots=True)
class LastSweep:
    """The newest sweep of a feed.

    Attributes:
        feed: The feed's number.
        began_at: When it began.
        moved_at: When its last page was written.
        ended_at: When it ended; None while it is in progress, or if it was interrupted.
        complete: It reached the list's end, and every record could be used.
        read: How many records it has seen.
        gone: How many records were marked gone at its end.
        missing: How many would have been marked gone, if that was suspiciously many and none was marked.
        problem: Why it ended early or is not complete; empty if there is no problem.
    """

    feed: int
    began_at: int
    moved_at: int
    ended_at: int | None
    complete: bool
    read: int
    gone: int = 0
    missing: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One reading of a whole list.

    Attributes:
        number: The ledger's number of it.
        position: Where to continue, as the last page gave it; empty for a new sweep.
    """

    number: int
    position: str


def begin_run(
    connection: Connection,
    name: str,
    command: str,
    feeds: Sequence[Feed],
    *,
    now: int,
    leftovers: bool = True,
) -> int:
    """Begin a run.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        command: What is running, for example ``backfill``.
        feeds: The streams that it reads.
        now: The time to note.
        leftovers: It is accountable for what an earlier run has left pending, too.

    Returns:
        The run's number.
    """
    values = {
        "connection": name,
        "command": command,
        "streams": ",".join(feed.stream for feed in feeds),
        "began_at": now,
    }
    number = int(connection.scalar(insert(runs).values(values).returning(runs.c.number)))
    if not leftovers:
        return number
    pending = (
        is_in(records.c.feed, [feed.number for feed in feeds]),
        records.c.state == State.PENDING,
        records.c.gone == 0,  # a gone record waits until it is back, not for a run
    )
    connection.execute(update(records).where(*pending).values(run=number))
    return number


def end_run(
    connection: Connection, number: int, *, complete: bool, counts: dict[str, dict[str, int]], now: int
) -> None:
    """End a run, with its numbers for each stream."""
    values = {"ended_at": now, "complete": int(complete), "counts": orjson.dumps(counts).decode()}
    connection.execute(update(runs).where(runs.c.number == number).values(values))


def begin_sweep(
    connection: Connection, feed: Feed, query: str, *, restart: bool, now: int, list_query: str = ""
) -> Sweep:
    """Begin to read a list, or continue an interrupted sweep of the same query within a day.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of the list.
        query: Fingerprint of the query's text and variables: a checkpoint is valid for no other query.
        restart: Start over in any case.
        now: The time to note.
        list_query: Fingerprint of the query's text alone; hidden records are noted for it.
    """
    last = connection.execute(
        select(sweeps.c.number, sweeps.c.query, sweeps.c.moved_at, sweeps.c.position, sweeps.c.ended_at)
        .where(sweeps.c.feed == feed.number)
        .order_by(sweeps.c.number.desc())
        .limit(1)
    ).first()
    fresh = last is not None and last.ended_at is None and 0 <= now - last.moved_at < CHECKPOINT_LIFE
    if last is not None and fresh and last.query == query and not restart:
        return Sweep(last.number, last.position)
    values = {
        "feed": feed.number,
        "query": query,
        "list_query": list_query,
        "began_at": now,
        "moved_at": now,
    }
    return Sweep(int(connection.scalar(insert(sweeps).values(values).returning(sweeps.c.number))), "")


def end_sweep(connection: Connection, sweep: Sweep, *, complete: bool, now: int, problem: str = "") -> None:
    """End a sweep that reached the list's end.

    Args:
        connection: Inside a writing transaction.
        sweep: The sweep.
        complete: Every record of the list could be used.
        now: The time to note.
        problem: What was wrong with it all the same; empty if nothing was.
    """
    values = {"ended_at": now, "complete": int(complete), "problem": problem}
    connection.execute(update(sweeps).where(sweeps.c.number == sweep.number).values(values))


def note_problem(connection: Connection, sweep: Sweep, problem: str) -> None:
    """Note why a sweep stopped before the list's end. It may still be continued."""
    connection.execute(update(sweeps).where(sweeps.c.number == sweep.number).values(problem=problem))


def note_missing(connection: Connection, sweep: int, missing: int, *, narrowed: bool = False) -> None:
    """Note how many records a sweep would have marked gone, if they were suspiciously many.

    Args:
        connection: Inside a writing transaction.
        sweep: The sweep's number.
        missing: How many.
        narrowed: They exist: the list hides them on purpose.
    """
    values = {"missing": missing, "narrowed": int(narrowed)}
    connection.execute(update(sweeps).where(sweeps.c.number == sweep).values(values))


def find_last_good(connection: Connection, feed: Feed) -> int | None:
    """Return when the last sweep without a problem began; None before the first."""
    good = (sweeps.c.feed == feed.number, sweeps.c.ended_at.is_not(None), sweeps.c.problem == "")
    newest = select(sweeps.c.began_at).where(*good).order_by(sweeps.c.number.desc()).limit(1)
    began_at: int | None = connection.scalar(newest)
    return began_at


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far the sweeps of a feed have come.

    Attributes:
        first_at: When the first one began.
        good_at: When the newest one ended that read every record of its list; None before the first.
        missing: How many records the newest complete one did not find, if these were suspiciously many and
            none was marked gone; otherwise 0.
        narrowed: These records exist: the list hides them on purpose.
    """

    first_at: int
    good_at: int | None
    missing: int
    narrowed: bool = False


def load_sweep_progress(connection: Connection) -> dict[int, SweepProgress]:
    """Return how far the sweeps of each feed have come, by the feed's number; none for a feed without one."""
    of_feed = sweeps.c.feed == feeds.c.number
    good = (of_feed, sweeps.c.ended_at.is_not(None), sweeps.c.problem == "")
    newest = sweeps.c.number.desc()
    first_at = select(sweeps.c.began_at).where(of_feed).order_by(sweeps.c.number).limit(1)
    good_at = select(sweeps.c.ended_at).where(*good).order_by(newest).limit(1)
    complete = (of_feed, sweeps.c.complete == 1)
    missing = select(sweeps.c.missing).where(*complete).order_by(newest).limit(1)
    narrowed = select(sweeps.c.narrowed).where(*complete).order_by(newest).limit(1)
    found = connection.execute(
        select(
            feeds.c.number,
            first_at.scalar_subquery().label("first_at"),
            good_at.scalar_subquery().label("good_at"),
            missing.scalar_subquery().label("missing"),
            narrowed.scalar_subquery().label("narrowed"),
        )
    )
    return {
        row.number: SweepProgress(row.first_at, row.good_at, row.missing or 0, bool(row.narrowed))
        for row in found
        if row.first_at is not None
    }


def has_unread_list(connection: Connection, name: str) -> bool:
    """Return whether a list of a connection was never read to its end."""
    ended = select(sweeps.c.number).where(sweeps.c.feed == feeds.c.number, sweeps.c.ended_at.is_not(None))
    unread = select(feeds.c.number).where(feeds.c.connection == name, ~ended.exists())
    known = select(feeds.c.number).where(feeds.c.connection == name)
    return not connection.scalar(known.limit(1)) or connection.scalar(unread.limit(1)) is not None


def count_run(connection: Connection, feed: Feed, run: int) -> dict[str, int]:
    """Count what happened to each record that a run is accountable for.

    Args:
        connection: Inside any transaction.
        feed: The feed of the records.
        run: The run's number.

    Returns:
        A number for each word of ``COUNTS``; all but ``read`` add up to ``read``.
    """
    answered_now = records.c.answered_run == run
    known = records.c.state.in_((State.DELIVERED, State.DRIFTED))
    word = case(
        (answered_now & known & (records.c.origin == Origin.CREATED), "created"),
        (answered_now & known, "existing"),
        (known & (records.c.filtered == 1), "skipped"),
        (records.c.state == State.DELIVERED, "unchanged"),
        (records.c.state == State.DROPPED, "skipped"),
        ((records.c.state == State.PENDING) & (records.c.gone == 1), "skipped"),
        else_=records.c.state,
    )
    # Not grouped by the word: for that SQLite would sort them all in memory.
    counted = [func.count().filter(word == name).label(name) for name in COUNTS if name != "read"]
    here = select(*counted).where(is_of_feed(feed), records.c.run == run)
    numbers: dict[str, int] = dict(connection.execute(here).mappings().one())
    return {"read": sum(numbers.values()), **numbers}


def count_nameless(connection: Connection, feed: Feed, run: int) -> int:
    """Count the records of a run that are skipped because they have no name."""
    unnamed = (records.c.state == State.SKIPPED, records.c.reason == Reason.NO_NAME)
    here = select(func.count()).where(is_of_feed(feed), records.c.run == run, *unnamed)
    return int(connection.scalar(here) or 0)


def count_needing_operator(connection: Connection, feeds: Sequence[Feed]) -> int:
    """Count the records of these streams that are held or rejected, whatever the run."""
    waiting = select(func.count()).where(records.c.state.in_((State.HELD, State.REJECTED)))
    return sum(int(connection.scalar(waiting.where(is_of_feed(feed))) or 0) for feed in feeds)


def find_last_complete(connection: Connection) -> dict[int, int]:
    """Return when the newest complete sweep of each feed ended, by the feed's number."""
    newest = (
        select(sweeps.c.ended_at)
        .where(sweeps.c.feed == feeds.c.number, sweeps.c.complete == 1)
        .order_by(sweeps.c.number.desc())
        .limit(1)
        .scalar_subquery()
        .label("ended_at")
    )
    found = connection.execute(select(feeds.c.number, newest))
    return {row.number: row.ended_at for row in found if row.ended_at is not None}


def find_last_sweeps(connection: Connection) -> dict[int, LastSweep]:
    """Return the newest sweep of each feed, by the feed's number."""
    newest = select(func.max(sweeps.c.number)).group_by(sweeps.c.feed)
    found = connection.execute(select(sweeps).where(sweeps.c.number.in_(newest)))
    return {
        row.feed: LastSweep(
            feed=row.feed,
            began_at=row.began_at,
            moved_at=row.moved_at,
            ended_at=row.ended_at,
            complete=bool(row.complete),
            read=row.read,
            gone=row.gone,
            missing=row.missing,
            problem=row.problem,
        )
        for row in found
    }


@dataclass(frozen=True, slots=True)
class Run:
    """One run: a backfill, or one job of the daemon.

    Attributes:
        number: The ledger's number of it.
        command: What ran, for example ``backfill``.
        streams: What it reads.
        began_at: When it began.
        ended_at: When it ended; None while it is in progress, or if it was interrupted.
        complete: All was read to its end.
        counts: For each stream, a number for each word of ``COUNTS``; empty until it has ended.
    """

    number: int
    command: str
    streams: Sequence[str]
    began_at: int
    ended_at: int | None
    complete: bool
    counts: Mapping[str, Mapping[str, int]]


def list_runs(connection: Connection, name: str, most: int) -> list[Run]:
    """Return the newest runs of a connection, newest first.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
        most: Maximum number of runs.
    """
    found = connection.execute(
        select(runs).where(runs.c.connection == name).order_by(runs.c.number.desc()).limit(most)
    )
    return [
        Run(
            row.number,
            row.command,
            row.streams.split(","),
            row.began_at,
            row.ended_at,
            bool(row.complete),
            _counts(row.counts),
        )
        for row in found
    ]


def _counts(text: str) -> Mapping[str, Mapping[str, int]]:
    """Parse the numbers of a run; none if they are damaged."""
    try:
        found = orjson.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        stream: {word: number for word, number in of.items() if isinstance(number, int)}
        for stream, of in found.items()
        if isinstance(of, dict)
    }
