"""Decides who is at error for a failed request: the record, or Trakor.

One failure says little. Only what happens to other records meanwhile shows who is at error, so a failure
stays in doubt until something settles it::

    failed ──> in doubt ──another record is taken────> a failure of this record; the eighth rejects it
                  ├──Trakor is found down────────────> an outage: nothing is held against the record
                  └──only a canary or probe passes───> sent again later; nothing is held against it

    rejected ──> in doubt ──another is taken, or nothing else waits──> rejected
                    └──again, after others were taken────────────────> rejected

    refused ──> the probe and a canary pass ──────────────────> to the end of the queue
                    └──again, after others were taken─────────> rejected

    20 different records refused or rejected, and none taken since ──> the stream stops, none is marked

A canary or a request that creates nothing proves that credentials and address are right. It never counts as
another record that was taken: a plan's limit lets it pass too.

``RejectionHistory`` outlives a delivery, because a refused record is tried again much later. It also outlives
the process: the ledger stores it (``ledger.rejections``) whenever a delivery ends. If the process is killed
before that, each of these records is tried once more than necessary.

Pure: no clock, no I/O. The outcomes are for the caller to settle in the ledger.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.delivery.types import MOST_REJECTIONS
from bridge.errors import NeverSent, Refused, Unanswered
from bridge.ledger.settlement import RejectionLog
from bridge.records import Accepted, NoAnswer, Rejection, Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.delivery.types import SendingSettings
    from bridge.errors import Rejected, Transient
    from bridge.records import Outcome, Stream, TrakorAnswer, WorkItem

__all__ = ["MOST_FAILURES", "WEIGHT_OF_A_TIME_OUT", "FailureClassifier", "RejectionHistory"]

MOST: Final = 10_000
"""Records of a stream that are remembered at most; the longest known one is forgotten for a new one."""


class RejectionHistory:
    """Which records were turned down when, counted in the records of their stream that were taken.

    Attributes:
        unsaved: Streams of which something is known that the ledger does not keep yet.
    """

    def __init__(self) -> None:
        self._taken: Counter[Stream] = Counter()
        self._taken_before: Counter[Stream] = Counter()
        self._turned_down: dict[Stream, dict[int, int]] = {}
        self._rejected_since_taken: dict[Stream, set[int]] = {}
        self._restored: set[Stream] = set()
        self._here: set[int] = set()
        self.unsaved: set[Stream] = set()

    def needs_restore(self, stream: Stream) -> bool:
        """Whether what the ledger keeps of a stream is not known yet."""
        return stream not in self._restored

    def restore(self, stream: Stream, kept: RejectionLog) -> None:
        """Take over what the ledger keeps of a stream, before anything of it is sent."""
        self._restored.add(stream)
        self._taken[stream] = self._taken_before[stream] = kept.taken
        self._turned_down[stream] = dict(kept.records)

    def to_store(self, stream: Stream) -> RejectionLog:
        """What the ledger is to keep of a stream."""
        return RejectionLog(self._taken[stream], dict(self._turned_down.get(stream, {})))

    def record_taken(self, work: WorkItem) -> None:
        """A record that had waited was taken; a canary never counts."""
        self._taken[work.stream] += 1
        known = self._turned_down.get(work.stream)
        if known:
            known.pop(work.number, None)
            self._here.discard(work.number)
            self.unsaved.add(work.stream)
        self._rejected_since_taken.pop(work.stream, None)

    def record_turned_down(self, work: WorkItem) -> None:
        """A record was refused or rejected, or failed, and nothing tells yet whether by its own error."""
        known = self._turned_down.setdefault(work.stream, {})
        known.pop(work.number, None)
        known[work.number] = self._taken[work.stream]
        self._here.add(work.number)
        if len(known) > MOST:
            forgotten = next(iter(known))
            self._here.discard(forgotten)
            del known[forgotten]
        self.unsaved.add(work.stream)

    def record_rejected(self, work: WorkItem) -> None:
        """A record was refused or rejected: it counts towards those that make a stream stop."""
        self._rejected_since_taken.setdefault(work.stream, set()).add(work.number)

    def rejected_since_taken(self, stream: Stream) -> int:
        """How many different records were refused or rejected since one was taken."""
        return len(self._rejected_since_taken.get(stream, ()))

    def reset(self, stream: Stream) -> None:
        """The stream was stopped for it: count from nothing."""
        self._rejected_since_taken.pop(stream, None)

    def count_in_doubt(self, stream: Stream) -> int:
        """How many records were turned down, and none was taken since that would tell why."""
        taken = self._taken[stream]
        return sum(before == taken for before in self._turned_down.get(stream, {}).values())

    def was_turned_down_here(self, work: WorkItem) -> bool:
        """Whether it was turned down before by this process: others of before may pass by now."""
        return work.number in self._here

    def has_taken(self, stream: Stream) -> bool:
        """Whether any record of a stream was taken in this run."""
        return self._taken[stream] > self._taken_before[stream]

    def is_own_fault(self, work: WorkItem) -> bool:
        """Whether others of its stream were taken since it was turned down: then it is its own error."""
        before = self._turned_down.get(work.stream, {}).get(work.number)
        return before is not None and self._taken[work.stream] > before


MOST_FAILURES: Final = 8
"""So many failures of its own while others passed, and a record is rejected."""

WEIGHT_OF_A_TIME_OUT: Final = 3
"""A time-out weighs as much as so many other failures, so that three are enough: each takes as long as a
request may, and keeps its name waiting afterwards."""


class _Failed(NamedTuple):
    """A failure in doubt."""

    work: WorkItem
    error: Transient
    no_answer: NoAnswer | None


class FailureClassifier:
    """Keeps what is in doubt; each method gives the outcomes that are certain now.

    Args:
        settings: The waits.
        random: Gives a number of [0, 1).
        history: What is known from before.
        most_rejections: So many different ones stop a stream.
    """

    def __init__(
        self,
        settings: SendingSettings,
        random: Callable[[], float],
        history: RejectionHistory | None = None,
        most_rejections: int = MOST_REJECTIONS,
    ) -> None:
        self._settings = settings
        self._random = random
        self._history = RejectionHistory() if history is None else history
        self._most_rejections = most_rejections
        self._failed: list[_Failed] = []
        self._rejected: dict[Stream, list[Rejection]] = {}
        self._last_messages: dict[Stream, str] = {}

    @property
    def has_doubtful_failures(self) -> bool:
        """Something failed, and nothing has passed since that could tell why."""
        return bool(self._failed)

    @property
    def in_doubt(self) -> int:
        """How many outcomes are kept back."""
        return len(self._failed) + sum(map(len, self._rejected.values()))

    def record_answer(self, work: WorkItem, answer: TrakorAnswer, key: str, now: int) -> list[Outcome]:
        """A record was taken: whatever failed or was rejected since the last one, was so by its own error.

        Args:
            work: What was sent.
            answer: What came back.
            key: Keyed hash of the returned name's key.
            now: Milliseconds since the epoch.
        """
        self._history.record_taken(work)
        own = [self._own_failure_outcome(failed, now) for failed in self._failed]
        self._failed.clear()
        return [Accepted(work, answer, key), *self._rejected.pop(work.stream, ()), *own]

    def record_rejection(self, work: WorkItem, rejection: Rejected) -> list[Outcome]:
        """A record was rejected as it is: for good where others were taken since the last time.

        Args:
            work: What was sent.
            rejection: Why.
        """
        outcome = Rejection(work, str(rejection), response_text=rejection.words)
        if self._history.is_own_fault(work):
            return [outcome]
        self._turned_down(work, str(rejection))
        self._rejected.setdefault(work.stream, []).append(outcome)
        return []

    def record_refusal(self, work: WorkItem, refusal: Refused, now: int, *, last: bool) -> list[Outcome]:
        """A record was refused, and what is known to pass passes.

        Args:
            work: What was sent.
            refusal: Why.
            now: Milliseconds since the epoch.
            last: No others will be there to compare it with.
        """
        alone = last and self._history.was_turned_down_here(work) and self._history.has_taken(work.stream)
        # Where the only attempt may have made it, one more lets the ledger know that its name is to be kept.
        kept = not refusal.unsure or work.attempt > 1
        if kept and (alone or self._history.is_own_fault(work)):
            return [Rejection(work, refusal.seen, no_answer=_possibly_created(refusal, now))]
        self._turned_down(work, refusal.seen)
        return [_refused(work, self._again_at(work, now), refusal, now)]

    def _turned_down(self, work: WorkItem, message: str) -> None:
        self._history.record_turned_down(work)
        self._history.record_rejected(work)
        self._last_messages[work.stream] = message

    def reason_to_stop(self, stream: Stream, *, canary: bool) -> Refused | None:
        """Why a stream is to stop; None where it is not: too many were turned down, and none taken since.

        Args:
            stream: Which.
            canary: One that Trakor knows passed meanwhile.
        """
        too_many = self._history.rejected_since_taken(stream) >= self._most_rejections
        return self.describe_stop(stream, canary=canary) if too_many else None

    def describe_stop(self, stream: Stream, *, canary: bool) -> Refused:
        """What was seen of a stream of which nothing is taken, and where it is listed; arguments likewise."""
        number = self._history.count_in_doubt(stream)
        passes = ", while one that it knows passes" if canary else ""
        return Refused(
            f"Trakor turned down {number} different {stream} and took none since{passes}. The last answer: "
            f"{self._last_messages.get(stream, 'not known any more')}",
            advice="none of them is marked as rejected: `trakor-bridge records list --state pending` lists "
            "them. Mend what Trakor, or a firewall in front of it, dislikes, and run this again. One that is "
            "turned down again after Trakor took another is rejected",
        )

    def record_failure(self, work: WorkItem, error: Transient, now: int, *, down: bool) -> list[Outcome]:
        """A record failed for the moment.

        Args:
            work: What was sent.
            error: How it failed.
            now: Milliseconds since the epoch.
            down: The destination is known to be down by now.
        """
        failed = _Failed(work, error, self._silence(error, now))
        if isinstance(error, NeverSent):
            return [Retry(work, now, begun=False), *(self.record_outage(now) if down else ())]
        if down:
            return [self._again(failed, now), *self.record_outage(now)]
        if error.busy:
            return [self._again(failed, now)]
        if self._history.is_own_fault(work):
            self._history.record_turned_down(work)
            return [self._own_failure_outcome(failed, now)]
        self._failed.append(failed)
        return []

    def record_probe_success(self, now: int, *, last: bool) -> list[Outcome]:
        """What is known to pass passes, and nothing else is left to compare with.

        Args:
            now: Milliseconds since the epoch.
            last: No others will come. Then a failure counts where others were taken before it.
        """
        outcomes: list[Outcome] = []
        for failed in self._failed:
            work = failed.work
            if last and (work.failures or self._history.has_taken(work.stream)):
                outcomes.append(self._own_failure_outcome(failed, now))
            else:
                self._history.record_turned_down(work)
                outcomes.append(self._again(failed, self._again_at(work, now)))
        self._failed.clear()
        return outcomes

    def record_outage(self, now: int) -> list[Outcome]:
        """The destination is down: what is in doubt is sent again, and nothing is held against it."""
        outcomes: list[Outcome] = [self._again(failed, now) for failed in self._failed]
        self._failed.clear()
        return outcomes

    def confirm_rejections(self) -> list[Outcome]:
        """Nothing else waits: what was rejected so far is."""
        outcomes: list[Outcome] = [one for kept in self._rejected.values() for one in kept]
        self._rejected.clear()
        return outcomes

    def stop_stream(self, stream: Stream) -> list[Outcome]:
        """A stream stops: give back what was rejected of it, nothing marked.

        A rejection made nothing, so its attempt is taken back: a mended map is to reach the record.
        """
        self._history.reset(stream)
        return [Retry(one.work, None, begun=False) for one in self._rejected.pop(stream, ())]

    def stop(self, now: int) -> list[Outcome]:
        """Sending stops: give all back that is in doubt, nothing marked."""
        rejected = [one for stream in list(self._rejected) for one in self.stop_stream(stream)]
        return [*rejected, *self.record_outage(now)]

    def give_back(self, work: WorkItem, refusal: Refused, now: int) -> Retry:
        """A refusal that is not held against the record: it is sent again."""
        return _refused(work, None, refusal, now)

    def record_no_answer(self, work: WorkItem, now: int) -> Retry:
        """A request was given up on: it may be at work all the same."""
        return Retry(work, None, no_answer=self._until(now))

    def _again(self, failed: _Failed, at: int) -> Retry:
        return Retry(failed.work, at, no_answer=failed.no_answer)

    def _again_at(self, work: WorkItem, now: int) -> int:
        """When a record is tried again that was turned down, and nothing tells whose error it is."""
        return now + self._wait(work.turn + 1)

    def _silence(self, error: Transient, now: int) -> NoAnswer | None:
        return self._until(now) if isinstance(error, Unanswered) else None

    def _until(self, now: int) -> NoAnswer:
        return NoAnswer(now, now + int(self._settings.unanswered_wait * 1000))

    def _wait(self, times: int) -> int:
        return int(self._settings.retry.backoff(times, self._random) * 1000)

    def _own_failure_outcome(self, failed: _Failed, now: int) -> Outcome:
        work, error, no_answer = failed
        late = isinstance(error, Unanswered) and error.timed_out
        weight = WEIGHT_OF_A_TIME_OUT if late else 1
        failures = work.failures + weight
        if failures < MOST_FAILURES:
            return Retry(work, now + self._wait(failures), failed=weight, no_answer=no_answer)
        times = "gave no answer in time again and again" if late else f"failed {failures} times"
        return Rejection(
            work, f"{times} while others passed: {error}", caused_by_record=False, no_answer=no_answer
        )


def _refused(work: WorkItem, at: int | None, refusal: Refused, now: int) -> Retry:
    """A refused request made nothing, unless its answer was one of success that told nothing."""
    return Retry(work, at, begun=refusal.unsure, no_answer=_possibly_created(refusal, now))


def _possibly_created(refusal: Refused, now: int) -> NoAnswer | None:
    """That Trakor may have made it, though the request has ended there."""
    return NoAnswer(now, 0) if refusal.unsure else None
