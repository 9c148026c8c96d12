"""At each sight of a record: what was seen, what the ledger knows, the policy -> a Decision.

A row of the decision table (docs/decisions.md) stands in the docstring of the function that
carries it out. ``decide`` returns None where nothing is to be changed, which is what a sweep
without changes consists of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

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

__all__ = ["HolderOf", "decide", "decide_anew", "is_stale", "other_holder", "send"]

HolderOf: TypeAlias = Callable[[str], Holder | None]
"""Tells who holds the claim on a name, given the name's key."""

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
    if row.reason in {Reason.EXISTING, Reason.SAME_PARTY}:
        return _unresolved(seen, row)
    if row.answered:
        return _answered(seen, row, holder_of, policy)
    if row.state is State.PENDING:
        return _unanswered(seen, row) if row.attempts else _unsent(seen, row, holder_of, policy)
    if row.merged_into is not None and not row.retry:
        return _merged(seen, row, holder_of, policy)
    return decide_anew(seen, row, holder_of, policy)


def decide_anew(
    seen: Draft | Unsendable, row: LedgerRow | None, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide as if nothing were known of the record (the table's rows "nothing").

    A name that the record itself holds is free to it.

    Args:
        seen: What mapping made of the record.
        row: The record's row where there is one, so that an unchanged outcome writes nothing.
        holder_of: Who holds the claim on a name.
        policy: What the user chose for this stream.

    Returns:
        The decision, or None where the record is in just that state already.
    """
    release = row is not None and row.state is State.PENDING
    if isinstance(seen, Unsendable):
        return _set_aside(seen, row, release=release)
    plain = Claim(seen.payload.name, seen.key)
    holder = other_holder(holder_of(seen.key), row)
    if holder is None:
        return send(seen, plain, release=release)
    if _same_one(seen, holder) or policy.on_same_name == "merge":
        return _merge(seen, holder, release=release)
    if policy.on_same_name == "qualify" and seen.qualified_key:
        other = other_holder(holder_of(seen.qualified_key), row)
        if other is None:
            qualified = Claim(seen.qualified_name, seen.qualified_key)
            return send(seen, qualified, release=release, detail=f"qualified: {holder.id} has the name")
        if _same_one(seen, other):
            return _merge(seen, other, release=release)
    return _hold(Reason.SAME_NAME, seen, row, release=release, detail=f"{holder.id} has the name")


def _set_aside(seen: Unsendable, row: LedgerRow | None, *, release: bool) -> Decision | None:
    """`where` says no / no name / mapping fails -> skipped: filtered / no-name, rejected: mapping."""
    state = State.REJECTED if seen.reason is Reason.MAPPING else State.SKIPPED
    if row is not None and (row.state, row.reason) == (state, seen.reason) and not row.retry:
        return None
    return Decision(
        state,
        seen.reason,
        release=release,
        waiting=Waiting.REMOVE,
        event=str(state),
        detail=seen.detail,
    )


def send(draft: Draft, claim: Claim, *, release: bool, detail: str = "") -> Decision:
    """Name free -> claim it, pending."""
    return Decision(
        State.PENDING,
        claim=claim,
        release=release,
        waiting=Waiting.STORE,
        sent=draft.hashes,
        event="pending",
        detail=detail,
    )


def _merge(draft: Draft, holder: Holder, *, release: bool) -> Decision:
    """Both have the same non-empty `same_as`, or the policy says so -> merged into the claimant.

    The draft is kept while the claimant has no answer, since it may yet give its claim back.
    """
    return Decision(
        State.MERGED,
        release=release,
        merged_into=holder.number if holder.merged_into is None else holder.merged_into,
        waiting=Waiting.REMOVE if holder.answered else Waiting.STORE,
        sent=draft.hashes,
        event="merged",
        detail=f"into {holder.id}",
    )


def _hold(
    reason: Reason, draft: Draft, row: LedgerRow | None, *, release: bool = False, detail: str = ""
) -> Decision | None:
    """Hold the record for a person, with the draft that the person decides on."""
    if row is not None and row.state is State.HELD and row.reason is reason and row.seen == draft.hashes:
        return None
    return Decision(
        State.HELD,
        reason,
        release=release,
        merged_into=None if row is None else row.merged_into,
        waiting=Waiting.STORE,
        seen=draft.hashes,
        event="held",
        detail=detail or str(reason),
    )


def _unsent(seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Unsent, pending: unchanged -> nothing; other payload -> replaced; other name -> decided anew."""
    if isinstance(seen, Unsendable) or row.gone or not _same_name_to_send(seen, row):
        return decide_anew(seen, row, holder_of, policy)
    if row.sent == seen.hashes:
        return None
    claim = None
    if row.sent_key == seen.key:
        claim = Claim(seen.payload.name, seen.key)
    elif row.sent_key == seen.qualified_key:
        claim = Claim(seen.qualified_name, seen.qualified_key)
    return Decision(State.PENDING, claim=claim, waiting=Waiting.STORE, sent=seen.hashes, event="replaced")


def _same_name_to_send(draft: Draft, row: LedgerRow) -> bool:
    """Whether the claimed name is still the one to send; a name that a person gave stays."""
    if draft.key != row.key:
        return False
    return row.sent_key == row.key or row.sent.get("qualifier") == draft.hashes.get("qualifier")


def _unanswered(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Unanswered, any change: only noted; the old name and payload go out again until answered."""
    if isinstance(seen, Unsendable):
        if seen.reason is Reason.FILTERED:
            return _mark_filtered(row)
        changed = {**row.sent, seen.field: UNKNOWN}
        if row.seen == changed:
            return None
        return Decision(
            State.PENDING, waiting=Waiting.UNNOTE, seen=changed, event="noted", detail=seen.detail
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
        return _drift({**row.sent, seen.field: UNKNOWN}, row, detail=seen.detail)
    if seen.key == row.key:
        return _same_key(seen, row, policy)
    if row.reason is Reason.SAME_NAME:
        return decide_anew(seen, row, holder_of, policy)
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
    """Another name: held: renamed, a second claim by policy, or held: remapped where the rules changed."""
    remapped = row.reason is Reason.REMAPPED or (
        row.fingerprint != draft.fingerprint and row.reason is not Reason.RENAMED
    )
    if remapped:
        return _hold(Reason.REMAPPED, draft, row)
    if policy.on_rename == "create":
        return decide_anew(draft, row, holder_of, policy)
    return _hold(Reason.RENAMED, draft, row)


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
    """Merged: anything but another key stays merged; another key is a rename."""
    if isinstance(seen, Unsendable):
        return _mark_filtered(row) if seen.reason is Reason.FILTERED else None
    if seen.key != row.key:
        return _other_key(seen, row, holder_of, policy)
    if row.state is State.MERGED and row.sent == seen.hashes:
        return None
    back = row.state is not State.MERGED
    return Decision(
        State.MERGED,
        merged_into=row.merged_into,
        waiting=Waiting.REMOVE if back else Waiting.REFRESH,
        sent=seen.hashes,
        event="as-sent" if back else "",
    )


def _unresolved(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Held: existing or same-party: what changes meanwhile is noted, and decided after the person."""
    if isinstance(seen, Unsendable):
        return _mark_filtered(row) if seen.reason is Reason.FILTERED else None
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


def other_holder(holder: Holder | None, row: LedgerRow | None) -> Holder | None:
    """The holder of a name, unless it is the record itself."""
    return None if holder is None or (row is not None and holder.number == row.number) else holder


def _same_one(draft: Draft, holder: Holder) -> bool:
    """Whether the map says that both records are one person: equal and not empty."""
    return bool(draft.same_as) and draft.same_as == holder.same_as
