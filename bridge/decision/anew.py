"""As if nothing were known of a record: a name is claimed, shared or waited for -> a Decision.

The rows "nothing" of the decision table (docs/decisions.md). Other rows lead here, too: a record that
stands where it is no more is decided as a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bridge.records import (
    Claim,
    Decision,
    Draft,
    Holder,
    LedgerRow,
    Policy,
    Reason,
    State,
    Unsendable,
    Waiting,
)

__all__ = ["HolderOf", "decide_anew", "hold", "other_holder", "send", "why_unsendable"]

HolderOf: TypeAlias = Callable[[str], Holder | None]
"""Tells who holds the claim on a name, given the name's key."""


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
        return _merge(seen, seen.key, holder, row, release=release)
    if policy.on_same_name == "qualify" and seen.qualified_key:
        other = other_holder(holder_of(seen.qualified_key), row)
        if other is None:
            qualified = Claim(seen.qualified_name, seen.qualified_key)
            return send(seen, qualified, release=release, detail=f"qualified: {holder.id} has the name")
        if _same_one(seen, other):
            return _merge(seen, seen.qualified_key, other, row, release=release)
    return hold(Reason.SAME_NAME, seen, row, release=release, detail=f"{holder.id} has the name")


def why_unsendable(seen: Unsendable) -> str:
    """For the history: which field could not be made, and why; without personal data."""
    return f"{seen.field}: {seen.detail}" if seen.field and seen.detail else seen.detail


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
        detail=why_unsendable(seen),
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


def _merge(
    draft: Draft, key: str, holder: Holder, row: LedgerRow | None, *, release: bool
) -> Decision | None:
    """Both have the same non-empty `same_as`, or the policy says so -> merged into the claimant.

    The draft is kept while the claimant has no answer, since it may yet give its claim back. One that
    will never have an answer is not merged into: nobody would ever send what is.
    """
    if holder.idle and not holder.answered:
        detail = f"{holder.id} has the name, was tried under it, and is not sent any more"
        return hold(Reason.SAME_NAME, draft, row, release=release, detail=detail)
    return Decision(
        State.MERGED,
        release=release,
        merged_into=_merged_into(holder, row),
        merged_under=key,
        waiting=Waiting.REMOVE if holder.answered else Waiting.STORE,
        sent=draft.hashes,
        event="merged",
        detail=f"into {holder.id}",
    )


def _merged_into(holder: Holder, row: LedgerRow | None) -> int:
    """A name's holder, or what that one is merged into, unless that is the record itself: names swapped."""
    into = holder.merged_into
    return holder.number if into is None or (row is not None and into == row.number) else into


def hold(
    reason: Reason, draft: Draft, row: LedgerRow | None, *, release: bool = False, detail: str = ""
) -> Decision | None:
    """Hold the record for a person, with the draft that the person decides on.

    A merged one that was renamed still knows what it was merged into: the name may come back.
    """
    renamed = row is not None and row.key != draft.key
    into = row.merged_into if row is not None and renamed else None
    if (
        row is not None
        and (row.state, row.reason, row.seen, row.merged_into) == (State.HELD, reason, draft.hashes, into)
        and not row.retry
    ):
        return None
    return Decision(
        State.HELD,
        reason,
        release=release,
        merged_into=into,
        waiting=Waiting.STORE,
        seen=draft.hashes,
        event="held",
        detail=detail or str(reason),
    )


def other_holder(holder: Holder | None, row: LedgerRow | None) -> Holder | None:
    """The holder of a name, unless it is the record itself."""
    return None if holder is None or (row is not None and holder.number == row.number) else holder


def _same_one(draft: Draft, holder: Holder) -> bool:
    """Whether the map says that both records are one person: equal and not empty."""
    return bool(draft.same_as) and draft.same_as == holder.same_as
