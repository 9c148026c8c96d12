"""The words of the product: the values that travel from stage to stage, all frozen.

The type's name says which stage a thing is in::

    Record ──mapping──> Draft | Unsendable ──decision──> Decision ──ledger──> LedgerRow
                                                             delivery: Work ──> Outcome

Times are whole milliseconds since the epoch (UTC), in fields that end in ``_at``.
Hashes are keyed (see ``naming``): they can be compared, and tell nothing without the ledger's key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

__all__ = [
    "Answer",
    "Answered",
    "Claim",
    "Decision",
    "Draft",
    "FieldHashes",
    "Holder",
    "Later",
    "LedgerRow",
    "NotTaken",
    "Origin",
    "Outcome",
    "Party",
    "Payload",
    "Policy",
    "Product",
    "Reason",
    "Record",
    "State",
    "Stream",
    "Unsendable",
    "Waiting",
    "Work",
]

FieldHashes: TypeAlias = "Mapping[str, str]"
"""Field name -> keyed hash of its value. A field without a value is left out (correctness.md)."""


class Stream(StrEnum):
    """What is kept in step: Salestrekker contacts become Trakor parties, products become products."""

    CONTACTS = "contacts"
    PRODUCTS = "products"


class State(StrEnum):
    """The one state that every source record is in (the public interface, "States of a record")."""

    PENDING = "pending"
    DELIVERED = "delivered"
    MERGED = "merged"
    SKIPPED = "skipped"
    HELD = "held"
    REJECTED = "rejected"
    DRIFTED = "drifted"
    DROPPED = "dropped"


class Reason(StrEnum):
    """Why a record is skipped, held or rejected."""

    FILTERED = "filtered"
    NO_NAME = "no-name"
    SAME_NAME = "same-name"
    RENAMED = "renamed"
    REMAPPED = "remapped"
    SAME_PARTY = "same-party"
    EXISTING = "existing"
    MAPPING = "mapping"
    REFUSED = "refused-by-trakor"
    SERVER_ERROR = "server-error"


class Origin(StrEnum):
    """How the Trakor record that a source record is linked to came to be."""

    CREATED = "created"
    EXISTING = "existing"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Salestrekker gave it, not yet understood.

    Attributes:
        stream: Which list it is from.
        id: Salestrekker's id, never empty.
        data: The decoded JSON object, as the query selected it.
        read_at: When the read that brought it began.
    """

    stream: Stream
    id: str
    data: Mapping[str, object]
    read_at: int


@dataclass(frozen=True, slots=True)
class Party:
    """What Trakor's ``POST /parties`` takes (vendor's page, "Parties")."""

    name: str
    contact_info: str = ""

    def fields(self) -> dict[str, str]:
        """The payload as field -> text, the form that is hashed and stored; empty text is no value."""
        return {"name": self.name, "contact_info": self.contact_info}


@dataclass(frozen=True, slots=True)
class Product:
    """What Trakor's ``POST /products`` takes (vendor's page, "Products").

    Attributes:
        name: At most 255 UTF-16 code units.
        description: Free text, may be empty.
        price: Exactly two decimals, not negative; None where the source has none.
    """

    name: str
    description: str = ""
    price: Decimal | None = None

    def fields(self) -> dict[str, str]:
        """The payload as field -> text, the form that is hashed and stored; empty text is no value."""
        price = "" if self.price is None else str(self.price)
        return {"name": self.name, "description": self.description, "price": price}


