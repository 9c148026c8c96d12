"""Records that a complete sweep did not see, and which of them are marked `gone`.

A record is marked only with proof: a read by its id that finds nothing, or two complete sweeps. If a sweep
misses a large share of the known records, something is wrong with the list. Nothing is ever deleted in
Trakor. A record that is read again loses the mark.

A record is *hidden* if the list does not show it on purpose: it was found by its id when a sweep with the
same query text missed suspiciously many. It is not checked again until the text changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, bindparam, func, not_, or_, select, update

from bridge.decision import give_back
from bridge.ledger.decision_writer import DecisionWriter
from bridge.ledger.feeds import is_of_feed
from bridge.ledger.row_mapping import KNOWN, is_in, to_ledger_row
from bridge.ledger.schema import records, sweeps
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement, Connection

    from bridge.ledger.feeds import Feed
    from bridge.records import LedgerRow, Policy

__all__ = [
    "FEW",
    "MarkResult",
    "UnseenCount",
    "count_unseen",
    "find_unseen",
    "mark_gone_by_id",
    "mark_missed_again",
    "note_hidden",
    "sample_unseen",
]

FEW: Final = 10
"""This many records may always be marked, however small the list is."""

AT_ONCE: Final = 100
"""Maximum number of rows that one transaction marks, so that a webhook's transaction never waits long."""


@dataclass(frozen=True, slots=True)
class UnseenCount:
    """How many records a complete sweep did not see.

    Attributes:
        unseen: Records that were not gone before, and were not seen.
        known: Records that were not gone before, seen or not. Hidden records count in neither number.
    """

    unseen: int
    known: int

    def too_many(self, share: float) -> bool:
        """Return whether these are more than this share of the known records, and more than a few."""
        return self.unseen > FEW and self.unseen > share * self.known


@dataclass(frozen=True, slots=True)
class MarkResult:
    """The result of one batch of unseen records.

    Attributes:
        last: Number of the batch's last record.
        gone: How many were marked gone. The others were noted as missed once.
    """

    last: int
    gone: int


_MORE_GONE = (
    update(sweeps)
    .where(sweeps.c.number == bindparam("of_sweep"))
    .values(gone=sweeps.c.gone + bindparam("more"))
)

_NOT_READ_SINCE = KNOWN.where(
    records.c.feed == bindparam("of_feed"),
    is_in(records.c.source_id, "ids"),
    records.c.gone == 0,
    # A read in the future does not count as later: the clock was set back since.
    or_(records.c.read_at <= bindparam("at"), records.c.read_at > bindparam("now")),
).order_by(records.c.number)
_GONE = (
    update(records).where(records.c.number == bindparam("row_number")).values(gone=1, read_at=bindparam("at"))
)


_MISSED = update(records).where(is_in(records.c.number, "numbers")).values(missed=bindparam("by_sweep"))

_SCATTERED: Final = (records.c.number * 2_654_435_761) % 4_294_967_296
"""A repeatable order that is unrelated to the order of the records."""


def _hidden(sweep: int) -> ColumnElement[bool]:
    """Return the condition: known to exist although a list of this sweep's query does not show it."""
    this = sweeps.alias()
    alike = select(sweeps.c.number).where(
        this.c.number == sweep,
        sweeps.c.feed == this.c.feed,
        sweeps.c.list_query == this.c.list_query,
        sweeps.c.narrowed == 1,
    )
    return and_(records.c.missed > records.c.sweep, records.c.missed.in_(alike))


def _here(feed: Feed, sweep: int) -> tuple[ColumnElement[bool], ...]:
    """Return the condition: a complete sweep is expected to see it."""
    return (is_of_feed(feed), records.c.gone == 0, not_(_hidden(sweep)))


def _unseen(feed: Feed, sweep: int) -> tuple[ColumnElement[bool], ...]:
    """Return the condition: not seen by this sweep, nor read by id since the sweep began."""
    began_at = select(sweeps.c.began_at).where(sweeps.c.number == sweep).scalar_subquery()
    return (*_here(feed, sweep), records.c.sweep != sweep, records.c.read_at < began_at)


def count_unseen(connection: Connection, feed: Feed, sweep: int) -> UnseenCount:
    """Count what a complete sweep did not see.

    Args:
        connection: Inside any transaction.
        feed: The feed whose list was swept.
        sweep: The sweep's number.
    """
    unseen = select(func.count()).select_from(records).where(*_unseen(feed, sweep))
    known = select(func.count()).select_from(records).where(*_here(feed, sweep))
    return UnseenCount(int(connection.scalar(unseen) or 0), int(connection.scalar(known) or 0))


