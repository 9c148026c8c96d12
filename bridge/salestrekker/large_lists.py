"""Lists too large to be decoded at once: their bytes are kept, and each item is decoded when it is needed.

::

    {"data": {"contacts": [{…}, {…}, {…}]}, "errors": […]}
                           └─1─┘└─2─┘└─3─┘        the places of its items
    {"data": {"contacts": []}, "errors": […]}     the rest, small, with an empty list in its place

    body ──cut──> LongList ──pages.sort_items──> LongRecords ──a hundred at a time──> sync
                     │                               │
                     └── one such list at a time in a process: Room ──┘ closed, it makes room

Decoded, a response takes up to 25 times the memory of its bytes, and everything else waits for the decoder.
So the scanner looks for brackets and strings only. JSON's other rules are checked when an item is decoded.
Every step is short: a generator yields between two of them.
"""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, overload

import structlog

from bridge.errors import Refused, Transient
from bridge.records import Record
from bridge.salestrekker.response_limits import BATCH_BYTES, INCOMPLETE_JSON, MAX_RECORD, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from bridge.records import Stream

__all__ = [
    "SMALLER_PAGES_ADVICE",
    "LargeListRoom",
    "ListCut",
    "LongList",
    "LongRecords",
    "RoomReservation",
    "TooManyItemsError",
    "cut_list",
    "too_long_error",
]

WINDOW: Final = 16 * 1024
"""Bytes that one step looks at: a millisecond if they are nothing but brackets."""

DEEPEST: Final = 1000
"""Levels of nested brackets that no decoder accepts either."""

MUCH: Final = 8 * 1024
"""Bytes after which the scanner yields: half a millisecond."""

ITEMS_AT_ONCE: Final = 64
"""Items after which the scanner yields, however small they are: a third of a millisecond."""

BRACKETS_AT_ONCE: Final = 256
"""Brackets counted between two yields: a tenth of a millisecond."""

MOST_MEMBERS: Final = 1_000
"""Members of an object that are skipped on the way to the list. No query selects more."""

BLANK_WINDOWS: Final = 64
"""Windows of blanks between two tokens beyond which the document is refused."""

# All quantifiers are possessive: nothing is stored for backtracking, however long the text.
_CHARACTERS: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_PLAIN: Final = rb'[^"{}\[\]]++|"' + _CHARACTERS + rb'"'
_LOW: Final = rb"\{(?:%(in)s)*+\}|\[(?:%(in)s)*+\]" % {b"in": _PLAIN}
_MIDDLE: Final = rb"\{(?:%(in)s)*+\}|\[(?:%(in)s)*+\]" % {b"in": _PLAIN + b"|" + _LOW}
_HIGH: Final = rb"\{(?:%(in)s)*+\}|\[(?:%(in)s)*+\]" % {b"in": _PLAIN + b"|" + _MIDDLE}

_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_IN_STRING: Final = re.compile(_CHARACTERS, re.DOTALL)
_WHOLE: Final = re.compile(_HIGH, re.DOTALL)
_CLOSED: Final = re.compile(rb"(?:%s|%s)*+" % (_PLAIN, _HIGH), re.DOTALL)
"""Whatever ends within the window: texts, numbers, and up to three levels of brackets, as in most records."""