Payload: TypeAlias = Party | Product


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that could be sent: mapped, its name made fit, nothing decided yet.

    Attributes:
        id: Salestrekker's id.
        payload: What would be sent, under the plain (unqualified) name.
        key: Keyed hash of the plain name's key: equal keys are one name to the loosest destination.
        qualified_name: ``Name (qualifier)``; empty where the record has no qualifier.
        qualified_key: Keyed hash of the qualified name's key; empty likewise.
        same_as: Keyed hash of what makes two records one person; empty where it has none.
        hashes: Keyed hash of each payload field, and of ``qualifier``.
        fingerprint: Of what made the draft: map, query and rules.
        read_at: When the read that brought the record began.
    """

    id: str
    payload: Payload
    key: str
    qualified_name: str
    qualified_key: str
    same_as: str
    hashes: FieldHashes
    fingerprint: str
    read_at: int

    def named(self, name: str) -> Payload:
        """The payload under another name."""
        return replace(self.payload, name=name)


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A record that makes no draft: filtered out, without a name, or not to be mapped.

    Attributes:
        id: Salestrekker's id.
        reason: ``FILTERED``, ``NO_NAME`` or ``MAPPING``.
        field: The map's key that could not be made (``name``, ``price``, ``where``, …); empty for FILTERED.
        detail: What was wrong, without personal data; empty where the reason says it all.
        fingerprint: Of what made the draft.
        read_at: When the read that brought the record began.
    """

    id: str
    reason: Reason
    field: str
    detail: str
    fingerprint: str
    read_at: int


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
        sent_key: The same of the name as sent: differs from ``key`` where the name was qualified.
        sent: Field hashes as sent or to be sent; empty before any claim.
        same_as: See ``Draft``.
        fingerprint: Of what made the draft last observed.
        read_at: When the read began that was last observed.
        attempts: How often a request for the present claim was begun, noted before each.
        trakor_id: Trakor's id, once it answered the present claim. A second claim (an accepted rename)
            empties it; the link of the first stays in the ledger.
        origin: How the Trakor record came to be, once it answered.
        merged_into: Number of the record whose party or product this one shares.
        seen: Field hashes as last seen, where they differ from ``sent``; None where they do not.
        gone: Mark: no longer in the source.
        filtered: Mark: the ``where`` expression now says no.
        retry: A person asked for a new decision at the next sight.
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

    @property
    def unanswered(self) -> bool:
        """A request for the present claim was begun, and no answer has come yet."""
        return self.state is State.PENDING and self.attempts > 0

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
    """

    number: int
    id: str
    same_as: str = ""
    merged_into: int | None = None
    answered: bool = False


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
    waiting: Waiting = Waiting.KEEP
    sent: FieldHashes | None = None
    seen: FieldHashes | None = None
    filtered: bool = False
    origin: Origin | None = None
    event: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One claimed record on its way to Trakor.

    Attributes:
        number: The ledger's number of the record.
        stream: Which of Trakor's two endpoints takes it.
        payload: What to send, under the name that was claimed.
        attempt: 1 for the first request ever begun for this claim.
        failures: How often it failed on its own while others passed.
    """

    number: int
    stream: Stream
    payload: Payload
    attempt: int
    failures: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Trakor's answer to one accepted POST.

    Attributes:
        trakor_id: The id of the party or product, new or old.
        name: The name that Trakor keeps it under.
        created: False where it existed before; then nothing was updated.
        sku: Products only, e.g. ``PRD-00042``; empty otherwise.
    """

    trakor_id: str
    name: str
    created: bool
    sku: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """Outcome: Trakor took the record.

    Attributes:
        work: What was sent.
        answer: What came back.
        key: Keyed hash of the returned name's key, which is claimed as well where it is another one.
    """

    work: Work
    answer: Answer
    key: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Outcome: Trakor will not take the record as it is.

    Attributes:
        work: What was sent.
        message: Why, scrubbed of personal data.
        own_fault: False where the server failed on it again and again instead of saying no.
    """

    work: Work
    message: str
    own_fault: bool = True


@dataclass(frozen=True, slots=True)
class Later:
    """Outcome: no answer, or none that says anything; the record is sent again.

    Attributes:
        work: What was sent, or was to be.
        next_try_at: Not before this time.
        failed: The failure counts as the record's own, since others passed.
        begun: False where no request for it ever left, so that the attempt noted ahead is taken back.
    """

    work: Work
    next_try_at: int
    failed: bool = False
    begun: bool = True


Outcome: TypeAlias = Answered | NotTaken | Later
