"""A record that is claimed for sending to Trakor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.records.payloads import Payload
    from bridge.records.streams import Stream

__all__ = ["WorkItem"]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One record that is claimed for sending to Trakor.

    Attributes:
        number: The ledger's number of the record.
        stream: The stream, which determines Trakor's endpoint.
        payload: What to send, under the claimed name.
        attempt: 1 for the first request for this claim.
        failures: How often the record failed by itself while others succeeded.
        turn: How often it was tried and not accepted: its place in the queue.
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
