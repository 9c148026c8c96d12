"""Streams that stopped because twenty different records were turned down: one more is tried now and then.

::

    stopped ──after `every` seconds──> one record is sent ──taken──> all of the stream is sent again
        ^                                  └──turned down──> counted: enough of them, and it is given up
        └──────────────────────────────────────┘

Pure: times are seconds of any clock that does not run backwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.errors import Refused
    from bridge.records import Stream

__all__ = ["StoppedStream", "StoppedStreams"]


@dataclass(frozen=True, slots=True)
class StoppedStream:
    """A stream of which only one record is sent now and then.

    Attributes:
        why: What was turned down last.
        next_at: When the next one is tried.
        tries: How many were tried and turned down since it stopped.
    """

    why: Refused
    next_at: float
    tries: int = 0


class StoppedStreams:
    """The streams that stopped.

    Args:
        every: Seconds between two records.
        most: So many are turned down, and the stream is given up.
        stopped: Those that had stopped before.
    """

    def __init__(self, every: float, most: float, stopped: Mapping[Stream, StoppedStream]) -> None:
        self._every = every
        self._most = most
        self.stopped = dict(stopped)

    def __contains__(self, stream: object) -> bool:
        return stream in self.stopped

    def __bool__(self) -> bool:
        return bool(self.stopped)

    def stop(self, stream: Stream, why: Refused, now: float) -> bool:
        """One more was turned down, or twenty: says whether it is to be given up now."""
        before = self.stopped.get(stream)
        tries = 0 if before is None else before.tries + 1
        self.stopped[stream] = StoppedStream(why, now + self._every, tries)
        return tries >= self._most

    def postpone(self, stream: Stream, now: float) -> None:
        """The record that was tried told nothing, or none could be tried."""
        before = self.stopped[stream]
        self.stopped[stream] = StoppedStream(before.why, now + self._every, before.tries)

    def end(self, stream: Stream) -> bool:
        """A record was taken, or none waits any more: says whether it had stopped."""
        return self.stopped.pop(stream, None) is not None

    def due(self, now: float, without: Collection[Stream]) -> Stream | None:
        """A stream of which one record is to be tried now."""
        due = [one for one, state in self.stopped.items() if state.next_at <= now and one not in without]
        return min(due, key=lambda one: self.stopped[one].next_at, default=None)

    def next_at(self, without: Collection[Stream]) -> float:
        """When the next record is to be tried."""
        waiting = [state.next_at for one, state in self.stopped.items() if one not in without]
        return min(waiting, default=math.inf)
