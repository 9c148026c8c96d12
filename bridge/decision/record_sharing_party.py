"""Decides on a record that shares another's party or product, at each read.

These are the rows "merged" of the decision table (docs/decisions.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.decision.comparison import compare
from bridge.decision.delivered_record import decide_renamed
from bridge.decision.keep_state import mark_filtered
from bridge.decision.new_record import HolderOf, decide_as_new, hold, merge, party_holder
from bridge.decision.same_person import Likeness, conflicts, likeness
from bridge.records import (
    Decision,
    Draft,
    DraftAction,
    LedgerRow,
    MergedBy,
    NameHolder,
    Policy,
    Reason,
    State,
    Unsendable,
)

if TYPE_CHECKING:
    from bridge.records import FieldHashes

__all__ = ["decide_merged", "has_new_identifiers", "hold_after_drop", "hold_if_conflicting"]


_OTHER_NAME: Final = frozenset({Reason.RENAMED, Reason.REMAPPED})


def decide_merged(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Merged: same key -> stays merged, unless a changed identifier conflicts; other key -> a rename.

    A record without a name, or that cannot be mapped, is decided as if nothing were known, unless an
    operator merged it. The same holds if `where` excludes it and the record that it is merged into will not
    be in Trakor. If the claimant no longer represents the name, this record succeeds it, unless it may be
    another person.
    """
    holder = party_holder(holder_of(row.sent_key), row, holder_of)
    if holder is None or not _shares_party(holder, row):
        return _decide_without_holder(seen, row, holder_of, policy)
    if (
        holder.number == row.number and not holder.linked and isinstance(seen, Draft)
    ):  # whose party it shared was forgotten
        return _hold_same_person(seen, row, holder)
    if isinstance(seen, Unsendable):
        return _decide_unmappable(seen, row, holder, holder_of, policy)
    if not holder.represents and holder.number != row.number:
        return _decide_succession(seen, row, holder, holder_of, policy)
    if row.dismissed and not compare(row, seen).source:
        return None
    return _decide_still_merged(seen, row, holder, holder_of, policy)


