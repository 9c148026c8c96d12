"""Decides which record succeeds one that others are merged into, once that one no longer represents them.

::

    the claimant is not in Trakor, and will not be sent ──> the oldest living one takes the claim: pending
    the claimant is in Trakor, but gone, filtered, dropped,
    forgotten, or sent under another name since         ──> the oldest living one keeps the party

A claim moves with its attempts, a link with what was sent. The others are merged into the successor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bridge.records import Decision, DraftAction, FieldHashes, LedgerRow, NameHolder, Reason, State

__all__ = ["can_succeed", "represents_name", "succeed"]

_OF_THE_NAME: Final = ("name", "qualifier")

_ASKED: Final = frozenset({Reason.EXISTING, Reason.SAME_PARTY})


def represents_name(row: LedgerRow, key: str, *, linked: bool) -> bool:
    """Return whether a record represents those that share a name with it.

    Args:
        row: The record that holds the claim.
        key: Keyed hash of the name's key.
        linked: The party or product of that name belongs to this record.
    """
    if row.forgotten or row.sent_key != key:
        return False
    if row.state is State.HELD and row.reason in _ASKED:
        return True  # a person is asked about just this one: never transferred to another
    if linked:
        return not (row.gone or row.filtered or row.state is State.DROPPED)
    return row.state is State.PENDING and (row.unanswered or not row.gone)


def can_succeed(row: LedgerRow) -> bool:
    """Return whether a merged record can succeed another."""
    return row.state is State.MERGED and not (row.gone or row.filtered or row.forgotten)


def succeed(hashes: FieldHashes, key: str, holder: NameHolder, *, report: bool = True) -> Decision:
    """Succeed a record that no longer represents its name.

    Args:
        hashes: Field hashes of the successor, as last seen.
        key: Keyed hash of the key of the name that the successor shares.
        holder: The record whose claim it takes.
        report: A difference from what was sent is a drift; False: the user ignores changes.

    Returns:
        The decision on the successor.
    """
    if holder.key not in {"", key}:
        return succeed(hashes, holder.key, _under_successor_name(hashes, holder), report=report)._replace(
            merged_under=key,
            takes=holder.key,
        )
    if not holder.linked:
        return Decision(
            State.PENDING,
            succeeds=holder.number,
            merged_under=key,
            draft_action=DraftAction.STORE,
            sent=hashes,
            event="pending",
            detail=f"in the place of {holder.id}",
        )
    differs = _differs(holder.sent, hashes)
    drifts = differs and report
    return Decision(
        State.DRIFTED if drifts else State.DELIVERED,
        succeeds=holder.number,
        merged_under=key,
        draft_action=DraftAction.STORE if drifts else DraftAction.DONE,
        sent=holder.sent,
        seen=hashes if differs else None,
        origin=holder.origin,
        event="keeper",
        detail=f"in the place of {holder.id}",
    )


def _under_successor_name(hashes: FieldHashes, holder: NameHolder) -> NameHolder:
    """Return the holder under the successor's own name, so that the name is no difference."""
    sent = {field: found for field, found in holder.sent.items() if field not in _OF_THE_NAME}
    return replace(holder, sent=sent | {name: hashes[name] for name in _OF_THE_NAME if name in hashes})


def _differs(sent: FieldHashes, hashes: FieldHashes) -> bool:
    fields = {*sent, *hashes} - {"qualifier"}
    return any(sent.get(name) != hashes.get(name) for name in fields)
