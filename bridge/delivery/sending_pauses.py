"""What keeps a connection from sending: stored in the ledger, so that a restart keeps to it, and cached here.

Three kinds share the ledger's table: an operator's pause of everything, the bridge's own pause of everything
(a refusal, an outage), and its own pause of one stream. An operator's pause takes precedence.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from bridge.ledger.stored_pauses import Direction, clear_pause, list_pauses, load_pause, set_pause
from bridge.retry import LONGEST_RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.ledger.database import Ledger
    from bridge.ledger.read_model import Reader
    from bridge.ledger.stored_pauses import Pause
    from bridge.records import Stream
    from bridge.retry import RetryPolicy

__all__ = ["SendingPauses"]

log = structlog.get_logger()


class SendingPauses:
    """The pauses of one connection's sending.

    Args:
        ledger: The open ledger.
        name: The connection's name.
        probe: The waits between probes.
        clock: Milliseconds since the epoch.
        random: Returns a number in [0, 1).
        on_change: Called when something was paused or resumed here.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        probe: RetryPolicy,
        *,
        clock: Callable[[], int],
        random: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._probe = probe
        self._clock = clock
        self._random = random
        self._on_change = on_change
        self._known: dict[str, Pause] = {}

    @property
    def whole(self) -> Pause | None:
        """The pause of everything."""
        return self._known.get(Direction.SENDING)

    @property
    def by_person(self) -> bool:
        """Whether an operator paused everything."""
        return self.whole is not None and self.whole.by_person

    def of(self, stream: Stream) -> Pause | None:
        """Return the pause of one stream alone."""
        return self._known.get(_direction(stream))

    def until(self, pause: Pause) -> float:
        """Return the seconds until a pause's next try; 0 if the wall clock was set back since."""
        seconds = (pause.next_try_at - self._clock()) / 1000
        return seconds if seconds <= max(self._probe.longest, LONGEST_RETRY_AFTER) else 0.0

    async def read(self) -> bool:
        """Read the ledger, log what an operator did, and return whether another process changed anything."""
        found = await self._ledger.call(_pauses_of_sending, self._name)
        before, self._known = self._known, found
        for direction in sorted(before.keys() | found.keys()):
            if what := _by_person(before.get(direction), found.get(direction)):
                log.info(what, connection=self._name, direction=direction, by_person=True)
        return found != before

    async def stop(self, reason: str, tries: int, *, wait: float | None = None, least: float = 0.0) -> None:
        """Pause everything.

        Args:
            reason: Why.
            tries: How many probes have failed: the wait before the next one grows with them.
            wait: Seconds until the next try, if the caller knows better.
            least: Minimum seconds until the next try.
        """
        await self._stop(Direction.SENDING, reason, tries, wait, least)

    async def stop_stream(self, stream: Stream, reason: str, tries: int, *, wait: float) -> None:
        """Pause one stream.

        Args:
            stream: The stream.
            reason: Why.
            tries: How many of its records were tried one by one since, and turned down.
            wait: Seconds until the next one is tried.
        """
        await self._stop(_direction(stream), reason, tries, wait)

    async def resume(self) -> None:
        """End the pause of everything, unless it is an operator's."""
        await self._resume(Direction.SENDING)

    async def resume_stream(self, stream: Stream) -> None:
        """End the pause of one stream."""
        await self._resume(_direction(stream))

    async def _stop(
        self, direction: str, reason: str, tries: int, wait: float | None = None, least: float = 0.0
    ) -> None:
        if wait is None:
            wait = self._probe.probe_wait(tries, self._random)
        wait, now = max(wait, least), self._clock()
        before = self._known.get(direction)
        at = now + int(wait * 1000)
        await self._write(direction, partial(set_pause, reason=reason, now=now, next_try_at=at, tries=tries))
        # Log a warning once for each reason; later tries are logged at debug level.
        write_log = log.warning if before is None or before.reason != reason else log.debug
        write_log(
            "paused",
            connection=self._name,
            direction=direction,
            reason=reason,
            tries=tries,
            next_try_in_seconds=round(wait, 3),
        )

    async def _resume(self, direction: str) -> None:
        before = self._known.get(direction)
        if before is None:
            return
        await self._write(direction, clear_pause)
        if direction not in self._known:
            after = round((self._clock() - before.since_at) / 1000, 3)
            log.info("resumed", connection=self._name, direction=direction, after_seconds=after)

    async def _write(self, direction: str, change: Callable[[Reader, str, str], object]) -> None:
        """Change one pause. An operator's pause that came meanwhile stays, and is cached."""
        stands = await self._ledger.call(_changed, change, self._name, direction)
        self._known.pop(direction, None)
        if stands is not None:
            self._known[direction] = stands
        self._on_change()


def _by_person(before: Pause | None, now: Pause | None) -> str:
    """Return what an operator did from another process: ``paused``, ``resumed``, or an empty text.

    A pause that the bridge ended itself is no longer cached when this is called.
    """
    was, is_now = before is not None and before.by_person, now is not None and now.by_person
    if is_now and not was:
        return "paused"
    return "resumed" if before is not None and (now is None or (was and not is_now)) else ""


def _direction(stream: Stream) -> str:
    """Return the key under which the pause of one stream is stored."""
    return f"{Direction.SENDING} {stream}"


def _pauses_of_sending(connection: Reader, name: str) -> dict[str, Pause]:
    found = [pause for pause in list_pauses(connection) if pause.connection == name]
    return {pause.direction: pause for pause in found if pause.direction != Direction.READING}


def _changed(
    connection: Reader, change: Callable[[Reader, str, str], object], name: str, direction: str
) -> Pause | None:
    change(connection, name, direction)
    return load_pause(connection, name, direction)
