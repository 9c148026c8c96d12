"""What is known of records that Trakor turned down, and of those that it took in between.

It outlives a delivery, for a record that was refused is tried again much later, and the process: the ledger
keeps it (``ledger.rejections``) whenever a delivery ends. Where a process is killed before, each of them is
tried once more than it would have been. Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bridge.ledger.settlement import RejectionLog

if TYPE_CHECKING:
    from bridge.records import Stream, WorkItem

__all__ = ["RejectionHistory"]

MOST: Final = 10_000
"""Records of a stream that are remembered at most; the longest known one is forgotten for a new one."""


class RejectionHistory:
    """Which records were turned down when, counted in the records of their stream that were taken.

    Attributes:
        news: Streams of which something is known that the ledger does not keep yet.
    """

    def __init__(self) -> None:
        self._taken: Counter[Stream] = Counter()
        self._taken_before: Counter[Stream] = Counter()
        self._turned_down: dict[Stream, dict[int, int]] = {}
        self._barren: dict[Stream, set[int]] = {}
        self._recalled: set[Stream] = set()
        self._here: set[int] = set()
        self.news: set[Stream] = set()

    def lacks(self, stream: Stream) -> bool:
        """Whether what the ledger keeps of a stream is not known yet."""
        return stream not in self._recalled

    def recall(self, stream: Stream, kept: RejectionLog) -> None:
        """Take over what the ledger keeps of a stream, before anything of it is sent."""
        self._recalled.add(stream)
        self._taken[stream] = self._taken_before[stream] = kept.taken
        self._turned_down[stream] = dict(kept.records)

    def to_keep(self, stream: Stream) -> RejectionLog:
        """What the ledger is to keep of a stream."""
        return RejectionLog(self._taken[stream], dict(self._turned_down.get(stream, {})))

    def took(self, work: WorkItem) -> None:
        """A record that had waited was taken; a canary never counts."""
        self._taken[work.stream] += 1
        known = self._turned_down.get(work.stream)
        if known:
            known.pop(work.number, None)
            self._here.discard(work.number)
            self.news.add(work.stream)
        self._barren.pop(work.stream, None)

    def turned_down(self, work: WorkItem) -> None:
        """A record was refused or rejected, or failed, and nothing tells yet whether by its own fault."""
        known = self._turned_down.setdefault(work.stream, {})
        known.pop(work.number, None)
        known[work.number] = self._taken[work.stream]
        self._here.add(work.number)
        if len(known) > MOST:
            forgotten = next(iter(known))
            self._here.discard(forgotten)
            del known[forgotten]
        self.news.add(work.stream)

    def not_wanted(self, work: WorkItem) -> None:
        """A record was refused or rejected: it counts towards those that make a stream stop."""
        self._barren.setdefault(work.stream, set()).add(work.number)

    def barren(self, stream: Stream) -> int:
        """How many different records were refused or rejected since one was taken."""
        return len(self._barren.get(stream, ()))

    def start_again(self, stream: Stream) -> None:
        """The stream was stopped for it: count from nothing."""
        self._barren.pop(stream, None)

    def in_doubt(self, stream: Stream) -> int:
        """How many records were turned down, and none was taken since that would tell why."""
        taken = self._taken[stream]
        return sum(before == taken for before in self._turned_down.get(stream, {}).values())

    def knows(self, work: WorkItem) -> bool:
        """Whether it was turned down before by this process: others of before may pass by now."""
        return work.number in self._here

    def has_taken(self, stream: Stream) -> bool:
        """Whether any record of a stream was taken in this run."""
        return self._taken[stream] > self._taken_before[stream]

    def told_apart(self, work: WorkItem) -> bool:
        """Whether others of its stream were taken since it was turned down: then it is its own fault."""
        before = self._turned_down.get(work.stream, {}).get(work.number)
        return before is not None and self._taken[work.stream] > before