_BLANKS: Final = b" \t\r\n"
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark, with which some servers begin."""
_SCALAR: Final = re.compile(rb'[^ \t\r\n,:"{}\[\]]*+')
_DELIMITERS: Final = b' \t\r\n,:"{}[]'
_QUOTE: Final = ord('"')
_BRACKETS: Final = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
"""By how much each bracket changes the depth."""


class TooManyItemsError(ValueError):
    """The list has more items than any list may have."""


@dataclass(frozen=True, slots=True)
class ListCut:
    """A response in two parts.

    Attributes:
        rest: The document with an empty list in place of the list.
        starts: Where each item of the list begins in the whole.
        ends: Where each item ends, exclusive.
    """

    rest: bytes
    starts: array[int] = field(repr=False)
    ends: array[int] = field(repr=False)


def cut_list(
    body: bytes | bytearray, path: Sequence[str], *, most: int, longest: int
) -> Generator[None, None, ListCut | None]:
    """Cut the first list on a path out of a JSON document. Run it in slices.

    Args:
        body: The document.
        path: Keys that lead from its root to the list, or past it.
        most: The maximum number of items.
        longest: Maximum number of bytes of the rest.

    Returns:
        The parts, or None if there is no list on this path, or the rest is too long.

    Raises:
        TooManyItemsError: The list has more items than ``most``.
        ValueError: The document is not JSON.
    """
    scanner = _Scanner(body)
    if not (yield from _go(scanner, path)):
        return None
    begin = scanner.at
    starts, ends = yield from _items(scanner, most)
    if begin + len(body) - scanner.at > longest:
        return None
    return ListCut(bytes(body[: begin + 1] + body[scanner.at - 1 :]), starts, ends)


class _Scanner:
    """A place in a document, and the ways to move on from it."""

    def __init__(self, body: bytes | bytearray) -> None:
        self.body = body
        self.at = len(_MARK) if body.startswith(_MARK) else 0
        self._yielded_at = 0

    @property
    def has_gone_far(self) -> bool:
        """Whether it is time to yield. Each yes begins a new stretch."""
        far = self.at - self._yielded_at > MUCH
        if far:
            self._yielded_at = self.at
        return far

    def next(self) -> bytes:
        """The next character that is not blank. The scanner stays in front of it."""
        found = b""
        for _ in range(BLANK_WINDOWS):
            found = self._past(_BLANK)
            if found not in _BLANKS:
                return found
        if not found:
            raise ValueError("the document ends too early")
        raise ValueError("the document is nothing but blanks")

    def expect(self, characters: bytes) -> bytes:
        """Move past the next character that is not blank, which must be one of these."""
        found = self.next()
        if found not in characters:
            raise ValueError("the document is no JSON")
        self.at += 1
        return found

    def string(self) -> Generator[None, None, None]:
        """Move past a string, however long."""
        self.at += 1
        while self._past(_IN_STRING) != b'"':
            if self.at >= len(self.body) - 1:
                raise ValueError("a string does not end")
            yield
        self.at += 1

    def value(self) -> Generator[None, None, None]:
        """Move past one value of any kind."""
        first = self.next()
        if first == b'"':
            yield from self.string()
        elif first in b"{[":
            yield from self._nested()
        else:
            begin = self.at
            while (found := self._past(_SCALAR)) and found not in _DELIMITERS:
                yield
            if self.at == begin:
                raise ValueError("a value is missing")

    def _nested(self) -> Generator[None, None, None]:
        """Move past an object or a list."""
        body, at = self.body, self.at
        if whole := _WHOLE.match(body, at, at + WINDOW):
            self.at = whole.end()
            return
        depth = counted = 0
        while True:
            if at >= len(body):
                raise ValueError("a bracket is not closed")
            found = body[at]
            if found in _BRACKETS:
                depth += _BRACKETS[found]
                at += 1
            elif found == _QUOTE:  # of a string that does not end within the window
                self.at = at
                yield from self.string()
                at = self.at
            if not 0 < depth <= DEEPEST:
                break
            begin = at
            if closed := _CLOSED.match(body, at, at + WINDOW):
                at = closed.end()
            counted += 1
            if at - begin > MUCH or not counted % BRACKETS_AT_ONCE:
                yield
        self.at = at
        if depth:
            raise ValueError("brackets stand too deep inside each other")

    def _past(self, pattern: re.Pattern[bytes]) -> bytes:
        """Move as far as a pattern goes within the window. Returns the character there."""
        if found := pattern.match(self.body, self.at, self.at + WINDOW):
            self.at = found.end()
        return bytes(self.body[self.at : self.at + 1])


def _go(scanner: _Scanner, path: Sequence[str]) -> Generator[None, None, bool]:
    """Go to the list. Returns whether there is one."""
    for key in path:
        if scanner.next() != b"{" or not (yield from _member(scanner, key)):
            return False
        if scanner.next() == b"[":
            return True
    return False


def _member(scanner: _Scanner, key: str) -> Generator[None, None, bool]:
    """Go from the beginning of an object to the value of a key. Returns whether it was found."""
    separator, passed = scanner.expect(b"{"), 0
    while passed < MOST_MEMBERS and separator != b"}" and scanner.next() != b"}":
        begin = scanner.at
        yield from scanner.string()
        found = _says(bytes(scanner.body[begin : scanner.at]), key)
        scanner.expect(b":")
        if found:
            return True
        yield from scanner.value()
        separator, passed = scanner.expect(b",}"), passed + 1
        if scanner.has_gone_far:
            yield
    return False


def _says(written: bytes, key: str) -> bool:
    return written == b'"%s"' % key.encode() or (b"\\" in written and decode(written) == key)


def _items(scanner: _Scanner, most: int) -> Generator[None, None, tuple[array[int], array[int]]]:
    """Go from the beginning of a list past its end."""
    starts, ends = array("I"), array("I")
    separator = scanner.expect(b"[")
    if scanner.next() == b"]":
        separator = scanner.expect(b"]")
    while separator != b"]":
        if len(starts) == most:
            raise TooManyItemsError
        if scanner.has_gone_far or not len(starts) % ITEMS_AT_ONCE:
            yield
        scanner.next()
        starts.append(scanner.at)
        yield from scanner.value()
        ends.append(scanner.at)
        separator = scanner.expect(b",]")
    return starts, ends


SMALLER_PAGES_ADVICE: Final = "Ask for fewer records with page_size."
"""What to do about a response that is too long."""

WRITTEN: Final = 4
"""How many times its length a record may have on the wire: with blanks, and with each letter escaped."""

LONGEST_WAIT: Final = 3600.0
"""Seconds to wait until another long list has been read."""

log = structlog.get_logger()


class LongList:
    """The items of a list, not decoded yet.

    Args:
        body: The response that holds them. Nobody may change it.
        cut: Where they are in the response.
    """

    def __init__(self, body: bytes | bytearray, cut_list: ListCut) -> None:
        self._body: bytes | bytearray | None = body
        self._cut = cut_list
        self._below: tuple[str, ...] = ()
        self._closed: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._cut.starts)

    def __repr__(self) -> str:
        return f"LongList({len(self)} items)"

    def below(self, path: tuple[str, ...]) -> None:
        """Set the keys that lead from an item to its record."""
        self._below = path

    def size(self, index: int) -> int:
        """Bytes of an item, as received."""
        return self._cut.ends[index] - self._cut.starts[index]

    def item(self, index: int) -> tuple[object, str]:
        """An item as decoded; or None, and why it was not decoded.

        Raises:
            Transient: The item is not whole.
        """
        if self._body is None:
            raise RuntimeError("the list was closed")
        if self.size(index) > WRITTEN * MAX_RECORD:
            return None, f"it is larger than {MAX_RECORD:,} bytes"
        try:
            item = decode(self._body[self._cut.starts[index] : self._cut.ends[index]])
        except ValueError:
            # Without the original error, which holds the text that could not be decoded.
            raise Transient(INCOMPLETE_JSON) from None
        for key in self._below:
            item = item.get(key) if isinstance(item, dict) else None
        return item, ""

    def at_close(self, done: Callable[[], None]) -> None:
        """Call ``done`` once the list is closed."""
        self._closed = done

    def close(self) -> None:
        """Release the list's memory. Nothing can be read from it afterwards."""
        self._body = None
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()


