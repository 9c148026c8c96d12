"""From records to the ledger: mapped without holding up the loop, and observed a part at a time.

::

    part of a page, or records read by id ──map──> Draft ──ledger.observe──> decided and written
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from bridge.decision import decide
from bridge.ledger.observing import Observed, Sight, observe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.ledger.engine import Ledger
    from bridge.ledger.rows import Feed
    from bridge.mapping import Mapper
    from bridge.records import Draft, Policy, Record, Unsendable

__all__ = ["ROWS_AT_ONCE", "Whose", "drafts_of", "observe_part"]

ROWS_AT_ONCE: Final = 100
"""Records that one transaction observes at most, so that a webhook's never waits long behind it."""

MAPPED_AT_ONCE: Final = 5
"""Records that are mapped in one go, a third of a millisecond: Trakor's answers wait for the same loop."""


class Whose(Protocol):
    """What records are, and what is to be made of them: a ``Listing`` or a ``OneListing``."""

    @property
    def feed(self) -> Feed:
        """Whose they are."""

    @property
    def mapper(self) -> Mapper:
        """Makes drafts."""

    @property
    def policy(self) -> Policy:
        """What the user chose for this stream."""


async def observe_part(
    part: Sequence[Record], whose: Whose, ledger: Ledger, sight: Sight, *, now: int
) -> Observed:
    """Map some records and let the ledger decide on them, in one transaction.

    Args:
        part: At most ``ROWS_AT_ONCE`` of them, all of one request.
        whose: Whose they are.
        ledger: The open ledger.
        sight: In which run and sweep they were seen; a position moves the sweep's checkpoint.
        now: The time to note, milliseconds since the epoch.
    """
    drafts = await drafts_of(part, whose.mapper)
    return await ledger.call(observe, whose.feed, drafts, sight, decide=decide, policy=whose.policy, now=now)


async def drafts_of(part: Sequence[Record], mapper: Mapper) -> list[Draft | Unsendable]:
    """Map some records, and let the loop see to what waits meanwhile."""
    drafts: list[Draft | Unsendable] = []
    for at in range(0, len(part), MAPPED_AT_ONCE):
        drafts += [mapper(record) for record in part[at : at + MAPPED_AT_ONCE]]
        await asyncio.sleep(0)
    return drafts
