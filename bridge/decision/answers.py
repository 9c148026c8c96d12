"""At each answer of Trakor -> a Decision ("The answer" in docs/decisions.md)."""

from __future__ import annotations

from dataclasses import replace

from bridge.records import Answer, Decision, LedgerRow, Origin, Policy, Reason, State, Waiting

__all__ = ["fail", "reject", "settle"]


def settle(
    answer: Answer, row: LedgerRow, linked: int | None, policy: Policy, *, noted: bool = False
) -> Decision:
    """Decide on Trakor's answer ("The answer" in docs/decisions.md).

    Args:
        answer: What Trakor said.
        row: The record, as it stands now.
        linked: Number of the record that is linked to the returned id already; None: nobody is.
        policy: What the user chose for this stream.
        noted: A changed draft waits to be decided on next, so a difference is not a drift yet.

    Returns:
        The decision.
    """
    origin = _origin(answer, row, linked)
    if row.state is State.DROPPED:
        return Decision(State.DROPPED, origin=origin, event="answered", detail="after it was dropped")
    if linked is not None and linked != row.number:
        return Decision(
            State.HELD,
            Reason.SAME_PARTY,
            merged_into=linked,
            seen=row.seen,
            filtered=row.filtered,
            event="held",
            detail=f"Trakor answered with {answer.trakor_id}, which another record has",
        )
    if origin is Origin.EXISTING and policy.on_existing == "hold":
        return Decision(
            State.HELD, Reason.EXISTING, seen=row.seen, filtered=row.filtered, origin=origin, event="held"
        )
    drifted = row.seen is not None and not noted
    return Decision(
        State.DRIFTED if drifted else State.DELIVERED,
        waiting=Waiting.REMOVE,
        seen=row.seen if drifted else None,
        filtered=row.filtered,
        origin=origin,
        event="delivered",
        detail=str(origin),
    )


def _origin(answer: Answer, row: LedgerRow, linked: int | None) -> Origin:
    """Created, there before, or not to be told: an earlier attempt may have made it."""
    if answer.created:
        return Origin.CREATED
    if linked == row.number and row.origin is not None:
        return row.origin
    return Origin.EXISTING if row.attempts <= 1 else Origin.UNCLEAR


def reject(row: LedgerRow, message: str) -> Decision:
    """Trakor's 400, 413, 422: rejected with the message; the name is given back, for nothing was made.

    Args:
        row: The record.
        message: Trakor's words, scrubbed of personal data.
    """
    return Decision(
        State.REJECTED,
        Reason.REFUSED,
        release=True,
        seen=row.seen,
        filtered=row.filtered,
        event="rejected",
        detail=message,
    )


def fail(row: LedgerRow, message: str) -> Decision:
    """Failures of its own while others passed: rejected. The name stays claimed: it may be made."""
    return replace(reject(row, message), reason=Reason.SERVER_ERROR, release=False)
