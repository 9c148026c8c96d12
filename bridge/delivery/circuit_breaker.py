"""The valve of one delivery: it has the loop's time, and tells why it is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bridge.delivery.types import Trouble
from bridge.pacing import Valve

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.delivery.types import Pace
    from bridge.errors import Transient

__all__ = ["LiveValve"]

DOWN_AFTER: Final = 8
"""So many failures in a row, and the destination counts as down."""


class LiveValve:
    """How many requests may begin now. Times are seconds of the running loop.

    Args:
        pace: How fast to send.
        clock: Milliseconds since the epoch.
        random: Gives a number of [0, 1).
        on_trouble: Told when ``trouble`` is another one.

    Attributes:
        trouble: Why the valve is closed, from the failure that closed it to the first pass afterwards.
        last_good: When something passed last.
    """

    def __init__(
        self,
        pace: Pace,
        clock: Callable[[], int],
        random: Callable[[], float],
        on_trouble: Callable[[], None],
    ) -> None:
        threshold = min(DOWN_AFTER, max(2, pace.max_in_flight))
        self._valve = Valve(pace.max_in_flight, threshold, pace.probe_first, pace.probe_max, random)
        self._ramp = pace.ramp
        self._clock = clock
        self._on_trouble = on_trouble
        self._closed_until: float | None = None
        self.trouble: Trouble | None = None
        self.last_good = 0.0

    def start(self) -> None:
        """Begin: the time that nothing was taken for is counted from here."""
        self.last_good = self.now()
        if self._ramp:
            self._valve.hold_until(self.last_good)

    @staticmethod
    def now() -> float:
        """The time that all others are to be compared with."""
        return asyncio.get_running_loop().time()

    @property
    def down(self) -> bool:
        """The destination counts as down: what fails tells nothing of the record."""
        return self._valve.down_since is not None

    @property
    def opens_at(self) -> float | None:
        """When the next request may begin, where only time stands in its way; None when none does."""
        return self._valve.opens_at(self.now())

    @property
    def closed(self) -> bool:
        """Nothing may begin before some time has passed."""
        return self.opens_at is not None

    def allowed(self, in_flight: int = 0) -> int:
        """How many more requests may begin now, given how many have no answer yet."""
        return self._valve.allowed(self.now(), in_flight)

    def passed(self) -> None:
        """A record was answered, which shows the destination at work."""
        self.last_good = self.now()
        self.known_passed()

    def known_passed(self) -> None:
        """What is known to pass did: the destination is at work, and nothing was done by it."""
        self._valve.passed(self.now())
        if self.trouble is not None and not self.closed:
            self.trouble = self._closed_until = None
            self._on_trouble()

    def one_at_a_time(self) -> None:
        """Go on carefully: with one request, and more with each that passes."""
        self._valve.hold_until(self.now())

    def failed(self, fault: Transient) -> None:
        """A request failed for the moment."""
        self._valve.failed(self.now(), fault.retry_after)
        opens = self.opens_at
        # A request from before the trouble that fails as well moves nothing, and is not told.
        if opens is not None and opens != self._closed_until:
            self._closed_until = opens
            what = "Trakor is down" if self.down else "Trakor asked to be left alone"
            at = self._clock() + int((opens - self.now()) * 1000)
            self.trouble = Trouble(f"{what}: {fault}", at, self._valve.failed_probes)
            self._on_trouble()
