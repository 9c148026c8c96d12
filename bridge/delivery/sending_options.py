"""How fast delivery sends, and when it gives up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from bridge.retry import RetryPolicy

__all__ = ["MOST_REJECTIONS", "SendingMode", "SendingSettings"]

MOST_REJECTIONS: Final = 20
"""This many different records turned down, and none taken since, are more than that many poison records."""


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
