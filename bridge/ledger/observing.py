"""What was seen is decided on and written: one page, one transaction, its checkpoint with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, select, update

from bridge.decision import is_stale
from bridge.ledger.batch import Batch
from bridge.ledger.rows import ROW, among, row_of
from bridge.ledger.schema import records, sweeps
from bridge.records import Draft, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from bridge.decision import HolderOf
    from bridge.ledger.rows import Feed
    from bridge.records import Decision, LedgerRow, Policy, Unsendable

__all__ = ["Observed", "Sight", "observe"]


# Statements are made once: to build one costs ten times as much as to run it for one row.

_KNOWN = select(*ROW, records.c.sweep).where(
    records.c.feed == bindparam("of_feed"), among(records.c.source_id, "ids")
)
_SEEN = {
    "run": case((bindparam("of_run") > 0, bindparam("of_run")), else_=records.c.run),
    "sweep": case((bindparam("of_sweep") > 0, bindparam("of_sweep")), else_=records.c.sweep),
}
_SEEN_UNCHANGED = (
    update(records)
    .where(among(records.c.number, "numbers"))
    .values(
        **_SEEN,
        fingerprint=bindparam("made_by"),
        read_at=case(
            (records.c.read_at > bindparam("at"), bindparam("began_at")),
            else_=func.max(records.c.read_at, bindparam("began_at")),
        ),
    )
)
_SEEN_CHANGED = (
    update(records)
    .where(records.c.feed == bindparam("of_feed"), among(records.c.source_id, "ids"))
    .values(**_SEEN)
)
_MOVE = (
    update(sweeps)
    .where(sweeps.c.number == bindparam("of_sweep"))
    .values(
        position=func.coalesce(bindparam("to_position"), sweeps.c.position),
        moved_at=bindparam("at"),
        read=sweeps.c.read + bindparam("more"),
    )
)


@dataclass(frozen=True, slots=True)
class Sight:
    """In which run and sweep something was seen.

    Attributes:
        run: Number of the run, 0 for none.
        sweep: Number of the sweep, 0 where records were read by id.
        position: How far the sweep is once this is written: its checkpoint; None leaves it.
    """

    run: int = 0
    sweep: int = 0
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a page came to.

    Attributes:
        fresh: How many of its records this sweep had not seen yet.
        pending: How many are to be sent because of it.
    """

    fresh: int
    pending: int


def observe(
    connection: Connection,
    feed: Feed,
    seen: Sequence[Draft | Unsendable],
    sight: Sight,
    *,
    decide: Callable[[Draft | Unsendable, LedgerRow | None, HolderOf, Policy], Decision | None],
    policy: Policy,
    now: int,
) -> Observed:
    """Decide on what was seen, in turn, and write the decisions and the sweep's checkpoint.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        seen: A page as mapping made it. Of an id that stands in it twice the last one counts.
        sight: In which run and sweep.
        decide: ``decision.decide``.
        policy: What the user chose for this stream.
        now: The time to note.

    Returns:
        What the page came to.
    """
    page = list({one.id: one for one in seen}.values())
    rows, fresh = _known(connection, feed, page, sight.sweep, now)
    batch = Batch(connection, feed, now, lambda one, row, holder_of: decide(one, row, holder_of, policy))
    batch.expect(_names_in_question(page, rows))
    pending = 0
    unchanged: dict[str, int] = {}
    for one in page:
        known = rows.get(one.id)
        row = None if known is None else batch.as_it_stands(known)
        decision = decide(one, row, batch.holder_of, policy)
        if decision is not None:
            pending += batch.carry_out(decision, one, row).state is State.PENDING
        elif row is not None and not is_stale(one, row):
            unchanged[one.id] = row.number
    batch.writes.flush()
    _touch(connection, feed, page, unchanged, sight, now)
    if sight.sweep:
        moved = {"of_sweep": sight.sweep, "to_position": sight.position, "at": now, "more": fresh}
        connection.execute(_MOVE, moved)
    return Observed(fresh, pending)


def _known(
    connection: Connection, feed: Feed, page: Sequence[Draft | Unsendable], sweep: int, now: int
) -> tuple[dict[str, LedgerRow], int]:
    """What the ledger knows of a page's records, and how many of the page are new to this sweep."""
    found = connection.execute(_KNOWN, {"of_feed": feed.number, "ids": [one.id for one in page]}).all()
    seen_already = sum(row.sweep == sweep for row in found) if sweep else 0
    return {row.source_id: _timely(row_of(row), now) for row in found}, len(page) - seen_already


def _timely(row: LedgerRow, now: int) -> LedgerRow:
    """The row, unless it says that it was read in the future: then the clock was set back since.

    Nothing is older than such a time, so it must not keep what is seen now from being decided on.
    """
    return row if row.read_at <= now else replace(row, read_at=0)


def _names_in_question(page: Sequence[Draft | Unsendable], rows: dict[str, LedgerRow]) -> list[str]:
    """The names whose holders a page is likely to ask for: all but those of records that Trakor has."""
    names = []
    for one in page:
        row = rows.get(one.id)
        if isinstance(one, Draft) and (row is None or (not row.answered and row.key != one.key)):
            names += [one.key, one.qualified_key]
        if row is not None and row.merged_into is not None:
            names.append(row.sent_key)
    return names


def _touch(
    connection: Connection,
    feed: Feed,
    page: Sequence[Draft | Unsendable],
    unchanged: dict[str, int],
    sight: Sight,
    now: int,
) -> None:
    """Note that the page was seen: an unchanged record's read and rules, all records' sweep and run."""
    where = {"of_run": sight.run, "of_sweep": sight.sweep}
    if unchanged:
        of_all = {"made_by": page[0].fingerprint, "began_at": page[0].read_at, "at": now}
        connection.execute(_SEEN_UNCHANGED, {**where, **of_all, "numbers": list(unchanged.values())})
    changed = [one.id for one in page if one.id not in unchanged]
    if changed and (sight.run or sight.sweep):
        connection.execute(_SEEN_CHANGED, {**where, "of_feed": feed.number, "ids": changed})
