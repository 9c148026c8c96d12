"""Whose fault is it? Tells a poisoned record from an outage, and from a destination that takes nothing.

One failure says little: only what happens to other records meanwhile tells whether the record or the
destination is at fault. So what failed is kept in doubt until something settles it::

    failed ──> in doubt ──another passes──────────────> a failure of its own; the eighth: rejected
                  ├──the destination is found down───> an outage: uses up nothing
                  └──nothing else waits: a witness is asked, a request known to pass

    rejected ──> in doubt ──another is taken, or nothing else waits──> rejected
                    └──twenty in a row──> not poisoned records: the stream stops, none is marked

Pure: no clock, no I/O. The outcomes that it gives are to be settled in the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.errors import Refused
from bridge.pacing import backoff
from bridge.records import Answered, Later, NotTaken

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.errors import Transient
    from bridge.records import Answer, Outcome, Stream, Work

__all__ = ["MOST_FAILURES", "MOST_REJECTIONS", "Judge"]

MOST_FAILURES: Final = 8
"""So many failures of its own while others passed, and a record is rejected."""

MOST_REJECTIONS: Final = 20
"""So many rejections in a row are not that many poisoned records."""


class Judge:
    """Keeps what is in doubt; each method gives the outcomes that are certain now.

    Args:
        retry_first: Seconds, the cap of the first wait after a failure of a record's own, doubling to
        retry_max: the longest.
        random: Gives a number of [0, 1).
        most_rejections: So many in a row stop a stream.
    """

    def __init__(
        self,
        retry_first: float,
        retry_max: float,
        random: Callable[[], float],
        most_rejections: int = MOST_REJECTIONS,
    ) -> None:
        self._retry_first = retry_first
        self._retry_max = retry_max
        self._most_rejections = most_rejections
        self._random = random
        self._failed: list[tuple[Work, str]] = []
        self._rejected: dict[Stream, list[NotTaken]] = {}

    @property
    def doubts_failures(self) -> bool:
        """Something failed, and nothing has passed since that could tell why."""
        return bool(self._failed)

    @property
    def in_doubt(self) -> int:
        """How many outcomes are kept back."""
        return len(self._failed) + sum(map(len, self._rejected.values()))

    def answered(self, work: Work, answer: Answer, key: str, now: int) -> list[Outcome]:
        """A record was taken: whatever failed since the last one failed by itself.

        Args:
            work: What was sent.
            answer: What came back.
            key: Keyed hash of the returned name's key.
            now: Milliseconds since the epoch.
        """
        return [Answered(work, answer, key), *self._rejected.pop(work.stream, ()), *self.vouched(now)]

    def rejected(self, work: Work, message: str, now: int) -> list[Outcome]:
        """A record was refused as it is; the destination works, so failures are the records' own.

        Raises:
            Refused: Too many in a row. They are in doubt still: ``stop`` gives them back.
        """
        kept = self._rejected.setdefault(work.stream, [])
        kept.append(NotTaken(work, message))
        if len(kept) >= self._most_rejections:
            raise Refused(
                f"Trakor rejected {len(kept)} {work.stream} in a row, the last one with: {message}",
                advice="none of them is marked as rejected; see what Trakor says, mend the map or the "
                "address, and run this again",
            )
        return self.vouched(now)

    def failed(self, work: Work, fault: Transient, now: int, *, down: bool) -> list[Outcome]:
        """A record failed for the moment.

        Args:
            work: What was sent.
            fault: How it failed.
            now: Milliseconds since the epoch.
            down: The destination is known to be down by now.
        """
        if down:
            return [Later(work, now), *self.outage(now)]
        if fault.busy:
            return [Later(work, now)]
        self._failed.append((work, str(fault)))
        return []

    def vouched(self, now: int) -> list[Outcome]:
        """Something passed: what is in doubt failed by itself."""
        outcomes = [self._own_failure(work, message, now) for work, message in self._failed]
        self._failed.clear()
        return outcomes

    def outage(self, now: int) -> list[Outcome]:
        """The destination is down: what is in doubt is sent again, and nothing is held against it."""
        outcomes: list[Outcome] = [Later(work, now) for work, _ in self._failed]
        self._failed.clear()
        return outcomes

    def quiet(self) -> list[Outcome]:
        """Nothing else waits: what was rejected so far is."""
        outcomes: list[Outcome] = [one for kept in self._rejected.values() for one in kept]
        self._rejected.clear()
        return outcomes

    def stop(self, now: int) -> list[Outcome]:
        """Sending stops: give all back that is in doubt, nothing marked.

        A rejection made nothing, so its attempt is taken back: a mended map is to reach the record.
        """
        rejected = [Later(one.work, now, begun=False) for kept in self._rejected.values() for one in kept]
        self._rejected.clear()
        return [*rejected, *self.outage(now)]

    def _own_failure(self, work: Work, message: str, now: int) -> Outcome:
        failures = work.failures + 1
        if failures >= MOST_FAILURES:
            return NotTaken(work, f"failed {failures} times while others passed: {message}", own_fault=False)
        wait = backoff(failures, self._retry_first, self._retry_max, self._random)
        return Later(work, now + int(wait * 1000), failed=True)