def _decide_unmappable(
    seen: Unsendable, row: LedgerRow, holder: NameHolder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """`where` excludes it, no name, or it can't be mapped: mark it if in Trakor; keep an operator's merge.

    If the claimant no longer represents the name, it is decided as new: without a name it cannot succeed.
    """
    in_trakor = holder.represents or holder.linked
    if in_trakor and seen.reason is Reason.FILTERED:
        return mark_filtered(row)
    if holder.represents and row.state is State.MERGED and row.merged_by is MergedBy.PERSON:
        return None
    return decide_as_new(seen, row, holder_of, policy)


def _decide_still_merged(
    draft: Draft, row: LedgerRow, holder: NameHolder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Merged into a record that represents the name: stays merged, is renamed, or is a different person."""
    found = compare(row, draft)
    if draft.key != row.key:
        return decide_renamed(draft, row, found, holder_of, policy)
    if _is_different_person(draft, row, holder):
        if row.reason is Reason.SAME_PERSON and _has_nothing_in_common(draft, row, holder):
            return decide_as_new(draft, row, holder_of, policy)
        return _hold_same_person(draft, row, holder)
    return _stay_merged(draft, row)


def _has_nothing_in_common(draft: Draft, row: LedgerRow, holder: NameHolder) -> bool:
    """Return whether an identifier that was equal by mistake was corrected: these are two persons."""
    return likeness(draft.identifiers, _other_identifiers(row, holder)) is Likeness.OTHER


def _hold_same_person(draft: Draft, row: LedgerRow, holder: NameHolder) -> Decision | None:
    """Hold the record: an operator decides whether it is the person that has, or had, the name."""
    found = compare(row, draft)
    return hold(Reason.SAME_PERSON, draft, row, found=found, detail=f"not as like {holder.id} as before")


def _decide_without_holder(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """No record, or an unrelated one, has the name: as if nothing were known.

    If an operator is asked about its other name, that question stays open.
    """
    if isinstance(seen, Draft) and _is_held_renamed(seen, row):
        return decide_renamed(seen, row, compare(row, seen), holder_of, policy)
    return decide_as_new(seen, row, holder_of, policy)


def _is_held_renamed(draft: Draft, row: LedgerRow) -> bool:
    """Held: renamed or remapped, and its former name is not back."""
    return row.state is State.HELD and row.reason in _OTHER_NAME and draft.key != row.key


def _decide_succession(
    draft: Draft, row: LedgerRow, holder: NameHolder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """The claimant no longer represents the name: this record succeeds it if the name is still its own.

    If it is now a different person than the others, or shared the party of a forgotten record, an operator
    decides. Under another name, it counts as renamed if Trakor has the shared party, or if an operator is
    asked about the name already. If Trakor has no party, it is decided as if nothing were known.
    """
    if draft.key == row.key and (holder.forgotten or _is_different_person(draft, row, holder)):
        return _hold_same_person(draft, row, holder)
    if draft.key == row.key:
        return merge(draft, row.sent_key, holder, row, row.merged_by or MergedBy.RULE, policy)
    if holder.linked or holder.forgotten or _is_held_renamed(draft, row):
        return decide_renamed(draft, row, compare(row, draft), holder_of, policy)
    return decide_as_new(draft, row, holder_of, policy)


def _shares_party(holder: NameHolder, row: LedgerRow) -> bool:
    """Return whether the party's holder is the merge target, the record itself, or merged likewise."""
    return holder.number in {row.number, row.merged_into} or holder.merged_into == row.merged_into


def _is_different_person(draft: Draft, row: LedgerRow, holder: NameHolder) -> bool:
    """Return whether an identifier changed in the source and now conflicts with the other merged records."""
    asked = row.reason is Reason.SAME_PERSON or has_new_identifiers(draft, row) or _was_away(draft, row)
    return asked and conflicts(draft.identifiers, _other_identifiers(row, holder))


def _was_away(draft: Draft, row: LedgerRow) -> bool:
    """Return whether a record that a rule merged is back, or has its name back.

    Its group may have changed meanwhile. ``hold_if_conflicting`` leaves out a record that was away,
    dismissed or held for its name. A change that only another map makes does not count.
    """
    away = row.state is State.HELD or row.gone or row.filtered or row.dismissed
    return away and row.merged_by is MergedBy.RULE and _has_same_identifiers(draft, row)


def _has_same_identifiers(draft: Draft, row: LedgerRow) -> bool:
    """Return whether the map of the last read identifies the record as the present map does."""
    if row.rules.map == draft.rules.map:
        return True
    return isinstance(draft.before, Draft) and draft.before.identifiers == draft.identifiers


def _other_identifiers(row: LedgerRow, holder: NameHolder) -> list[FieldHashes]:
    """Return the identifiers of the records that it is merged with."""
    others = list(holder.group)
    if row.state is State.MERGED and row.identifiers in others:
        others.remove(row.identifiers)
    return others


def hold_if_conflicting(row: LedgerRow, holder: NameHolder, *, stored: bool) -> Decision | None:
    """Merged by rule, and the claimant's identifiers now conflict -> held: same-person.

    What an operator or the policy merged stays merged. A record that is not in the source now is examined
    when it is back.

    Args:
        row: The merged record.
        holder: The record that it is merged into, as it is now, with its group.
        stored: The record's draft is stored; otherwise its text is taken at the next read.

    Returns:
        The decision, or None if it stays merged.
    """
    settled = row.merged_by is not MergedBy.RULE or row.dismissed or row.gone or row.filtered
    if (
        row.state is not State.MERGED
        or settled
        or not conflicts(row.identifiers, _other_identifiers(row, holder))
    ):
        return None
    return _held_as_same_person(row, f"not as like {holder.id} as before", stored=stored)


def hold_after_drop(row: LedgerRow, dropped: LedgerRow, *, stored: bool) -> Decision:
    """Merged into a record that an operator dropped, because the party is another's -> held: same-person.

    Args:
        row: The merged record.
        dropped: The record that it was merged into.
        stored: The record's draft is stored; otherwise its text is taken at the next read.
    """
    detail = f"{dropped.id} was dropped: what Trakor has under the name is another's"
    return _held_as_same_person(row, detail, stored=stored)


def _held_as_same_person(row: LedgerRow, detail: str, *, stored: bool) -> Decision:
    """Hold a merged record as same-person, with the record that it was merged into."""
    return Decision(
        State.HELD,
        Reason.SAME_PERSON,
        merged_into=row.merged_into,
        merged_by=row.merged_by,
        seen=row.last_seen if stored else None,
        remapped=row.remapped,
        given=row.given,
        event="held",
        detail=detail,
    )


def has_new_identifiers(draft: Draft, row: LedgerRow) -> bool:
    """Return whether an identifier changed in the source. A change by another map alone does not count."""
    if row.rules.map == draft.rules.map:
        return draft.identifiers != row.identifiers
    return isinstance(draft.before, Draft) and draft.before.identifiers != row.identifiers


def _stay_merged(draft: Draft, row: LedgerRow) -> Decision | None:
    same = (row.sent, row.identifiers) == (draft.hashes, draft.identifiers)
    if row.state is State.MERGED and same and not row.dismissed:
        return None
    return Decision(
        State.MERGED,
        merged_into=row.merged_into,
        merged_under=row.sent_key,
        merged_by=row.merged_by,
        draft_action=DraftAction.STORE,
        sent=draft.hashes,
        event="" if row.state is State.MERGED else "as-sent",
    )
