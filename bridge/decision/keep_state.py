"""Decisions that leave a record in its state, at most with other marks."""

from __future__ import annotations

from bridge.records import Decision, DraftAction, LedgerRow

__all__ = ["mark_filtered", "stay", "stay_unchanged", "without_note"]


def stay_unchanged(row: LedgerRow) -> Decision:
    """Leave a record as it is."""
    return stay(row, filtered=row.filtered)


def stay(row: LedgerRow, *, filtered: bool = False, event: str = "") -> Decision:
    """Keep the state, with other marks."""
    return Decision(
        row.state,
        row.reason,
        merged_into=row.merged_into,
        merged_by=row.merged_by,
        seen=row.seen,
        filtered=filtered,
        remapped=row.remapped,
        dismissed=row.dismissed,
        given=row.given,
        event=event,
    )


def mark_filtered(row: LedgerRow) -> Decision | None:
    """Answered, `where` excludes it -> state kept, mark `filtered`."""
    return None if row.filtered else stay(row, filtered=True, event="filtered")


def without_note(decision: Decision | None) -> Decision | None:
    """Discard what was noted before, once `where` excludes the record."""
    return None if decision is None else decision._replace(draft_action=DraftAction.UNNOTE, seen=None)
