"""Decides what an operator's action does: accept, dismiss, drop, retry."""

from __future__ import annotations

from dataclasses import replace

from bridge.decision.new_record import HolderOf, decide_as_new, merge, other_holder, party_holder, send
from bridge.decision.observed import decide_again, send_again
from bridge.errors import UserError
from bridge.records import Decision, Draft, DraftAction, LedgerRow, MergedBy, NameClaim, Policy, Reason, State

__all__ = ["accept", "dismiss", "drop", "retry"]

_NAMED = frozenset({Reason.RENAMED, Reason.REMAPPED, Reason.SAME_NAME, Reason.SAME_PERSON})
"""Reasons for which an accepted record is sent under a name."""


def accept(
    row: LedgerRow, draft: Draft | None, holder_of: HolderOf, policy: Policy, *, name: NameClaim | None = None
) -> Decision:
    """Accept: the meaning depends on what the record waits for.

    A renamed or remapped record is sent under its new name, a same name under the qualified or a given one.
    A same person is merged; with a given name, it is sent as another person. `same-party` and `existing`
    are taken as they are. A drift, or the mark `remapped`, counts as corrected in Trakor by hand.

    Args:
        row: The record.
        draft: The stored draft of the record, if any.
        holder_of: Returns the holder of a name.
        policy: What the user chose for this stream.
        name: A name that the operator gave instead of the mapped one.

    Raises:
        UserError: There is nothing to accept, or the name is taken.
    """
    if name is not None and row.reason not in _NAMED:
        raise UserError(
            f"record {row.id} does not wait for a name, so you cannot give it one",
            advice="accept it without one; `trakor-bridge records show ID` explains what that means",
        )
    if row.state is State.DRIFTED or (row.remapped and row.state is State.DELIVERED):
        return _accept_correction(row)
    if row.state is not State.HELD:
        raise UserError(
            f"record {row.id} is {row.state}: there is nothing to accept",
            advice="held and drifted records can be accepted; a rejected one is corrected in Salestrekker, "
            "or dropped: `trakor-bridge records drop ID`",
        )
    if row.reason is Reason.SAME_PARTY:
        return _accept_shared_party(row)
    if row.reason is Reason.EXISTING:
        return _adopt(row)
    if row.reason is Reason.SAME_PERSON and name is None:
        return _accept_same_person(row, draft, holder_of, policy)
    return _accept_name(row, draft, holder_of, policy, name)


def _accept_correction(row: LedgerRow) -> Decision:
    """Someone corrected the record in Trakor by hand: Trakor has what the source says now."""
    return Decision(
        State.DELIVERED,
        sent=row.last_seen,
        content=row.last_seen,
        filtered=row.filtered,
        given=row.given,
        draft_action=DraftAction.SENT,
        event="accepted",
    )


def _accept_shared_party(row: LedgerRow) -> Decision:
    """Trakor answered with another record's party: both share it."""
    return Decision(
        State.MERGED,
        merged_into=row.merged_into,
        merged_under=row.sent_key,
        merged_by=MergedBy.PERSON,
        draft_action=DraftAction.DONE,
        filtered=row.filtered,
        event="accepted",
    )


def _adopt(row: LedgerRow) -> Decision:
    """Trakor had the record before: it is this record's."""
    return Decision(
        State.DELIVERED,
        filtered=row.filtered,
        given=row.given,
        content={},
        draft_action=DraftAction.SENT,
        event="accepted",
    )


def _accept_same_person(row: LedgerRow, draft: Draft | None, holder_of: HolderOf, policy: Policy) -> Decision:
    """They are one person: merged into the record that has the name, or sent if no record has it now."""
    kept = _require_draft(row, draft)
    key = kept.key if row.merged_into is None else row.sent_key  # it may share a qualified name
    holder = party_holder(other_holder(holder_of(key), row), row, holder_of)
    if holder is None:
        decision = decide_as_new(kept, row._replace(retry=True), holder_of, policy)
        return decision or send(kept, NameClaim(kept.payload.name, kept.key), release=False)
    return merge(kept, key, holder, row, MergedBy.PERSON, policy)._replace(event="accepted")


def _require_draft(row: LedgerRow, draft: Draft | None) -> Draft:
    """Return the draft to decide on.

    Raises:
        UserError: The record is gone, or its draft is not stored.
    """
    if row.gone:
        raise UserError(
            f"record {row.id} is gone from Salestrekker, so it is not sent",
            advice="`trakor-bridge records drop` ends it. If it comes back, it is decided again",
        )
    if draft is None:
        raise UserError(
            f"record {row.id} is no longer stored",
            advice="`trakor-bridge records retry` checks it again at the next read",
        )
    return draft


