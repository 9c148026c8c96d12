"""What a complete sweep did not see: look for it by id, and mark it as gone only if it does not exist.

::

    absent ──few──> their ids, some at a time ──by id──> found: the list missed it, and it is observed
       │                                        ├─ null: marked gone
       │                                        └─ an error: left to the next sweep
       ├─ few, and they cannot be read by id ──> marked gone if an earlier complete sweep missed them too
       └─ too many ──> a sample by id ──> it exists: the list hides it on purpose, noted once
                                      └─ it does not: noted. Nothing is marked either way, nothing more read

A list that changes while it is read can miss records that exist, so a list alone is weak proof. If the
process dies before the end, the next complete sweep does the work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import QueryFileError
from bridge.ledger.gone_records import (
    count_unseen,
    find_unseen,
    mark_gone_by_id,
    mark_missed_again,
    note_hidden,
    sample_unseen,
)
from bridge.ledger.runs_and_sweeps import note_missing
from bridge.sync.by_id import refresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.ledger.observe import Observation
    from bridge.records import Policy
    from bridge.sync.by_id import ByIdSource

__all__ = ["MissingRecordSearch", "MissingRecords"]

SAMPLE: Final = 100
"""Number of records to read by id if too many are missing, to find out whether they exist."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """What became of the records that a complete sweep did not see.

    Attributes:
        gone: How many were marked as gone.
        found: How many were read by their ids: the list had missed them.
        unsure: How many could not be read by their ids.
        pending: How many are to be sent because they were found.
        missing: How many were too many to be marked.
        narrowed: Whether these exist: the list hides them on purpose.
    """

    gone: int = 0
    found: int = 0
    unsure: int = 0
    pending: int = 0
    missing: int = 0
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class MissingRecordSearch:
    """Looks for what a complete sweep did not see.

    Attributes:
        feed: The stream instance that was swept.
        policy: What the user chose for this stream.
        by_id: Reads some records by their ids. None: that is not configured.
        ledger: The open ledger.
        observation: The run and the sweep.
        gone_limit: The share of the list beyond which nothing is marked as gone.
        clock: Returns milliseconds since the epoch.
    """

    feed: Feed
    policy: Policy
    by_id: ByIdSource | None
    ledger: Ledger
    observation: Observation
    gone_limit: float
    clock: Callable[[], int]

    async def run(self) -> MissingRecords:
        """Look for the missing records, and mark those that are gone.

        Raises:
            BridgeError: They could not be read by their ids. What was not read is not marked.
        """
        missing = await self.ledger.call(count_unseen, self.feed, self.observation.sweep)
        try:
            if missing.too_many(self.gone_limit):
                return await self._by_sample(missing.unseen)
            if self.by_id is not None and missing.unseen:
                return await self._by_id(self.by_id)
        except QueryFileError as failure:
            log.warning(
                "records cannot be read by their ids",
                connection=self.feed.connection,
                stream=str(self.feed.stream),
                problem=str(failure),
            )
        return await self._by_sweeps()

    async def _by_id(self, by_id: ByIdSource) -> MissingRecords:
        """Read all of them. A record that does not exist is gone."""
        came, last = MissingRecords(), 0
        while some := await self._some(last, by_id.at_once):
            last = max(some)
            refreshed = await refresh(
                by_id, self.ledger, list(some.values()), clock=self.clock, observation=self.observation
            )
            marked = await self.ledger.call(
                mark_gone_by_id,
                self.feed,
                refreshed.absent,
                self.policy,
                read_at=refreshed.read_at,
                now=self.clock(),
                sweep=self.observation.sweep,
            )
            came = replace(
                came,
                gone=came.gone + len(marked),
                found=came.found + len(refreshed.read),
                unsure=came.unsure + len(refreshed.broken),
                pending=came.pending + refreshed.pending,
            )
        return came

    async def _some(self, after: int, most: int) -> dict[int, str]:
        """The ids of the next ones, by the ledger's numbers."""
        return await self.ledger.call(find_unseen, self.feed, self.observation.sweep, after=after, most=most)

    async def _by_sweeps(self) -> MissingRecords:
        """Mark those that an earlier complete sweep missed too, and note the others as missed once."""
        gone = last = 0
        while True:
            passed = await self.ledger.call(
                mark_missed_again,
                self.feed,
                self.observation.sweep,
                self.policy,
                after=last,
                now=self.clock(),
            )
            if passed is None:
                return MissingRecords(gone=gone)
            last, gone = passed.last, gone + passed.gone

    async def _by_sample(self, missing: int) -> MissingRecords:
        """There are too many: mark none, and note whether they exist."""
        narrowed = self.by_id is not None and await self._lives(self.by_id)
        last: int | None = 0
        while narrowed and last is not None:
            last = await self.ledger.call(note_hidden, self.feed, self.observation.sweep, after=last)
        await self.ledger.call(note_missing, self.observation.sweep, missing, narrowed=narrowed)
        return MissingRecords(missing=missing, narrowed=narrowed)

    async def _lives(self, by_id: ByIdSource) -> bool:
        """Whether most records of a sample exist."""
        ids = await self.ledger.call(sample_unseen, self.feed, self.observation.sweep, most=SAMPLE)
        there = missing = 0
        for at in range(0, len(ids), by_id.at_once):
            read = await by_id.read(ids[at : at + by_id.at_once])
            there += len(read.records)
            missing += len(read.absent)
        return there > missing
