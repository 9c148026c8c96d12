"""The protocol of what hears how far a backfill is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bridge.records import Stream

__all__ = ["ProgressListener"]


class ProgressListener(Protocol):
    """Receives the progress of a backfill, for a progress bar."""

    def reading(self, connection: str, stream: Stream, read: int) -> None:
        """So many records of a stream are read and on disk."""
        ...

    def all_read(self, connection: str, stream: Stream) -> None:
        """Reading of a stream is complete."""
        ...

    def pending(self, connection: str, number: int) -> None:
        """So many more records are to be sent."""
        ...

    def settled(self, connection: str, number: int) -> None:
        """So many more records were sent and settled."""
        ...

    def waiting(self, connection: str, what: str) -> None:
        """Nothing can be sent for now. ``what`` is a sentence that names the reason."""
        ...

    def warned(self, connection: str, warning: str) -> None:
        """Something that an operator should know while the run can still be stopped, as a sentence."""
        ...
