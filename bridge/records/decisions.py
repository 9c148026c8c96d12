"""Decisions: what a decision is based on, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bridge.records.drafts import FieldHashes
    from bridge.records.enums import MergedBy, Origin, Reason, State

__all__ = ["Decision", "DraftAction", "NameClaim"]


class DraftAction(StrEnum):
    """What happens to the stored, sealed drafts of a record.

    ``STORE`` replaces the stored draft by this one; ``REFRESH`` does so only if one is stored. ``NOTE``
    stores this draft beside the one in flight, for a decision after the answer; ``UNNOTE`` deletes that
    note. ``DONE`` deletes all. ``SENT``: Trakor now has the draft that was to be sent. ``LEARNT``: Trakor
    has this draft.
    """

    KEEP = "keep"
    STORE = "store"
    REFRESH = "refresh"
    NOTE = "note"
    UNNOTE = "unnote"
    DONE = "done"
    SENT = "sent"
    LEARNT = "learnt"


@dataclass(frozen=True, slots=True)
class NameClaim:
    """A name to be claimed: the text to send and its keyed hash.

    An empty text stands for the stored name of the record, which an operator gave.
    """

    name: str
    key: str


class Decision(NamedTuple):
    """What happens to a record. Only ``decision`` creates these, and only ``ledger`` carries them out.

    A tuple, for the same reason as ``LedgerRow``.

    Attributes:
        state: The state that the record is in from now on.
        reason: The reason, for a state that has reasons.
        claim: The name that the record claims now and will be sent under; None leaves its claims alone.
        release: First give its unanswered claim back. Trakor certainly has nothing under that name.
        succeeds: Number of the record that it succeeds under the name that both share. It takes over the
            claim with its attempts, and the link if there is one. None: no record.
        takes: Key of the name that holds claim and link, if that is not the successor's own; empty: they
            share one name.
        merged_into: Number of the record whose party or product it shares.
        merged_under: Key of the name that it shares with that record, plain or qualified; empty: no change.
        merged_by: What merged it.
        draft_action: What happens to the stored drafts.
        sent: Field hashes that count as sent from now on; None: no change.
        content: Field hashes of what Trakor has under the present link; None: no change.
        seen: Field hashes as last seen, if they differ from those sent; otherwise None.
        filtered: The mark ``filtered``.
        remapped: The mark ``remapped``.
        dismissed: The mark ``dismissed``.
        given: An operator gave the claimed name.
        origin: Set with Trakor's answer; None: no change.
        doubts: Number of an adopted record that wanted the same name. Its party may belong to either
            record.
        response_text: What Trakor answered, to be stored sealed only.
        event: One word for the history; empty if nothing happened that an operator would ask about.
        detail: More for the history, without personal data.
    """

    state: State
    reason: Reason | None = None
    claim: NameClaim | None = None
    release: bool = False
    succeeds: int | None = None
    takes: str = ""
    merged_into: int | None = None
    merged_under: str = ""
    merged_by: MergedBy | None = None
    draft_action: DraftAction = DraftAction.KEEP
    sent: FieldHashes | None = None
    content: FieldHashes | None = None
    seen: FieldHashes | None = None
    filtered: bool = False
    remapped: bool = False
    dismissed: bool = False
    given: bool = False
    origin: Origin | None = None
    doubts: int | None = None
    response_text: str = ""
    event: str = ""
    detail: str = ""
