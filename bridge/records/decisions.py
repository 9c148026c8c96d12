"""What a decision is made of, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.records.drafts import NO_RULES

if TYPE_CHECKING:
    from bridge.records.drafts import FieldHashes, Rules
    from bridge.records.enums import MergedBy, Origin, Reason, State

__all__ = ["Decision", "DraftAction", "LedgerRow", "NameClaim", "NameHolder", "Policy"]


NO_HASHES: Final[FieldHashes] = MappingProxyType({})
"""Of a record of which nothing was sent, nor is."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user chose for one stream (the configuration's ``on_…`` keys, same words)."""

    on_same_name: str = "qualify"
    on_rename: str = "hold"
    on_change: str = "report"
    on_existing: str = "adopt"


class LedgerRow(NamedTuple):
    """What the ledger knows of one source record, as far as a decision needs it.

    A tuple, since one is made at each step of each record: a frozen dataclass takes six times as long.

    Attributes:
        number: The ledger's own number of the record.
        id: Salestrekker's id.
        state: Its one state.
        reason: Why, for a state that has reasons.
        key: Keyed hash of the plain name's key, as last sent or to be sent; empty before any claim.
        sent_key: The same of the name as sent: differs from ``key`` where the name was qualified. Of a
            merged record: of the name that it shares.
        sent: Field hashes of what is to be sent; once that is answered, of what Trakor has in terms of the
            rules that the record was last observed with. Empty before any claim.
        content: Field hashes as really sent for the present link, by whatever rules; empty where that is
            not known.
        seen: Field hashes as last seen, where they differ from ``sent``; None where they do not.
        identifiers: See ``Draft``.
        rules: What made the draft last observed.
        read_at: When the read began that was last observed.
        attempts: How often a request for the present claim was begun, noted before each.
        tried: Field hashes of what was first tried under the present claim without an answer; empty where
            each attempt was answered.
        stored: The very payload that ``sent`` is made of is stored, under the name that it is sent under.
            Only looked up for what was tried and has no id.
        trakor_id: Trakor's id, once it answered the present claim. A second claim (an accepted rename)
            empties it; the link of the first stays in the ledger.
        origin: How the Trakor record came to be, once it answered.
        merged_into: Number of the record whose party or product this one shares.
        merged_by: What merged it: a rule, the policy, or a person.
        gone: Mark: no longer in the source.
        filtered: Mark: the ``where`` expression now says no.
        remapped: Mark: Trakor has what an older map made.
        dismissed: Mark: it differs, and a person said to leave it until it changes again.
        given: A person gave the name that it is sent under.
        retry: A person asked for a new decision at the next sight.
        forgotten: All that is left is this tombstone: nothing is ever decided on it again.
        first: Its hashes were made by revision 1 of the rules (see ``Draft.first_hashes``).
        feed: The ledger's number of the feed that it is of, which may be another connection's; 0: not known.
    """

    number: int
    id: str
    state: State
    reason: Reason | None = None
    key: str = ""
    sent_key: str = ""
    sent: FieldHashes = NO_HASHES
    content: FieldHashes = NO_HASHES
    seen: FieldHashes | None = None
    identifiers: FieldHashes = NO_HASHES
    rules: Rules = NO_RULES
    read_at: int = 0
    attempts: int = 0
    tried: FieldHashes = NO_HASHES
    stored: bool = False
    trakor_id: str | None = None
    origin: Origin | None = None
    merged_into: int | None = None
    merged_by: MergedBy | None = None
    gone: bool = False
    filtered: bool = False
    remapped: bool = False
    dismissed: bool = False
    given: bool = False
    retry: bool = False
    forgotten: bool = False
    first: bool = False
    feed: int = 0

    @property
    def unanswered(self) -> bool:
        """A request for the present claim was begun, and no answer came: Trakor may have that name or not."""
        return self.attempts > 0 and not self.answered

    @property
    def answered(self) -> bool:
        """Trakor gave an id for the present claim."""
        return self.trakor_id is not None

    @property
    def last_seen(self) -> FieldHashes:
        """Field hashes as last seen."""
        return self.sent if self.seen is None else self.seen

    @property
    def differing(self) -> tuple[str, ...]:
        """The fields in which the source now differs from what was sent, in a stable order."""
        return () if self.seen is None else self.differs_from(self.seen)

    def differs_from(self, hashes: FieldHashes) -> tuple[str, ...]:
        """The fields in which ``hashes`` differ from what was sent, in a stable order."""
        return self.fields_between(self.sent, hashes)

    def fields_between(self, one: FieldHashes, other: FieldHashes) -> tuple[str, ...]:
        """The fields in which two sets of hashes differ, in a stable order.

        The qualifier counts only where it went out as part of the name.
        """
        if one == other:
            return ()
        fields = sorted({*one, *other})
        if self.given or self.sent_key == self.key:
            fields = [name for name in fields if name != "qualifier"]
        return tuple(name for name in fields if one.get(name) != other.get(name))


