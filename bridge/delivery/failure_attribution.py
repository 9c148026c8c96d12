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

from bridge.delivery.sending_options import MOST_REJECTIONS
from bridge.errors import NeverSent, Refused, Unanswered
from bridge.ledger.settlement import RejectionLog
from bridge.records import Accepted, NoAnswer, Rejection, Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.delivery.sending_options import SendingSettings
    from bridge.errors import Rejected, Transient
    from bridge.records import Outcome, Stream, TrakorAnswer, WorkItem

__all__ = ["MOST_FAILURES", "WEIGHT_OF_A_TIME_OUT", "FailureAttribution", "RejectionHistory"]

MOST: Final = 10_000
"""Maximum number of records remembered for a stream; the oldest is dropped for a new one."""


class RejectionHistory:
    """Which records were turned down, and how many of their stream had been taken by then.

    Attributes:
        unsaved: Streams with changes that the ledger does not have yet.
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
        """Whether the ledger's part of a stream's history is not loaded yet."""
        return stream not in self._restored

    def restore(self, stream: Stream, kept: RejectionLog) -> None:
        """Load what the ledger has of a stream, before any of its records is sent."""
        self._restored.add(stream)
        self._taken[stream] = self._taken_before[stream] = kept.taken
        self._turned_down[stream] = dict(kept.records)

    def to_store(self, stream: Stream) -> RejectionLog:
        """Return what the ledger is to store of a stream."""
        return RejectionLog(self._taken[stream], dict(self._turned_down.get(stream, {})))

    def record_taken(self, work: WorkItem) -> None:
        """Record that a waiting record was taken; a canary never counts."""
        self._taken[work.stream] += 1
        known = self._turned_down.get(work.stream)
        if known:
            known.pop(work.number, None)
            self._here.discard(work.number)
            self.unsaved.add(work.stream)
        self._rejected_since_taken.pop(work.stream, None)

    def record_turned_down(self, work: WorkItem) -> None:
        """Record a refusal, rejection or failure whose cause is not known yet."""
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
        """Count a refused or rejected record towards those that stop its stream."""
        self._rejected_since_taken.setdefault(work.stream, set()).add(work.number)

    def rejected_since_taken(self, stream: Stream) -> int:
        """Return how many different records were refused or rejected since one was taken."""
        return len(self._rejected_since_taken.get(stream, ()))

    def reset(self, stream: Stream) -> None:
        """Count from zero: the stream was stopped."""
        self._rejected_since_taken.pop(stream, None)

    def count_in_doubt(self, stream: Stream) -> int:
        """Return how many records were turned down, with none taken since that would show why."""
        taken = self._taken[stream]
        return sum(before == taken for before in self._turned_down.get(stream, {}).values())

    def was_turned_down_here(self, work: WorkItem) -> bool:
        """Whether this process turned the record down before; those of earlier processes may pass by now."""
        return work.number in self._here

    def has_taken(self, stream: Stream) -> bool:
        """Whether any record of a stream was taken in this run."""
        return self._taken[stream] > self._taken_before[stream]

    def is_own_fault(self, work: WorkItem) -> bool:
        """Whether others of its stream were taken since this record was turned down."""
        before = self._turned_down.get(work.stream, {}).get(work.number)
        return before is not None and self._taken[work.stream] > before


MOST_FAILURES: Final = 8
"""A record is rejected after this many failures of its own while others passed."""

WEIGHT_OF_A_TIME_OUT: Final = 3
"""A timeout counts as this many failures, so that three are enough: each one takes as long as a request may,
and blocks its name afterwards.
"""


class _Failed(NamedTuple):
    """A failure in doubt."""

    work: WorkItem
    error: Transient
    no_answer: NoAnswer | None


class FailureAttribution:
    """Keeps outcomes in doubt. Each method returns the outcomes that are now certain.

    Args:
        settings: The waits.
        random: Returns a number in [0, 1).
        history: What is known from before.
        most_rejections: This many different rejections stop a stream.
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
        """Whether something failed, and nothing has passed since that could show why."""
        return bool(self._failed)

    @property
    def in_doubt(self) -> int:
        """How many outcomes are in doubt."""
        return len(self._failed) + sum(map(len, self._rejected.values()))

    def record_answer(self, work: WorkItem, answer: TrakorAnswer, key: str, now: int) -> list[Outcome]:
        """Record that a record was taken: earlier failures and rejections in doubt are the records' own.

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
        """Record a rejection; it is final if others were taken since this record's last rejection.

        Args:
            work: What was sent.
            rejection: Why it was rejected.
        """
        outcome = Rejection(work, str(rejection), response_text=rejection.words)
        if self._history.is_own_fault(work):
            return [outcome]
        self._turned_down(work, str(rejection))
        self._rejected.setdefault(work.stream, []).append(outcome)
        return []

    def record_refusal(self, work: WorkItem, refusal: Refused, now: int, *, last: bool) -> list[Outcome]:
        """Record a refusal, while canaries and probes pass.

        Args:
            work: What was sent.
            refusal: Why it was refused.
            now: Milliseconds since the epoch.
            last: No other record will come to compare with.
        """
        alone = last and self._history.was_turned_down_here(work) and self._history.has_taken(work.stream)
        # If the only attempt may have created it, one more lets the ledger know to keep its name.
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
        """Return why a stream must stop: too many were turned down, and none was taken since. Else None.

        Args:
            stream: The stream.
            canary: A canary passed meanwhile.
        """
        too_many = self._history.rejected_since_taken(stream) >= self._most_rejections
        return self.describe_stop(stream, canary=canary) if too_many else None

    def describe_stop(self, stream: Stream, *, canary: bool) -> Refused:
        """Describe a stream of which nothing is taken, and name the command that lists its records."""
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
        """Record a transient failure.

        Args:
            work: What was sent.
            error: How it failed.
            now: Milliseconds since the epoch.
            down: Trakor is known to be down by now.
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
        """Record that a canary or probe passed, and nothing else is left to compare with.

        Args:
            now: Milliseconds since the epoch.
            last: No other record will come. A failure then counts if others were taken before it.
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
        """Record that Trakor is down: failures in doubt are sent again, and nothing is held against them."""
        outcomes: list[Outcome] = [self._again(failed, now) for failed in self._failed]
        self._failed.clear()
        return outcomes

    def confirm_rejections(self) -> list[Outcome]:
        """Make all rejections in doubt final, because nothing else waits."""
        outcomes: list[Outcome] = [one for kept in self._rejected.values() for one in kept]
        self._rejected.clear()
        return outcomes

    def stop_stream(self, stream: Stream) -> list[Outcome]:
        """Stop a stream: give back its rejected records, and mark none of them.

        A rejection created nothing, so its attempt is taken back: a corrected map must reach the record.
        """
        self._history.reset(stream)
        return [Retry(one.work, None, begun=False) for one in self._rejected.pop(stream, ())]

    def stop(self, now: int) -> list[Outcome]:
        """Stop sending: give back everything in doubt, and mark nothing."""
        rejected = [one for stream in list(self._rejected) for one in self.stop_stream(stream)]
        return [*rejected, *self.record_outage(now)]

    def give_back(self, work: WorkItem, refusal: Refused, now: int) -> Retry:
        """Return the outcome of a refusal that is not held against the record: it is sent again."""
        return _refused(work, None, refusal, now)

    def record_no_answer(self, work: WorkItem, now: int) -> Retry:
        """Return the outcome of an abandoned request: Trakor may still process it."""
        return Retry(work, None, no_answer=self._until(now))

    def _again(self, failed: _Failed, at: int) -> Retry:
        return Retry(failed.work, at, no_answer=failed.no_answer)

    def _again_at(self, work: WorkItem, now: int) -> int:
        """Return when to retry a record that was turned down for a reason not known yet."""
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
    """A refused request created nothing, unless its answer was a success without content."""
    return Retry(work, at, begun=refusal.unsure, no_answer=_possibly_created(refusal, now))


def _possibly_created(refusal: Refused, now: int) -> NoAnswer | None:
    """Note that Trakor may have created the record, though the request has ended."""
    return NoAnswer(now, 0) if refusal.unsure else None