def _accept_name(
    row: LedgerRow, draft: Draft | None, holder_of: HolderOf, policy: Policy, name: NameClaim | None
) -> Decision:
    """Send a renamed, remapped or same-named record under a free name."""
    draft = _require_draft(row, draft)
    if name is not None:
        if other_holder(holder_of(name.key), row) is not None:
            raise UserError(f"the name given for {row.id} is taken", advice="choose another name")
        return send(draft, name, release=False, given=True)._replace(
            event="accepted", detail="under a given name"
        )
    wanted = policy if row.reason is not Reason.SAME_NAME else replace(policy, on_same_name="qualify")
    decision = decide_as_new(draft, row, holder_of, wanted)
    nameless = decision is None or (row.reason is Reason.SAME_NAME and decision.state is State.HELD)
    holder = other_holder(holder_of(draft.key), row)
    if nameless and holder is not None and holder.forgotten:
        # The record that had the name was forgotten. Once Trakor no longer has it, this one can use the name.
        return merge(draft, draft.key, holder, row, MergedBy.PERSON, policy)._replace(event="accepted")
    if decision is None or nameless:
        raise UserError(
            f"record {row.id} has no free name: its qualified one is taken, or it has no qualifier",
            advice='give it one: `trakor-bridge records accept ID --as "NAME"`',
        )
    return decision._replace(event="accepted", detail=decision.detail or str(decision.state))


def dismiss(row: LedgerRow) -> Decision:
    """Dismiss: leave what Trakor has, and report nothing until the source changes again.

    `existing` and `same-party` are taken as they are, and dismissed too. A delivered record that is gone
    from the source differs as well: someone deleted it in Trakor by hand, or it is to stay there.

    Raises:
        UserError: Nothing differs, or the record was never sent.
    """
    if row.reason is Reason.EXISTING:
        return _adopt(row)._replace(seen=row.seen, dismissed=True, event="dismissed")
    if row.reason is Reason.SAME_PARTY:
        return _accept_shared_party(row)._replace(seen=row.seen, dismissed=True, event="dismissed")
    renamed = row.state is State.HELD and row.reason in {Reason.RENAMED, Reason.REMAPPED}
    shared = renamed and row.merged_into is not None
    differs = row.state is State.DELIVERED and (row.remapped or (row.gone and not row.dismissed))
    if not (row.state is State.DRIFTED or renamed or differs):
        raise UserError(
            f"record {row.id} has nothing to dismiss",
            advice="what differs in Trakor can be dismissed; `trakor-bridge records drop` ends what was "
            "never sent",
        )
    return Decision(
        State.MERGED if shared else State.DELIVERED,
        merged_into=row.merged_into if shared else None,
        merged_by=row.merged_by if shared else None,
        seen=row.seen,
        filtered=row.filtered,
        given=row.given,
        dismissed=True,
        draft_action=DraftAction.DONE,
        event="dismissed",
    )


def drop(row: LedgerRow) -> Decision:
    """Drop: the record is never sent (again).

    Raises:
        UserError: Trakor has it already, so there is nothing to stop.
    """
    if row.state is State.DROPPED:
        raise UserError(
            f"record {row.id} is dropped already", advice="`trakor-bridge records retry ID` takes that back"
        )
    if row.state in {State.DELIVERED, State.MERGED}:
        raise UserError(
            f"record {row.id} is {row.state}: there is nothing to drop",
            advice="Trakor's API cannot delete; remove it in Trakor by hand",
        )
    return Decision(
        State.DROPPED,
        release=not row.unanswered and not row.answered,
        draft_action=DraftAction.DONE,
        filtered=row.filtered,
        given=row.given,
        event="dropped",
    )


def retry(row: LedgerRow, draft: Draft | None, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Retry: decide again at once from the stored draft; None if that has to wait for the next read.

    Raises:
        UserError: The record needs no decision.
    """
    if row.forgotten:
        raise UserError(f"record {row.id} was forgotten on request", advice="there is nothing left to retry")
    if row.state in {State.DELIVERED, State.MERGED}:
        raise UserError(f"record {row.id} is {row.state}: there is nothing to retry")
    if row.state is State.DRIFTED:
        raise UserError(
            f"record {row.id} is drifted: Trakor has no update, so checking it again changes nothing",
            advice="correct it in Trakor by hand and confirm that with `trakor-bridge records accept`, or "
            "drop it with `trakor-bridge records drop`; "
            "if Salestrekker reverts the change, the drift ends by itself",
        )
    if row.reason is Reason.EXISTING:
        return _retry_existing(row, holder_of, policy)
    if row.unanswered and row.stored and row.reason is not Reason.DAMAGED:
        return send_again(row)._replace(event="retried")
    if draft is None or row.gone or row.answered or row.state not in {State.REJECTED, State.HELD}:
        return None
    if row.reason in {Reason.SAME_PARTY, Reason.RENAMED, Reason.REMAPPED, Reason.DAMAGED}:
        return None
    decision = decide_again(
        draft, row._replace(retry=True), holder_of, policy
    )  # also reported if it stays held
    return None if decision is None else decision._replace(event="retried")


def _retry_existing(row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision:
    """By the present policy, a record that existed before is taken as it is, or stays held."""
    if policy.on_existing == "hold":
        raise UserError(
            f"record {row.id} was in Trakor before, and on_existing is hold: it stays held",
            advice="`trakor-bridge records accept` takes it as it is, `trakor-bridge records drop` leaves it "
            "alone",
        )
    return accept(row, None, holder_of, policy)._replace(event="retried", detail="taken as it is")
