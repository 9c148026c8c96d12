"""From records to decisions, a batch at a time: look up, map, observe.

::

    Record ──input──> survey ──unchanged: no draft───────────────────────────────────┐
                         └──the others──> mapping, also with the earlier map ──> observe
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from bridge.event_loop_turns import run_in_slices
from bridge.ledger.observe import Observation, ObserveResult, observe, survey
from bridge.salestrekker.large_lists import LongRecords

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.mapping import Mapper
    from bridge.records import Draft, Policy, Record, Unsendable

__all__ = ["BATCH_SIZE", "RecordSource", "observe_batch", "split_into_batches"]

BATCH_SIZE: Final = 100
"""Maximum number of records that one transaction observes, so that a webhook's record never waits long."""

MAPPING_SLICE: Final = 0.0004
"""Seconds of mapping in one slice, about five records: Trakor's answers wait for the same event loop."""


def split_into_batches(records: Sequence[Record]) -> list[Sequence[Record]]:
    """Split records into batches that are observed together. There is at least one batch."""
    if isinstance(records, LongRecords):
        return [*records.parts(BATCH_SIZE)] or [()]
    return [records[at : at + BATCH_SIZE] for at in range(0, len(records), BATCH_SIZE)] or [()]


class RecordSource(Protocol):
    """What a ``SweepSource`` and a ``ByIdSource`` have in common: whose the records are, and their map."""

    @property
    def feed(self) -> Feed:
        """The stream instance that they belong to."""

    @property
    def mapper(self) -> Mapper:
        """Makes drafts. All reads of the stream use the same mapper, so that all make the same drafts."""

    @property
    def policy(self) -> Policy:
        """What the user chose for this stream."""


async def observe_batch(
    part: Sequence[Record], whose: RecordSource, ledger: Ledger, observation: Observation, *, now: int
) -> ObserveResult:
    """Let the ledger decide on some records. Unchanged records are not even mapped.

    Args:
        part: At most ``BATCH_SIZE`` records of one request.
        whose: Their source and map.
        ledger: The open ledger.
        observation: In which run and sweep they were seen; a position moves the sweep's checkpoint.
        now: The time to note, milliseconds since the epoch.

    Returns:
        The result, when it is on disk.
    """
    rest = MAPPING_SLICE if isinstance(part, LongRecords) else 0.0  # of those there can be very many
    latest = await run_in_slices(_latest_of(part), rest=rest)
    inputs = await run_in_slices(_inputs_of(latest.values(), whose.mapper), rest=rest)
    surveyed = await ledger.call(survey, whose.feed, inputs, whose.mapper.rules)
    changed = [record for record in latest.values() if record.id not in surveyed.unchanged]
    drafts = await run_in_slices(_drafts_of(changed, whose.mapper, surveyed.maps), MAPPING_SLICE, rest=rest)
    began_at = next((record.read_at for record in latest.values()), 0)
    seen = replace(observation, unchanged=surveyed.unchanged, began_at=began_at)
    return await ledger.call(observe, whose.feed, drafts, seen, policy=whose.policy, now=now)


def _latest_of(part: Sequence[Record]) -> Generator[None, None, dict[str, Record]]:
    """The records by their ids. If an id occurs twice, the last record counts."""
    latest: dict[str, Record] = {}
    for record in part:
        latest[record.id] = record
        yield
    return latest


def _inputs_of(part: Iterable[Record], mapper: Mapper) -> Generator[None, None, list[tuple[str, str]]]:
    """The content of each record, as one hash."""
    inputs: list[tuple[str, str]] = []
    for record in part:
        inputs.append((record.id, mapper.input_of(record)))
        yield
    return inputs


def _drafts_of(
    part: Iterable[Record], mapper: Mapper, maps: Mapping[str, str]
) -> Generator[None, None, list[Draft | Unsendable]]:
    """Map some records. If a record was last seen with another map, map it with that one too."""
    drafts: list[Draft | Unsendable] = []
    for record in part:
        drafts.append(mapper(record, mapper.earlier_mapper(maps.get(record.id))))
        yield
    return drafts
