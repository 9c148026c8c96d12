"""At each sight of a record: what was seen, what the ledger knows, the policy -> a Decision.

A row of the decision table (docs/decisions.md) stands in the docstring of the function that
carries it out. ``decide`` returns None where nothing is to be changed, which is what a sweep
without changes consists of.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.decision.anew import HolderOf, decide_anew, hold, why_unsendable
from bridge.records import (
    Claim,
    Decision,
    Draft,
    FieldHashes,
    Holder,
    LedgerRow,
    Policy,
    Reason,
    State,
    Unsendable,
    Waiting,
)

__all__ = ["decide", "decide_again", "is_stale"]

UNKNOWN = "?"
"""Stands for the hash of a field whose value could not be made."""


def is_stale(seen: Draft | Unsendable, row: LedgerRow | None) -> bool:
    """Whether a later read was observed already: an old page must not undo a newer webhook."""
    return row is not None and seen.read_at < row.read_at


def decide(
    seen: Draft | Unsendable, row: LedgerRow | None, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide what is to become of a record that was just seen in the source.

    Args:
        seen: What mapping made of it.
        row: What the ledger knows of it; None where it knows nothing.
        holder_of: Who holds the claim on a name.
        policy: What the user chose for this stream.

    Returns:
        The decision, or None where nothing is to be changed (or an old read came late).
    """
    if row is None:
        return decide_anew(seen, None, holder_of, policy)
    if is_stale(seen, row):
        return None
    decision = _by_state(seen, row, holder_of, policy)
    if decision is None and (row.gone or (row.filtered and isinstance(seen, Draft))):
        return _stay(row, filtered=row.filtered and isinstance(seen, Unsendable), event="seen-again")
    return decision


