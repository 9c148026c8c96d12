"""A record's row as a decision leaves it: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.decision import keeps_up
from bridge.records import Decision, Draft, LedgerRow, Reason, State, Unsendable

if TYPE_CHECKING:
    from bridge.records import Claim, Rules

__all__ = ["after"]

_WANTS = frozenset({Reason.SAME_NAME, Reason.SAME_PERSON})


def after(
    decision: Decision,
    seen: Draft | Unsendable | None,
    row: LedgerRow,
    *,
    sight: bool,
    trakor_id: str | None = None,
) -> LedgerRow:
    """The row as a decision leaves it.

    Args:
        decision: What was decided.
        seen: What it was decided on; None where that is an answer alone.
        row: The record as it stood.
        sight: The record was just seen in the source.
        trakor_id: The id that Trakor answered with, where the record is linked to it.
    """
    changes: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "merged_into": decision.merged_into,
        "merged_by": decision.merged_by,
        "seen": decision.seen,
        "filtered": decision.filtered,
        "remapped": decision.remapped,
        "dismissed": decision.dismissed,
        "given": decision.given,
        "retry": False,
        "gone": row.gone and not sight,
    }
    if decision.sent is not None:
        changes["sent"] = decision.sent
    if decision.content is not None:
        changes["content"] = decision.content
    if decision.origin is not None:
        changes["origin"] = decision.origin
    if decision.release:
        changes["attempts"] = 0  # they were made for a name that it has no more
    if seen is not None and sight:
        changes |= {"rules": _rules(seen, row, changes), "read_at": max(row.read_at, seen.read_at)}
    if isinstance(seen, Draft):
        changes |= _of_draft(decision, seen, row, sight=sight)
    elif decision.merged_under:
        changes["sent_key"] = decision.merged_under
    if trakor_id is not None:
        changes["trakor_id"] = trakor_id
    return row._replace(**changes)  # once: each replacing copies the whole row


def _rules(seen: Draft | Unsendable, row: LedgerRow, changes: dict[str, Any]) -> Rules:
    """The rules that the record is compared by when it is seen again."""
    last_seen = changes["seen"]
    if last_seen is None:
        last_seen = changes.get("sent", row.sent)
    first = isinstance(seen, Draft) and (row.first or not row.rules.map)
    moves = first or keeps_up(seen, last_seen, changes["state"])
    return seen.rules if moves else row.rules


def _of_draft(decision: Decision, draft: Draft, row: LedgerRow, *, sight: bool) -> dict[str, Any]:
    """What follows from what is seen: a second claim has no answer yet, a merged record no link."""
    changes: dict[str, Any] = {"identifiers": draft.identifiers}
    if sight:
        changes["first"] = row.first and not draft.first_hashes
    key = _key_of(decision.claim) or decision.merged_under
    if key:
        again = row.sent_key == key and not row.answered
        changes |= {
            "key": draft.key,
            "sent_key": key,
            "attempts": row.attempts if again else 0,
            "trakor_id": None,
            "origin": None,
            "content": {},
        }
    elif (
        decision.state is State.HELD and decision.reason in _WANTS and (decision.release or not row.sent_key)
    ):
        changes["key"] = draft.key
    elif decision.state is State.PENDING and decision.given and decision.sent == draft.hashes:
        changes["key"] = draft.key  # the name that a person gave is sent in place of this one
    return changes


def _key_of(claim: Claim | None) -> str:
    return "" if claim is None else claim.key
