"""At each answer of Trakor -> a Decision ("The answer" in docs/decisions.md)."""

from __future__ import annotations

from dataclasses import replace

from bridge.records import Answer, Decision, LedgerRow, Origin, Policy, Reason, State, Waiting

__all__ = ["fail", "give_back", "reject", "settle"]


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
    if origin is Origin.EXISTING and linked is None and policy.on_existing == "hold":
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
    if linked == row.number:  # an earlier name of its own came back
        return row.origin or Origin.UNCLEAR
    return Origin.EXISTING if row.attempts <= 1 else Origin.UNCLEAR


def reject(row: LedgerRow, message: str) -> Decision:
    """Trakor's 400, 413, 422: rejected with the message; the name is given back, for nothing was made.

    One that a person dropped meanwhile stays dropped, and gives its name back likewise.

    Args:
        row: The record.
        message: Trakor's words, scrubbed of personal data.
    """
    if row.state is State.DROPPED:
        return give_back(row)
    return Decision(
        State.REJECTED,
        Reason.REFUSED,
        release=True,
        seen=row.seen,
        filtered=row.filtered,
        event="rejected",
        detail=message,
    )


def give_back(row: LedgerRow) -> Decision:
    """Dropped or gone, and surely nothing was made of it: it stays as it is, without its claim on a name.

    Args:
        row: The record; pending, or dropped by a person, who may have done so while it was under way.
    """
    return Decision(row.state, row.reason, release=True, waiting=Waiting.UNNOTE, filtered=row.filtered)


def fail(row: LedgerRow, message: str) -> Decision:
    """Failures of its own while others passed: rejected. The name stays claimed: it may be made."""
    return replace(reject(row, message), reason=Reason.SERVER_ERROR, release=False)
