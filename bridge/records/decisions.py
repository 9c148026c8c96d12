"""What a decision is made of, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.records.drafts import FieldHashes
    from bridge.records.words import Origin, Reason, State

__all__ = ["Claim", "Decision", "Holder", "LedgerRow", "Policy", "Waiting"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user chose for one stream (the configuration's ``on_…`` keys, same words)."""

    on_same_name: str = "qualify"
    on_rename: str = "hold"
    on_change: str = "report"
    on_existing: str = "adopt"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What the ledger knows of one source record, as far as a decision needs it.

    Attributes:
        number: The ledger's own number of the record.
        id: Salestrekker's id.
        state: Its one state.
        reason: Why, for a state that has reasons.
        key: Keyed hash of the plain name's key, as last sent or to be sent; empty before any claim.
        sent_key: The same of the name as sent: differs from ``key`` where the name was qualified. Of a
            merged record: of the name that it shares.
        sent: Field hashes as sent or to be sent; empty before any claim.
        same_as: See ``Draft``.
        fingerprint: Of what made the draft last observed.
        read_at: When the read began that was last observed.
        attempts: How often a request for the present claim was begun, noted before each; 0 again once the
            claim was given back, or answered with an id that is another record's.
        trakor_id: Trakor's id, once it answered the present claim. A second claim (an accepted rename)
            empties it; the link of the first stays in the ledger.
        origin: How the Trakor record came to be, once it answered.
        merged_into: Number of the record whose party or product this one shares.
        seen: Field hashes as last seen, where they differ from ``sent``; None where they do not.
        gone: Mark: no longer in the source.
        filtered: Mark: the ``where`` expression now says no.
        retry: A person asked for a new decision at the next sight.
        forgotten: All that is left is this tombstone: nothing is ever decided on it again.
    """

    number: int
    id: str
    state: State
    reason: Reason | None = None
    key: str = ""
    sent_key: str = ""
    sent: FieldHashes = field(default_factory=dict)
    same_as: str = ""
    fingerprint: str = ""
    read_at: int = 0
    attempts: int = 0
    trakor_id: str | None = None
    origin: Origin | None = None
    merged_into: int | None = None
    seen: FieldHashes | None = None
    gone: bool = False
    filtered: bool = False
    retry: bool = False
    forgotten: bool = False

    @property
    def unanswered(self) -> bool:
        """A request for the present claim was begun, and no answer came: Trakor may have that name or not."""
        return self.attempts > 0 and not self.answered

    @property
    def answered(self) -> bool:
        """Trakor gave an id for the present claim."""
        return self.trakor_id is not None

    @property
    def differing(self) -> tuple[str, ...]:
        """The fields in which the source now differs from what was sent, in a stable order."""
        return () if self.seen is None else self.differs_from(self.seen)

    def differs_from(self, hashes: FieldHashes) -> tuple[str, ...]:
        """The fields in which ``hashes`` differ from what was sent.

        The qualifier counts only where it went out as part of the name.
        """
        fields = sorted({*self.sent, *hashes})
        if self.sent_key == self.key:
            fields = [name for name in fields if name != "qualifier"]
        return tuple(name for name in fields if self.sent.get(name) != hashes.get(name))


@dataclass(frozen=True, slots=True)
class Holder:
    """The record that holds the claim on a name.

    Attributes:
        number: The ledger's number of that record.
        id: Its id in Salestrekker.
        same_as: See ``Draft``; empty where it has none.
        merged_into: Where that record itself shares another's party: the number of that other.
        answered: Trakor has answered that claim.
        idle: That record will not be sent under this name any more: it was dropped or skipped, or goes by
            another name since. Its claim is kept all the same: an attempt may have made that name.
    """

    number: int
    id: str
    same_as: str = ""
    merged_into: int | None = None
    answered: bool = False
    idle: bool = False


class Waiting(StrEnum):
    """What becomes of the stored draft: what a record says is in the ledger only while it waits.

    ``STORE`` keeps this draft in place of any other; ``REFRESH`` does so only where one is kept.
    ``NOTE`` keeps it beside the one in flight, to be decided on once that is answered; ``UNNOTE``
    removes the note; ``REMOVE`` removes all.
    """

    KEEP = "keep"
    STORE = "store"
    REFRESH = "refresh"
    NOTE = "note"
    UNNOTE = "unnote"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Claim:
    """A name to be claimed: the text to send and its keyed hash."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of a record. Only ``decision`` makes these, only ``ledger`` carries them out.

    Attributes:
        state: The state it is in from now on.
        reason: Why, for a state that has reasons.
        claim: The name that it claims now and will be sent under; None leaves its claims alone.
        release: True gives its unanswered claim back first: Trakor surely has nothing under that name.
        merged_into: Number of the record whose party or product it shares.
        merged_under: Key of the name that it shares with that record, its own or its qualified one; empty
            where that stays as it is.
        waiting: What becomes of the stored draft.
        sent: Field hashes that count as sent from now on; None leaves them.
        seen: Field hashes as last seen where they differ from those sent; None where they do not.
        filtered: The mark ``filtered``.
        origin: Set with Trakor's answer; None leaves it.
        event: One word for the history; empty where nothing happened that anybody would ask about.
        detail: More for the history, without personal data.
    """

    state: State
    reason: Reason | None = None
    claim: Claim | None = None
    release: bool = False
    merged_into: int | None = None
    merged_under: str = ""
    waiting: Waiting = Waiting.KEEP
    sent: FieldHashes | None = None
    seen: FieldHashes | None = None
    filtered: bool = False
    origin: Origin | None = None
    event: str = ""
    detail: str = ""
