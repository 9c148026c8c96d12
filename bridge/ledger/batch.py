"""Where decisions are carried out, one after the other within one transaction.

::

    decide(…) ──> Decision ──> Batch.carry_out ──> Writes: rows, claims, waiting drafts, history

A batch shows each decision to the next one, so two records of one page that want one name are told
apart before anything is written. It also sees to the heirs: when a record that was never sent gives
its name back, those merged into it are decided anew, the oldest first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from bridge.ledger.rows import ROW, among, row_of, unpack
from bridge.ledger.schema import claims, records, waiting
from bridge.ledger.writes import NOTED, TO_SEND, Writes
from bridge.records import Decision, Draft, Holder, LedgerRow, State, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from bridge.decision import HolderOf
    from bridge.ledger.rows import Feed
    from bridge.records import Unsendable

__all__ = ["Batch"]


class Batch:
    """The decisions of one transaction on the records of one feed.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        now: The time to note.
        decide_anew: How heirs are decided (``decision.decide_anew`` with the policy filled in).
    """

    def __init__(
        self,
        connection: Connection,
        feed: Feed,
        now: int,
        decide_anew: Callable[[Draft, LedgerRow, HolderOf], Decision | None],
    ) -> None:
        self._connection = connection
        self._feed = feed
        self._decide_anew = decide_anew
        self._holders: dict[str, Holder | None] = {}
        self._changed: dict[int, LedgerRow] = {}
        self._next_number = 0
        self.writes = Writes(connection, feed, now)

    def expect(self, keys: Iterable[str]) -> None:
        """Look up at once who holds these names; others are looked up when asked for."""
        wanted = [key for key in set(keys) if key and key not in self._holders]
        if not wanted:
            return
        self._holders.update(dict.fromkeys(wanted))
        self.writes.flush()
        found = select(claims.c.key, claims.c.answered, *_HOLDER).join(
            records, records.c.number == claims.c.record
        )
        where = (claims.c.space == self._feed.space, among(claims.c.key, wanted))
        for row in self._connection.execute(found.where(*where)):
            self._holders[row.key] = Holder(
                row.number, row.source_id, row.same_as, row.merged_into, bool(row.answered)
            )

    def holder_of(self, key: str) -> Holder | None:
        """Who holds the claim on a name, decisions of this batch included."""
        if key not in self._holders:
            self.expect((key,))
        return self._holders.get(key)

    def claim_returned(self, number: int, key: str) -> None:
        """A record claims the name that Trakor answered with; its holder is looked up anew when asked for."""
        self.writes.claim_returned(number, key)
        self._holders.pop(key, None)

    def current(self, row: LedgerRow | None) -> LedgerRow | None:
        """A row as this batch has left it."""
        return None if row is None else self._changed.get(row.number, row)

    def carry_out(
        self,
        decision: Decision,
        seen: Draft | Unsendable | None,
        row: LedgerRow | None,
        *,
        sight: bool = True,
        trakor_id: str | None = None,
    ) -> LedgerRow:
        """Carry out one decision.

        Args:
            decision: What was decided.
            seen: What it was decided on; None where that is an answer alone.
            row: The record as it stood; None where it was not known.
            sight: The record was just seen in the source (False: an old draft is decided on again).
            trakor_id: The id that Trakor answered with, where the record is linked to it.

        Returns:
            The record as it stands now.
        """
        if decision.release and row is not None:
            self._release(row)
        now = _after(decision, seen, row, number=row.number if row else self._allocate(), sight=sight)
        if trakor_id is not None:
            now = replace(now, trakor_id=trakor_id)
        self.writes.row(now, known=row is not None, claims_anew=_claims_anew(now, row))
        if decision.claim is not None:
            self.writes.claim(now.number, decision.claim.key)
            self._holders[decision.claim.key] = Holder(now.number, now.id, now.same_as)
        self._keep(decision, seen, now.number, known=row is not None)
        if decision.event:
            self.writes.line(now.number, decision.event, decision.detail)
        self._changed[now.number] = now
        if decision.release and row is not None:
            self._raise_heirs(row)
        return now

    def _allocate(self) -> int:
        if not self._next_number:
            self._next_number = (self._connection.scalar(select(func.max(records.c.number))) or 0) + 1
        self._next_number += 1
        return self._next_number - 1

    def _release(self, row: LedgerRow) -> None:
        self.writes.unclaim(row.number, row.sent_key)
        self._holders.pop(row.sent_key, None)

    def _raise_heirs(self, row: LedgerRow) -> None:
        """Those merged into a record that gave its name back are decided anew, the oldest first."""
        self.writes.flush()
        merged = (
            select(*ROW, waiting.c.body)
            .join(waiting, waiting.c.record == records.c.number)
            .where(
                records.c.merged_into == row.number,
                records.c.state == State.MERGED,
                records.c.gone == 0,
                records.c.filtered == 0,
                waiting.c.slot == TO_SEND,
            )
            .order_by(records.c.number)
        )
        for found in self._connection.execute(merged).all():
            draft = unpack(found.body, self._feed.stream).draft
            heir = row_of(found)
            decision = self._decide_anew(draft, heir, self.holder_of)
            if decision is not None:
                self.carry_out(decision, draft, heir, sight=False)

    def _keep(self, decision: Decision, seen: Draft | Unsendable | None, number: int, *, known: bool) -> None:
        """See to the stored drafts of a record."""
        if decision.waiting is Waiting.REMOVE and known:
            self.writes.remove(number, TO_SEND)
        if decision.waiting in {Waiting.REMOVE, Waiting.UNNOTE} and known:
            self.writes.remove(number, NOTED)
        if not isinstance(seen, Draft):
            return
        if decision.waiting is Waiting.NOTE:
            self.writes.store(number, NOTED, seen, seen.payload.name)
        elif decision.waiting is Waiting.STORE:
            self.writes.store(number, TO_SEND, seen, self._send_as(decision, seen, number))
        elif decision.waiting is Waiting.REFRESH and TO_SEND in self.writes.stored(number):
            self.writes.store(number, TO_SEND, seen, seen.payload.name)

    def _send_as(self, decision: Decision, draft: Draft, number: int) -> str:
        """The name to send: the one claimed now, or the one that a person gave, or as mapped."""
        if decision.claim is not None:
            return decision.claim.name
        if decision.state is State.PENDING:
            return self.writes.stored(number)[TO_SEND].send_as
        return draft.payload.name


_HOLDER = (records.c.number, records.c.source_id, records.c.same_as, records.c.merged_into)


def _claims_anew(now: LedgerRow, before: LedgerRow | None) -> bool:
    """Whether the record is to be sent as if it had never been tried."""
    return now.state is State.PENDING and (
        before is None or before.state is not State.PENDING or before.sent_key != now.sent_key
    )


def _after(
    decision: Decision, seen: Draft | Unsendable | None, row: LedgerRow | None, *, number: int, sight: bool
) -> LedgerRow:
    """The row as a decision leaves it."""
    if row is None:
        if seen is None:
            raise ValueError("a record that is not known can only be decided on at a sight")
        row = LedgerRow(number, seen.id, decision.state)
    now = replace(
        row,
        state=decision.state,
        reason=decision.reason,
        merged_into=decision.merged_into,
        sent=row.sent if decision.sent is None else decision.sent,
        seen=decision.seen,
        filtered=decision.filtered,
        origin=decision.origin or row.origin,
        retry=False,
        gone=row.gone and not sight,
    )
    if seen is not None and sight:
        now = replace(now, fingerprint=seen.fingerprint, read_at=max(row.read_at, seen.read_at))
    return _under_new_name(decision, seen, now) if isinstance(seen, Draft) else now


def _under_new_name(decision: Decision, draft: Draft, row: LedgerRow) -> LedgerRow:
    """What of the row follows from the name: a second claim has no answer yet, a merged one no own link."""
    row = replace(row, same_as=draft.same_as)
    if decision.claim is not None:
        again = row.sent_key == decision.claim.key and not row.answered
        return replace(
            row,
            key=draft.key,
            sent_key=decision.claim.key,
            attempts=row.attempts if again else 0,
            trakor_id=None,
            origin=None,
        )
    if decision.state is State.MERGED:
        return replace(row, key=draft.key, sent_key=draft.key, trakor_id=None, origin=None, attempts=0)
    return row
