"""Trakor knew too many names before they were sent: was the ledger lost?

With a new ledger everything is sent once more. Trakor answers with what it has, which shows in the first
answers already, long before the run ends; whoever was renamed meanwhile gets a second party.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.delivery.types import BatchResult
    from bridge.records import Stream

__all__ = ["LedgerLossDetector", "LossSuspicion", "loss_warning"]

ENOUGH: Final = 20
"""Fewer answers than this prove nothing."""

SHARE: Final = 0.2
"""More than this share of them, and a lost ledger is to be suspected."""


class LossSuspicion(NamedTuple):
    """So many of the first answers of a stream were names that Trakor had before."""

    stream: Stream
    existing: int
    answered: int


class LedgerLossDetector:
    """Looks at each batch of answers, and says once for each stream that there were too many.

    Only a name that was never tried before counts: an attempt without an answer may have made it.
    """

    def __init__(self) -> None:
        self._answered: Counter[Stream] = Counter()
        self._existing: Counter[Stream] = Counter()
        self.suspected: set[Stream] = set()

    def check(self, settled: BatchResult) -> Iterator[LossSuspicion]:
        """The streams that are suspicious since this batch."""
        for stream, created in settled.first_answers:
            self._answered[stream] += 1
            self._existing[stream] += not created
        for stream, answered in self._answered.items():
            if stream not in self.suspected and self._is_suspicious(stream):
                self.suspected.add(stream)
                yield LossSuspicion(stream, self._existing[stream], answered)

    def _is_suspicious(self, stream: Stream) -> bool:
        answered = self._answered[stream]
        return answered >= ENOUGH and self._existing[stream] > SHARE * answered


def loss_warning(suspicion: LossSuspicion) -> str:
    """What a person is told at once, while it can still be stopped."""
    return (
        f"Trakor had {suspicion.existing:,} of the first {suspicion.answered:,} {suspicion.stream} already. "
        "If this ledger took the place of a lost one, stop it now and restore the newest backup: whoever was "
        "renamed meanwhile gets a second party, and which of two equal names came first is not known any more"
    )
