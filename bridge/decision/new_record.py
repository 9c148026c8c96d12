"""Decides on a record as if nothing were known of it: its name is claimed, shared or waited for.

These are the rows "nothing" of the decision table (docs/decisions.md). Other rows lead here too, when a
record is no longer bound to what was decided before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from bridge.decision.claim_succession import succeed
from bridge.decision.comparison import translate_hashes
from bridge.decision.same_person import Likeness, likeness
from bridge.records import (
    Decision,
    Draft,
    DraftAction,
    LedgerRow,
    MergedBy,
    NameClaim,
    NameHolder,
    Origin,
    Policy,
    Reason,
    State,
    Unsendable,
)

if TYPE_CHECKING:
    from bridge.decision.comparison import Comparison

__all__ = [
    "HolderOf",
    "decide_as_new",
    "describe_unsendable",
    "hold",
    "merge",
    "other_holder",
    "party_holder",
    "send",
]

HolderOf: TypeAlias = Callable[[str], NameHolder | None]
"""Returns the holder of a name, given the name's key."""


def decide_as_new(
    seen: Draft | Unsendable, row: LedgerRow | None, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide as if nothing were known of the record (the rows "nothing" of the table).

    A name that the record itself holds is free for it.

    Args:
        seen: What mapping made of the record.
        row: The record's row if there is one, so that an unchanged result writes nothing.
        holder_of: Returns the holder of a name.
        policy: What the user chose for this stream.

    Returns:
        The decision, or None if the record is in exactly that state already.
    """
    release = row is not None and row.state is State.PENDING
    if isinstance(seen, Unsendable):
        return _set_aside(seen, row, release=release)
    holder = party_holder(other_holder(holder_of(seen.key), row), row, holder_of)
    if holder is None:
        return send(seen, NameClaim(seen.payload.name, seen.key), release=release)
    like = _likeness_of(holder, seen, row)
    if like is Likeness.SAME:
        return merge(seen, seen.key, holder, row, MergedBy.RULE, policy, release=release)
    if like is Likeness.PERHAPS:
        decision = hold(Reason.SAME_PERSON, seen, row, release=release, detail=f"perhaps {holder.id}")
    elif policy.on_same_name == "merge" and holder.mergeable:
        return merge(seen, seen.key, holder, row, MergedBy.POLICY, policy, release=release)
    else:
        decision = _decide_same_name(seen, row, holder, holder_of, policy, release=release)
    return None if decision is None else decision._replace(doubts=_doubtful_holder(holder))


def _decide_same_name(
    seen: Draft,
    row: LedgerRow | None,
    holder: NameHolder,
    holder_of: HolderOf,
    policy: Policy,
    *,
    release: bool,
) -> Decision | None:
    """Another person has the name: qualify it, share the qualified name, or hold the record."""
    detail = f"{holder.id} has the name"
    if policy.on_same_name != "qualify" or not seen.qualified_key:
        return hold(Reason.SAME_NAME, seen, row, release=release, detail=detail)
    other = party_holder(other_holder(holder_of(seen.qualified_key), row), row, holder_of)
    if other is None:
        claim = NameClaim(seen.qualified_name, seen.qualified_key)
        return send(seen, claim, release=release, detail=f"qualified: {detail}")
    if other.mergeable and likeness(seen.identifiers, other.group) is Likeness.SAME:
        return merge(seen, seen.qualified_key, other, row, MergedBy.RULE, policy, release=release)
    return hold(Reason.SAME_NAME, seen, row, release=release, detail=detail)


def _likeness_of(holder: NameHolder, seen: Draft, row: LedgerRow | None) -> Likeness:
    """Return how a record relates to the one that has its name.

    The identifiers of a forgotten record are erased. A record that was held as perhaps the same stays so
    until an operator answers; any other record is a different person.
    """
    held = row is not None and (row.state, row.reason) == (State.HELD, Reason.SAME_PERSON) and not row.retry
    if holder.forgotten and held:
        return Likeness.PERHAPS
    return likeness(seen.identifiers, holder.group) if holder.mergeable else Likeness.OTHER


def _doubtful_holder(holder: NameHolder) -> int | None:
    """Return the number of an adopted record whose name another one wants: its party may belong to either."""
    return holder.number if holder.origin is Origin.EXISTING and holder.adopted_at else None


def describe_unsendable(seen: Unsendable) -> str:
    """Describe for the history which field could not be mapped, and why; without personal data."""
    return f"{seen.field}: {seen.detail}" if seen.field and seen.detail else seen.detail


def _set_aside(seen: Unsendable, row: LedgerRow | None, *, release: bool) -> Decision | None:
    """`where` excludes it / no name / mapping fails -> skipped: filtered / no-name, rejected: mapping."""
    state = State.REJECTED if seen.reason is Reason.MAPPING else State.SKIPPED
    if row is not None and (row.state, row.reason) == (state, seen.reason) and not row.retry:
        return None
    return Decision(
        state,
        seen.reason,
        release=release,
        draft_action=DraftAction.DONE,
        event=str(state),
        detail=describe_unsendable(seen),
    )


def send(draft: Draft, claim: NameClaim, *, release: bool, detail: str = "", given: bool = False) -> Decision:
    """Name free -> claim it, pending."""
    return Decision(
        State.PENDING,
        claim=claim,
        release=release,
        draft_action=DraftAction.STORE,
        sent=draft.hashes,
        given=given,
        event="pending",
        detail=detail,
    )


def merge(
    draft: Draft,
    key: str,
    holder: NameHolder,
    row: LedgerRow | None,
    by: MergedBy,
    policy: Policy,
    *,
    release: bool = False,
) -> Decision:
    """The same person, or the policy or an operator says so -> merged into the claimant.

    If the claimant no longer represents the name, this record succeeds it.
    """
    if not holder.represents:
        report = policy.on_change != "ignore"
        known = replace(holder, sent=translate_hashes(holder.sent, draft)) if holder.first else holder
        return succeed(draft.hashes, key, known, report=report)._replace(release=release)
    return Decision(
        State.MERGED,
        release=release,
        merged_into=_merge_target(holder, row),
        merged_under=key,
        merged_by=by,
        draft_action=DraftAction.STORE,
        sent=draft.hashes,
        event="merged",
        detail=f"into {holder.id}" if by is MergedBy.RULE else f"into {holder.id}, by {by}",
    )


def _merge_target(holder: NameHolder, row: LedgerRow | None) -> int:
    """Return a name's holder, or what that is merged into unless it is the record itself (swapped names)."""
    into = holder.merged_into
    return holder.number if into is None or (row is not None and into == row.number) else into


def hold(
    reason: Reason,
    draft: Draft,
    row: LedgerRow | None,
    *,
    release: bool = False,
    found: Comparison | None = None,
    detail: str = "",
) -> Decision | None:
    """Hold the record for an operator, with the draft that the operator decides on.

    A merged record that was renamed keeps what it was merged into, because the name may come back.

    Args:
        reason: Why it is held.
        draft: What mapping made of it.
        row: The record's row; None if it is new.
        release: Give its claim back.
        found: How the draft compares with Trakor, for a record that was answered or is merged.
        detail: More for the history.
    """
    renamed = row is not None and row.key != draft.key
    into = row.merged_into if row is not None and (renamed or reason is Reason.SAME_PERSON) else None
    decision = Decision(
        State.HELD,
        reason,
        release=release,
        merged_into=into,
        merged_by=row.merged_by if row is not None and into is not None else None,
        draft_action=DraftAction.STORE,
        sent=None if found is None else found.sent,
        seen=draft.hashes,
        remapped=row is not None and (row.remapped if found is None else found.remapped),
        given=row is not None and row.given and not release,
        event="held",
        detail=detail or str(reason),
    )
    return None if row is not None and _is_already_held(row, decision) else decision


def _is_already_held(row: LedgerRow, decision: Decision) -> bool:
    """Return whether the record is held for exactly that already."""
    known = (row.state, row.reason, row.seen, row.merged_into, row.remapped)
    held = (decision.state, decision.reason, decision.seen, decision.merged_into, decision.remapped)
    return known == held and decision.sent in (None, row.sent) and not row.retry


def party_holder(holder: NameHolder | None, row: LedgerRow | None, holder_of: HolderOf) -> NameHolder | None:
    """Return the holder of the party of a name: the name's own holder may share another record's party.

    Args:
        holder: The holder of the name.
        row: The record that is decided on; None if it is new.
        holder_of: Returns the holder of a name.
    """
    party = holder_of(holder.shares) if holder is not None and holder.shares else None
    itself = party is not None and row is not None and party.number == row.number
    return holder if party is None or itself else party


def other_holder(holder: NameHolder | None, row: LedgerRow | None) -> NameHolder | None:
    """Return the holder of a name, unless that is the record itself."""
    return None if holder is None or (row is not None and holder.number == row.number) else holder