def find_unseen(connection: Connection, feed: Feed, sweep: int, *, after: int, most: int) -> dict[int, str]:
    """Return some records that a complete sweep did not see: Salestrekker's ids by the ledger's numbers.

    Args:
        connection: Inside any transaction.
        feed: The feed whose list was swept.
        sweep: The sweep's number.
        after: Number of the last record that was returned before, 0 at first.
        most: Maximum number of records.
    """
    some = (*_unseen(feed, sweep), records.c.number > after)
    wanted = select(records.c.number, records.c.source_id).where(*some)
    found = connection.execute(wanted.order_by(records.c.number).limit(most))
    return {row.number: row.source_id for row in found}


def sample_unseen(connection: Connection, feed: Feed, sweep: int, *, most: int) -> list[str]:
    """Return Salestrekker's ids of some of them, from all parts of the list."""
    wanted = select(records.c.source_id).where(*_unseen(feed, sweep)).order_by(_SCATTERED).limit(most)
    return list(connection.scalars(wanted))


def note_hidden(connection: Connection, feed: Feed, sweep: int, *, after: int) -> int | None:
    """Note for a batch of them that this sweep's list hides them. Call it until it returns None.

    The notes take effect once the sweep is noted as one of a narrowed list (``note_missing``).

    Args:
        connection: Inside a writing transaction.
        feed: The feed whose list was swept.
        sweep: The sweep's number.
        after: Number of the last record noted so far, 0 at first.
    """
    numbers = list(find_unseen(connection, feed, sweep, after=after, most=AT_ONCE))
    if not numbers:
        return None
    connection.execute(_MISSED, {"numbers": numbers, "by_sweep": sweep})
    return numbers[-1]


def mark_missed_again(
    connection: Connection, feed: Feed, sweep: int, policy: Policy, *, after: int, now: int
) -> MarkResult | None:
    """Mark a batch of what two complete sweeps did not see. Call it until it returns None.

    Used if records cannot be read by their ids. A record that was never sent releases its name, and is not
    sent while it is gone. A record that only this sweep has missed is noted and left alone.

    Args:
        connection: Inside a writing transaction.
        feed: The feed whose list was swept.
        sweep: The sweep's number.
        policy: What the user chose for this stream.
        after: Number of the last record looked at so far, 0 at first.
        now: The time to note.
    """
    numbers = list(find_unseen(connection, feed, sweep, after=after, most=AT_ONCE))
    if not numbers:
        return None
    narrowed = select(sweeps.c.number).where(sweeps.c.feed == feed.number, sweeps.c.narrowed == 1)
    again = and_(
        records.c.missed > records.c.sweep, records.c.missed != sweep, records.c.missed.not_in(narrowed)
    )
    these = KNOWN.where(records.c.number.in_(numbers), again).order_by(records.c.number)
    gone = _mark(
        connection, feed, [to_ledger_row(one) for one in connection.execute(these)], policy, now, sweep
    )
    once = sorted(set(numbers) - set(gone))
    connection.execute(_MISSED, {"numbers": once, "by_sweep": sweep})
    return MarkResult(numbers[-1], len(gone))


def mark_gone_by_id(
    connection: Connection,
    feed: Feed,
    source_ids: Collection[str],
    policy: Policy,
    *,
    read_at: int,
    now: int,
    sweep: int = 0,
) -> list[int]:
    """Mark records that were requested by id and were not found, without an error.

    That is proof only for a record that a webhook reported as deleted, or that a complete sweep did not
    see. A record that was read later exists again; an unknown one stays unknown.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of the records.
        source_ids: Salestrekker's ids of them, at most a few hundred.
        policy: What the user chose for this stream.
        read_at: When the read that did not find them began: a page read earlier does not bring them back.
        now: The time to note.
        sweep: The number of the sweep that did not see them; 0 for a webhook.

    Returns:
        The numbers of the marked records, in ascending order.
    """
    asked = {"of_feed": feed.number, "ids": list(source_ids), "at": read_at, "now": now}
    found = [to_ledger_row(one) for one in connection.execute(_NOT_READ_SINCE, asked)]
    return _mark(connection, feed, [row._replace(read_at=read_at) for row in found], policy, now, sweep)


def _mark(
    connection: Connection,
    feed: Feed,
    rows: Sequence[LedgerRow],
    policy: Policy,
    now: int,
    sweep: int,
) -> list[int]:
    """Mark these records. Those that were never sent release their names."""
    numbers = [row.number for row in rows]
    # Mark all of them first: a released name must not go to another record that is gone too.
    if rows:
        connection.execute(_GONE, [{"row_number": row.number, "at": row.read_at} for row in rows])
    batch = DecisionWriter(connection, feed, policy, now)
    for row in rows:
        gone = row._replace(gone=True)
        if row.state is State.PENDING and not row.attempts:
            batch.carry_out(give_back(gone), None, gone, just_seen=False)
        batch.writes.line(row.number, "gone", "no longer in Salestrekker's list")
        batch.update_merged(row, gone)
    batch.writes.flush()
    if sweep and numbers:
        connection.execute(_MORE_GONE, {"of_sweep": sweep, "more": len(numbers)})
    return numbers
