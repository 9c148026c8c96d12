"""Whether a connection may work: only with the same two organisations as before.

::

    wait_until_open ──> stopped in the ledger? ──no──> one log-in, checked ──> work starts
                     │ yes: one try, because the configuration may have changed
                     └──> wait until an operator confirms

    wait_until_proved ──> Trakor is the same as before ──> sending starts
                     │ a different one ──> stopped
    stopped ──> all work of the connection ends; its webhooks wait in the ledger
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import Refused, Transient
from bridge.ledger.connection_organizations import find_stop_reason, pause_if_stopped
from bridge.ledger.stored_pauses import Direction, clear_pause, load_pause, set_pause
from bridge.organization_guard import OtherTrakor
from bridge.salestrekker.login import AmbiguousOrganization, DifferentOrganization

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.ledger.database import Ledger
    from bridge.organization_guard import TrakorGuard
    from bridge.retry import RetryPolicy
    from bridge.salestrekker.client import SalestrekkerClient

__all__ = ["OrganizationChanged", "OrganizationCheck"]

LONGEST_LOOK: Final = 60.0
"""Seconds after which the ledger is checked in any case: the wall clock may have been set."""

log = structlog.get_logger()


class OrganizationChanged(Exception):  # noqa: N818 - no error: it ends the work of one connection in order
    """Another organisation turned up."""


class OrganizationCheck:
    """Lets one connection work, or keeps it from that.

    Args:
        ledger: The open ledger.
        name: The connection's.
        client: Its Salestrekker; each log-in is held (``organization_check.SourceHold``).
        guard: Proves its Trakor.
        probe: The waits between two tries.
        clock: Milliseconds since the epoch.
        random: Gives a number of [0, 1).
        starting: The process has just begun: a configuration that has to say more ends it.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        client: SalestrekkerClient,
        guard: TrakorGuard,
        probe: RetryPolicy,
        *,
        clock: Callable[[], int],
        random: Callable[[], float],
        starting: bool,
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._client = client
        self._guard = guard
        self._probe = probe
        self._clock = clock
        self._random = random
        self._starting = starting
        self._ledger_changed = asyncio.Event()
        self._stopped = asyncio.Event()

    def notice_change(self) -> None:
        """Check what another process has written, perhaps a confirmation."""
        self._ledger_changed.set()

    def stop(self) -> None:
        """End all work: another organisation turned up."""
        self._stopped.set()

    async def wait_until_open(self) -> None:
        """Wait until the connection may work.

        Raises:
            SeveralOrganizations: The process has just started, and the log-in has several organisations, none
                of them configured.
        """
        tried = is_logged = False
        while True:
            self._ledger_changed.clear()
            if not await self._ledger.call(find_stop_reason, self._name) or not tried:
                tried = await self._try()
            why = await self._ledger.call(pause_if_stopped, self._name, now=self._clock())
            if not why:
                self._stopped.clear()
                return
            if not is_logged:
                log.warning("stopped", connection=self._name, reason=why)
            is_logged = True
            await self._wait(LONGEST_LOOK)

    async def wait_until_revoked(self) -> None:
        """Wait until it may not work any more.

        Raises:
            OrganizationChanged: Always, then.
        """
        await self._stopped.wait()
        raise OrganizationChanged

    async def wait_until_proved(self) -> None:
        """Wait until Trakor is proved to be the same as before. An operator's pause is respected."""
        failed = 0
        while True:
            self._ledger_changed.clear()
            if await self._is_paused_by_person():
                await self._wait(LONGEST_LOOK)
                continue
            try:
                await self._guard.run()
            except OtherTrakor:
                self._stopped.set()
                await asyncio.Event().wait()  # all work ends
            except (Transient, Refused) as error:
                await self._pause(error, failed)
                failed += 1
            else:
                if failed:
                    await self._ledger.call(clear_pause, self._name, Direction.SENDING)
                return

    async def _try(self) -> bool:
        """Try again what stopped the connection; return whether the result is known."""
        why = await self._ledger.call(find_stop_reason, self._name)
        try:
            if why and not await self._is_paused_by_person():
                await self._guard.run()
            if why or await self._ledger.call(load_pause, self._name, Direction.READING) is None:
                await self._client.log_in_once()
        except AmbiguousOrganization:
            if self._starting:
                raise
        except (OtherTrakor, DifferentOrganization):
            return True
        except (Transient, Refused):
            return False  # reading and sending find out for themselves
        return True

    async def _is_paused_by_person(self) -> bool:
        pause = await self._ledger.call(load_pause, self._name, Direction.SENDING)
        return pause is not None and pause.by_person

    async def _pause(self, error: Transient | Refused, failed: int) -> None:
        """Pause sending, as after any refusal or outage; reading goes on."""
        wait = self._probe.probe_wait(failed, self._random)
        if isinstance(error, Transient) and error.retry_after:
            wait = max(wait, error.retry_after)
        now = self._clock()
        at = now + int(wait * 1000)
        await self._ledger.call(
            set_pause,
            self._name,
            Direction.SENDING,
            reason=str(error),
            now=now,
            next_try_at=at,
            tries=failed,
        )
        if not failed:
            log.warning("paused", connection=self._name, direction=str(Direction.SENDING), reason=str(error))
        self._ledger_changed.clear()
        await self._wait(wait)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, LONGEST_LOOK)):
                await self._ledger_changed.wait()
