"""Lists too long to be decoded in one go: their bytes are kept, and an item is decoded when its turn comes.

::

    body ──cutting──> LongList ──pages.sort_out──> LongRecords ──a hundred at a time──> sync
                          │                             │
                          └── one such list at a time in a process: Room ──┘ closed, it makes room
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from bridge.errors import Refused, Transient
from bridge.records import Record
from bridge.salestrekker.decoding import MAX_RECORD, decode, excess_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.records import Stream
    from bridge.salestrekker.cutting import Cut

__all__ = ["LongList", "LongRecords", "Room", "Stay", "too_long"]


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

    def item(self, index: int) -> tuple[object, str]:
        """An item as decoded, and what of it is too much to be mapped, else empty.

        Raises:
            Transient: It is not whole.
        """
        if self._body is None:
            raise RuntimeError("the list was closed")
        start, end = self._cut.starts[index], self._cut.ends[index]
        if end - start > MAX_RECORD:
            return None, f"it is larger than {MAX_RECORD:,} bytes"
        try:
            item = decode(self._body[start:end])
        except ValueError:
            # Without the error, which holds what it could not decode.
            raise Transient("Salestrekker's answer is not whole: its JSON cannot be read") from None
        for key in self._below:
            item = item.get(key) if isinstance(item, dict) else None
        return item, excess_of(item, self._body.count(b",", start, end))

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
        ids: Salestrekker's id of each.
        stream: Of all of them.
        read_at: When the request began, milliseconds since the epoch.
    """

    def __init__(
        self, items: LongList, places: Sequence[int], ids: Sequence[str], *, stream: Stream, read_at: int
    ) -> None:
        self.items = items
        self.ids = ids
        self._places = places
        self._stream = stream
        self._read_at = read_at

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> LongRecords: ...

    def __getitem__(self, index: int | slice) -> Record | LongRecords:
        if isinstance(index, slice):
            return LongRecords(
                self.items,
                self._places[index],
                self.ids[index],
                stream=self._stream,
                read_at=self._read_at,
            )
        item, _ = self.items.item(self._places[index])
        if not isinstance(item, dict):
            raise TypeError("an item that is no object was taken for a record")
        return Record(self._stream, self.ids[index], item, self._read_at)


class Room:
    """Room for one long list: a process that has several to read reads one after the other."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def enter(self) -> None:
        """Wait until there is room, and take it."""
        await self._lock.acquire()

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
    return Refused(what, advice="Ask for fewer records with page_size.")
