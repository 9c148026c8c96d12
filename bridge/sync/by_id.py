"""Read single records by their ids into the ledger, for example after a webhook.

::

    ids ──client.read_by_id──> RecordsById ──Record──> mapping ──Draft──> ledger.observe (decides, writes)
                                   └─ absent, broken: returned to the caller, who knows why they were
                                   requested

A read after a webhook belongs to no run and to no sweep. If a sweep reads the same record meanwhile, the read
that began later counts. Absent does not mean gone: only a webhook that reports a deletion, or a complete
sweep that did not see the record either, proves that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from bridge.ledger.observe import Observation
from bridge.sync.observe_batch import BATCH_SIZE, observe_batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.mapping import Mapper
    from bridge.records import Policy, Record
    from bridge.salestrekker.pages import RecordsById

__all__ = ["ByIdSource", "RefreshResult", "refresh"]


@dataclass(frozen=True, slots=True)
class ByIdSource:
    """How the records of one stream are read by their ids, and how they are mapped and decided.

    Attributes:
        feed: The stream instance that they belong to.
        read: Reads some records by their ids.
        mapper: Makes drafts. It is the mapper of the stream's sweeps, so that both make the same drafts.
        policy: What the user chose for this stream.
        at_once: The number of ids in one request.
    """

    feed: Feed
    read: Callable[[Sequence[str]], Awaitable[RecordsById]]
    mapper: Mapper
    policy: Policy
    at_once: int = 25


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """The result of reading by ids. Each id is in one of the first three attributes.

    Attributes:
        read: The ids that are up to date in the ledger.
        absent: The ids for which Salestrekker answered null without an error.
        broken: Id -> why it could not be read whole, without personal data.
        pending: How many records are to be sent because of it.
        read_at: When the first of the requests began, milliseconds since the epoch.
    """

    read: set[str]
    absent: list[str]
    broken: dict[str, str]
    pending: int
    read_at: int


async def refresh(
    listing: ByIdSource,
    ledger: Ledger,
    ids: Sequence[str],
    *,
    clock: Callable[[], int],
    observation: Observation | None = None,
) -> RefreshResult:
    """Read records by their ids into the ledger.

    Args:
        listing: How they are read, mapped and decided.
        ledger: The open ledger.
        ids: Which records. An id that occurs twice is read once.
        clock: Milliseconds since the epoch.
        observation: In which run and sweep they are seen; None for none.

    Returns:
        The result, when it is on disk.

    Raises:
        BridgeError: As the client raises. Nothing was written then.
    """
    found = await listing.read(ids)
    pending = 0
    for part in _parts(found.records):
        seen = await observe_batch(part, listing, ledger, observation or Observation(), now=clock())
        pending += seen.pending
    return RefreshResult(
        read={record.id for record in found.records},
        absent=found.absent,
        broken={one.id: one.message for one in found.broken},
        pending=pending,
        read_at=found.read_at,
    )


def _parts(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Batches of records of one request, because one timestamp applies to a whole transaction."""
    in_order = sorted(records, key=lambda record: record.read_at)
    for _, of_one in groupby(in_order, key=lambda record: record.read_at):
        rows = list(of_one)
        yield from (rows[at : at + BATCH_SIZE] for at in range(0, len(rows), BATCH_SIZE))
