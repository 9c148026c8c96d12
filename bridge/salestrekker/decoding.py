"""How much of an answer is read, and how much of it is decoded in one go.

Decoded, JSON takes up to 25 times its bytes, and nothing else happens while it is decoded. These bounds keep
the process under 200 MB and webhooks answered within a tenth of a second, whatever Salestrekker sends.
"""

from __future__ import annotations

import json
from typing import Final

import orjson

__all__ = ["ERROR_BODY", "MAX_BODY", "MOST_ITEMS", "SMALL", "decode", "excess_of", "is_small"]

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of an answer, unpacked, beyond which it is not read: 100,000 contacts have about 60 million."""

ERROR_BODY: Final = 64 * 1024
"""Bytes that are read of an answer that is no success: enough for GraphQL errors."""

SMALL: Final = 1024 * 1024
"""Bytes of an answer that is decoded in one go: a page of 1,000 contacts has less."""

FEW_VALUES: Final = 20_000
"""Values in an answer that is decoded in one go, by its commas: a page of 100 contacts has some 3,000."""

MOST_ITEMS: Final = 100_000
"""Records in one answer beyond which it is refused: such a list has to be read in pages."""

MAX_RECORD: Final = 128 * 1024
"""Bytes of one record beyond which it is not decoded: a contact has about 600."""

MOST_VALUES: Final = 5_000
"""Values in one record beyond which it is not mapped: an expression of a map looks at each of them."""


def is_small(body: bytes | bytearray) -> bool:
    """Whether an answer can be decoded in one go."""
    return len(body) <= SMALL and body.count(b",") <= FEW_VALUES


def decode(body: bytes | bytearray) -> object:
    """What a body says as JSON.

    Half of a surrogate pair, such as an emoji that was cut, or a number that no double holds is of one
    record: it must not take the whole list down. orjson refuses both, the standard library takes them.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body)
        except RecursionError as error:
            raise ValueError from error


def excess_of(value: object, commas: int) -> str:
    """What of a record is too much to be mapped; empty where nothing is.

    Args:
        value: The record as decoded.
        commas: How many its bytes have, those in its texts too.
    """
    if commas <= MOST_VALUES or _values_of(value) <= MOST_VALUES:
        return ""
    return f"it holds more than {MOST_VALUES:,} values"


def _values_of(value: object) -> int:
    """How many values there are inside another."""
    count, inside = 0, [value]
    while inside:
        one = inside.pop()
        below = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        inside.extend(below)
        count += len(below)
    return count
