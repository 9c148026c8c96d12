"""At each sight of a record that shares another's party or product -> a Decision.

The rows "merged" of the decision table (docs/decisions.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.decision.comparison import compare
from bridge.decision.delivered_record import decide_renamed
from bridge.decision.new_record import HolderOf, decide_as_new, hold, merge, party_holder
from bridge.decision.same_person import Likeness, conflicts, likeness
from bridge.decision.unchanged import mark_filtered
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
    """Merged: same key -> stays merged, unless an identifier changed and conflicts; another -> a rename.

    Without a name, or where mapping fails: as if nothing were known, unless a person merged it; so where
    `where` says no, and what it is merged into will not be in Trakor. Where the claimant does not stand for
    the name any more, this one takes its place; one that is perhaps another person does not.
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
    """`where` says no, no name, or mapping fails: what is in Trakor is marked, what a person merged stays.

    Unless the claimant does not stand for the name any more: nobody can take its place without one.
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
    """Merged into one that stands for the name: it stays so, is renamed, or is told apart by now."""
    found = compare(row, draft)
    if draft.key != row.key:
        return decide_renamed(draft, row, found, holder_of, policy)
    if _is_different_person(draft, row, holder):
        if row.reason is Reason.SAME_PERSON and _has_nothing_in_common(draft, row, holder):
            return decide_as_new(draft, row, holder_of, policy)
        return _hold_same_person(draft, row, holder)
    return _stay_merged(draft, row)


def _has_nothing_in_common(draft: Draft, row: LedgerRow, holder: NameHolder) -> bool:
    """What was equal by mistake was corrected in Salestrekker: two persons."""
    return likeness(draft.identifiers, _other_identifiers(row, holder)) is Likeness.OTHER


def _hold_same_person(draft: Draft, row: LedgerRow, holder: NameHolder) -> Decision | None:
    """A person is asked whether it is the same as the one that has the name, or had it."""
    found = compare(row, draft)
    return hold(Reason.SAME_PERSON, draft, row, found=found, detail=f"not as like {holder.id} as before")


def _decide_without_holder(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Nobody has the name any more, or a stranger: as if nothing were known.

    But for one whose other name a person is asked about: nobody has answered.
    """
    if isinstance(seen, Draft) and _is_held_renamed(seen, row):
        return decide_renamed(seen, row, compare(row, seen), holder_of, policy)
    return decide_as_new(seen, row, holder_of, policy)


def _is_held_renamed(draft: Draft, row: LedgerRow) -> bool:
    """Held: renamed or remapped, and its name is not back."""
    return row.state is State.HELD and row.reason in _OTHER_NAME and draft.key != row.key


def _decide_succession(
    draft: Draft, row: LedgerRow, holder: NameHolder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """The claimant does not stand for the name any more: this one does, if the name is still its own.

    One that is told apart from the others by now does not, nor one that shared the party of a forgotten
    one: a person is asked. Under another name it is renamed where Trakor has the party that it shares, or a
    person is asked about the name already; where Trakor has none, it is decided as if nothing were known.
    """
    if draft.key == row.key and (holder.forgotten or _is_different_person(draft, row, holder)):
        return _hold_same_person(draft, row, holder)
    if draft.key == row.key:
        return merge(draft, row.sent_key, holder, row, row.merged_by or MergedBy.RULE, policy)
    if holder.linked or holder.forgotten or _is_held_renamed(draft, row):
        return decide_renamed(draft, row, compare(row, draft), holder_of, policy)
    return decide_as_new(draft, row, holder_of, policy)


def _shares_party(holder: NameHolder, row: LedgerRow) -> bool:
    """Whether a party's holder is what the record is merged into, the record itself, or merged likewise."""
    return holder.number in {row.number, row.merged_into} or holder.merged_into == row.merged_into


def _is_different_person(draft: Draft, row: LedgerRow, holder: NameHolder) -> bool:
    """Whether an identifier changed at the source, and conflicts by now with those it is merged with."""
    asked = row.reason is Reason.SAME_PERSON or has_new_identifiers(draft, row) or _was_away(draft, row)
    return asked and conflicts(draft.identifiers, _other_identifiers(row, holder))


def _was_away(draft: Draft, row: LedgerRow) -> bool:
    """One that a rule merged is back, or has its name back: meanwhile it, or the others, may have changed.

    ``hold_if_conflicting`` leaves out a record that was away, dismissed or held for its
    name. A change that only another map makes does not count.
    """
    away = row.state is State.HELD or row.gone or row.filtered or row.dismissed
    return away and row.merged_by is MergedBy.RULE and _has_same_identifiers(draft, row)


def _has_same_identifiers(draft: Draft, row: LedgerRow) -> bool:
    """Whether the map that it was last seen with identifies it as the present one does."""
    if row.rules.map == draft.rules.map:
        return True
    return isinstance(draft.before, Draft) and draft.before.identifiers == draft.identifiers


def _other_identifiers(row: LedgerRow, holder: NameHolder) -> list[FieldHashes]:
    """What identifies those that it is merged with."""
    others = list(holder.group)
    if row.state is State.MERGED and row.identifiers in others:
        others.remove(row.identifiers)
    return others


def hold_if_conflicting(row: LedgerRow, holder: NameHolder, *, stored: bool) -> Decision | None:
    """Merged by rule, and the claimant's identifiers changed and conflict by now -> held: same-person.

    What a person or the policy merged stays so. One that is not in the source now is looked at when it is
    back.

    Args:
        row: The merged record.
        holder: The record that it is merged into, as it stands now, with its group.
        stored: What the record says is stored; else that is taken at its next sight.

    Returns:
        The decision, or None where it stays merged.
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
    """Merged into one of which a person said that Trakor's party is another's -> held: same-person.

    Args:
        row: The merged record.
        dropped: The record that it was merged into.
        stored: What the record says is stored; else that is taken at its next sight.
    """
    detail = f"{dropped.id} was dropped: what Trakor has under the name is another's"
    return _held_as_same_person(row, detail, stored=stored)


def _held_as_same_person(row: LedgerRow, detail: str, *, stored: bool) -> Decision:
    """A merged record is held: same-person, with what it was merged into."""
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
    """Whether an identifier changed at the source; what another map gives is none of its doing."""
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