def _by_state(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Lead to the part of the table that the record's state belongs to."""
    if _stands(seen, row):
        return None
    if row.reason in {Reason.EXISTING, Reason.SAME_PARTY} and not row.retry:
        return _unresolved(seen, row)
    if row.answered:
        return _answered(seen, row, holder_of, policy)
    if row.state is State.PENDING:
        return _unanswered(seen, row) if row.unanswered else _unsent(seen, row, holder_of, policy)
    if row.merged_into is not None and not row.retry:
        return _merged(seen, row, holder_of, policy)
    return decide_again(seen, row, holder_of, policy)


def decide_again(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide on a record that does not stand where it is any more.

    As if nothing were known, unless Trakor may have it: then it goes out again under the name that
    it was tried under, to the letter, for another one could make a second party. Of most records that
    name is not stored any more: those go out only if it is still theirs. Arguments as for ``decide_anew``.
    """
    if isinstance(seen, Unsendable) or not row.unanswered:
        return decide_anew(seen, row, holder_of, policy)
    if row.reason is Reason.SERVER_ERROR and _same_name_to_send(seen, row):
        return _send_again(seen, row)
    if _spelled_as_sent(seen, row):
        return _replace(seen, row, event="pending")
    return _other_key(seen, row, holder_of, policy)


def _send_again(draft: Draft, row: LedgerRow) -> Decision:
    """The draft goes out under the stored name; if that is spelled otherwise by now, it will drift."""
    spelled = {"name": row.sent["name"]} if "name" in row.sent else {}
    sent = {**draft.hashes, **spelled}
    return Decision(State.PENDING, waiting=Waiting.STORE, sent=sent, event="pending")


def _spelled_as_sent(draft: Draft, row: LedgerRow) -> bool:
    """Whether the draft would go out under the very name that was sent, upper and lower case included."""
    parts = ("name",) if row.sent_key == draft.key else ("name", "qualifier")
    same = all(draft.hashes.get(part) == row.sent.get(part) for part in parts)
    return same and _claimed_name(draft, row) is not None


def _unsent(seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Unsent, pending: unchanged -> nothing; other payload -> replaced; other name -> decided anew."""
    if isinstance(seen, Unsendable) or row.gone or not _same_name_to_send(seen, row):
        return decide_anew(seen, row, holder_of, policy)
    if row.sent == seen.hashes:
        # What was noted during an attempt that never began does not count any more.
        return None if row.seen is None else Decision(State.PENDING, waiting=Waiting.UNNOTE, event="noted")
    return _replace(seen, row, event="replaced")


def _replace(draft: Draft, row: LedgerRow, *, event: str) -> Decision:
    """The draft goes out in place of the stored one, under the name that is claimed already."""
    claim = _claimed_name(draft, row)
    return Decision(State.PENDING, claim=claim, waiting=Waiting.STORE, sent=draft.hashes, event=event)


def _claimed_name(draft: Draft, row: LedgerRow) -> Claim | None:
    """The draft's name that the record has claimed already; None where it is neither of the two."""
    if row.sent_key == draft.key:
        return Claim(draft.payload.name, draft.key)
    if row.sent_key and row.sent_key == draft.qualified_key:
        return Claim(draft.qualified_name, draft.qualified_key)
    return None


def _same_name_to_send(draft: Draft, row: LedgerRow) -> bool:
    """Whether the claimed name is still the one to send; a name that a person gave stays."""
    if draft.key != row.key:
        return False
    return row.sent_key == row.key or row.sent.get("qualifier") == draft.hashes.get("qualifier")


def _unanswered(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Unanswered, any change: only noted; the old name and payload go out again until answered."""
    if isinstance(seen, Unsendable):
        if seen.reason is Reason.FILTERED:
            return _forget_noted(_mark_filtered(row))
        changed = {**row.sent, seen.field: UNKNOWN}
        if row.seen == changed:
            return None
        return Decision(
            State.PENDING, waiting=Waiting.UNNOTE, seen=changed, event="noted", detail=why_unsendable(seen)
        )
    if seen.key == row.key and not row.differs_from(seen.hashes):
        return None if row.seen is None else Decision(State.PENDING, waiting=Waiting.UNNOTE, event="noted")
    if row.seen == seen.hashes:
        return None
    return Decision(State.PENDING, waiting=Waiting.NOTE, seen=seen.hashes, event="noted")


def _answered(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Answered: as sent -> delivered; same key -> drifted; other key -> renamed or remapped."""
    if isinstance(seen, Unsendable):
        if seen.reason is Reason.FILTERED:
            return _mark_filtered(row)
        return _drift({**row.sent, seen.field: UNKNOWN}, row, detail=why_unsendable(seen))
    if seen.key == row.key:
        return _same_key(seen, row, policy)
    return _other_key(seen, row, holder_of, policy)


def _same_key(draft: Draft, row: LedgerRow, policy: Policy) -> Decision | None:
    """As sent -> delivered; other rules -> their hashes count as sent; other fields -> drifted."""
    delivered = Decision(State.DELIVERED, waiting=Waiting.REMOVE)
    if not row.differs_from(draft.hashes):
        if row.state is State.DELIVERED and row.seen is None:
            return None
        return replace(delivered, event="as-sent")
    if row.state is State.DELIVERED and row.fingerprint != draft.fingerprint:
        fields = ", ".join(row.differs_from(draft.hashes))
        return replace(delivered, sent=draft.hashes, event="rules-changed", detail=f"taken as sent: {fields}")
    if policy.on_change == "ignore":
        if row.state is State.DELIVERED and row.seen == draft.hashes:
            return None
        return replace(delivered, seen=draft.hashes)
    return _drift(draft.hashes, row)


def _other_key(draft: Draft, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Another name: held: renamed, a second claim by policy, or held: remapped where the rules changed.

    Held: same-name was accepted under its new name, which another had: decided anew at each sight.
    """
    if row.reason is Reason.SAME_NAME:
        return decide_anew(draft, row, holder_of, policy)
    remapped = row.reason is Reason.REMAPPED or (
        row.fingerprint != draft.fingerprint and row.reason is not Reason.RENAMED
    )
    if remapped:
        return hold(Reason.REMAPPED, draft, row)
    if policy.on_rename == "create":
        return decide_anew(draft, row, holder_of, policy)
    return hold(Reason.RENAMED, draft, row)


def _drift(seen: FieldHashes, row: LedgerRow, *, detail: str = "") -> Decision | None:
    """The source changed and Trakor cannot take it -> drifted, which fields."""
    if row.state is State.DRIFTED and row.seen == seen:
        return None
    return Decision(
        State.DRIFTED,
        waiting=Waiting.REMOVE,
        seen=seen,
        event="drifted",
        detail=detail or ", ".join(row.differs_from(seen)),
    )


def _merged(seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Merged: anything but another key stays merged; another key is a rename.

    Where the claimant gave its name back while this one was filtered, gone or held, nobody stands for
    it any more: it is decided anew.
    """
    holder = holder_of(row.sent_key)
    if holder is None or not _stands_for(holder, row):
        return decide_anew(seen, row, holder_of, policy)
    if isinstance(seen, Unsendable):
        return _mark_filtered(row) if seen.reason is Reason.FILTERED else None
    if seen.key != row.key:
        return _other_key(seen, row, holder_of, policy)
    if row.state is State.MERGED and row.sent == seen.hashes:
        return None
    if row.state is State.MERGED:
        return _stay_merged(seen, row, Waiting.REFRESH)
    return _stay_merged(seen, row, Waiting.REMOVE if holder.answered else Waiting.STORE, event="as-sent")


def _stands_for(holder: Holder, row: LedgerRow) -> bool:
    """Whether a name's holder is what the record is merged into, the record itself, or merged likewise."""
    if holder.idle and not holder.answered:
        return False
    return holder.number in {row.number, row.merged_into} or holder.merged_into == row.merged_into


def _stay_merged(draft: Draft, row: LedgerRow, waiting: Waiting, *, event: str = "") -> Decision:
    return Decision(
        State.MERGED,
        merged_into=row.merged_into,
        merged_under=row.sent_key,
        waiting=waiting,
        sent=draft.hashes,
        event=event,
    )


def _unresolved(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Held: existing or same-party: what changes meanwhile is noted, and decided after the person."""
    if isinstance(seen, Unsendable):
        return _forget_noted(_mark_filtered(row)) if seen.reason is Reason.FILTERED else None
    if seen.key == row.key and not row.differs_from(seen.hashes):
        return None if row.seen is None else replace(_stay(row), waiting=Waiting.UNNOTE, seen=None)
    if row.seen == seen.hashes:
        return None
    return replace(_stay(row), waiting=Waiting.NOTE, seen=seen.hashes, event="noted")


def _stands(seen: Draft | Unsendable, row: LedgerRow) -> bool:
    """Dropped, anything; rejected, unchanged -> stays until `retry`."""
    if row.retry or row.state not in {State.DROPPED, State.REJECTED}:
        return False
    if row.state is State.DROPPED:
        return True
    if isinstance(seen, Unsendable):
        return seen.reason is row.reason
    return row.reason is not Reason.MAPPING and seen.key == row.key and not row.differs_from(seen.hashes)


def _mark_filtered(row: LedgerRow) -> Decision | None:
    """Answered, `where` says no -> state kept, mark `filtered`."""
    return None if row.filtered else _stay(row, filtered=True, event="filtered")


def _forget_noted(decision: Decision | None) -> Decision | None:
    """What was noted before does not count once `where` says no."""
    return None if decision is None else replace(decision, waiting=Waiting.UNNOTE, seen=None)


def _stay(row: LedgerRow, *, filtered: bool = False, event: str = "") -> Decision:
    """The same state again, with other marks."""
    return Decision(
        row.state,
        row.reason,
        merged_into=row.merged_into,
        seen=row.seen,
        filtered=filtered,
        event=event,
    )
