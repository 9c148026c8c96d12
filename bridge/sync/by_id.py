"""From the source to the ledger, for single records: what webhooks are about.

::

    ids ──client.ones──> Ones ──Record──> mapping ──Draft──> ledger.observe (decides, writes)
                           └─ absent, broken: told to the caller, who knows why they were asked for

After a webhook it belongs to no run and to no sweep: a record that is read here while a sweep goes by is
decided on by whichever read began later. Absent is not gone: only a webhook that said so, or a complete sweep
that did not see it either, proves it.
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
    from bridge.ledger.row_mapping import Feed
    from bridge.mapping import Mapper
    from bridge.records import Policy, Record
    from bridge.salestrekker.pages import RecordsById

__all__ = ["ByIdSource", "RefreshResult", "refresh"]


@dataclass(frozen=True, slots=True)
class ByIdSource:
    """How the records of one stream are read by their ids, and what is to be made of them.

    Attributes:
        feed: Whose they are.
        read: Reads some by their ids.
        mapper: Makes drafts: the one that the stream's sweeps use, so that both make the same.
        policy: What the user chose for this stream.
        at_once: How many share one request.
    """

    feed: Feed
    read: Callable[[Sequence[str]], Awaitable[RecordsById]]
    mapper: Mapper
    policy: Policy
    at_once: int = 25


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """What reading by ids came to: each id is in one of the first three.

    Attributes:
        read: Those that are in the ledger as they are now.
        absent: Those of which Salestrekker said null, without an error.
        broken: Id -> why it could not be read whole, without personal data.
        pending: How many are to be sent because of it.
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
        listing: How they are read, and what to make of them.
        ledger: The open ledger.
        ids: Which; one that stands in it twice is read once.
        clock: Milliseconds since the epoch.
        observation: In which run and sweep they are seen; None for none.

    Returns:
        What it came to, when it is on disk.

    Raises:
        BridgeError: As the client raises; nothing was written then.
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
    """What one transaction observes: records of one request, since one moment stands for all of them."""
    in_order = sorted(records, key=lambda record: record.read_at)
    for _, of_one in groupby(in_order, key=lambda record: record.read_at):
        rows = list(of_one)
        yield from (rows[at : at + BATCH_SIZE] for at in range(0, len(rows), BATCH_SIZE))
