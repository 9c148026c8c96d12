"""Writes outcomes to the ledger in batches, while requests go on: no sender waits for the disk.

::

    add ──> collected ──100 outcomes, 0.05 s, or nothing else is expected──> one transaction ──> on_settled
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bridge.delivery.batch_result import BatchResult
from bridge.ledger.settlement import settle
from bridge.records import Accepted, Rejection, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bridge.delivery.destination_and_streams import OutgoingStream
    from bridge.ledger.database import Ledger
    from bridge.records import Outcome, Stream

__all__ = ["ResultWriter", "count_outcomes"]

BATCH: Final = 100
"""Maximum number of outcomes in one transaction, so that a webhook's transaction never waits long."""

ENOUGH: Final = 100
"""This many outcomes are settled without waiting for more."""

PATIENCE: Final = 0.05
"""Maximum seconds that an outcome waits for others."""


class ResultWriter:
    """Collects outcomes until they are settled.

    Args:
        ledger: The open ledger.
        outgoing: The streams that outcomes can belong to.
        run: Number of the run that the answers count for. None: each record's own run.
        clock: Milliseconds since the epoch.
        on_settled: Called after each batch with the outcomes, the seconds it took, and whether something else
            must be sent because of it.
    """

    def __init__(
        self,
        ledger: Ledger,
        outgoing: Mapping[Stream, OutgoingStream],
        run: int | None,
        clock: Callable[[], int],
        on_settled: Callable[[list[Outcome], float, bool], None],
    ) -> None:
        self._ledger = ledger
        self._outgoing = outgoing
        self._run = run
        self._clock = clock
        self._on_settled = on_settled
        self._outcomes: list[Outcome] = []
        self._since: float | None = None
        self._writing: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no outcome is collected or being written."""
        return not self._outcomes and (self._writing is None or self._writing.done())

    @property
    def due(self) -> float | None:
        """When the collected outcomes are to be written, in the loop's time."""
        return None if self._since is None else self._since + PATIENCE

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes."""
        self._outcomes += outcomes

    def start_writing(self, notice: Callable[[asyncio.Task[None]], None], *, hurry: bool) -> None:
        """Start writing a batch if it is time; one batch at a time.

        Args:
            notice: Called when the batch is written or has failed.
            hurry: Nothing else is expected.

        Raises:
            Exception: Why the previous batch could not be written.
        """
        if self._writing is not None and self._writing.done():
            written, self._writing = self._writing, None
            written.result()
        if not self._outcomes or self._writing is not None:
            return
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        if hurry or len(self._outcomes) >= ENOUGH or now >= self._since + PATIENCE:
            self._since = None
            self._writing = asyncio.create_task(self._settle(self._take()))
            self._writing.add_done_callback(notice)

    async def drain(self) -> None:
        """Write everything, each batch even if the one before failed.

        Raises:
            Exception: Why a batch could not be written.
        """
        try:
            if self._writing is not None:
                await self._writing
        finally:
            while self._outcomes:
                await self._settle(self._take())

    def _take(self) -> list[Outcome]:
        batch, self._outcomes = self._outcomes[:BATCH], self._outcomes[BATCH:]
        return batch

    async def _settle(self, batch: list[Outcome]) -> None:
        began = asyncio.get_running_loop().time()
        more = False
        for stream in {outcome.work.stream for outcome in batch}:
            outgoing_stream = self._outgoing[stream]
            of_stream = [outcome for outcome in batch if outcome.work.stream is stream]
            more |= await self._ledger.call(
                settle,
                outgoing_stream.feed,
                of_stream,
                policy=outgoing_stream.policy,
                now=self._clock(),
                run=self._run,
            )
        self._on_settled(batch, asyncio.get_running_loop().time() - began, more)


def count_outcomes(batch: Sequence[Outcome], seconds: float) -> BatchResult:
    """Count the outcomes of a batch by kind."""
    answered = [one for one in batch if isinstance(one, Accepted)]
    created = [one.answer.created for one in answered]
    return BatchResult(
        created=sum(created),
        existing=len(created) - sum(created),
        rejected=sum(isinstance(one, Rejection) for one in batch),
        later=sum(isinstance(one, Retry) for one in batch),
        seconds=seconds,
        first_answers=tuple(
            (one.work.stream, one.answer.created) for one in answered if one.work.attempt == 1
        ),
    )
