"""Decides on each record that was read, from what was read, what the ledger knows, and the policy.

The docstring of each function quotes its row of the decision table (docs/decisions.md). ``decide`` returns
None if nothing changes, as for most records of a sweep.
"""

from __future__ import annotations

from typing import Final

from bridge.decision.comparison import Comparison, compare, hashes_if_unmappable, rehash
from bridge.decision.delivered_record import decide_delivered, decide_renamed, decide_repaired
from bridge.decision.keep_state import mark_filtered, stay, without_note
from bridge.decision.new_record import HolderOf, decide_as_new, describe_unsendable, other_holder
from bridge.decision.record_sharing_party import decide_merged
from bridge.records import (
    Decision,
    Draft,
    DraftAction,
    LedgerRow,
    NameClaim,
    Origin,
    Policy,
    Reason,
    State,
    Unsendable,
)

__all__ = ["decide", "decide_again", "is_stale", "send_again"]

_ASKED: Final = frozenset({Reason.EXISTING, Reason.SAME_PARTY})


def is_stale(seen: Draft | Unsendable, row: LedgerRow | None) -> bool:
    """Return whether a later read was observed already: an old page must not undo a newer webhook."""
    return row is not None and seen.read_at < row.read_at


def decide(
    seen: Draft | Unsendable, row: LedgerRow | None, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide what happens to a record that was just read from the source.

    Args:
        seen: What mapping made of it.
        row: What the ledger knows of it; None if it is new.
        holder_of: Returns the holder of a name.
        policy: What the user chose for this stream.

    Returns:
        The decision, or None if nothing changes, or the read is older than one that was observed already.
    """
    if row is None:
        return decide_as_new(seen, None, holder_of, policy)
    if is_stale(seen, row):
        return None
    now = rehash(row, seen) if isinstance(seen, Draft) and seen.first_hashes else row
    decision = _decide_by_state(seen, now, holder_of, policy)
    if decision is None and (now is not row or _has_changed_marks(seen, row)):
        event = "seen-again" if row.gone or row.filtered else ""
        decision = stay(now, filtered=row.filtered and not _is_wanted(seen), event=event)
    if decision is not None and now is not row:
        return _with_new_hashes(decision, now)
    return decision


def _has_changed_marks(seen: Draft | Unsendable, row: LedgerRow) -> bool:
    """Return whether a mark ends or an identifier changed, although nothing else is decided."""
    if row.gone or (row.filtered and _is_wanted(seen)):
        return True
    asked = row.state is State.PENDING or row.reason in _ASKED
    claims = asked or (row.answered and row.state is not State.DROPPED)
    return claims and isinstance(seen, Draft) and seen.identifiers != row.identifiers


def _is_wanted(seen: Draft | Unsendable | None) -> bool:
    """Return whether `where` includes the record, even if it cannot be mapped; no if `where` itself fails."""
    if isinstance(seen, Unsendable):
        return seen.reason is not Reason.FILTERED and seen.field != "where"
    return seen is not None


def _with_new_hashes(decision: Decision, row: LedgerRow) -> Decision:
    """Add new hashes to the first decision by the present rules on a record of an older ledger.

    If nothing differs by the old rules, Trakor has what the draft says.
    """
    sent = row.sent if decision.sent is None else decision.sent
    decision = decision._replace(sent=sent)
    if decision.draft_action not in {DraftAction.KEEP, DraftAction.DONE} or row.unanswered:
        return decision
    known = row.answered and decision.state is State.DELIVERED and decision.seen is None
    if not known:
        return (
            decision._replace(draft_action=DraftAction.REFRESH)
            if decision.draft_action is DraftAction.KEEP
            else decision
        )
    return decision._replace(
        draft_action=DraftAction.LEARNT, content={} if row.origin is Origin.EXISTING else sent
    )


def _decide_by_state(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Choose the part of the table that the record's state belongs to."""
    if _is_final(seen, row):
        return None
    if row.reason in _ASKED and not row.retry:
        return _note_while_held(seen, row)
    if row.reason is Reason.DAMAGED or row.answered:
        lead = _decide_damaged if row.reason is Reason.DAMAGED else decide_delivered
        return lead(seen, row, holder_of, policy)
    if row.state is State.PENDING:
        return (
            _note_while_unanswered(seen, row)
            if row.unanswered
            else _decide_unsent(seen, row, holder_of, policy)
        )
    if row.merged_into is not None and not row.retry:
        return decide_merged(seen, row, holder_of, policy)
    return decide_again(seen, row, holder_of, policy)


def decide_again(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide on a record that is no longer bound to what was decided before.

    As if nothing were known, unless Trakor may have it. Then the tried payload is sent again, because
    another name could create a second party. If that payload is not stored (for example of a dropped record
    with `keep = "hashes"`), the record is sent only if that name is still its own, to the letter. Arguments
    as for ``decide_as_new``.
    """
    if row.unanswered and row.stored:
        return send_again(row, seen)
    if isinstance(seen, Unsendable) or not row.unanswered:
        return decide_as_new(seen, row, holder_of, policy)
    if _has_sent_spelling(seen, row):
        return _replace_draft(seen, row, event="pending")
    return decide_renamed(seen, row, compare(row, seen), holder_of, policy)


def send_again(row: LedgerRow, seen: Draft | Unsendable | None = None) -> Decision:
    """Unanswered, in whatever state: the tried name and payload are sent again; a change is only noted.

    Args:
        row: The record. Its tried payload is stored.
        seen: What mapping made of it; None if an operator asks and it was not read.
    """
    waits = row._replace(state=State.PENDING, reason=None)
    noted = None if seen is None else _note_while_unanswered(seen, waits)
    if noted is not None:
        return noted._replace(event="pending")
    filtered = row.filtered and not _is_wanted(seen)
    return Decision(State.PENDING, seen=row.seen, filtered=filtered, given=row.given, event="pending")


def _has_sent_spelling(draft: Draft, row: LedgerRow) -> bool:
    """Return whether the draft would be sent under the very name that was sent, including case."""
    parts = ("name",) if row.sent_key == draft.key else ("name", "qualifier")
    same = all(draft.hashes.get(part) == row.sent.get(part) for part in parts)
    return same and _claimed_name(draft, row) is not None


def _decide_unsent(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Unsent, pending: unchanged -> nothing; other payload -> replaced; other name -> decided as new."""
    if isinstance(seen, Draft) and row.gone and row.given:
        return _restore_given_name(seen, row, holder_of, policy)
    if isinstance(seen, Unsendable) or row.gone or not _same_name_to_send(seen, row):
        return decide_as_new(seen, row, holder_of, policy)
    if row.sent == seen.hashes:
        # What was noted during an attempt that never began does not count any more.
        if row.seen is None:
            return None
        return Decision(State.PENDING, draft_action=DraftAction.UNNOTE, given=row.given, event="noted")
    return _replace_draft(seen, row, event="replaced")


def _restore_given_name(draft: Draft, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """The record was gone, and released the name that an operator gave it: it gets that name back if free."""
    if other_holder(holder_of(row.sent_key), row) is not None:
        return decide_as_new(draft, row, holder_of, policy)
    return _replace_draft(draft, row, event="pending")._replace(claim=NameClaim("", row.sent_key))


def _replace_draft(draft: Draft, row: LedgerRow, *, event: str) -> Decision:
    """Send the draft instead of the stored one, under the name that is claimed already."""
    return Decision(
        State.PENDING,
        claim=None if row.given else _claimed_name(draft, row),
        draft_action=DraftAction.STORE,
        sent=draft.hashes,
        given=row.given,
        event=event,
    )


def _claimed_name(draft: Draft, row: LedgerRow) -> NameClaim | None:
    """Return the draft's name that the record has claimed; None if it claimed neither of the two."""
    if row.sent_key == draft.key:
        return NameClaim(draft.payload.name, draft.key)
    if row.sent_key and row.sent_key == draft.qualified_key:
        return NameClaim(draft.qualified_name, draft.qualified_key)
    return None


def _same_name_to_send(draft: Draft, row: LedgerRow) -> bool:
    """Return whether the claimed name is still the one to send; a name that an operator gave stays."""
    if row.given:
        return True
    if draft.key != row.key:
        return False
    return row.sent_key == row.key or row.sent.get("qualifier") == draft.hashes.get("qualifier")


def _note_while_unanswered(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Unanswered, any change: only noted; the old name and payload are sent again until answered."""
    pending = Decision(State.PENDING, draft_action=DraftAction.UNNOTE, given=row.given, event="noted")
    if isinstance(seen, Unsendable):
        if seen.reason is Reason.FILTERED:
            return without_note(mark_filtered(row))
        changed = hashes_if_unmappable(row, seen)
        if row.seen == changed:
            return None
        return pending._replace(seen=changed, detail=describe_unsendable(seen))
    if seen.key == row.key and not row.differs_from(seen.hashes):
        return None if row.seen is None else pending
    if row.seen == seen.hashes or _is_map_change_only(seen, row):
        return None
    return pending._replace(draft_action=DraftAction.NOTE, seen=seen.hashes)


def _is_map_change_only(draft: Draft, row: LedgerRow) -> bool:
    """Return whether the source is unchanged: what another map makes of it is decided after the answer."""
    return draft.rules.map != row.rules.map and not compare(row, draft).source


def _note_while_held(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Held: existing or same-party: a change is noted, and decided after the operator."""
    if isinstance(seen, Unsendable):
        return without_note(mark_filtered(row)) if seen.reason is Reason.FILTERED else None
    if seen.key == row.key and not row.differs_from(seen.hashes):
        return None if row.seen is None else stay(row)._replace(draft_action=DraftAction.UNNOTE, seen=None)
    if row.seen == seen.hashes:
        return None
    return stay(row)._replace(draft_action=DraftAction.NOTE, seen=seen.hashes, event="noted")


def _decide_damaged(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Damaged: decided with the name that it has claimed.

    What Trakor has of an answered record is unknown, so it drifts by `rules`. A record that was tried is
    sent again.
    """
    if isinstance(seen, Unsendable):
        return None
    if row.answered:
        return decide_repaired(seen, row)
    if row.unanswered and _claimed_name(seen, row) is not None:
        return _replace_draft(seen, row, event="pending")
    if row.unanswered:
        renamed = Comparison(row.sent, ("name",), ("name",), remapped=False)
        return decide_renamed(seen, row, renamed, holder_of, policy)
    return decide_as_new(seen, row, holder_of, policy)


def _is_final(seen: Draft | Unsendable, row: LedgerRow) -> bool:
    """Dropped, anything; rejected, unchanged -> stays until `retry`; one that was tried stays anyway."""
    if row.retry or row.state not in {State.DROPPED, State.REJECTED} or row.reason is Reason.DAMAGED:
        return False
    if row.state is State.DROPPED or row.unanswered:
        return True
    if isinstance(seen, Unsendable):
        return seen.reason is row.reason
    return row.reason is not Reason.MAPPING and seen.key == row.key and not row.differs_from(seen.hashes)
