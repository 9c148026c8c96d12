"""Streams that stopped because 20 different records were turned down: one more is tried now and then.

::

    stopped ──after `every` seconds──> one record is sent ──taken──> the whole stream is sent again
        ^                                  └──turned down──> counted: after enough, the stream is given up
        └──────────────────────────────────────┘

Pure: times are in seconds of any clock that never runs backwards.
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
        why: The last refusal.
        next_at: When the next record is tried.
        tries: How many were tried and turned down since it stopped.
    """

    why: Refused
    next_at: float
    tries: int = 0


class StoppedStreams:
    """The streams that stopped.

    Args:
        every: Seconds between two records.
        most: The stream is given up after this many.
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
        """Note that a stream stopped, or that one more trial failed; return whether to give it up."""
        before = self.stopped.get(stream)
        tries = 0 if before is None else before.tries + 1
        self.stopped[stream] = StoppedStream(why, now + self._every, tries)
        return tries >= self._most

    def postpone(self, stream: Stream, now: float) -> None:
        """Wait for the next trial: the last one showed nothing, or none was possible."""
        before = self.stopped[stream]
        self.stopped[stream] = StoppedStream(before.why, now + self._every, before.tries)

    def end(self, stream: Stream) -> bool:
        """Resume a stream; return whether it had stopped."""
        return self.stopped.pop(stream, None) is not None

    def due(self, now: float, without: Collection[Stream]) -> Stream | None:
        """Return a stream of which one record is to be tried now."""
        due = [one for one, state in self.stopped.items() if state.next_at <= now and one not in without]
        return min(due, key=lambda one: self.stopped[one].next_at, default=None)

    def next_at(self, without: Collection[Stream]) -> float:
        """Return when the next record is to be tried."""
        waiting = [state.next_at for one, state in self.stopped.items() if one not in without]
        return min(waiting, default=math.inf)
