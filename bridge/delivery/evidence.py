"""What is known of records that Trakor turned down, and of those that it took in between.

It outlives a delivery: a record that was refused is tried again much later. Pure, and in memory: after a
restart each of them is tried once more than it would have been.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.records import Stream, Work

__all__ = ["Evidence"]

MOST: Final = 10_000
"""Records that are remembered at most; the longest known one is forgotten for a new one."""


class Evidence:
    """Which records were turned down when, counted in the records of their stream that were taken."""

    def __init__(self) -> None:
        self._taken: Counter[Stream] = Counter()
        self._turned_down: dict[int, int] = {}
        self._barren: dict[Stream, set[int]] = {}

    def took(self, work: Work) -> None:
        """A record that had waited was taken; a canary never counts."""
        self._taken[work.stream] += 1
        self._turned_down.pop(work.number, None)
        self._barren.pop(work.stream, None)

    def turned_down(self, work: Work) -> None:
        """A record was refused or rejected, or failed, and nothing tells yet whether by its own fault."""
        self._turned_down.pop(work.number, None)
        self._turned_down[work.number] = self._taken[work.stream]
        if len(self._turned_down) > MOST:
            del self._turned_down[next(iter(self._turned_down))]

    def not_wanted(self, work: Work) -> None:
        """A record was refused or rejected: it counts towards those that make a stream stop."""
        self._barren.setdefault(work.stream, set()).add(work.number)

    def barren(self, stream: Stream) -> int:
        """How many different records were refused or rejected since one was taken."""
        return len(self._barren.get(stream, ()))

    def start_again(self, stream: Stream) -> None:
        """The stream was stopped for it: count from nothing."""
        self._barren.pop(stream, None)

    def knows(self, work: Work) -> bool:
        """Whether it was turned down before."""
        return work.number in self._turned_down

    def has_taken(self, stream: Stream) -> bool:
        """Whether any record of a stream was taken."""
        return self._taken[stream] > 0

    def told_apart(self, work: Work) -> bool:
        """Whether others of its stream were taken since it was turned down: then it is its own fault."""
        before = self._turned_down.get(work.number)
        return before is not None and self._taken[work.stream] > before
