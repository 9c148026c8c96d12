"""At each sight of a record that shares another's party or product -> a Decision.

The rows "merged" of the decision table (docs/decisions.md).
"""

from __future__ import annotations

from bridge.decision.anew import HolderOf, decide_anew, hold, merge
from bridge.decision.answered import other_key
from bridge.decision.comparison import compare
from bridge.decision.same_person import conflicts
from bridge.decision.staying import mark_filtered
from bridge.records import (
    Decision,
    Draft,
    Holder,
    LedgerRow,
    MergedBy,
    Policy,
    Reason,
    State,
    Unsendable,
    Waiting,
)

__all__ = ["merged"]


def merged(seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Merged: same key -> stays merged, unless an identifier changed and conflicts; another -> a rename.

    Without a name, or where mapping fails: as if nothing were known; so where `where` says no, and what it
    is merged into will not be in Trakor. Where the claimant does not stand for the name any more, this one
    takes its place.
    """
    holder = holder_of(row.sent_key)
    if holder is None or not _shares(holder, row):
        return decide_anew(seen, row, holder_of, policy)
    if isinstance(seen, Unsendable):
        in_trakor = holder.stands or holder.linked
        marked = seen.reason is Reason.FILTERED and in_trakor
        return mark_filtered(row) if marked else decide_anew(seen, row, holder_of, policy)
    if not holder.stands and holder.number != row.number:
        return _in_its_place(seen, row, holder, holder_of, policy)
    if row.dismissed and not compare(row, seen).source:
        return None
    return _still_merged(seen, row, holder, holder_of, policy)


def _still_merged(
    draft: Draft, row: LedgerRow, holder: Holder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Merged into one that stands for the name: it stays so, is renamed, or is told apart by now."""
    found = compare(row, draft)
    if draft.key != row.key:
        return other_key(draft, row, found, holder_of, policy)
    if _told_apart(draft, row, holder):
        return hold(Reason.SAME_PERSON, draft, row, found=found, detail=f"not as like {holder.id} as before")
    return _stays_merged(draft, row)


def _in_its_place(
    draft: Draft, row: LedgerRow, holder: Holder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """The claimant does not stand for the name any more: this one does, if the name is still its own.

    Under another name it is renamed where Trakor has the party that it shares; where Trakor has none, it is
    decided as if nothing were known.
    """
    if draft.key == row.key:
        return merge(draft, row.sent_key, holder, row, row.merged_by or MergedBy.RULE, policy)
    if holder.linked:
        return other_key(draft, row, compare(row, draft), holder_of, policy)
    return decide_anew(draft, row, holder_of, policy)


def _shares(holder: Holder, row: LedgerRow) -> bool:
    """Whether a name's holder is what the record is merged into, the record itself, or merged likewise."""
    return holder.number in {row.number, row.merged_into} or holder.merged_into == row.merged_into


def _told_apart(draft: Draft, row: LedgerRow, holder: Holder) -> bool:
    """Whether an identifier changed at the source, and conflicts by now with those it is merged with."""
    if row.reason is not Reason.SAME_PERSON and not _identified_otherwise(draft, row):
        return False
    others = list(holder.group)
    if row.state is State.MERGED and row.identifiers in others:
        others.remove(row.identifiers)
    return conflicts(draft.identifiers, others)


def _identified_otherwise(draft: Draft, row: LedgerRow) -> bool:
    """Whether an identifier changed at the source; what another map gives is none of its doing."""
    if row.rules.map == draft.rules.map:
        return draft.identifiers != row.identifiers
    return isinstance(draft.before, Draft) and draft.before.identifiers != row.identifiers


def _stays_merged(draft: Draft, row: LedgerRow) -> Decision | None:
    same = (row.sent, row.identifiers) == (draft.hashes, draft.identifiers)
    if row.state is State.MERGED and same and not row.dismissed:
        return None
    return Decision(
        State.MERGED,
        merged_into=row.merged_into,
        merged_under=row.sent_key,
        merged_by=row.merged_by,
        waiting=Waiting.STORE,
        sent=draft.hashes,
        event="" if row.state is State.MERGED else "as-sent",
    )
