"""Mapping without holding up the loop, and how much of it goes into one transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.mapping import Mapper
    from bridge.records import Draft, Record, Unsendable

__all__ = ["ROWS_AT_ONCE", "drafts_of"]

ROWS_AT_ONCE: Final = 100
"""Records that one transaction observes at most, so that a webhook's never waits long behind it."""

MAPPED_AT_ONCE: Final = 5
"""Records that are mapped in one go, a third of a millisecond: Trakor's answers wait for the same loop."""


async def drafts_of(part: Sequence[Record], mapper: Mapper) -> list[Draft | Unsendable]:
    """Map some records, and let the loop see to what waits meanwhile."""
    drafts: list[Draft | Unsendable] = []
    for at in range(0, len(part), MAPPED_AT_ONCE):
        drafts += [mapper(record) for record in part[at : at + MAPPED_AT_ONCE]]
        await asyncio.sleep(0)
    return drafts