@dataclass(frozen=True, slots=True)
class NameHolder:
    """The record that holds the claim on a name.

    Attributes:
        number: The ledger's number of that record.
        id: Its id in Salestrekker.
        group: The identifiers of that record and of all that are merged into it.
        merged_into: Where that record itself shares another's party: the number of that other.
        answered: Trakor has answered that claim.
        linked: The party or product of that name is that record's: Trakor gave its id.
        represents: That record is sent under this name, or was and is still in the source. Where it does not
            stand, one that is merged into it takes its place.
        attempts: How often a request for the claim was begun.
        sent: Field hashes that count as in Trakor under this name, or are to be sent (see ``LedgerRow``).
        first: Those were made by revision 1 of the rules (see ``Draft.first_hashes``).
        origin: How the Trakor record came to be; None before an answer.
        adopted_at: When Trakor said that it had the record before, for one adopted; else 0.
        mergeable: Others may be merged into it: its connection is configured, and it was not forgotten.
        key: Key of the name that claim and link of its party are kept under: another one than the name asked
            for, where that is one that Trakor answered with. Empty: the name asked for.
        shares: Key of the name of the party that it shares under this name of its own (an accepted
            ``same-party``); empty where it shares none.
        forgotten: It was forgotten, or dropped since what Trakor has under the name is another's: nobody
            takes that party unasked.
    """

    number: int
    id: str
    group: tuple[FieldHashes, ...] = ()
    merged_into: int | None = None
    answered: bool = False
    linked: bool = False
    represents: bool = True
    attempts: int = 0
    sent: FieldHashes = field(default_factory=dict)
    origin: Origin | None = None
    adopted_at: int = 0
    mergeable: bool = True
    first: bool = False
    key: str = ""
    shares: str = ""
    forgotten: bool = False


class DraftAction(StrEnum):
    """What becomes of the stored drafts of a record, which are sealed.

    ``STORE`` keeps this draft in place of any other; ``REFRESH`` does so only where one is kept.
    ``NOTE`` keeps it beside the one in flight, to be decided on once that is answered; ``UNNOTE``
    removes the note. ``DONE``: none waits any more. ``SENT``: what was to be sent is what Trakor has now,
    ``LEARNT``: this draft is.
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

    An empty text stands for the one that waits with the record: a name that a person gave.
    """

    name: str
    key: str


class Decision(NamedTuple):
    """What is to become of a record. Only ``decision`` makes these, only ``ledger`` carries them out.

    A tuple, as ``LedgerRow`` is.

    Attributes:
        state: The state it is in from now on.
        reason: Why, for a state that has reasons.
        claim: The name that it claims now and will be sent under; None leaves its claims alone.
        release: True gives its unanswered claim back first: Trakor surely has nothing under that name.
        succeeds: Number of the record whose place it takes under the name that both share: the claim with
            its attempts, and the link where there is one, are its own from now on; None: nobody's.
        takes: Key of the name that claim and link are kept under, where it is another one than the
            successor's own; empty: they share one name.
        merged_into: Number of the record whose party or product it shares.
        merged_under: Key of the name that it shares with that record, its own or its qualified one; empty
            where that stays as it is.
        merged_by: What merged it.
        draft_action: What happens to the stored drafts.
        sent: Field hashes that count as sent from now on; None leaves them.
        content: Field hashes of what Trakor really has under the present link; None leaves them.
        seen: Field hashes as last seen where they differ from those sent; None where they do not.
        filtered: The mark ``filtered``.
        remapped: The mark ``remapped``.
        dismissed: The mark ``dismissed``.
        given: A person gave the name that is claimed.
        origin: Set with Trakor's answer; None leaves it.
        doubts: Number of an adopted record that wanted the same name: nobody knows whose party it is.
        response_text: Text of the other side that belongs to it, to be kept sealed only.
        event: One word for the history; empty where nothing happened that anybody would ask about.
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
