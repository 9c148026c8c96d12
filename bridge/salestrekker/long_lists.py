"""Lists too long to be decoded in one go: their bytes are kept, and an item is decoded when its turn comes.

::

    body ──json_cutting──> LongList ──pages.sort_out──> LongRecords ──a hundred at a time──> sync
                               │                             │
                               └── one such list at a time in a process: Room ──┘ closed, it makes room
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

import structlog

from bridge.errors import Refused, Transient
from bridge.records import Record
from bridge.salestrekker.answer_limits import MAX_RECORD, NOT_WHOLE, PART, decode

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Mapping

    from bridge.records import Stream
    from bridge.salestrekker.json_cutting import Cut

__all__ = ["SMALLER_PAGES", "LongList", "LongRecords", "Room", "Stay", "too_long"]

SMALLER_PAGES: Final = "Ask for fewer records with page_size."
"""What to do about an answer that is too long."""

WRITTEN: Final = 4
"""As many times its length a record may have as it came: with blanks, and with each letter escaped."""

LONGEST_WAIT: Final = 3600.0
"""Seconds that one long list waits for others to be worked through."""

log = structlog.get_logger()


class LongList:
    """The items of a list, as they came.

    Args:
        body: The answer that holds them; to be changed by nobody.
        cut: Where they stand in it.
    """

    def __init__(self, body: bytes | bytearray, cut: Cut) -> None:
        self._body: bytes | bytearray | None = body
        self._cut = cut
        self._below: tuple[str, ...] = ()
        self._closed: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._cut.starts)

    def __repr__(self) -> str:
        return f"LongList({len(self)} items)"

    def below(self, path: tuple[str, ...]) -> None:
        """Keys that lead from an item to its record."""
        self._below = path

    def size(self, index: int) -> int:
        """Bytes of an item, as it came."""
        return self._cut.ends[index] - self._cut.starts[index]

    def item(self, index: int) -> tuple[object, str]:
        """An item as decoded; or None, and why it is not even decoded.

        Raises:
            Transient: It is not whole.
        """
        if self._body is None:
            raise RuntimeError("the list was closed")
        if self.size(index) > WRITTEN * MAX_RECORD:
            return None, f"it is larger than {MAX_RECORD:,} bytes"
        try:
            item = decode(self._body[self._cut.starts[index] : self._cut.ends[index]])
        except ValueError:
            # Without the error, which holds what it could not decode.
            raise Transient(NOT_WHOLE) from None
        for key in self._below:
            item = item.get(key) if isinstance(item, dict) else None
        return item, ""

    def at_close(self, done: Callable[[], None]) -> None:
        """Call this once the list is closed."""
        self._closed = done

    def close(self) -> None:
        """Let its memory go; nothing can be read of it any more."""
        self._body = None
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()


class LongRecords(Sequence[Record]):
    """The records of a long list; each is decoded whenever it is asked for.

    Args:
        items: The list.
        places: Which items of it are the records.
        identify: Finds a record's id.
        stream: Of all of them.
        read_at: When the request began, milliseconds since the epoch.
    """

    def __init__(
        self,
        items: LongList,
        places: array[int],
        identify: Callable[[Mapping[str, object]], str | None],
        *,
        stream: Stream,
        read_at: int,
    ) -> None:
        self.items = items
        self._places = places
        self._identify = identify
        self._stream = stream
        self._read_at = read_at

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> LongRecords: ...

    def __getitem__(self, index: int | slice) -> Record | LongRecords:
        if isinstance(index, slice):
            places = self._places[index]
            return LongRecords(self.items, places, self._identify, stream=self._stream, read_at=self._read_at)
        item, _ = self.items.item(self._places[index])
        known = self._identify(item) if isinstance(item, dict) else None
        if not isinstance(item, dict) or not known:
            raise TypeError("an item that is no record was taken for one")
        return Record(self._stream, known, item, self._read_at)

    def parts(self, most: int) -> Iterator[LongRecords]:
        """They, in order, so many at a time, and no more bytes than are decoded together (``PART``)."""
        begin = size = 0
        for end, place in enumerate(self._places):
            size += self.items.size(place)
            if end - begin == most or (size > PART and end > begin):
                yield self[begin:end]
                begin, size = end, self.items.size(place)
        if begin < len(self):
            yield self[begin:]


class Room:
    """Room for one long list: a process that has several to read reads one after the other."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def enter(self) -> None:
        """Wait until there is room, and take it.

        Raises:
            Transient: There was none for an hour.
        """
        if self._lock.locked():
            log.info("waits for another long list")
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._lock.acquire()
        except TimeoutError:
            raise Transient("Another long list was being read for an hour") from None

    def leave(self) -> None:
        """Make room for the next."""
        self._lock.release()


class Stay:
    """A walk's place in the room, for one page at a time.

    Args:
        room: Of the process.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._inside = False

    async def begin(self) -> None:
        """Wait for room.

        Raises:
            Refused: A page of this very walk takes it up: to wait for its end would be in vain.
            Transient: There was none for too long.
        """
        if self._inside:
            raise too_long("Two of Salestrekker's pages together are too long to be read")
        await self._room.enter()
        self._inside = True

    def end(self) -> None:
        """Make room, where there is any taken."""
        if self._inside:
            self._inside = False
            self._room.leave()


def too_long(what: str) -> Refused:
    """What to raise for an answer that is too long, for the reason given."""
    return Refused(what, advice=SMALLER_PAGES)
