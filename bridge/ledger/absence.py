"""What a complete sweep did not see: marked `gone`, unless that would be suspiciously much.

Absence must be proven: only a sweep that reached the list's end without an error proves anything, and
one that misses a large share of what is known proves that something is wrong with the list. Nothing is
ever deleted in Trakor; a record that is seen again loses the mark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, or_, select, update

from bridge.decision import decide, give_back
from bridge.ledger.batch import Batch
from bridge.ledger.rows import KNOWN, all_of, among, row_of
from bridge.ledger.schema import records, sweeps
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed
    from bridge.records import LedgerRow, Policy

__all__ = ["FEW", "Absent", "absent", "mark_gone", "mark_gone_by_id"]

FEW: Final = 10
"""So many may always be marked, however small the list is."""

AT_ONCE: Final = 100
"""Rows that one transaction marks at most, so that a webhook's never waits long behind it."""


@dataclass(frozen=True, slots=True)
class Absent:
    """What a complete sweep did not see.

    Attributes:
        unseen: How many records that were not gone before.
        known: How many were not gone before, seen or not.
    """

    unseen: int
    known: int

    def too_many(self, share: float) -> bool:
        """Whether it is more than this share of what is known, and more than a few."""
        return self.unseen > FEW and self.unseen > share * self.known


_MORE_GONE = (
    update(sweeps)
    .where(sweeps.c.number == bindparam("of_sweep"))
    .values(gone=sweeps.c.gone + bindparam("more"))
)

_NOT_READ_SINCE = KNOWN.where(
    records.c.feed == bindparam("of_feed"),
    among(records.c.source_id, "ids"),
    records.c.gone == 0,
    # A read in the future is none that is later: the clock was set back since.
    or_(records.c.read_at <= bindparam("at"), records.c.read_at > bindparam("now")),
).order_by(records.c.number)
_GONE = (
    update(records).where(records.c.number == bindparam("row_number")).values(gone=1, read_at=bindparam("at"))
)


def _unseen(feed: Feed, sweep: int) -> tuple[Any, ...]:
    """Not seen by this sweep, nor read by id since it began."""
    began_at = select(sweeps.c.began_at).where(sweeps.c.number == sweep).scalar_subquery()
    return (
        all_of(feed),
        records.c.gone == 0,
        records.c.sweep != sweep,
        records.c.read_at < began_at,
    )


def absent(connection: Connection, feed: Feed, sweep: int) -> Absent:
    """Count what a complete sweep did not see.

    Args:
        connection: Inside any transaction.
        feed: Whose list was swept.
        sweep: The sweep's number.
    """
    unseen = select(func.count()).select_from(records).where(*_unseen(feed, sweep))
    known = select(func.count()).select_from(records).where(all_of(feed), records.c.gone == 0)
    return Absent(int(connection.scalar(unseen) or 0), int(connection.scalar(known) or 0))


def mark_gone(
    connection: Connection, feed: Feed, sweep: int, policy: Policy, *, after: int, now: int
) -> list[int]:
    """Mark some of what a complete sweep did not see; to be called until it gives none.

    One that was never sent gives its name back, and is not sent while it is gone.

    Args:
        connection: Inside a writing transaction.
        feed: Whose list was swept.
        sweep: The sweep's number.
        policy: What the user chose for this stream.
        after: Number of the last record marked so far, 0 at first.
        now: The time to note.

    Returns:
        The numbers of those marked, in rising order.
    """
    some = (*_unseen(feed, sweep), records.c.number > after)
    found = connection.execute(KNOWN.where(*some).order_by(records.c.number).limit(AT_ONCE)).all()
    numbers = _mark(connection, feed, [row_of(one) for one in found], policy, now)
    if numbers:
        connection.execute(_MORE_GONE, {"of_sweep": sweep, "more": len(numbers)})
    return numbers


def mark_gone_by_id(
    connection: Connection,
    feed: Feed,
    source_ids: Collection[str],
    policy: Policy,
    *,
    read_at: int,
    now: int,
) -> list[int]:
    """Mark what a webhook said was deleted, and was then asked for by its id and was not there.

    One that was read later than that is there again, and one that is not known stays so.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records.
        source_ids: Salestrekker's ids of them, at most some hundred.
        policy: What the user chose for this stream.
        read_at: When the read began that did not find them: a page read earlier does not bring them back.
        now: The time to note.

    Returns:
        The numbers of those marked, in rising order.
    """
    asked = {"of_feed": feed.number, "ids": list(source_ids), "at": read_at, "now": now}
    found = [row_of(one) for one in connection.execute(_NOT_READ_SINCE, asked)]
    return _mark(connection, feed, [replace(row, read_at=read_at) for row in found], policy, now)


def _mark(
    connection: Connection, feed: Feed, rows: Sequence[LedgerRow], policy: Policy, now: int
) -> list[int]:
    """Mark these records; those that were never sent give their names back."""
    numbers = [row.number for row in rows]
    # All of them first: a name that one gives back must not go to another that is gone likewise.
    if rows:
        connection.execute(_GONE, [{"row_number": row.number, "at": row.read_at} for row in rows])
    batch = Batch(connection, feed, now, partial(decide, policy=policy))
    for row in rows:
        gone = replace(row, gone=True)
        if row.state is State.PENDING and not row.attempts:
            batch.carry_out(give_back(gone), None, gone, sight=False)
        batch.writes.line(row.number, "gone", "no longer in Salestrekker's list")
        batch.see_to_merged(row, gone)
    batch.writes.flush()
    return numbers
