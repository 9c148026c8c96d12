"""What the workers of one connection share, and how they read single records by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import UserError
from bridge.ledger.runs_and_sweeps import find_last_good
from bridge.records import Unsendable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.records import Stream
    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.pages import RecordsById
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["ReadingContext", "read_now"]


@dataclass(frozen=True, slots=True)
class ReadingContext:
    """What the workers of one connection share.

    Attributes:
        plan: Its settings, queries and mappers.
        client: Reads its Salestrekker; entered.
        ledger: The open ledger.
        feeds: Its streams.
        clock: Milliseconds since the epoch.
        on_pending: Called when a record may be pending.
    """

    plan: ConnectionPlan
    client: SalestrekkerClient
    ledger: Ledger
    feeds: Mapping[Stream, Feed]
    clock: Callable[[], int]
    on_pending: Callable[[], None]

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.plan.connection.name

    async def read(self, stream: Stream, ids: Sequence[str]) -> RecordsById:
        """Read records of a stream by their ids."""
        return await self.client.read_by_id(
            self.plan.by_id_queries[stream],
            ids,
            stream=stream,
            identify=self.plan.mappers[stream].identify,
            ids_per_request=self.plan.connection.salestrekker.ids_per_request,
        )

    async def since(self, stream: Stream, *, whole: bool) -> int | None:
        """Return the time from which to read changes, in milliseconds since the epoch. None: read all.

        A time in the future shows that the clock was set back, so that nobody knows what has changed.
        """
        if whole or not self.plan.queries[stream].is_incremental:
            return None
        since = await self.ledger.call(find_last_good, self.feeds[stream])
        return None if since is None or since > self.clock() else since


async def read_now(context: ReadingContext, stream: Stream, source_id: str) -> Mapping[str, str] | None:
    """Read one record by its id and map it, for an operator's decision; nothing is stored.

    Args:
        context: The connection's.
        stream: The record's stream.
        source_id: Salestrekker's id.

    Returns:
        What would be sent now, by field. None: Salestrekker has no such record.

    Raises:
        UserError: The record cannot be read by id, or cannot be sent as it is.
        Transient: Salestrekker cannot be reached now.
        Refused: Reading is refused.
    """
    if stream not in context.plan.by_id_queries:
        raise UserError(f"no query reads {stream} by their ids")
    found = await context.read(stream, [source_id])
    if found.broken:
        raise UserError("Salestrekker does not give all of it")
    if not found.records:
        return None
    made = context.plan.mappers[stream](found.records[0])
    if isinstance(made, Unsendable):
        why = f"{made.field} {made.detail}".strip() or f"it is {made.reason}"
        raise UserError(f"nothing can be made of what Salestrekker says now: {why}")
    return made.payload.fields()
