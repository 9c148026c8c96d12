"""What delivery is handed: where to send to, what, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bridge.delivery.failure_classifier import MOST_REJECTIONS
from bridge.ledger.send_queue import Waits

if TYPE_CHECKING:
    from bridge.ledger.row_mapping import Feed
    from bridge.records import Answer, Payload, Policy, Stream

__all__ = ["Destination", "Lane", "Pace", "Settled", "Trouble"]


class Destination(Protocol):
    """Where payloads go: ``trakor.TrakorClient``, or a fake."""

    async def post(self, payload: Payload) -> Answer:
        """Post one payload; raises Transient, Rejected or Refused."""
        ...

    async def prove(self) -> None:
        """Find out by a request that makes nothing whether requests are taken; raises likewise."""
        ...


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream on its way to Trakor."""

    feed: Feed
    policy: Policy


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast to send. Times are seconds.

    Attributes:
        max_in_flight: The most requests at once.
        requests_per_second: 0: no limit of our own.
        retry_first: The cap of a record's first wait, doubling to
        retry_max: the longest.
        probe_first: The first wait before a probe of a destination that is down, doubling to
        probe_max: the longest.
        unanswered_wait: A name is not sent again for so long after a request that had no answer.
        give_up_after: Stop when nothing was taken for so long.
        ramp: Begin with one request at a time, and double with each that passes.
        most_rejections: So many different records turned down, and none taken since, stop a stream.
        trial_every: Then one record of it is tried so often.
        most_trials: So many of these are turned down, too, and the stream is given up.
    """

    max_in_flight: int = 16
    requests_per_second: float = 0.0
    retry_first: float = 1.0
    retry_max: float = 300.0
    probe_first: float = 30.0
    probe_max: float = 900.0
    unanswered_wait: float = 150.0
    give_up_after: float = 1800.0
    ramp: bool = False
    most_rejections: int = MOST_REJECTIONS
    trial_every: float = 1.0
    most_trials: float = MOST_REJECTIONS

    @property
    def waits(self) -> Waits:
        """The longest that anything waits in the ledger."""
        return Waits(int(self.retry_max * 1000), self.silence)

    @property
    def silence(self) -> int:
        """Milliseconds for which a name is not sent again whose request had no answer."""
        return int(self.unanswered_wait * 1000)

    @property
    def longest_wait(self) -> float:
        """The longest of all waits for a time that is noted in the ledger."""
        return max(self.retry_max, self.unanswered_wait)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing is sent for the moment, which may pass by itself.

    Attributes:
        reason: What happened, for a person.
        next_try_at: When a request may begin again, in milliseconds since the epoch.
        tries: How many probes have failed.
    """

    reason: str
    next_try_at: int
    tries: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What one batch of outcomes came to.

    Attributes:
        created: Made in Trakor.
        existing: Taken, and there before.
        rejected: Not taken as they are.
        later: To be sent again.
        seconds: How long the ledger took to write it.
        first_answers: Of each name that was never tried before: its stream, and whether it was made now.
    """

    created: int = 0
    existing: int = 0
    rejected: int = 0
    later: int = 0
    seconds: float = 0.0
    first_answers: tuple[tuple[Stream, bool], ...] = ()

    @property
    def taken(self) -> int:
        """How many Trakor has now."""
        return self.created + self.existing

    @property
    def ended(self) -> int:
        """How many are through, one way or the other."""
        return self.taken + self.rejected
