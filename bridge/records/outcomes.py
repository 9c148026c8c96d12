"""To Trakor: claimed work, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bridge.records.payloads import Payload
    from bridge.records.streams import Stream

__all__ = ["Accepted", "NoAnswer", "Outcome", "Rejection", "Retry", "TrakorAnswer", "WorkItem"]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One claimed record on its way to Trakor.

    Attributes:
        number: The ledger's number of the record.
        stream: Which of Trakor's two endpoints takes it.
        payload: What to send, under the name that was claimed.
        attempt: 1 for the first request ever begun for this claim.
        failures: How often it failed on its own while others passed.
        turn: How often it was tried and not taken: its place in the queue.
        key: Keyed hash of the key of the name that it is sent under.
        unanswered_at: Since when an earlier attempt for this claim has had no answer; 0: each had one.
    """

    number: int
    stream: Stream
    payload: Payload
    attempt: int
    failures: int
    turn: int = 0
    key: str = ""
    unanswered_at: int = 0


@dataclass(frozen=True, slots=True)
class TrakorAnswer:
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
class Accepted:
    """Outcome: Trakor took the record.

    Attributes:
        work: What was sent.
        answer: What came back.
        key: Keyed hash of the returned name's key, which is claimed as well where it is another one.
    """

    work: WorkItem
    answer: TrakorAnswer
    key: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A request that ended without an answer, or with one that tells nothing: Trakor may have made it.

    Attributes:
        at: When it ended.
        until: Its name is not sent again before this time, since it may still be at work there; 0: it is not.
    """

    at: int
    until: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Outcome: Trakor will not take the record as it is.

    Attributes:
        work: What was sent.
        message: Why, without a word of what Trakor or the record says.
        caused_by_record: False where the server failed on it again and again instead of saying no.
        response_text: What Trakor said of it, which may repeat the record: to be sealed.
        no_answer: The last request had no answer.
    """

    work: WorkItem
    message: str
    caused_by_record: bool = True
    response_text: str = ""
    no_answer: NoAnswer | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Outcome: no answer, or none that says anything; the record is sent again.

    Attributes:
        work: What was sent, or was to be.
        next_try_at: Not before this time; None: it keeps the time that it had.
        failed: What the failure weighs, where it is the record's own since others passed.
        begun: False where no request for it ever left, so that the attempt noted ahead is taken back.
        tried: It had its turn: what was tried less often goes first from now on.
        no_answer: The request had no answer.
    """

    work: WorkItem
    next_try_at: int | None
    failed: int = 0
    begun: bool = True
    tried: bool = True
    no_answer: NoAnswer | None = None


Outcome: TypeAlias = Accepted | Rejection | Retry
