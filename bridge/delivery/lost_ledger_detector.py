"""Detects a lost ledger: Trakor already had too many of the names that are sent for the first time.

With a new ledger everything is sent once more. Trakor then answers with existing records, which shows in the
first answers, long before the run ends. A contact that was renamed meanwhile gets a second party.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.delivery.batch_result import BatchResult
    from bridge.records import Stream

__all__ = ["LossSuspicion", "LostLedgerDetector", "loss_warning"]

ENOUGH: Final = 20
"""Fewer answers than this prove nothing."""

SHARE: Final = 0.2
"""If more than this share of names existed, the ledger may have been lost."""


class LossSuspicion(NamedTuple):
    """How many of a stream's first answers were names that Trakor already had."""

    stream: Stream
    existing: int
    answered: int


class LostLedgerDetector:
    """Checks each batch of answers, and reports each stream once.

    Only a name that was never tried before counts: an attempt without an answer may have created it.
    """

    def __init__(self) -> None:
        self._answered: Counter[Stream] = Counter()
        self._existing: Counter[Stream] = Counter()
        self.suspected: set[Stream] = set()

    def check(self, settled: BatchResult) -> Iterator[LossSuspicion]:
        """Yield the streams that became suspicious with this batch."""
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
    """Return the warning for the operator, while the run can still be stopped."""
    return (
        f"Trakor had {suspicion.existing:,} of the first {suspicion.answered:,} {suspicion.stream} already. "
        "If this ledger replaced a lost one, stop it now and restore the newest backup. Contacts that were "
        "renamed meanwhile get a second party, and the bridge can no longer tell which of two contacts with "
        "the same name came first"
    )