class LongRecords(Sequence[Record]):
    """The records of a long list. Each is decoded whenever it is requested.

    Args:
        items: The list.
        places: Which items of it are the records.
        identify: Returns a record's id.
        stream: The stream of all of them.
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
        """The records in order, in batches of at most ``most`` records and ``BATCH_BYTES`` bytes."""
        begin = size = 0
        for end, place in enumerate(self._places):
            size += self.items.size(place)
            if end - begin == most or (size > BATCH_BYTES and end > begin):
                yield self[begin:end]
                begin, size = end, self.items.size(place)
        if begin < len(self):
            yield self[begin:]


class LargeListRoom:
    """Memory for one long list: a process that has several to read reads one after the other."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def enter(self) -> None:
        """Wait until the room is free, and take it.

        Raises:
            Transient: It was taken for an hour.
        """
        if self._lock.locked():
            log.info("waits for another long list")
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._lock.acquire()
        except TimeoutError:
            raise Transient("Another long list was being read for an hour") from None

    def leave(self) -> None:
        """Free the room."""
        self._lock.release()


class RoomReservation:
    """One reading's place in the room, for one page at a time.

    Args:
        room: The room of the process.
    """

    def __init__(self, room: LargeListRoom) -> None:
        self._room = room
        self._inside = False

    async def begin(self) -> None:
        """Wait for the room.

        Raises:
            Refused: A page of this very reading takes it up, so that waiting would be in vain.
            Transient: It was taken for too long.
        """
        if self._inside:
            raise too_long_error("Two of Salestrekker's pages together are too long to be read")
        await self._room.enter()
        self._inside = True

    def end(self) -> None:
        """Free the room, if it is taken."""
        if self._inside:
            self._inside = False
            self._room.leave()


def too_long_error(what: str) -> Refused:
    """The error for a response that is too long, for the given reason."""
    return Refused(what, advice=SMALLER_PAGES_ADVICE)
