"""Walking a list from a position to its end, in any style of paging.

::

    position ──Stride.step──> Step: a page, and the next position ──Walk──> Page
                                                      └─ ends, repetitions, too many that cannot be read

Offset and page paging end only at an empty page that is asked for twice: a page may be short, or empty once,
for a server's own reasons. Relay ends where the server says so, a plain list after its one page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.errors import Transient
from bridge.salestrekker.numbered import NumberedStride
from bridge.salestrekker.pages import Page
from bridge.salestrekker.positions import Position
from bridge.salestrekker.queries import Paging
from bridge.salestrekker.strides import MOST_LOST, OffsetStride, PlainStride, RelayStride, ignored

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from bridge.salestrekker.pages import Fetch
    from bridge.salestrekker.queries import ListQuery
    from bridge.salestrekker.strides import Step, Stride

__all__ = ["Walk"]

STRIDES: Final[Mapping[Paging, type[Stride]]] = {
    Paging.OFFSET: OffsetStride,
    Paging.PAGE: NumberedStride,
    Paging.RELAY: RelayStride,
    Paging.PLAIN: PlainStride,
}


@dataclass(frozen=True, slots=True)
class Walk:
    """One way through a list.

    Attributes:
        query: What is asked.
        fetch: Reads one page; may be asked for the same one again.
        now: Milliseconds since the epoch.
    """

    query: ListQuery
    fetch: Fetch
    now: Callable[[], int]

    async def pages(self, page_size: int, start: str = "") -> AsyncGenerator[Page]:
        """All pages from the position ``start`` on; the last one is empty and says so.

        Raises:
            QueryFileError: The query does not move through the list: two pages in a row hold the same
                records, or the cursor does not advance.
            BridgeError: What ``fetch`` raises; also where more than a few items in a row cannot be read.
        """
        stride = STRIDES[self.query.paging](self.query, self.fetch, self.now)
        at, lost = Position.of(start), 0
        before: Sequence[int] = ()
        while not at.end:
            step = await _page_or_end(stride, at, page_size)
            if not step.fetched.count:
                break
            if step.id_hashes and step.id_hashes == before:
                raise ignored(self.query, "two pages in a row hold the same records")
            lost = 0 if step.fetched.records else lost + 1
            if lost > MOST_LOST:
                raise step.poison.otherwise if step.poison else self._unreadable(lost)
            fetched = step.fetched
            yield Page(fetched.records, (*fetched.broken, *fetched.unlisted), str(step.next))
            at, before = step.next, step.id_hashes
        yield Page((), (), str(at), last=True)

    def _unreadable(self, pages: int) -> Transient:
        return Transient(f"{pages} pages in a row held no record that could be read ({self.query.file})")


async def _page_or_end(stride: Stride, at: Position, size: int) -> Step:
    """A page; an empty one only if it is empty again."""
    step = await stride.step(at, size)
    if step.fetched.count:
        return step
    again = await stride.step(at, size)
    if not again.fetched.count and again.fetched.more and again.fetched.more.more:
        raise Transient(f"Salestrekker gives an empty page, and says there is more ({stride.query.file})")
    return again
