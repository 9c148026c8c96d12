"""Decides on each answer of Trakor ("When Trakor answers" in docs/decisions.md).

An answer proves the name and the id, and no more. If Trakor did not create the record now, it has what was
sent when the record was created, as far as that is known.
"""

from __future__ import annotations

from bridge.records import (
    Decision,
    DraftAction,
    FieldHashes,
    LedgerRow,
    Origin,
    Policy,
    Reason,
    State,
    TrakorAnswer,
)

__all__ = ["fail", "give_back", "reject", "settle"]

_OF_THE_NAME = ("name", "qualifier")


def settle(
    answer: TrakorAnswer,
    row: LedgerRow,
    linked: int | None,
    policy: Policy,
    *,
    noted: bool = False,
    link: FieldHashes | None = None,
    wanted: bool = False,
    silent: bool = False,
) -> Decision:
    """Decide on Trakor's answer ("When Trakor answers" in docs/decisions.md).

    Args:
        answer: What Trakor answered.
        row: The record, as it is now.
        linked: Number of the record that is linked to the returned id already; None: none.
        policy: What the user chose for this stream.
        noted: A changed draft is decided on next, so a difference is not a drift yet.
        link: Field hashes of what was sent when the record itself was linked to the id; None: unknown.
        wanted: Another record that is not merged wants the same mapped name.
        silent: An earlier request for this name had no answer and may have created it.

    Returns:
        The decision.
    """
    if linked is not None and linked != row.number:
        return _hold_same_party(answer, row, linked)
    own = (link or {}) if linked == row.number else None
    origin, content = _origin_and_content(answer, row, own, silent=silent)
    if row.state is State.DROPPED:
        return _stay_dropped(row)._replace(origin=origin, content=content)
    there_before = not answer.created and own is None
    if there_before and (policy.on_existing == "hold" or (origin is Origin.EXISTING and wanted)):
        return _hold_existing(row, origin, content)
    return _deliver(row, origin, content, noted=noted)


def _stay_dropped(row: LedgerRow) -> Decision:
    """An operator dropped it during the request: it stays dropped, with its marks."""
    return Decision(
        State.DROPPED,
        filtered=row.filtered,
        given=row.given,
        event="answered",
        detail="after it was dropped",
    )


def _hold_same_party(answer: TrakorAnswer, row: LedgerRow, linked: int) -> Decision:
    """Another record is linked to the id -> held: same-party."""
    if row.state is State.DROPPED:
        return _stay_dropped(row)
    return Decision(
        State.HELD,
        Reason.SAME_PARTY,
        merged_into=linked,
        seen=row.seen,
        filtered=row.filtered,
        given=row.given,
        event="held",
        detail=f"Trakor answered with {answer.trakor_id}, which another record has",
    )


def _origin_and_content(
    answer: TrakorAnswer, row: LedgerRow, link: FieldHashes | None, *, silent: bool
) -> tuple[Origin, FieldHashes]:
    """Return how the Trakor record came to be, and its known content; empty if it existed before.

    A 429, a 503 or an application's 500 is an answer: that request created nothing.
    """
    if answer.created:
        return Origin.CREATED, row.sent
    if link is not None:  # an earlier name of its own came back
        return row.origin or Origin.UNCLEAR, _with_new_name(link, row.sent) if link else {}
    if silent:
        return Origin.UNCLEAR, row.tried or row.sent
    return Origin.EXISTING, {}


def _with_new_name(content: FieldHashes, sent: FieldHashes) -> FieldHashes:
    """Return what was sent once, under the name that Trakor has now."""
    kept = {field: found for field, found in content.items() if field not in _OF_THE_NAME}
    return kept | {field: sent[field] for field in _OF_THE_NAME if field in sent}


def _hold_existing(row: LedgerRow, origin: Origin, content: FieldHashes) -> Decision:
    """Trakor had the record before, and an operator has to decide -> held: existing."""
    return Decision(
        State.HELD,
        Reason.EXISTING,
        seen=row.seen,
        filtered=row.filtered,
        given=row.given,
        origin=origin,
        content=content,
        event="held",
        detail="Trakor had it before",
    )


def _deliver(row: LedgerRow, origin: Origin, content: FieldHashes, *, noted: bool) -> Decision:
    """Delivered; drifted if the source differs from what Trakor is known to have."""
    sent = content or row.sent
    last = row.sent if row.seen is None or noted else row.seen
    fields = row.fields_between(sent, last)
    return Decision(
        State.DRIFTED if fields else State.DELIVERED,
        draft_action=DraftAction.KEEP if row.fields_between(sent, row.sent) else DraftAction.SENT,
        sent=sent,
        content=content,
        seen=last if fields else None,
        filtered=row.filtered,
        given=row.given,
        origin=origin,
        event="drifted" if fields else "delivered",
        detail=f"{origin}: {', '.join(fields)}" if fields else str(origin),
    )


def reject(row: LedgerRow, message: str, response_text: str = "") -> Decision:
    """Trakor's 400, 413, 422: rejected; its name is released if this was the only attempt.

    A record that an operator dropped meanwhile stays dropped, and releases its name likewise.

    Args:
        row: The record.
        message: What Trakor answered, without its text.
        response_text: Trakor's text, which may repeat the record.
    """
    only = row.attempts <= 1
    if row.state is State.DROPPED:
        return give_back(row) if only else Decision(State.DROPPED, filtered=row.filtered, given=row.given)
    return Decision(
        State.REJECTED,
        Reason.REFUSED,
        release=only,
        seen=row.seen,
        filtered=row.filtered,
        given=row.given,
        response_text=response_text,
        event="rejected",
        detail=message,
    )


def give_back(row: LedgerRow) -> Decision:
    """Dropped or gone, and certainly never created: its state stays, and its name is released.

    Args:
        row: The record: pending, or dropped by an operator, perhaps during the request.
    """
    return Decision(
        row.state,
        row.reason,
        release=True,
        draft_action=DraftAction.UNNOTE,
        filtered=row.filtered,
        given=row.given,
    )


def fail(row: LedgerRow, message: str, response_text: str = "") -> Decision:
    """Rejected: it failed by itself while others passed. The name stays claimed: it may exist in Trakor."""
    return reject(row, message, response_text)._replace(reason=Reason.SERVER_ERROR, release=False)
