"""What a decision is based on: the policy, the record's row, and the holder of its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.records.source_record import NO_RULES

if TYPE_CHECKING:
    from bridge.records.drafts import FieldHashes
    from bridge.records.enums import MergedBy, Origin, Reason, State
    from bridge.records.source_record import Rules

__all__ = ["LedgerRow", "NameHolder", "Policy"]

NO_HASHES: Final[FieldHashes] = MappingProxyType({})
"""The hashes of a record of which nothing was sent and nothing is to be sent."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user chose for one stream: the ``on_…`` keys of the configuration, with the same values."""

    on_same_name: str = "qualify"
    on_rename: str = "hold"
    on_change: str = "report"
    on_existing: str = "adopt"


class LedgerRow(NamedTuple):
    """What the ledger knows of one source record, as far as a decision needs it.

    A tuple, because one is created at each step of each record: a frozen dataclass takes six times as long.

    Attributes:
        number: The ledger's number of the record.
        id: Salestrekker's id.
        state: The record's one state.
        reason: The reason, for a state that has reasons.
        key: Keyed hash of the plain name's key, as last sent or to be sent; empty before any claim.
        sent_key: Keyed hash of the sent name's key. It differs from ``key`` if the name was qualified. For
            a merged record: of the name that it shares.
        sent: Field hashes of what is to be sent. After Trakor's answer: of what Trakor has, in terms of the
            rules that the record was last observed with. Empty before any claim.
        content: Field hashes as sent for the present link, by whatever rules; empty if unknown.
        seen: Field hashes as last seen, if they differ from ``sent``; otherwise None.
        identifiers: See ``Draft``.
        rules: The rules of the draft that was last observed.
        read_at: When the read that was last observed began.
        attempts: How many requests were begun for the present claim. The ledger counts each before it is
            sent.
        tried: Field hashes of the first request for the present claim that had no answer; empty if each
            request had one.
        stored: The payload that ``sent`` was made from is stored, under the name that it is sent under.
            Only looked up for a record that was tried and has no id.
        trakor_id: Trakor's id, once it answered the present claim. A second claim (an accepted rename)
            clears this id; the link of the first claim stays in the ledger.
        origin: How the Trakor record came to be, once Trakor answered.
        merged_into: Number of the record whose party or product this one shares.
        merged_by: What merged it: a rule, the policy, or an operator.
        gone: Mark: no longer in Salestrekker.
        filtered: Mark: the ``where`` expression now excludes it.
        remapped: Mark: Trakor has what an older map produced.
        dismissed: Mark: it differs from Trakor, and an operator chose to leave it until it changes again.
        given: An operator chose the name that it is sent under.
        retry: An operator asked for a new decision at the next read.
        forgotten: Only this tombstone is left. Nothing is ever decided on it again.
        first: Its hashes were made by revision 1 of the rules (see ``Draft.first_hashes``).
        feed: The ledger's number of its feed, which may belong to another connection; 0: unknown.
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
        """Whether a request for the present claim has no answer: Trakor may have the name or not."""
        return self.attempts > 0 and not self.answered

    @property
    def answered(self) -> bool:
        """Whether Trakor gave an id for the present claim."""
        return self.trakor_id is not None

    @property
    def last_seen(self) -> FieldHashes:
        """Field hashes as last seen."""
        return self.sent if self.seen is None else self.seen

    @property
    def differing(self) -> tuple[str, ...]:
        """The fields in which the source now differs from what was sent, sorted."""
        return () if self.seen is None else self.differs_from(self.seen)

    def differs_from(self, hashes: FieldHashes) -> tuple[str, ...]:
        """Return the fields in which ``hashes`` differ from what was sent, sorted."""
        return self.fields_between(self.sent, hashes)

    def fields_between(self, one: FieldHashes, other: FieldHashes) -> tuple[str, ...]:
        """Return the fields in which two sets of hashes differ, sorted.

        The qualifier counts only if it was sent as part of the name.
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
        group: The identifiers of that record and of all records merged into it.
        merged_into: If that record shares another's party: the number of the other record.
        answered: Trakor has answered that claim.
        linked: The party or product of that name belongs to that record: Trakor gave its id.
        represents: That record is sent under this name, or was sent and is still in the source. If not, a
            record that is merged into it succeeds it.
        attempts: How many requests were begun for the claim.
        sent: Field hashes that count as in Trakor under this name, or are to be sent (see ``LedgerRow``).
        first: Those hashes were made by revision 1 of the rules (see ``Draft.first_hashes``).
        origin: How the Trakor record came to be; None before an answer.
        adopted_at: For an adopted record: when Trakor answered that the record existed already. Otherwise
            0.
        mergeable: Other records may be merged into it: its connection is configured, and it was not
            forgotten.
        key: Key of the name that holds the claim and link of its party, if that is not the requested name
            but one that Trakor answered with. Empty: the requested name.
        shares: Key of the name of the party that it shares under this name of its own (an accepted
            ``same-party``); empty if it shares none.
        forgotten: It was forgotten, or dropped because the party under that name belongs to someone else.
            No record takes that party without an operator.
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
