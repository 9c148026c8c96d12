"""Decides what follows from each answer of Trakor: who is at fault, and what stops.

::

    failed, rejected ──> FailureAttribution ─> outcomes, at once or when other records have shown the cause
    refused ──> kept; when all requests in flight have ended: send a probe and a canary
                    ├── they pass ──> FailureAttribution: to the end of the queue, or rejected
                    └── refused, too ──> all sending stops, nothing is marked
    20 different records turned down, none taken since ──> the stream stops; one is tried now and then
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.delivery.failure_attribution import FailureAttribution
from bridge.delivery.stopped_stream_trials import StoppedStreams
from bridge.errors import Refusal, Refused, Rejected, Transient
from bridge.records import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.delivery.circuit_breaker import SendingBreaker
    from bridge.delivery.claim_buffer import ClaimBuffer
    from bridge.delivery.destination_and_streams import OutgoingStream
    from bridge.delivery.failure_attribution import RejectionHistory
    from bridge.delivery.probe_requests import ProbeRequests
    from bridge.delivery.result_writer import ResultWriter
    from bridge.delivery.sending_options import SendingMode, SendingSettings
    from bridge.delivery.stopped_stream_trials import StoppedStream
    from bridge.records import Stream, TrakorAnswer, WorkItem

__all__ = ["ResponseHandler"]


class ResponseHandler:
    """Handles the responses of one delivery.

    Args:
        outgoing: The streams that are sent.
        settings: Limits and waits.
        mode: When a stream stops.
        breaker: Limits the requests that may start.
        claim_buffer: What is left to send.
        writer: Takes the outcomes.
        probes: Sends what is known to pass.
        history: What is known of records that were turned down before.
        stopped: Streams that had stopped before, with times of the running loop.
        clock: Milliseconds since the epoch.
        random: Returns a number in [0, 1).
        on_change: Called when sending was refused, or a stream stopped or resumed.

    Attributes:
        outgoing: The streams that are still sent.
        classifier: Keeps outcomes in doubt.
        trials: The streams of which only one record is tried now and then.
        refusals: Why sending a stream stopped before its end.
        refused: Why sending all streams stopped, if the cause is not the records of one.
        probe_is_next: While Trakor is down, the next request must be a probe and not a record.
    """

    def __init__(  # noqa: PLR0913 - all dependencies, passed by name
        self,
        outgoing: Mapping[Stream, OutgoingStream],
        settings: SendingSettings,
        mode: SendingMode,
        *,
        breaker: SendingBreaker,
        claim_buffer: ClaimBuffer,
        writer: ResultWriter,
        probes: ProbeRequests,
        history: RejectionHistory,
        stopped: Mapping[Stream, StoppedStream],
        clock: Callable[[], int],
        random: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._breaker = breaker
        self._claim_buffer = claim_buffer
        self._writer = writer
        self._probes = probes
        self._history = history
        self._clock = clock
        self._on_change = on_change
        self._refused: list[tuple[WorkItem, Refused]] = []
        self._trial_records: dict[Stream, int] = {}
        self._probes_after_failure = False
        self._canary_passed: set[Stream] = set()
        self.outgoing = dict(outgoing)
        self.classifier = FailureAttribution(settings, random, history, mode.most_rejections)
        self.trials = StoppedStreams(mode.trial_every, mode.most_trials, stopped)
        self.refusals: dict[Stream, Refused] = {}
        self.refused: Refused | None = None
        self.probe_is_next = False

    @property
    def has_open_refusals(self) -> bool:
        """Whether a record was refused for a reason not known yet: no request may start."""
        return bool(self._refused)

    def may_start(self, stream: Stream) -> bool:
        """Whether a request that was about to start still may."""
        return stream in self.outgoing and not self._refused

    def may_send(self, stream: Stream) -> bool:
        """Whether all records of a stream are sent."""
        return stream in self.outgoing and stream not in self.trials

    def note_trial(self, work: WorkItem) -> None:
        """Note that this is the one record of a stopped stream that is tried."""
        self._trial_records[work.stream] = work.number

    def should_probe(self, *, quiet: bool) -> bool:
        """Whether to send a probe or a canary before more records.

        While Trakor is down, every second request is one. Until a record passes, one follows each failure: if
        only poison records wait, nothing else would show that Trakor is up.

        Args:
            quiet: Nothing is being sent, and nothing can be before some time has passed.
        """
        if self._breaker.is_down:
            return (self.probe_is_next and self._probes.passed_recently) or self._claim_buffer.is_empty
        return self.classifier.has_doubtful_failures and (self._probes_after_failure or quiet)

    async def probe(self) -> None:
        """Send a probe or a canary, to find out who is at fault."""
        await (self._investigate_refusals() if self._refused else self._probe_known())

    def on_answer(self, work: WorkItem, answer: TrakorAnswer, key: str) -> None:
        """Handle an answer: the record was taken."""
        self._breaker.record_success()
        self._probes_after_failure = False
        self._probes.record_success(work.stream)
        self._writer.add(self.classifier.record_answer(work, answer, key, self._clock()))
        self.resume(work.stream)

    def on_failure(self, work: WorkItem, error: Transient) -> None:
        """Handle a transient failure."""
        self._breaker.record_failure(error)
        self._probes_after_failure = self._probes_after_failure or self._breaker.is_down
        self._writer.add(
            self.classifier.record_failure(work, error, self._clock(), down=self._breaker.is_down)
        )

    def on_rejection(self, work: WorkItem, rejection: Rejected) -> None:
        """Handle a rejection of one record."""
        self._breaker.record_success()
        self._probes_after_failure = False
        if work.stream in self.outgoing:
            self._writer.add(self.classifier.record_rejection(work, rejection))
            self._stop_if_nothing_is_taken(work)
        else:
            self._writer.add([Retry(work, None, begun=False)])

    def on_refusal(self, work: WorkItem, refusal: Refused) -> None:
        """Handle a refusal. A refused key is never a record's fault; anything else waits for a probe."""
        if refusal.kind is Refusal.KEY or work.stream not in self.outgoing:
            self._writer.add([self.classifier.give_back(work, refusal, self._clock())])
            if work.stream in self.outgoing:
                self._refuse_all(refusal)
        else:
            self._refused.append((work, refusal))

    async def _investigate_refusals(self) -> None:
        """Find out whether a probe and canaries pass; if so, the record's own text was refused."""
        streams = {work.stream for work, _ in self._refused}
        outgoing = [one for stream, one in self.outgoing.items() if stream in streams]
        try:
            await self._probes.send_empty_request()
            certain = [await self._probes.send_canary(outgoing_stream) for outgoing_stream in outgoing]
        except Transient as error:
            self._breaker.record_failure(error)
            self._writer.add(self.classifier.record_outage(self._clock()))
            self.release_refused()
        except Refused as refusal:
            self.release_refused()
            self._refuse_all(refusal)
        else:
            self._breaker.record_probe_success()
            self._canary_passed |= {
                one.feed.stream for one, passed in zip(outgoing, certain, strict=True) if passed
            }
            if not all(certain):
                self._breaker.restart_with_one()
            self._classify_refused()

    def release_refused(self) -> None:
        """Give refused records back unclassified: they are sent again."""
        now = self._clock()
        self._writer.add([self.classifier.give_back(work, refusal, now) for work, refusal in self._refused])
        self._refused.clear()

    def _classify_refused(self) -> None:
        refused, self._refused = self._refused, []
        last = self._is_last
        for work, refusal in refused:
            hopeless = (
                last and self._history.was_turned_down_here(work) and not self._history.has_taken(work.stream)
            )
            self._writer.add(self.classifier.record_refusal(work, refusal, self._clock(), last=last))
            if hopeless and work.stream in self.outgoing:
                self._refuse(self._why_hopeless(work.stream, refusal), work.stream)
            else:
                self._stop_if_nothing_is_taken(work)

    def _why_hopeless(self, stream: Stream, refusal: Refused) -> Refused:
        """Return why to stop. If a canary passes, the refusal is not about the whole organisation."""
        passed = stream in self._canary_passed
        return self.classifier.describe_stop(stream, canary=True) if passed else refusal

    async def _probe_known(self) -> None:
        """Send a canary or probe; if it passes too, the failures in doubt are no outage."""
        self.probe_is_next = False
        try:
            if self._breaker.is_down and self._claim_buffer.is_empty:
                await self._probes.send_empty_request()
            else:
                await self._probes.send_any(*self.outgoing.values())
        except Transient as error:
            self._breaker.record_failure(error)
            self._writer.add(self.classifier.record_outage(self._clock()))
        except Refused as refusal:
            self._refuse_all(refusal)
        else:
            self._breaker.record_probe_success()
            self._writer.add(self.classifier.record_probe_success(self._clock(), last=self._is_last))

    def _stop_if_nothing_is_taken(self, work: WorkItem) -> None:
        """Stop a stream if too many records, or one more trial, were turned down."""
        stream = work.stream
        before = self.trials.stopped.get(stream)
        canary = stream in self._canary_passed
        why = self.classifier.reason_to_stop(stream, canary=canary) if before is None else before.why
        if why is None or stream not in self.outgoing:
            return
        self._writer.add(self.classifier.stop_stream(stream))
        if before is None or self._trial_records.get(stream) == work.number:
            if self.trials.stop(stream, why, self._breaker.now()):
                self._refuse(self.classifier.describe_stop(stream, canary=canary), stream)
            self._on_change()

    def resume(self, stream: Stream) -> None:
        """Send all records of a stream again, if it had stopped."""
        if self.trials.end(stream):
            self._claim_buffer.next_look = 0.0
            self._on_change()

    def _refuse_all(self, refusal: Refused) -> None:
        self.refused = refusal
        self._refuse(refusal, *self.outgoing)

    def _refuse(self, refusal: Refused, *streams: Stream) -> None:
        """Stop sending these streams: nothing is lost, nothing is marked."""
        for stream in streams:
            self.outgoing.pop(stream)
            self.trials.end(stream)
            self.refusals[stream] = refusal
        self._writer.add(self.classifier.stop(self._clock()))
        self._on_change()

    @property
    def _is_last(self) -> bool:
        """Whether nothing untried will come: failures now count against the records."""
        return self._claim_buffer.expects_no_more and not (self._claim_buffer.has_untried or self.trials)
