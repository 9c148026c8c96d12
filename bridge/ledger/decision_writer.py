"""Writes the decisions of one transaction: it applies them one after the other, and writes them in bulk.

::

    decide(…) ──> Decision ──> carry_out ──> RowWrites: rows, claims, stored drafts, history

Each decision sees those before it, so two records of one page that want one name get different ones before
anything is written. If a record gives its name back, or no longer represents the records merged into it,
the oldest living one of them succeeds it (``claim_transfer``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from bridge.decision import (
    can_succeed,
    decide,
    has_new_identifiers,
    hold_after_drop,
    hold_if_conflicting,
    is_comparable,
    is_decided,
    rehash,
    represents_name,
    succeed,
)
from bridge.ledger.claim_transfer import Succession
from bridge.ledger.connection_and_scope_renames import find_unconfigured_feeds
from bridge.ledger.damage_tolerant_columns import MAX_NUMBER
from bridge.ledger.name_holders import NameHolders
from bridge.ledger.row_mapping import KNOWN, to_ledger_row
from bridge.ledger.row_writes import NOTED, TO_SEND, TRAKOR_TEXT, RowWrites, observation_key
from bridge.ledger.schema import links, records
from bridge.ledger.sealed_texts import to_texts
from bridge.records import (
    Decision,
    Draft,
    DraftAction,
    LedgerRow,
    NameHolder,
    Origin,
    Reason,
    State,
    Unsendable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from bridge.ledger.feeds import Feed
    from bridge.records import NameClaim, Policy, Rules

__all__ = ["DecisionWriter", "apply_to_row"]

_WANTS = frozenset({Reason.SAME_NAME, Reason.SAME_PERSON})


def apply_to_row(
    decision: Decision,
    seen: Draft | Unsendable | None,
    row: LedgerRow,
    *,
    just_seen: bool,
    trakor_id: str | None = None,
) -> LedgerRow:
    """Return the row as a decision leaves it.

    Args:
        decision: What was decided.
        seen: What it was decided on; None if that is an answer alone.
        row: The record as it was.
        just_seen: The record was just read from the source.
        trakor_id: The id that Trakor answered with, if the record is linked to it.
    """
    changes: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "merged_into": decision.merged_into,
        "merged_by": decision.merged_by,
        "seen": decision.seen,
        "filtered": decision.filtered,
        "remapped": decision.remapped,
        "dismissed": decision.dismissed,
        "given": decision.given,
        "retry": False,
        "gone": row.gone and not just_seen,
    }
    if decision.sent is not None:
        changes["sent"] = decision.sent
    if decision.content is not None:
        changes["content"] = decision.content
    if decision.origin is not None:
        changes["origin"] = decision.origin
    if decision.release:
        changes["attempts"] = 0  # they were made for the released name
    if seen is not None and just_seen:
        changes |= {"rules": _rules(seen, row, changes), "read_at": max(row.read_at, seen.read_at)}
    if isinstance(seen, Draft):
        changes |= _of_draft(decision, seen, row, just_seen=just_seen)
    elif decision.merged_under:
        changes["sent_key"] = decision.merged_under
    if trakor_id is not None:
        changes["trakor_id"] = trakor_id
    return row._replace(**changes)  # once: each replacement copies the whole row


def _rules(seen: Draft | Unsendable, row: LedgerRow, changes: dict[str, Any]) -> Rules:
    """Return the rules that the record is compared by at its next read."""
    last_seen = changes["seen"]
    if last_seen is None:
        last_seen = changes.get("sent", row.sent)
    first = isinstance(seen, Draft) and (row.first or not row.rules.map)
    moves = first or is_comparable(seen, last_seen, changes["state"])
    return seen.rules if moves else row.rules


def _of_draft(decision: Decision, draft: Draft, row: LedgerRow, *, just_seen: bool) -> dict[str, Any]:
    """Return what follows from a draft: a second claim has no answer yet, a merged record no link."""
    changes: dict[str, Any] = {"identifiers": draft.identifiers}
    if just_seen:
        changes["first"] = row.first and not draft.first_hashes
    key = _key_of(decision.claim) or decision.merged_under
    if key:
        again = row.sent_key == key and not row.answered
        changes |= {
            "key": draft.key,
            "sent_key": key,
            "attempts": row.attempts if again else 0,
            "trakor_id": None,
            "origin": None,
            "content": {},
        }
    elif (
        decision.state is State.HELD and decision.reason in _WANTS and (decision.release or not row.sent_key)
    ):
        changes["key"] = draft.key
    elif decision.state is State.PENDING and decision.given and decision.sent == draft.hashes:
        changes["key"] = draft.key  # the name that an operator gave is sent instead
    return changes


def _key_of(claim: NameClaim | None) -> str:
    return "" if claim is None else claim.key


class DecisionWriter:
    """The decisions of one transaction on the records of one feed.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        policy: What the user chose for this stream.
        now: The time to note.
        by: Where an operator decided, if one did (see ``RowWrites``).
    """

    def __init__(
        self,
        connection: Connection,
        feed: Feed,
        policy: Policy,
        now: int,
        by: str = "",
    ) -> None:
        self._connection = connection
        self._feed = feed
        self._policy = policy
        self._changed: dict[int, LedgerRow] = {}
        self._next_number = 0
        self.writes = RowWrites(connection, feed, now, by)
        self._holders = NameHolders(connection, feed, self.writes.flush)
        self._succession = Succession(connection, feed, self.writes)

    def expect(self, keys: Iterable[str]) -> None:
        """Look up the holders of these names with one query; others are looked up when requested."""
        self._holders.expect(keys)

    def holder_of(self, key: str) -> NameHolder | None:
        """Return the holder of a name, including decisions of this transaction."""
        return self._holders.of(key)

    def claim_returned(self, number: int, key: str) -> None:
        """Claim the name that Trakor answered with for a record; look its holder up again when requested."""
        self.writes.claim_returned(number, key)
        self._holders.forget(key)

    @property
    def sends(self) -> bool:
        """Whether a record that it decided on is to be sent."""
        return any(row.state is State.PENDING for row in self._changed.values())

    def current(self, row: LedgerRow) -> LedgerRow:
        """Return a row with the changes of this transaction."""
        return self._changed.get(row.number, row)

    def row(self, number: int) -> LedgerRow:
        """Load a record with the changes of this transaction."""
        if number not in self._changed:
            self.writes.flush()
            found = self._connection.execute(_OF_NUMBER, {"of_number": number}).one()
            return to_ledger_row(found)
        return self._changed[number]

    def carry_out(
        self,
        decision: Decision,
        seen: Draft | Unsendable | None,
        row: LedgerRow | None,
        *,
        just_seen: bool = True,
        trakor_id: str | None = None,
    ) -> LedgerRow:
        """Carry out one decision.

        Args:
            decision: What was decided.
            seen: What it was decided on; None if that is an answer alone.
            row: The record as it was; None if it is new.
            just_seen: The record was just read from the source. False: an old draft is decided on again.
            trakor_id: The id that Trakor answered with, if the record is linked to it.

        Returns:
            The record as it is now.
        """
        if decision.release and row is not None:
            self._release_claim(row)
        before = self._new_row(decision, seen) if row is None else row
        now = apply_to_row(decision, seen, before, just_seen=just_seen, trakor_id=trakor_id)
        if decision.claim is not None:
            now = self._with_attempts(now, before)
        read = self._as_read(seen, now) if seen is not None and just_seen else None
        self.writes.row(
            now,
            known=row is not None,
            starts_over=_starts_over(now, row),
            read=read,
            before=None if row is None else self._as_written(row, now),
        )
        if decision.claim is not None:
            self.writes.claim(now.number, decision.claim.key)
        self._holders.forget(before.sent_key, now.sent_key)
        if row is None and decision.claim is not None:
            self._holders.learn_claim(now)
        self._changed[now.number] = now
        self._update_drafts(decision, seen, now, known=row is not None)
        if decision.event:
            self.writes.line(now.number, decision.event, decision.detail)
        now = self._apply_to_others(decision, seen, before, now)
        if row is not None:
            self.update_merged(row, now)
            self._separate_merged(row, now, seen if just_seen else None)
            self._keep_shared_party(row, now)
        return self.current(now)

    def _as_written(self, row: LedgerRow, now: LedgerRow) -> LedgerRow | None:
        """Return the row as it is in the ledger; None if all of it must be written.

        That is so if it is damaged, or if another revision makes its hashes from now on.
        """
        written = self._changed.get(row.number, row)
        return written if written.reason is not Reason.DAMAGED and written.first == now.first else None

    def _as_read(self, seen: Draft | Unsendable, now: LedgerRow) -> str:
        """Return what a record was observed with; empty if more is to be decided after an answer."""
        decided = is_decided(seen, now.last_seen, now.state)
        return observation_key(self.writes.rules_number(seen.rules), seen.input) if decided else ""

    def update_merged(self, before: LedgerRow, now: LedgerRow) -> None:
        """If a record no longer represents its name, let one of those merged into it succeed.

        Args:
            before: The record as it was.
            now: The record as it is.
        """
        key = before.sent_key
        if not key or before.state is State.MERGED:
            return
        if now.state is State.MERGED and before.reason is Reason.SAME_PARTY and now.merged_into is not None:
            self._move_merged(before, key, self.row(now.merged_into))
            return
        if before.reason is Reason.EXISTING and now.state is State.DROPPED:
            self._hold_merged(now, key)
            return
        stood = represents_name(before, key, linked=before.answered)
        if stood and not represents_name(now, key, linked=now.answered or before.answered):
            self._replace_claimant(now, key)

    def _hold_merged(self, dropped: LedgerRow, key: str) -> None:
        """Hold the records merged into a dropped one: Trakor's party belongs to someone else."""
        self.writes.flush()
        for one in self._merged_into(dropped.number):
            if one.sent_key == key and can_succeed(one):
                decision = hold_after_drop(one, dropped, stored=TO_SEND in self.writes.stored(one))
                self.carry_out(decision, None, one, just_seen=False)

    def _separate_merged(self, before: LedgerRow, now: LedgerRow, seen: Draft | Unsendable | None) -> None:
        """Separate records that a rule merged into one whose identifiers now conflict with theirs."""
        if not isinstance(seen, Draft) or before.identifiers == now.identifiers:
            return
        known = rehash(before, seen) if seen.first_hashes else before
        if has_new_identifiers(seen, known):
            self.writes.flush()
            for one in self._merged_into(now.number):
                holder = self.holder_of(one.sent_key)
                if holder is not None and holder.number == now.number:
                    decision = hold_if_conflicting(one, holder, stored=TO_SEND in self.writes.stored(one))
                    if decision is not None:
                        self.carry_out(decision, None, one, just_seen=False)

    def _keep_shared_party(self, before: LedgerRow, now: LedgerRow) -> None:
        """Keep a party that an operator let a record share, if its holder no longer represents it."""
        if now.state is not State.MERGED or before.reason is not Reason.SAME_PARTY:
            return
        own = self.holder_of(now.sent_key)
        party = self.holder_of(own.shares) if own is not None and own.shares else None
        if party is not None and not party.represents:
            self._replace_claimant(self.row(party.number), party.key)

    def _merged_into(self, number: int) -> list[LedgerRow]:
        return [to_ledger_row(one) for one in self._connection.execute(_MERGED, {"claimant": number})]

    def _replace_claimant(self, claimant: LedgerRow, key: str) -> None:
        self.writes.flush()
        holder = self.holder_of(key)
        shared = self._find_sharing(claimant, key, holder)
        elsewhere = find_unconfigured_feeds(self._connection) if shared else frozenset()
        living = [one for one in shared if can_succeed(one) and one.feed not in elsewhere]
        if holder is None and self._hand_over_name(claimant, key, living):
            return
        if holder is None or not (living or holder.linked or holder.represents):
            self._skip([one for one in shared if one.filtered and not one.gone])
        elif living and holder.number == claimant.number and not holder.represents:
            self._succeed(living, holder)

    def _find_sharing(self, claimant: LedgerRow, key: str, holder: NameHolder | None) -> list[LedgerRow]:
        """Return the records merged into one under a name, or sharing its party under other names."""
        merged = self._merged_into(claimant.number)
        if holder is None or not holder.linked or all(one.sent_key == key for one in merged):
            return [one for one in merged if one.sent_key == key]
        of = {"of_space": self._feed.namespace, "of_record": claimant.number}
        others = {*self._connection.scalars(_LINKED_UNDER, of), claimant.sent_key} - {key}
        return [one for one in merged if one.sent_key == key or self._has_party_of(one, claimant, others)]

    def _has_party_of(self, one: LedgerRow, claimant: LedgerRow, others: set[str]) -> bool:
        """Return whether a record shares the party by its own name, or by one that Trakor answered with."""
        holder = None if one.sent_key in others else self.holder_of(one.sent_key)
        return holder is not None and claimant.number in {holder.number, holder.merged_into}

    def _hand_over_name(self, claimant: LedgerRow, key: str, living: list[LedgerRow]) -> bool:
        """Give a released name to the oldest record that still has it; merge the others into that one.

        They are decided on as last seen. Returns whether one of them has the name.
        """
        for row in living:
            now = self._decide_as_last_seen(row)
            if now is not None and now.state is State.PENDING and now.sent_key == key:
                self._move_merged(claimant, key, now)
                return True
        return False

    def _move_merged(self, former: LedgerRow, key: str, successor: LedgerRow) -> None:
        """Merge the records that shared a record with the successor into the successor."""
        for number in self._succession.move_merged(former, key, successor):
            self._changed.pop(number, None)
            self._changed[number] = self.row(number)
        self._holders.forget_all()

    def _succeed(self, living: list[LedgerRow], holder: NameHolder) -> None:
        """Let the oldest of these records that still has the name succeed its holder.

        A record whose rename an operator dismissed may keep a party, but only its own text may be sent.
        """
        successor = next((row for row in living if not row.dismissed), living[0])
        if successor.first != holder.first:
            self.writes.read_again(successor.number)  # only a draft shows how they differ
            return
        decision = succeed(
            successor.sent, successor.sent_key, holder, report=self._policy.on_change != "ignore"
        )
        if successor.dismissed and not holder.linked:
            for row in living:
                self._decide_as_last_seen(row)
            return
        if successor.dismissed:
            decision = decision._replace(state=State.DELIVERED, seen=successor.last_seen, dismissed=True)
        self.carry_out(decision, None, successor, just_seen=False)

    def _decide_as_last_seen(self, row: LedgerRow) -> LedgerRow | None:
        """Decide on a record whose shared name is free again; None if that waits for the next read."""
        stored = self.writes.stored(row).get(TO_SEND)
        if stored is None:
            self.writes.read_again(row.number)
            return None
        seen = replace(stored.draft, read_at=row.read_at, rules=row.rules)
        decision = decide(seen, row, self.holder_of, self._policy)
        return None if decision is None else self.carry_out(decision, seen, row, just_seen=False)

    def _skip(self, filtered: list[LedgerRow]) -> None:
        """Skip filtered records that no other record can represent."""
        for row in filtered:
            seen = Unsendable(row.id, Reason.FILTERED, "", "", row.read_at, row.rules)
            decision = decide(seen, row, self.holder_of, self._policy)
            if decision is not None:
                self.carry_out(decision, seen, row, just_seen=False)

    def _apply_to_others(
        self, decision: Decision, seen: Draft | Unsendable | None, before: LedgerRow, now: LedgerRow
    ) -> LedgerRow:
        """Apply what one decision means for others: the succeeded record, and the party in doubt."""
        if decision.succeeds is not None:
            former = self.row(decision.succeeds)
            key, own = decision.takes or now.sent_key, self._own_draft(seen, before)
            now, left = self._succession.carry_out(now, former, key, own=own)
            self._changed |= {now.number: now, left.number: left}
            self._move_merged(former, key, now)
        if decision.doubts is not None:
            self._hold_doubtful(self.row(decision.doubts))
        return now

    def _own_draft(self, seen: Draft | Unsendable | None, row: LedgerRow) -> Draft | None:
        """Return a successor's own draft, as far as it is known."""
        if isinstance(seen, Draft):
            return seen
        stored = self.writes.stored(row).get(TO_SEND)
        return None if stored is None else stored.draft

    def _hold_doubtful(self, adopted: LedgerRow) -> None:
        """Hold an adopted record whose name another one wants: the party may belong to either."""
        if adopted.state is State.DELIVERED and adopted.origin is Origin.EXISTING:
            held = Decision(
                State.HELD,
                Reason.EXISTING,
                seen=adopted.seen,
                filtered=adopted.filtered,
                event="held",
                detail="another record wants the name, too",
            )
            self.carry_out(held, None, adopted, just_seen=False)

    def _new_row(self, decision: Decision, seen: Draft | Unsendable | None) -> LedgerRow:
        """Create a row for a new record."""
        if seen is None:
            raise ValueError("a new record can only be decided on when it is read")
        if not self._next_number:
            self._next_number = (self._connection.scalar(_LAST_NUMBER) or 0) + 1
        self._next_number += 1
        return LedgerRow(self._next_number - 1, seen.id, decision.state, feed=self._feed.number)

    def _release_claim(self, row: LedgerRow) -> None:
        self.writes.unclaim(row.number, row.sent_key)
        self._holders.forget(row.sent_key)

    def _with_attempts(self, now: LedgerRow, before: LedgerRow) -> LedgerRow:
        """Return a record with the attempts of an unanswered name that it comes back to."""
        holder = self.holder_of(now.sent_key) if now.sent_key != before.sent_key else None
        own = holder is not None and holder.number == now.number and not holder.answered
        return now._replace(attempts=holder.attempts) if holder is not None and own else now

    def _update_drafts(
        self, decision: Decision, seen: Draft | Unsendable | None, row: LedgerRow, *, known: bool
    ) -> None:
        """Update the stored drafts of a record, and what is known of Trakor's content."""
        waiting = decision.draft_action
        if decision.content is not None and row.trakor_id is not None:
            self.writes.content(row.trakor_id, decision.content)
        if decision.response_text:
            self.writes.store_texts(row, TRAKOR_TEXT, [decision.response_text], "")
        if waiting is DraftAction.SENT:
            self._move_to_content(decision, row)
        elif waiting is DraftAction.LEARNT and isinstance(seen, Draft):
            self._store_learnt(decision, seen, row)
        elif waiting is DraftAction.DONE and known:
            self.writes.done(row)
        elif waiting in {DraftAction.UNNOTE, DraftAction.STORE} and known:
            self.writes.remove_noted(row.number)
        if known and row.state is State.DELIVERED and not self.writes.keeps_text:
            self.writes.remove_sent(row.number)
        if isinstance(seen, Draft):
            self._store(decision, seen, row, known=known)

    def _store(self, decision: Decision, seen: Draft, row: LedgerRow, *, known: bool) -> None:
        if decision.draft_action is DraftAction.NOTE:
            self.writes.store(row, NOTED, seen, seen.payload.name)
        elif decision.draft_action is DraftAction.STORE and self._may_keep(row):
            self.writes.store(row, TO_SEND, seen, self._send_as(decision, seen, row))
        elif decision.draft_action is DraftAction.STORE and known:
            self.writes.remove(row.number)
        elif decision.draft_action is DraftAction.REFRESH:
            kept = self.writes.stored(row).get(TO_SEND)
            if kept is not None:
                self.writes.store(row, TO_SEND, seen, kept.send_as if row.given else seen.payload.name)

    def _may_keep(self, row: LedgerRow) -> bool:
        """Return whether a record's text is kept: it waits, or the user wants it kept.

        A merged record waits until its claimant has an answer, because it may have to succeed.
        """
        if self.writes.keeps_text or row.state not in {State.DELIVERED, State.MERGED}:
            return True
        return row.merged_into is not None and not self.row(row.merged_into).answered

    def _send_as(self, decision: Decision, draft: Draft, row: LedgerRow) -> str:
        """Return the name to send: the one claimed now, the one that an operator gave, or the mapped one."""
        if decision.claim is not None and decision.claim.name:
            return decision.claim.name
        if decision.state is State.PENDING and decision.succeeds is None:
            return self.writes.stored(row)[TO_SEND].send_as
        return _name_in_trakor(draft, row)

    def _move_to_content(self, decision: Decision, row: LedgerRow) -> None:
        """Move what waited to be sent to Trakor's content; of a record that existed before, only the name."""
        if row.trakor_id is not None and decision.content:
            self.writes.move_text(row, row.trakor_id)
        elif row.trakor_id is not None:
            stored = self.writes.stored(row).get(TO_SEND)
            if stored is not None:
                self.writes.text(row, row.trakor_id, [stored.send_as])
        self.writes.remove_sent(row.number)
        if not self.writes.keeps_text:
            self.writes.remove_merged(row.number)

    def _store_learnt(self, decision: Decision, seen: Draft, row: LedgerRow) -> None:
        """Store the draft as Trakor's content."""
        name = _name_in_trakor(seen, row)
        if row.trakor_id is not None:
            self.writes.text(row, row.trakor_id, to_texts(seen, name) if decision.content else [name])
        self.writes.remove(row.number)


_LAST_NUMBER = select(func.max(records.c.number)).where(records.c.number <= MAX_NUMBER)
_OF_NUMBER = KNOWN.where(records.c.number == bindparam("of_number"))
_MERGED = KNOWN.where(
    records.c.merged_into == bindparam("claimant"), records.c.state == State.MERGED
).order_by(records.c.number)

_LINKED_UNDER = select(links.c.key).where(
    links.c.space == bindparam("of_space"), links.c.record == bindparam("of_record")
)


def _name_in_trakor(draft: Draft, row: LedgerRow) -> str:
    """Return a draft's full name in Trakor, even if its qualifier has changed since."""
    was_qualified = row.answered and row.sent_key != row.key == draft.key and not row.given
    own = row.sent_key == draft.qualified_key or (was_qualified and bool(draft.qualified_name))
    return draft.qualified_name if own else draft.payload.name


def _starts_over(now: LedgerRow, before: LedgerRow | None) -> bool:
    """Return whether the record is to be sent as if it had never been tried."""
    return now.state is State.PENDING and (
        before is None or before.state is not State.PENDING or before.sent_key != now.sent_key
    )
