"""A list cut out of an answer that is too large to be decoded in one go. Pure.

::

    {"data": {"contacts": [{…}, {…}, {…}]}, "errors": […]}
                           └─1─┘└─2─┘└─3─┘        the places of its items
    {"data": {"contacts": []}, "errors": […]}     the rest, small, with an empty list in its place

Decoded, an answer takes up to 25 times the memory that its bytes do, and all else waits for the decoder.
So only brackets and strings are looked for here. What stands between them is held to JSON's rules when an
item is decoded. Every step is short: a generator yields between two of them.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.salestrekker.answer_limits import decode

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["Cut", "TooManyItemsError", "cut"]

WINDOW: Final = 16 * 1024
"""Bytes that one step looks at: a millisecond where they are nothing but brackets."""

DEEPEST: Final = 1000
"""Brackets inside each other beyond which no decoder goes either."""

MUCH: Final = 8 * 1024
"""Bytes gone past after which it yields: half a millisecond."""

ITEMS_AT_ONCE: Final = 64
"""Items gone past after which it yields, however small: a third of a millisecond."""

BRACKETS_AT_ONCE: Final = 256
"""Brackets that are counted between two yields: a tenth of a millisecond."""

MOST_MEMBERS: Final = 1_000
"""Members of an object that are gone past on the way to the list: nobody asks for more."""

BLANK_WINDOWS: Final = 64
"""Windows of blanks between two tokens beyond which nobody means it."""

# Possessive throughout: nothing is kept to come back to, however long the text.
_CHARACTERS: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_PLAIN: Final = rb'[^"{}\[\]]++|"' + _CHARACTERS + rb'"'
_LOW: Final = rb"\{(?:%(in)s)*+\}|\[(?:%(in)s)*+\]" % {b"in": _PLAIN}
_MIDDLE: Final = rb"\{(?:%(in)s)*+\}|\[(?:%(in)s)*+\]" % {b"in": _PLAIN + b"|" + _LOW}
_HIGH: Final = rb"\{(?:%(in)s)*+\}|\[(?:%(in)s)*+\]" % {b"in": _PLAIN + b"|" + _MIDDLE}

_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_IN_STRING: Final = re.compile(_CHARACTERS, re.DOTALL)
_WHOLE: Final = re.compile(_HIGH, re.DOTALL)
_CLOSED: Final = re.compile(rb"(?:%s|%s)*+" % (_PLAIN, _HIGH), re.DOTALL)
"""Whatever ends within the window: texts, numbers, up to three levels of brackets, as most records have."""

_BLANKS: Final = b" \t\r\n"
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark, which some servers begin with."""
_SCALAR: Final = re.compile(rb'[^ \t\r\n,:"{}\[\]]*+')
_DELIMITERS: Final = b' \t\r\n,:"{}[]'
_QUOTE: Final = ord('"')
_BRACKETS: Final = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
"""By how much each takes one deeper."""


class TooManyItemsError(ValueError):
    """The list has more items than are wanted of any."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer in two parts.

    Attributes:
        rest: The document with an empty list where the list was.
        starts: Where each item of the list begins in the whole.
        ends: Where each ends, exclusive.
    """

    rest: bytes
    starts: array[int] = field(repr=False)
    ends: array[int] = field(repr=False)


def cut(
    body: bytes | bytearray, path: Sequence[str], *, most: int, longest: int
) -> Generator[None, None, Cut | None]:
    """Cut out the first list on a way through a JSON document; to be run in turns.

    Args:
        body: The document.
        path: Keys that lead from its root to the list, or past it.
        most: Items beyond which it is not gone on.
        longest: Bytes that the rest may have.

    Returns:
        The parts; None where there is no list on this way, or what is not in it is too long.

    Raises:
        TooManyItemsError: The list has more items than ``most``.
        ValueError: It is no JSON.
    """
    scanner = _Scanner(body)
    if not (yield from _go(scanner, path)):
        return None
    begin = scanner.at
    starts, ends = yield from _items(scanner, most)
    if begin + len(body) - scanner.at > longest:
        return None
    return Cut(bytes(body[: begin + 1] + body[scanner.at - 1 :]), starts, ends)


class _Scanner:
    """A place in a document, and the ways to move on from it."""

    def __init__(self, body: bytes | bytearray) -> None:
        self.body = body
        self.at = len(_MARK) if body.startswith(_MARK) else 0
        self._yielded_at = 0

    @property
    def has_gone_far(self) -> bool:
        """Whether it is time to yield; asked, it is answered for the next stretch."""
        far = self.at - self._yielded_at > MUCH
        if far:
            self._yielded_at = self.at
        return far

    def next(self) -> bytes:
        """The next character that is no blank, which stays where it is."""
        found = b""
        for _ in range(BLANK_WINDOWS):
            found = self._past(_BLANK)
            if found not in _BLANKS:
                return found
        if not found:
            raise ValueError("the document ends too early")
        raise ValueError("the document is nothing but blanks")

    def expect(self, characters: bytes) -> bytes:
        """Move past the next character that is no blank: one of these."""
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
        """Move past one value, whatever it is."""
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
        """Move on as far as a pattern goes within the window; gives the character that stands there."""
        if found := pattern.match(self.body, self.at, self.at + WINDOW):
            self.at = found.end()
        return bytes(self.body[self.at : self.at + 1])


def _go(scanner: _Scanner, path: Sequence[str]) -> Generator[None, None, bool]:
    """Go to the list; gives whether there is one."""
    for key in path:
        if scanner.next() != b"{" or not (yield from _member(scanner, key)):
            return False
        if scanner.next() == b"[":
            return True
    return False


def _member(scanner: _Scanner, key: str) -> Generator[None, None, bool]:
    """Go from the beginning of an object to the value of a key; gives whether it has it, not too far on."""
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
    """Go from the beginning of a list to behind its end."""
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
