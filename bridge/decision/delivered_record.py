"""Decides on a record that Trakor has, at each read: as sent, drifted, renamed or remapped.

These are the rows "answered" of the decision table (docs/decisions.md).
"""

from __future__ import annotations

from bridge.decision.comparison import RULES, Comparison, compare, has_source_changed, hashes_if_unmappable
from bridge.decision.keep_state import mark_filtered, stay
from bridge.decision.new_record import HolderOf, decide_as_new, describe_unsendable, hold
from bridge.records import (
    UNKNOWN,
    Decision,
    Draft,
    DraftAction,
    FieldHashes,
    LedgerRow,
    Policy,
    Reason,
    State,
    Unsendable,
)

__all__ = ["decide_delivered", "decide_renamed", "decide_repaired"]


def decide_delivered(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Answered: as sent -> delivered; same key -> drifted; other key -> renamed or remapped."""
    if isinstance(seen, Unsendable):
        return mark_filtered(row) if seen.reason is Reason.FILTERED else _decide_unmappable(seen, row)
    found = compare(row, seen)
    if row.dismissed and not found.source:
        return _decide_dismissed(seen, row, found)
    if seen.key == row.key:
        return _decide_same_name(seen, row, found, policy)
    return decide_renamed(seen, row, found, holder_of, policy)


def _decide_unmappable(seen: Unsendable, row: LedgerRow) -> Decision | None:
    """No name, or mapping fails -> drifted, in the field that cannot be mapped.

    No change if an operator accepted exactly that, or dismissed it and the source is the same.
    """
    changed = hashes_if_unmappable(row, seen)
    if changed == row.sent or (row.dismissed and not has_source_changed(row, seen)):
        return None
    return _drift(changed, row, detail=describe_unsendable(seen))


def _decide_dismissed(draft: Draft, row: LedgerRow, found: Comparison) -> Decision | None:
    """Dismissed: source as when it was dismissed, whatever the map -> nothing."""
    seen = draft.hashes if found.fields else None
    if (found.sent, seen) == (row.sent, row.seen):
        return None
    return stay(row)._replace(sent=found.sent, seen=seen)


def _decide_same_name(draft: Draft, row: LedgerRow, found: Comparison, policy: Policy) -> Decision | None:
    """As sent -> delivered; changed by the map alone -> remapped; other fields -> drifted."""
    if found.fields and policy.on_change != "ignore":
        return _drift(draft.hashes, row, found)
    seen = draft.hashes if found.fields else None
    known = (row.state, row.seen, row.sent, row.remapped, row.dismissed)
    if known == (State.DELIVERED, seen, found.sent, found.remapped, False):
        return None
    newly = found.remapped and not row.remapped
    moved = ", ".join(row.fields_between(row.sent, found.sent))
    return Decision(
        State.DELIVERED,
        draft_action=DraftAction.STORE if found.remapped else DraftAction.DONE,
        sent=found.sent,
        seen=seen,
        remapped=found.remapped,
        given=row.given,
        event="remapped" if newly else "as-sent" if seen is None else "",
        detail=moved if newly else "",
    )


def decide_renamed(
    draft: Draft, row: LedgerRow, found: Comparison, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Another name: held: renamed, a second claim by policy, or held: remapped if the map changed it.

    A record held as same-name was accepted under its new name while another record had that name. It is
    decided again at each read.
    """
    at_source = "name" in (found.source if row.reason is Reason.REMAPPED else found.fields)
    at_source = at_source and RULES not in found.fields
    if row.reason is Reason.SAME_NAME or (at_source and policy.on_rename == "create"):
        return _with_comparison(found, row, decide_as_new(draft, row, holder_of, policy))
    # A name that a person gave is not what the map makes: to leave it is no doing of the map's.
    return hold(Reason.RENAMED if at_source or row.given else Reason.REMAPPED, draft, row, found=found)


def _with_comparison(found: Comparison, row: LedgerRow, decision: Decision | None) -> Decision | None:
    """Return the decision. If it holds the record, add what the present rules compare it with."""
    if decision is None or decision.state is not State.HELD:
        return decision
    return decision._replace(sent=found.sent, remapped=found.remapped, given=row.given)


def _drift(
    seen: FieldHashes, row: LedgerRow, found: Comparison | None = None, *, detail: str = ""
) -> Decision | None:
    """The source changed and Trakor cannot take the change -> drifted, with the fields."""
    sent = row.sent if found is None else found.sent
    if (row.state, row.seen, row.sent) == (State.DRIFTED, seen, sent):
        return None
    return Decision(
        State.DRIFTED,
        draft_action=DraftAction.KEEP if found is None else DraftAction.STORE,
        sent=sent,
        seen=seen,
        remapped=row.remapped if found is None else found.remapped,
        given=row.given,
        event="drifted",
        detail=detail or ", ".join(row.fields_between(sent, seen)),
    )


def decide_repaired(draft: Draft, row: LedgerRow) -> Decision | None:
    """Damaged, and answered: what Trakor has is unknown -> drifted, by `rules`."""
    sent = {**draft.hashes, RULES: UNKNOWN}
    decision = _drift(draft.hashes, row, Comparison(sent, (RULES,), (RULES,), remapped=False))
    return decision if decision is None else decision._replace(content={}, detail="its row was damaged")
