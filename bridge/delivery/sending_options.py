"""Where delivery sends, what it sends, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from bridge.ledger.feeds import Feed
    from bridge.records import Payload, Policy, TrakorAnswer
    from bridge.retry import RetryPolicy

__all__ = ["MOST_REJECTIONS", "Destination", "OutgoingStream", "SendingMode", "SendingSettings"]

MOST_REJECTIONS: Final = 20
"""This many different records turned down, and none taken since, are more than that many poison records."""


class Destination(Protocol):
    """Where payloads go: ``trakor.TrakorClient``, or a fake."""

    async def post(self, payload: Payload) -> TrakorAnswer:
        """Post one payload; raises Transient, Rejected or Refused."""
        ...

    async def probe(self) -> None:
        """Find out by a request that makes nothing whether requests are taken; raises likewise."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingStream:
    """One stream that is sent to Trakor."""

    feed: Feed
    policy: Policy


class SendingSettings(Protocol):
    """What sending needs of ``[trakor]`` (``settings.TrakorSettings`` has it). Times are in seconds."""

    @property
    def max_in_flight(self) -> int:
        """The maximum number of requests at once."""
        ...

    @property
    def requests_per_second(self) -> float:
        """The rate limit. 0: none."""
        ...

    @property
    def unanswered_wait(self) -> float:
        """A name is not sent again for this long after a request without an answer."""
        ...

    @property
    def retry(self) -> RetryPolicy:
        """The waits after failures of one record."""
        ...

    @property
    def probe(self) -> RetryPolicy:
        """The waits between probes while Trakor is down or refuses."""
        ...


@dataclass(frozen=True, slots=True)
class SendingMode:
    """When a delivery gives up; the defaults are those of a backfill. Times are seconds.

    Attributes:
        give_up_after: Stop if nothing was taken for this long.
        ramp: Start with one request at a time, and double with each success.
        most_rejections: This many different records turned down, and none taken since, stop a stream.
        trial_every: How often one record of a stopped stream is tried.
        most_trials: Give the stream up after this many trials were turned down, too.
    """

    give_up_after: float = 1800.0
    ramp: bool = False
    most_rejections: int = MOST_REJECTIONS
    trial_every: float = 1.0
    most_trials: float = MOST_REJECTIONS
