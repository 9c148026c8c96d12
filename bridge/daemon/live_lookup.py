"""One record as Salestrekker has it at this moment: for a person who decides; nothing of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import UserError
from bridge.records import Unsendable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.daemon.reading_context import ReadingContext
    from bridge.records import Stream

__all__ = ["read_now"]


async def read_now(parts: ReadingContext, stream: Stream, source_id: str) -> Mapping[str, str] | None:
    """Read one record by its id, and map it; nothing of it is kept.

    Args:
        parts: Of its connection.
        stream: Which list it is of.
        source_id: Salestrekker's id.

    Returns:
        What would be sent of it now, by field; None where Salestrekker has no such record.

    Raises:
        UserError: It cannot be read by id, or says nothing that could be sent.
        Transient: Not at the moment.
        Refused: Reading is refused.
    """
    if stream not in parts.plan.ones:
        raise UserError(f"no query reads {stream} by their ids")
    found = await parts.read(stream, [source_id])
    if found.broken:
        raise UserError("Salestrekker does not give all of it")
    if not found.records:
        return None
    made = parts.plan.mappers[stream](found.records[0])
    if isinstance(made, Unsendable):
        why = f"{made.field} {made.detail}".strip() or f"it is {made.reason}"
        raise UserError(f"nothing can be made of what Salestrekker says now: {why}")
    return made.payload.fields()
