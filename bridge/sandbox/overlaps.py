"""Whether two requests for one name were in flight at one time."""

from __future__ import annotations

import unicodedata
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["Overlaps", "Sent"]


class Sent(NamedTuple):
    """A name that is sent to one organisation, in the loosest form that Trakor may compare names by.

    Attributes:
        organization: Its name.
        kind: ``parties`` or ``products``.
        name: In lower case, spaces collapsed.
    """

    organization: str
    kind: str
    name: str

    @classmethod
    def of(cls, organization: str, kind: str, name: str) -> Sent:
        """The form in which a name is counted."""
        return cls(organization, kind, " ".join(unicodedata.normalize("NFC", name).casefold().split()))


class Overlaps:
    """Counts the requests that came while another one for the same name was at work.

    Attributes:
        requests: Requests that arrived while another one was being handled, by name.
        late: Requests that arrived while the work of a cut connection was still to be done, by name.
    """

    def __init__(self) -> None:
        self._in_flight: Counter[Sent] = Counter()
        self.requests: Counter[Sent] = Counter()
        self.late: Counter[Sent] = Counter()

    @contextmanager
    def during(self, sent: Sent, late: Container[Sent]) -> Iterator[None]:
        """Count a request while it is being handled.

        Args:
            sent: Its name.
            late: The names whose work goes on after their connection was cut.
        """
        self.requests.update([sent] if self._in_flight[sent] else [])
        self.late.update([sent] if sent in late else [])
        self._in_flight[sent] += 1
        try:
            yield
        finally:
            self._in_flight[sent] -= 1
            if not self._in_flight[sent]:
                del self._in_flight[sent]

    def clear(self) -> None:
        """Forget what was counted, but not what is in flight."""
        self.requests.clear()
        self.late.clear()

    def summary(self) -> dict[str, Any]:
        """The counters as plain values."""
        return {"requests": _rows(self.requests), "late": _rows(self.late)}


def _rows(counter: Counter[Sent]) -> list[dict[str, Any]]:
    return [{**sent._asdict(), "times": times} for sent, times in counter.items()]
