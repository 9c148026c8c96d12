"""Each log-in is held to the Salestrekker organisation that the connection has read before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bridge.ledger.organizations import OTHER_SOURCE, hold_source, way_out
from bridge.salestrekker.auth import OtherOrganization

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.ledger.database import Ledger

__all__ = ["SourceHold"]

log = structlog.get_logger()


class SourceHold:
    """Asked about each log-in of one connection, before its token is used.

    Args:
        ledger: Remembers which organisation was read; the open one.
        name: The connection's.
        hashed: Keyed hash of an organisation's id.
        clock: Milliseconds since the epoch.
        on_stopped: Told when reading and sending have to stop.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        hashed: Callable[[str], str],
        *,
        clock: Callable[[], int],
        on_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._hashed = hashed
        self._clock = clock
        self._on_stopped = on_stopped

    async def __call__(self, organization: str) -> None:
        """Hold one log-in; where its organisation cannot be read, nothing is known and nothing refused.

        Raises:
            OtherOrganization: It is for another one than before.
        """
        if not organization:
            log.info("organisation unknown", connection=self._name)
            return
        hashed = self._hashed(organization)
        if await self._ledger.call(hold_source, self._name, hashed, now=self._clock()):
            return
        self._on_stopped()
        raise OtherOrganization(
            OTHER_SOURCE,
            advice=way_out(self._name, OTHER_SOURCE),
        )
