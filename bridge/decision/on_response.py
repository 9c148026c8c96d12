"""At each answer of Trakor -> a Decision ("The answer" in docs/decisions.md).

An answer proves the name and the id, and no more: what Trakor has under an id that it did not make now is
what was sent when it was made, as far as that is known.
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
    """Decide on Trakor's answer ("The answer" in docs/decisions.md).

    Args:
        answer: What Trakor said.
        row: The record, as it stands now.
        linked: Number of the record that is linked to the returned id already; None: nobody is.
        policy: What the user chose for this stream.
        noted: A changed draft waits to be decided on next, so a difference is not a drift yet.
        link: Field hashes of what was sent when the record itself was linked to the id; None: not known.
        wanted: Another record that is not merged wants the same mapped name.
        silent: An earlier request for this name ended without an answer, and may have made it.

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
    """A person dropped it while it was under way: it stays so, with the marks that it has."""
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
    """How the Trakor record came to be, and what it is known to hold; nothing where it was there before.

    A 429, a 503 or an application's 500 is an answer: that request made nothing.
    """
    if answer.created:
        return Origin.CREATED, row.sent
    if link is not None:  # an earlier name of its own came back
        return row.origin or Origin.UNCLEAR, _with_new_name(link, row.sent) if link else {}
    if silent:
        return Origin.UNCLEAR, row.tried or row.sent
    return Origin.EXISTING, {}


def _with_new_name(content: FieldHashes, sent: FieldHashes) -> FieldHashes:
    """What was sent once, under the name that Trakor has now."""
    kept = {field: found for field, found in content.items() if field not in _OF_THE_NAME}
    return kept | {field: sent[field] for field in _OF_THE_NAME if field in sent}


def _hold_existing(row: LedgerRow, origin: Origin, content: FieldHashes) -> Decision:
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
    """Delivered; drifted where the source says something else than what Trakor is known to have."""
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
    """Trakor's 400, 413, 422: rejected; its name is given back where this was the only attempt ever begun.

    One that a person dropped meanwhile stays dropped, and gives its name back likewise.

    Args:
        row: The record.
        message: What Trakor answered, without its words.
        response_text: Trakor's words, which may tell what the record says.
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
    """Dropped or gone, and surely nothing was made of it: it stays as it is, without its claim on a name.

    Args:
        row: The record; pending, or dropped by a person, who may have done so while it was under way.
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
    """Failures of its own while others passed: rejected. The name stays claimed: it may be made."""
    return reject(row, message, response_text)._replace(reason=Reason.SERVER_ERROR, release=False)
