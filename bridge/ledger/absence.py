"""What a complete sweep did not see: marked `gone`, unless that would be suspiciously much.

Absence must be proven: only a sweep that reached the list's end without an error proves anything, and
one that misses a large share of what is known proves that something is wrong with the list. Nothing is
ever deleted in Trakor; a record that is seen again loses the mark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, select, update

from bridge.decision import decide, give_back
from bridge.ledger.batch import Batch
from bridge.ledger.rows import ROW, all_of, among, row_of
from bridge.ledger.schema import records, sweeps
from bridge.records import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed
    from bridge.records import Policy

__all__ = ["FEW", "Absent", "absent", "mark_gone"]

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
    found = connection.execute(select(*ROW).where(*some).order_by(records.c.number).limit(AT_ONCE)).all()
    numbers = [row.number for row in found]
    # All of them first: a name that one gives back must not go to another that is gone likewise.
    connection.execute(update(records).where(among(records.c.number, numbers)).values(gone=1))
    batch = Batch(connection, feed, now, partial(decide, policy=policy))
    for row in (replace(row_of(one), gone=True) for one in found):
        if row.state is State.PENDING and not row.attempts:
            batch.carry_out(give_back(row), None, row, sight=False)
        batch.writes.line(row.number, "gone", "no longer in Salestrekker's list")
    batch.writes.flush()
    if numbers:
        connection.execute(_MORE_GONE, {"of_sweep": sweep, "more": len(numbers)})
    return numbers
