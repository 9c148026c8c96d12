"""Outcomes: what came of each request to Trakor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bridge.records.work_item import WorkItem

__all__ = ["Accepted", "NoAnswer", "Outcome", "Rejection", "Retry", "TrakorAnswer"]


@dataclass(frozen=True, slots=True)
class TrakorAnswer:
    """Trakor's answer to one accepted POST.

    Attributes:
        trakor_id: The id of the party or product, new or existing.
        name: The name that Trakor stores.
        created: False if the record existed before. Trakor then updated nothing.
        sku: Products only, for example ``PRD-00042``; otherwise empty.
    """

    trakor_id: str
    name: str
    created: bool
    sku: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Outcome: Trakor accepted the record.

    Attributes:
        work: What was sent.
        answer: What Trakor answered.
        key: Keyed hash of the returned name's key, which is claimed too if it is another one.
    """

    work: WorkItem
    answer: TrakorAnswer
    key: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A request that ended without an answer, or with one that proves nothing: Trakor may have stored it.

    Attributes:
        at: When the request ended.
        until: The name is not sent again before this time, because Trakor may still be working on it; 0: no
            wait.
    """

    at: int
    until: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Outcome: Trakor does not accept the record as it is.

    Attributes:
        work: What was sent.
        message: Why, without any text of Trakor or of the record.
        caused_by_record: False if the server failed on the record again and again, instead of rejecting it.
        response_text: What Trakor answered. It may repeat the record's text, so it is stored sealed.
        no_answer: Set if the last request had no answer.
    """

    work: WorkItem
    message: str
    caused_by_record: bool = True
    response_text: str = ""
    no_answer: NoAnswer | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Outcome: no answer, or one that proves nothing. The record is sent again.

    Attributes:
        work: What was sent, or was to be sent.
        next_try_at: Do not send before this time; None: no change.
        failed: The weight of the failure, if the record itself caused it because others succeeded.
        begun: False if no request left, so that the counted attempt is taken back.
        tried: The record had its turn: records that were tried less often go first from now on.
        no_answer: Set if the request had no answer.
    """

    work: WorkItem
    next_try_at: int | None
    failed: int = 0
    begun: bool = True
    tried: bool = True
    no_answer: NoAnswer | None = None


Outcome: TypeAlias = Accepted | Rejection | Retry
