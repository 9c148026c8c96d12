"""What came of a batch of requests, and why nothing is sent for now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.records import Stream

__all__ = ["BatchResult", "Outage"]


@dataclass(frozen=True, slots=True)
class Outage:
    """Why nothing is sent for now; it may pass by itself.

    Attributes:
        reason: What happened, for the operator.
        next_try_at: When a request may start again, in milliseconds since the epoch.
        tries: How many probes have failed.
    """

    reason: str
    next_try_at: int
    tries: int


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The counts of one settled batch.

    Attributes:
        created: Created in Trakor.
        existing: Taken, but already there.
        rejected: Not accepted.
        later: To be sent again.
        seconds: How long the ledger took to write it.
        first_answers: For each name that was never tried before: its stream, and whether it was created now.
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
        """How many are finished, one way or the other."""
        return self.taken + self.rejected
