"""Where decisions are carried out, one after the other within one transaction.

::

    decide(…) ──> Decision ──> Batch.carry_out ──> Writes: rows, claims, waiting drafts, history

A batch shows each decision to the next one, so two records of one page that want one name are told
apart before anything is written. It also sees to the heirs: when a record gives its name back, or will
never be sent, those merged into it are decided anew, the oldest first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, or_, select

from bridge.ledger.rows import ROW, among, row_of, unpack
from bridge.ledger.schema import claims, records, waiting
from bridge.ledger.writes import NOTED, TO_SEND, Writes
from bridge.records import Decision, Draft, Holder, LedgerRow, Reason, State, Unsendable, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from bridge.decision import HolderOf
    from bridge.ledger.rows import Feed

__all__ = ["Batch"]


class Batch:
    """The decisions of one transaction on the records of one feed.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        now: The time to note.
        decide: How heirs are decided (``decision.decide`` with the policy filled in).
        by: From where a person decided, where one did (see ``Writes``).
    """

    def __init__(
        self,
        connection: Connection,
        feed: Feed,
        now: int,
        decide: Callable[[Draft | Unsendable, LedgerRow, HolderOf], Decision | None],
        by: str = "",
    ) -> None:
        self._connection = connection
        self._feed = feed
        self._decide = decide
        self._holders: dict[str, Holder | None] = {}
        self._changed: dict[int, LedgerRow] = {}
        self._next_number = 0
        self.writes = Writes(connection, feed, now, by)

    def expect(self, keys: Iterable[str]) -> None:
        """Look up at once who holds these names; others are looked up when asked for."""
        wanted = [key for key in set(keys) if key and key not in self._holders]
        if not wanted:
            return
        self._holders.update(dict.fromkeys(wanted))
        self.writes.flush()
        known = {"of_space": self._feed.space, "keys": wanted}
        for row in self._connection.execute(_HOLDERS, known):
            self._holders[row.key] = Holder(
                row.number,
                row.source_id,
                row.same_as,
                row.merged_into,
                bool(row.answered),
                row.state in _IDLE or row.sent_key != row.key,
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

    def as_it_stands(self, row: LedgerRow) -> LedgerRow:
        """A row as this batch has left it."""
        return self._changed.get(row.number, row)

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
        before = self._unknown(decision, seen) if row is None else row
        now = _after(decision, seen, before, sight=sight, trakor_id=trakor_id)
        if decision.claim is not None and self._was_tried(decision.claim.key, before):
            now = replace(now, attempts=1)
        self.writes.row(now, known=row is not None, claims_anew=_claims_anew(now, row))
        self._look_up_anew(now.number, before.sent_key, now.sent_key)
        if decision.claim is not None:
            self.writes.claim(now.number, decision.claim.key)
            self._holders[decision.claim.key] = Holder(now.number, now.id, now.same_as)
        self._keep(decision, seen, now.number, known=row is not None)
        if decision.event:
            self.writes.line(now.number, decision.event, decision.detail)
        self._changed[now.number] = now
        if row is not None and (decision.release or now.state in _IDLE or now.sent_key != row.sent_key):
            self._raise_heirs(row)
        return now

    def _unknown(self, decision: Decision, seen: Draft | Unsendable | None) -> LedgerRow:
        """A row for a record that the ledger knew nothing of."""
        if seen is None:
            raise ValueError("a record that is not known can only be decided on at a sight")
        if not self._next_number:
            self._next_number = (self._connection.scalar(select(func.max(records.c.number))) or 0) + 1
        self._next_number += 1
        return LedgerRow(self._next_number - 1, seen.id, decision.state)

    def _release(self, row: LedgerRow) -> None:
        self.writes.unclaim(row.number, row.sent_key)
        self._holders.pop(row.sent_key, None)

    def _look_up_anew(self, number: int, *keys: str) -> None:
        """What is known of a record as the holder of these names is not true any more."""
        for key in keys:
            holder = self._holders.get(key)
            if holder is not None and holder.number == number:
                del self._holders[key]

    def _was_tried(self, key: str, row: LedgerRow) -> bool:
        """Whether a record comes back to a name that it left unanswered: only what was tried is kept then."""
        holder = self.holder_of(key)
        own = holder is not None and holder.number == row.number and not holder.answered
        return own and key != row.sent_key

    def _raise_heirs(self, row: LedgerRow) -> None:
        """Those merged into a record that left its name are decided on as last seen, the oldest first."""
        self.writes.flush()
        for found in self._connection.execute(_HEIRS, {"claimant": row.number}).all():
            heir = row_of(found)
            draft = unpack(found.body, self._feed.stream).draft
            seen: Draft | Unsendable = replace(draft, read_at=heir.read_at)
            if heir.filtered:
                seen = Unsendable(heir.id, Reason.FILTERED, "", "", heir.fingerprint, heir.read_at)
            decision = self._decide(seen, heir, self.holder_of)
            if decision is not None:
                self.carry_out(decision, seen, heir, sight=False)

    def _keep(self, decision: Decision, seen: Draft | Unsendable | None, number: int, *, known: bool) -> None:
        """See to the stored drafts of a record."""
        if decision.waiting is Waiting.REMOVE and known:
            self.writes.remove(number)
        elif decision.waiting in {Waiting.UNNOTE, Waiting.STORE} and known:
            self.writes.remove_noted(number)
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


_IDLE = frozenset({State.DROPPED, State.SKIPPED})
"""States in which a record is not going to be sent."""

_HOLDER = tuple(
    records.c[name] for name in ("number", "source_id", "same_as", "merged_into", "state", "sent_key")
)
_HOLDERS = (
    select(claims.c.key, claims.c.answered, *_HOLDER)
    .join(records, records.c.number == claims.c.record)
    .where(claims.c.space == bindparam("of_space"), among(claims.c.key, "keys"))
)


_HEIRS = (
    select(*ROW, waiting.c.body)
    .join(waiting, (waiting.c.record == records.c.number) & (waiting.c.slot == TO_SEND))
    .where(
        records.c.merged_into == bindparam("claimant"),
        records.c.gone == 0,
        or_(records.c.state == State.MERGED, records.c.reason.in_((Reason.RENAMED, Reason.REMAPPED))),
    )
    .order_by(records.c.number)
)


def _claims_anew(now: LedgerRow, before: LedgerRow | None) -> bool:
    """Whether the record is to be sent as if it had never been tried."""
    return now.state is State.PENDING and (
        before is None or before.state is not State.PENDING or before.sent_key != now.sent_key
    )


def _after(
    decision: Decision,
    seen: Draft | Unsendable | None,
    row: LedgerRow,
    *,
    sight: bool,
    trakor_id: str | None = None,
) -> LedgerRow:
    """The row as a decision leaves it."""
    changes: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "merged_into": decision.merged_into,
        "seen": decision.seen,
        "filtered": decision.filtered,
        "retry": False,
        "gone": row.gone and not sight,
    }
    if decision.sent is not None:
        changes["sent"] = decision.sent
    if decision.origin is not None:
        changes["origin"] = decision.origin
    if decision.release or decision.reason is Reason.SAME_PARTY:
        changes["attempts"] = 0  # they were made for a name that it has no more, or that is another's
    if seen is not None and sight:
        changes |= {"fingerprint": seen.fingerprint, "read_at": max(row.read_at, seen.read_at)}
    if isinstance(seen, Draft):
        changes |= _under_new_name(decision, seen, row)
    if trakor_id is not None:
        changes["trakor_id"] = trakor_id
    return replace(row, **changes)  # once: each replacing copies the whole row


def _under_new_name(decision: Decision, draft: Draft, row: LedgerRow) -> dict[str, Any]:
    """What of the row follows from the name: a second claim has no answer yet, a merged one no own link."""
    if decision.claim is not None:
        again = row.sent_key == decision.claim.key and not row.answered
        return {
            "same_as": draft.same_as,
            "key": draft.key,
            "sent_key": decision.claim.key,
            "attempts": row.attempts if again else 0,
            "trakor_id": None,
            "origin": None,
        }
    if decision.merged_under:
        return {
            "same_as": draft.same_as,
            "key": draft.key,
            "sent_key": decision.merged_under,
            "attempts": 0,
            "trakor_id": None,
            "origin": None,
        }
    return {"same_as": draft.same_as}
