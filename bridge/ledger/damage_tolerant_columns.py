"""Column types that read whatever is on the disk.

SQLite stores a type with each value, not with the column: one flipped bit makes a text a blob, or a 0 a
NULL. A value that its column cannot hold is read as an empty one, so that no reader fails on it.
``damage_conditions.is_sound`` finds rows that have such a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    from sqlalchemy.engine import Dialect

__all__ = [
    "MAX_NUMBER",
    "MAX_TIME",
    "NUMBER",
    "TEXT",
    "TIME",
    "UNREADABLE",
    "SafeBigInteger",
    "SafeBinary",
    "SafeChoice",
    "SafeInteger",
    "SafeText",
]

UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"
"""Replaces an unreadable text, and unreadable bytes within a text."""

MAX_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: no later time can be displayed."""

MAX_NUMBER: Final = 2**62 - 1
"""The ledger never writes a greater number, because one more could exceed 64 bits."""


class SafeInteger(sa.Integer):
    """A whole number. Anything else is read as 0.

    Args:
        required: NULL is read as 0 too. Not for columns of a minimum or maximum, which is NULL if there is
            no row.
    """

    def __init__(self, required: bool = False) -> None:  # noqa: FBT001, FBT002 - SQLAlchemy copies by position
        super().__init__()
        self.required = required

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None]:
        """Return the converter of one value."""
        del dialect, coltype
        return _required_number if self.required else _number


class SafeBigInteger(sa.BigInteger):
    """Milliseconds since the epoch; anything else is read as 0. Arguments as for ``SafeInteger``."""

    def __init__(self, required: bool = False) -> None:  # noqa: FBT001, FBT002 - SQLAlchemy copies by position
        super().__init__()
        self.required = required

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None]:
        """Return the converter of one value."""
        del dialect, coltype
        return _required_time if self.required else _time


class SafeText(sa.Text):
    """A text. Anything else is read as ``UNREADABLE``.

    Args:
        required: NULL is read as ``UNREADABLE`` too.
    """

    def __init__(self, required: bool = False) -> None:  # noqa: FBT001, FBT002 - SQLAlchemy copies by position
        super().__init__()
        self.required = required

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str | None]:
        """Return the converter of one value."""
        del dialect, coltype
        return _required_text if self.required else _text


class SafeBinary(sa.LargeBinary):
    """Bytes. Anything else is read as no bytes."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        """Return the converter of one value."""
        del dialect, coltype
        return _bytes


class SafeChoice(sa.Text):
    """A text that is one of a few words.

    Args:
        words: The words.
        otherwise: The value for any other text.
    """

    def __init__(self, words: type[StrEnum], otherwise: str) -> None:
        super().__init__()
        self.words = words
        self.otherwise = otherwise

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str]:
        """Return the converter of one value."""
        del dialect, coltype
        words, otherwise = frozenset(map(str, self.words)), self.otherwise
        return lambda value: value if isinstance(value, str) and value in words else otherwise


NUMBER: Final = SafeInteger(required=True)
TEXT: Final = SafeText(required=True)
TIME: Final = SafeBigInteger(required=True)


def _number(value: object) -> int | None:
    return value if value is None or isinstance(value, int) else 0


def _required_number(value: object) -> int:
    return value if isinstance(value, int) and -MAX_NUMBER <= value <= MAX_NUMBER else 0


def _time(value: object) -> int | None:
    if value is None or (isinstance(value, int) and 0 <= value <= MAX_TIME):
        return value
    return 0


def _required_time(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value <= MAX_TIME else 0


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else UNREADABLE


def _required_text(value: object) -> str:
    return value if isinstance(value, str) else UNREADABLE


def _bytes(value: object) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else b""
